//! The result of a lookup: ranges of slots to try.

use core::ops::Range;

use crate::encoding::{CandidateSet, Several};

/// The candidates of a hint: ranges of slots, to be confirmed by their hint keys.
///
/// An iterator that decodes each range when it is asked for. Every slot is a slot of the
/// snapshot. A foreign hint has candidates, too.
///
/// A single range stays in registers; [`Encoding::Ribbon`](crate::Encoding::Ribbon) nearly
/// always returns one. For several ranges, the state of the decoder is about 64 bytes on
/// the heap.
///
/// See the example of [`Snapshot`](crate::Snapshot).
#[derive(Clone, Debug)]
pub struct Candidates<'s> {
    /// The first range. Two fields, because the compiler would pack a `Range` into one
    /// register and unpack it again.
    start: u32,
    end: u32,
    /// Further ranges; read only when the first range is empty. Boxed, so that the usual
    /// result of [`candidates`](crate::Snapshot::candidates) is two numbers and a null
    /// pointer, all in registers.
    rest: Option<Box<Several<'s>>>,
}

impl<'s> Candidates<'s> {
    #[inline(always)]
    pub(crate) const fn one(slots: Range<u32>) -> Self {
        Self { start: slots.start, end: slots.end, rest: None }
    }

    #[inline(always)]
    pub(crate) fn of(set: CandidateSet<Several<'s>>) -> Self {
        match set {
            CandidateSet::One(slots) => Self::one(slots),
            CandidateSet::Several(several) => {
                Self { start: 0, end: 0, rest: Some(Box::new(several)) }
            }
        }
    }
}

impl Iterator for Candidates<'_> {
    type Item = Range<u32>;

    #[inline]
    fn next(&mut self) -> Option<Range<u32>> {
        let slots = self.start..self.end;
        self.end = 0;
        if slots.is_empty() { self.rest.as_mut()?.next() } else { Some(slots) }
    }
}

/// The candidates of many hints, in the order of the hints.
///
/// Reuse a batch for the next lookups: its memory stays allocated.
///
/// See the example of [`Snapshot`](crate::Snapshot).
#[derive(Clone, Debug, Default)]
pub struct CandidateBatch {
    ranges: Vec<Range<u32>>,
    /// Where the ranges of each hint end.
    ends: Vec<usize>,
}

impl CandidateBatch {
    /// The number of hints that were looked up.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether no hint was looked up.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The candidates of the hint at `index`; no candidates past the last hint.
    pub fn get(&self, index: usize) -> &[Range<u32>] {
        let Some(&end) = self.ends.get(index) else { return &[] };
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before));
        self.ranges.get(start.copied().unwrap_or(0)..end).unwrap_or_default()
    }

    /// The candidates of each hint, in the order of the hints.
    pub fn iter(&self) -> impl Iterator<Item = &[Range<u32>]> {
        (0..self.len()).map(|index| self.get(index))
    }

    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
        self.ends.clear();
    }

    /// Adds the candidates of the next hint: one range, or an empty range for none.
    #[inline(always)]
    pub(crate) fn push_one(&mut self, slots: Range<u32>) {
        if !slots.is_empty() {
            self.ranges.push(slots);
        }
        self.ends.push(self.ranges.len());
    }

    /// Adds the candidates of the next hint.
    pub(crate) fn push(&mut self, set: CandidateSet<Several<'_>>) {
        match set {
            CandidateSet::One(slots) => self.push_one(slots),
            CandidateSet::Several(several) => {
                self.ranges.extend(several);
                self.ends.push(self.ranges.len());
            }
        }
    }
}
