//! Pairs of key and hint, side by side in memory.

use std::ops::Range;

use super::Block;
use hintdex_wire::Nonce;

/// The length of a batch is a multiple of this number: the longest group of any back
/// end.
pub(crate) const PAIRS_PER_GROUP: usize = 16;

/// The expected nonces of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub first: u32,
    pub count: u32,
}

impl Window {
    /// No nonce.
    pub const NONE: Self = Self { first: 0, count: 0 };

    /// The nonces of the range up to `max`, which has 32 bits.
    pub fn new(nonces: Range<Nonce>, max: Nonce) -> Self {
        let end = nonces.end.min(max.saturating_add(1));
        let count = end.saturating_sub(nonces.start);
        Self {
            first: u32::try_from(nonces.start).unwrap_or(u32::MAX),
            // Misses the last of all 2³² nonces, and no other.
            count: u32::try_from(count).unwrap_or(u32::MAX),
        }
    }

    /// The nonces as a range.
    pub fn nonces(&self) -> Range<Nonce> {
        let first = Nonce::from(self.first);
        first..first + Nonce::from(self.count)
    }
}

/// Keys, each beside the hint that is tried with it. The entries from `len` to the end
/// of the last group belong to earlier pairs, or are zero.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub keys: &'a [Block],
    pub hints: &'a [Block],
    /// The expected nonces of each key, if its hints cannot be reversed.
    pub windows: &'a [Window],
    pub len: usize,
}
