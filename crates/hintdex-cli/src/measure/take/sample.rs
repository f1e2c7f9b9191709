//! The hints that are looked up.

use std::ops::Range;

use hintdex::wire::{Hint, HintCipher, HintKey, HintScheme, Slot};
use hintdex_host::SplitMix64;
use hintdex_scan::KeyTable;
use rayon::prelude::*;

use crate::args::TakeArgs;
use crate::failure::Failure;

/// Hints that are looked up repeatedly. Their rows together exceed most processor caches.
pub const SAMPLE_LEN_HINTS: usize = 1 << 17;

/// Live hints of random devices, the same for every run on a fleet.
pub fn sample(
    table: &KeyTable,
    args: &TakeArgs,
    places: Range<usize>,
) -> Result<Vec<Hint>, Failure> {
    let slots = u64::try_from(table.len()).unwrap_or(u64::MAX);
    let draw = |number: usize| {
        // Two numbers a draw, found by the number of the draw: threads take any of them.
        let mut random = SplitMix64::at(0, 2 * number as u64);
        let (slot, nonce) = (random.below(slots), random.below(args.lookahead.into()));
        let key = table.key(Slot(u32::try_from(slot).ok()?))?;
        hint_of(args.hint, &key, nonce)
    };
    let hints: Option<Vec<Hint>> = places.into_par_iter().map(draw).collect();
    hints.filter(|hints| !hints.is_empty()).ok_or_else(|| Failure::usage("a fleet has devices"))
}

fn hint_of(scheme: HintScheme, key: &HintKey, nonce: u64) -> Option<Hint> {
    HintCipher::new(scheme, key).hint(nonce)
}
