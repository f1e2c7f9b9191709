//! The hot paths: each makes its input, and has its work counted.

mod chain;
mod input;
mod live;
mod scan;
mod snapshot;
mod wire;

use crate::Failure;

/// A hot path.
pub struct Path {
    /// Its name in the file of accepted figures.
    pub name: &'static str,
    /// Does the work once, [`counted`](crate::counted), and hashes what came of it.
    pub work: fn() -> Result<u64, Failure>,
}

impl Path {
    /// Every path, crate by crate.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        [wire::PATHS, scan::PATHS, snapshot::PATHS, chain::PATHS, live::PATHS].into_iter().flatten()
    }
}

/// Takes `word` into a running hash of results.
const fn fold(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
