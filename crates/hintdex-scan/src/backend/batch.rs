//! Pairs of a key and a hint, side by side in memory.

use std::fmt;
use std::ops::Range;

use super::{Block, wipe};
use hintdex_wire::{Hint, Nonce};

/// How many pairs are decided together: enough that fetching keys from all over
/// a table overlaps.
pub(crate) const PAIRS_PER_BATCH: usize = 64;

/// The nonces expected of a key.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    pub first: u32,
    pub count: u32,
}

impl Window {
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

/// Up to [`PAIRS_PER_BATCH`] pairs. Zeroized on drop; what lies beyond `len` is
/// of earlier pairs, or zero.
pub(crate) struct Batch {
    pub keys: [Block; PAIRS_PER_BATCH],
    pub hints: [Block; PAIRS_PER_BATCH],
    pub windows: [Window; PAIRS_PER_BATCH],
    len: usize,
}

impl Batch {
    pub const fn new() -> Self {
        Self {
            keys: [[0; 16]; PAIRS_PER_BATCH],
            hints: [[0; 16]; PAIRS_PER_BATCH],
            windows: [Window { first: 0, count: 0 }; PAIRS_PER_BATCH],
            len: 0,
        }
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds a pair; a full batch takes none.
    pub fn push(&mut self, key: &Block, hint: &Hint, window: Window) {
        let at = self.len;
        let places = (self.keys.get_mut(at), self.hints.get_mut(at), self.windows.get_mut(at));
        if let (Some(key_place), Some(hint_place), Some(window_place)) = places {
            (*key_place, *hint_place, *window_place) = (*key, *hint.as_bytes(), window);
            self.len += 1;
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        wipe(&mut self.keys);
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} redacted)", self.len)
    }
}
