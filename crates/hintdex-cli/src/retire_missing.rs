//! `--retire-missing` of a list: what keeps a bad list from retiring a fleet.

use crate::failure::Failure;

/// So few devices or beacons a list may lack, however few there are.
const MAX_FEW: usize = 16;

/// Checks that no line was refused: its device may be one of those that the list seems to lack.
/// `what` is "devices" or "beacons".
pub fn check_refused(refused: u64, what: &str) -> Result<(), Failure> {
    if refused == 0 {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--retire-missing: {refused} lines were refused, and their {what} would be retired; \
         nothing was changed; mend the list"
    )))
}

/// Checks that the list lacks no more than half of those that are present: otherwise it is rather
/// cut off. `verb` is the command that retires them all the same: "device" or "beacon".
pub fn check_count(missing: usize, present: usize, verb: &str) -> Result<(), Failure> {
    if missing <= (present / 2).max(MAX_FEW) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--retire-missing: the list lacks {missing} of {present} {verb}s, more than half; nothing \
         was changed; retire so many with hintdex {verb} retire"
    )))
}
