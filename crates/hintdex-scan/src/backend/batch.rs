//! Pairs of a key and a hint, side by side in memory.

use std::ops::Range;

use super::Block;
use hintdex_wire::Nonce;

/// Batches are a multiple of this many pairs long: the longest group of any back end.
pub(crate) const PAIRS_PER_GROUP: usize = 16;

/// The nonces expected of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub first: u32,
    pub count: u32,
}

impl Window {
    /// None at all.
    pub const NONE: Self = Self { first: 0, count: 0 };

    /// The part of `nonces` up to `max`, which has 32 bits.
    pub fn new(nonces: Range<Nonce>, max: Nonce) -> Self {
        let end = nonces.end.min(max.saturating_add(1));
        let count = end.saturating_sub(nonces.start);
        Self {
            first: u32::try_from(nonces.start).unwrap_or(u32::MAX),
            // Short of the whole range by one nonce at most.
            count: u32::try_from(count).unwrap_or(u32::MAX),
        }
    }

    /// The nonces again.
    pub fn nonces(&self) -> Range<Nonce> {
        let first = Nonce::from(self.first);
        first..first + Nonce::from(self.count)
    }
}

/// Keys, each with a hint to be tried with it. What lies beyond `len`, up to a
/// whole number of groups, is of earlier pairs, or zero.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub keys: &'a [Block],
    pub hints: &'a [Block],
    /// The nonces expected of each key, if its hints cannot be reversed.
    pub windows: &'a [Window],
    pub len: usize,
}
