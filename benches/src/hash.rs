//! A running hash of results: two arms that did the same work have the same hash.

use hintdex_host::SplitMix64;

/// Takes `word` into a running hash of results.
pub const fn fold(hash: u64, word: u64) -> u64 {
    SplitMix64::mix(hash.rotate_left(5) ^ word)
}
