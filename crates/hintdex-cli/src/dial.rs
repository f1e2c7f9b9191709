//! The dial of a snapshot, from the options of a command.

use hintdex::snapshot::{Dial, Encoding};

use crate::failure::Failure;

/// Devices tried for a lookup, without `--tries` or `--bits`.
const DEFAULT_TRIES: u32 = 32;

/// Hints computed for a lookup in a chain, without `--evaluations`.
const DEFAULT_EVALUATIONS: u32 = 16;

/// The dial for `encoding`.
///
/// # Errors
/// When an option belongs to another encoding.
pub fn of(
    encoding: Encoding,
    bits: Option<u8>,
    tries: Option<u32>,
    evaluations: Option<u32>,
) -> Result<Dial, Failure> {
    if encoding == Encoding::Chain {
        if bits.is_some() || tries.is_some() {
            return Err(Failure::usage(
                "--encoding chain: a chain has neither bits nor tries; give --evaluations",
            ));
        }
        return Ok(Dial::Evaluations(evaluations.unwrap_or(DEFAULT_EVALUATIONS)));
    }
    if evaluations.is_some() {
        return Err(Failure::usage(
            "--evaluations: only a chain computes hints; give --encoding chain, or --tries",
        ));
    }
    Ok(bits.map_or_else(|| Dial::Tries(tries.unwrap_or(DEFAULT_TRIES)), Dial::Bits))
}
