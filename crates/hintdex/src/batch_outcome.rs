//! The outcome for one packet of a batch, before packets that wait have tickets.

use hintdex_wire::Hint;

use crate::Verdict;

/// The outcome for one packet of a batch.
pub(crate) enum BatchOutcome {
    Verdict(Verdict),
    /// No verdict yet: this hint must be scanned for, or a key agreed on for the packet, and the
    /// budget is spent.
    NeedsScan(Hint),
}
