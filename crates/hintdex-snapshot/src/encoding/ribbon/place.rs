//! The start of a hint's ribbon in a layer, and its coefficients.

use crate::hash::{mix, mixed, scaled};

/// The start of a hash's ribbon: the first of its eight units, less than `starts`. The order of
/// hashes is the order of starts.
#[inline(always)]
pub(super) const fn start(hash: u64, starts: u32) -> u32 {
    scaled(hash, starts)
}

/// The coefficients of the 64 rows: 1 for the first row, pseudo-random for the others.
#[inline(always)]
pub(super) const fn coefficients(hash: u64) -> u64 {
    mixed(hash) | 1
}

/// The multiplier of a layer of a shard in the given attempt.
pub(super) const fn multiplier(file_seed: u64, shard: usize, layer: usize, attempt: u32) -> u64 {
    let seed = mix(shard as u64 ^ file_seed);
    mix(((layer as u64) << 32 | attempt as u64) ^ seed) | 1
}
