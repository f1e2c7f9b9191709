//! The hints that are looked up.

use std::ops::Range;

use hintdex::wire::{Hint, HintCipher, HintKey, HintScheme, Slot};
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
        let (slot, nonce) =
            (below(2 * number, slots), below(2 * number + 1, args.lookahead.into()));
        let key = table.key(Slot(u32::try_from(slot).ok()?))?;
        hint_of(args.hint, &key, nonce)
    };
    let hints: Option<Vec<Hint>> = places.into_par_iter().map(draw).collect();
    hints.filter(|hints| !hints.is_empty()).ok_or_else(|| Failure::usage("a fleet has devices"))
}

fn hint_of(scheme: HintScheme, key: &HintKey, nonce: u64) -> Option<Hint> {
    HintCipher::new(scheme, key).hint(nonce)
}

/// The pseudo-random number at `place` of a sequence, below `end`: SplitMix64 (Steele, Lea and
/// Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
fn below(place: usize, end: u64) -> u64 {
    let x = (place as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let wide = u128::from(x ^ x >> 31) * u128::from(end);
    u64::try_from(wide >> 64).unwrap_or(0)
}
