//! The parts of the chains: where each begins, and the zeros between them.

use core::ops::Range;

use crate::packed::WORD_LEN_BYTES;

/// The parts of the chains, one after the other, each on a word.
pub(super) struct Parts {
    pub(super) at: usize,
    pub(super) end: usize,
    /// The bytes between the parts.
    pub(super) gaps: Vec<Range<usize>>,
}

impl Parts {
    pub(super) const fn new(place: Range<usize>) -> Self {
        Self { at: place.start, end: place.end, gaps: Vec::new() }
    }

    /// The next part of `len_bytes`, padding not counted; `None` past the end.
    pub(super) fn take(&mut self, len_bytes: u64) -> Option<Range<usize>> {
        let len_bytes = usize::try_from(len_bytes).ok()?;
        let part = self.at..self.at.checked_add(len_bytes)?;
        self.at = part.end.checked_next_multiple_of(WORD_LEN_BYTES)?;
        if part.end != self.at {
            self.gaps.push(part.end..self.at);
        }
        (self.at <= self.end).then_some(part)
    }
}
