//! What a lookup gives: ranges of slots to try.

use core::ops::Range;
use core::slice;

use crate::encoding::{BucketCandidates, Duplicate, Shape, duplicate_group};

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
    rest: Option<Box<Found<'s>>>,
}

/// What a shard has for a hint.
#[derive(Clone, Debug)]
pub(crate) enum Found<'s> {
    /// One range, or an empty one for none.
    One(Range<u32>),
    /// The groups of a hint that several have.
    Listed { entries: slice::Iter<'s, Duplicate>, shape: &'s Shape },
    /// The slots of a bucket.
    Bucket(BucketCandidates<'s>),
}

impl<'s> Candidates<'s> {
    #[inline(always)]
    pub(crate) const fn one(slots: Range<u32>) -> Self {
        Self { start: slots.start, end: slots.end, rest: None }
    }

    #[inline(always)]
    pub(crate) fn of(found: Found<'s>) -> Self {
        match found {
            Found::One(slots) => Self::one(slots),
            found => Self { start: 0, end: 0, rest: Some(Box::new(found)) },
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

impl Found<'_> {
    pub const fn none() -> Self {
        Self::One(0..0)
    }
}

impl Iterator for Found<'_> {
    type Item = Range<u32>;

    /// Kept apart, so that a single range costs no call.
    #[inline(never)]
    fn next(&mut self) -> Option<Range<u32>> {
        match self {
            Self::One(slots) => {
                let slots = core::mem::replace(slots, 0..0);
                (!slots.is_empty()).then_some(slots)
            }
            Self::Listed { entries, shape } => {
                let mut groups = entries.map(|entry| shape.slots_of(duplicate_group(entry)));
                groups.find(|slots| !slots.is_empty())
            }
            Self::Bucket(bucket) => bucket.next(),
        }
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
    pub(crate) fn push(&mut self, found: Found<'_>) {
        self.ranges.extend(found);
        self.ends.push(self.ranges.len());
    }
}
