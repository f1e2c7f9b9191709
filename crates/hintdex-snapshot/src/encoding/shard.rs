//! What every encoding implements: [`Shard`].

use core::fmt::Debug;
use core::ops::Range;

use super::shape::Shape;
use crate::format::{Checked, ShardRecord};
use crate::kernel::Retrieve;
use crate::padding::Padding;
use crate::section::Section;
use crate::{BuildError, Damage};

/// A hint and the slot whose key made the hint, in twelve bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The upper and the lower half: a `u64` would align the entry to 16 bytes.
    head: [u32; 2],
    pub slot: u32,
}

impl Entry {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the head")]
    pub const fn new(head: u64, slot: u32) -> Self {
        Self { head: [(head >> 32) as u32, head as u32], slot }
    }

    pub const fn head(&self) -> u64 {
        let [upper, lower] = self.head;
        (upper as u64) << 32 | lower as u64
    }
}

/// The number of hints of a shard.
///
/// # Errors
/// [`BuildError::ShardTooLarge`] when the shard's record cannot hold the number.
pub(super) fn hint_count(shard: usize, entries: &[Entry]) -> Result<u32, BuildError> {
    let hints = entries.len() as u64;
    u32::try_from(hints).map_err(|_| BuildError::ShardTooLarge { shard, hints })
}

/// The input of a lookup: the checked bytes of the file, and the numbers of its shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'f> {
    pub bytes: Checked<'f>,
    pub shape: &'f Shape,
}

/// The candidates of a hint. `S` decodes several ranges of slots, one after the other.
#[derive(Clone, Debug)]
pub(crate) enum CandidateSet<S> {
    /// One range of slots; an empty range if the hint has no candidates.
    One(Range<u32>),
    /// Ranges that are decoded as they are asked for.
    Several(S),
}

impl<S> CandidateSet<S> {
    pub const fn none() -> Self {
        Self::One(0..0)
    }

    /// The same candidates, with `wrap` around the decoder of several ranges.
    #[inline(always)]
    pub fn map<T>(self, wrap: impl FnOnce(S) -> T) -> CandidateSet<T> {
        match self {
            Self::One(slots) => CandidateSet::One(slots),
            Self::Several(several) => CandidateSet::Several(wrap(several)),
        }
    }
}

/// A shard in one encoding: how its hints are packed, and how a hint is looked up.
///
/// [`open`](Self::open) rejects numbers that do not fit together. Bytes that no builder
/// writes yield fewer candidates or none. Wrong candidates are harmless, because the hint
/// keys decide.
pub(crate) trait Shard: Sized + Send + Sync {
    /// Decodes the candidates of a hint that has several ranges of slots.
    type Several<'f>: Iterator<Item = Range<u32>> + Clone + Debug;

    /// Whether [`find_quick`](Self::find_quick) ever finds a group.
    const HAS_QUICK_FIND: bool = false;

    /// Appends the shard of `entries` to `out` and returns its record, which is complete
    /// except for the offset.
    fn build(
        shape: &Shape,
        shard: usize,
        entries: &[Entry],
        out: &mut Vec<u8>,
    ) -> Result<ShardRecord, BuildError>;

    /// The shard of a record, or `None` if the record's numbers do not fit together.
    fn open(shape: &Shape, shard: usize, record: &ShardRecord) -> Option<Self>;

    /// Starts loading the bytes that `find` reads for this hint.
    fn prefetch(&self, view: &View<'_>, head: u64);

    /// The candidates of a hint.
    ///
    /// # Errors
    /// [`Damage`] of the first block that the lookup needs and that fails its check.
    fn find<'f, P: Retrieve>(
        &self,
        view: &View<'f>,
        path: P,
        head: u64,
    ) -> Result<CandidateSet<Self::Several<'f>>, Damage>;

    /// The group of a hint, where a few instructions find it; `None` leaves the hint to
    /// [`find`](Self::find). All blocks of `file` have passed their checks, and `columns`
    /// are the shape's.
    #[inline(always)]
    fn find_quick<P: Retrieve>(&self, _: &[u8], _: P, _: usize, _: u64) -> Option<u32> {
        None
    }

    /// The length of the shard's list of duplicate hints, in entries.
    fn duplicate_count(&self) -> u64 {
        0
    }

    /// Calls `each` with the padding of each part of the shard.
    fn each_padding(&self, each: &mut dyn FnMut(Padding));

    /// Adds the shard's bytes to `sections`, by name.
    fn measure(&self, shape: &Shape, sections: &mut Vec<Section>);
}
