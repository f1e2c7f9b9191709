//! What a lookup gives: ranges of slots to try.

use core::ops::Range;

use crate::encoding::{CandidateSet, Several};

/// The slots a snapshot names for a hint, as ranges to be confirmed one by one.
///
/// An iterator that decodes as it goes. Every slot is one of the snapshot's; a
/// foreign hint has candidates like any other.
///
/// A single range, which is what [`Encoding::Ribbon`](crate::Encoding::Ribbon)
/// nearly always gives, stays in registers; whoever has more keeps its state in
/// 64 bytes of heap.
#[derive(Clone, Debug)]
pub struct Candidates<'s> {
    /// The first range, as two numbers: as one, they travel in one register and
    /// are taken apart again.
    start: u32,
    end: u32,
    /// Boxed, and not asked while the first range has slots: so a caller of
    /// [`candidates`](crate::Snapshot::candidates) has no more than two numbers
    /// and a null pointer to carry, and nothing of it in memory.
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
/// Keep one and use it again: its memory stays.
#[derive(Clone, Debug, Default)]
pub struct CandidateBatch {
    ranges: Vec<Range<u32>>,
    /// Where the ranges of each hint end.
    ends: Vec<usize>,
}

impl CandidateBatch {
    /// How many hints were looked up.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The candidates of the hint at `index`; none past the last.
    pub fn get(&self, index: usize) -> &[Range<u32>] {
        let Some(&end) = self.ends.get(index) else { return &[] };
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before));
        self.ranges.get(start.copied().unwrap_or(0)..end).unwrap_or_default()
    }

    /// The candidates of each hint in turn.
    pub fn iter(&self) -> impl Iterator<Item = &[Range<u32>]> {
        (0..self.len()).map(|index| self.get(index))
    }

    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
        self.ends.clear();
    }

    /// Adds the candidates of a hint that has one range of them, or an empty one.
    #[inline(always)]
    pub(crate) fn push_one(&mut self, slots: Range<u32>) {
        if !slots.is_empty() {
            self.ranges.push(slots);
        }
        self.ends.push(self.ranges.len());
    }

    /// Adds the candidates of a hint.
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
