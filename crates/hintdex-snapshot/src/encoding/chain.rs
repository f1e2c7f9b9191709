//! `chain`: hints computed instead of stored.
//!
//! A shard is a minimal perfect hash function over its hints. The functions of all
//! shards together number the hints of the snapshot, and [`chain`](crate::chain) walks
//! from number to number until it computes the hint that was asked for. Without the hint
//! keys a shard names no slot, so every slot of the snapshot stays a candidate.

use core::iter::Empty;
use core::ops::Range;

use super::shape::Shape;
use super::shard::{CandidateSet, Entry, Shard, View, hint_count};
use crate::format::{Checked, ShardRecord};
use crate::hash;
use crate::kernel::Retrieve;
use crate::padding::Padding;
use crate::perfect_hash::{self, Counts, PerfectHash, Reading};
use crate::section::Section;
use crate::{BuildError, Damage};

/// The hints of a shard, numbered.
#[derive(Debug)]
pub(crate) struct ChainShard {
    function: PerfectHash,
    /// How many distinct hints the shard has.
    heads: u32,
    duplicates: u32,
    /// The number of the shard's first hint in the snapshot.
    first: u64,
}

impl ChainShard {
    /// Numbers the hints of `shards`, shard after shard; returns how many there are.
    pub fn number(shards: &mut [Self]) -> u64 {
        shards.iter_mut().fold(0, |first, shard| {
            shard.first = first;
            first + u64::from(shard.heads)
        })
    }

    /// The number of a hint in the snapshot. A hint that is not in it gets some number.
    #[inline(always)]
    pub fn index(&self, bytes: &Checked<'_>, head: u64) -> Result<u64, Damage> {
        Ok(self.first + u64::from(self.function.index(bytes, head)?))
    }

    /// Begins to read the number of a hint in the shard, and starts loading what the first step
    /// reads.
    #[inline(always)]
    pub fn begin(&self, bytes: &Checked<'_>, head: u64) -> Reading {
        let reading = self.function.begin(head);
        reading.prefetch(bytes);
        reading
    }

    /// Takes a reading a step further. Returns the number of the hint in the snapshot, or starts
    /// loading what the next step reads.
    #[inline(always)]
    pub fn read(&self, bytes: &Checked<'_>, reading: &mut Reading) -> Result<Option<u64>, Damage> {
        let index = self.function.read(bytes, reading)?;
        Ok(index.map(|index| self.first + u64::from(index)))
    }
}

/// The seed of a shard's function.
fn seed(shape: &Shape, shard: usize) -> u64 {
    hash::mix(shape.seed ^ shard as u64)
}

impl Shard for ChainShard {
    type Several<'f> = Empty<Range<u32>>;

    fn build(
        shape: &Shape,
        shard: usize,
        entries: &[Entry],
        out: &mut Vec<u8>,
    ) -> Result<ShardRecord, BuildError> {
        let hint_count = hint_count(shard, entries)?;
        let base = out.len();
        let heads = entries.iter().map(Entry::head).collect();
        let counts = perfect_hash::build(heads, seed(shape, shard), out);
        let [all, second, third] = counts.levels;
        Ok(ShardRecord {
            len_bytes: ((out.len() - base) as u64).into(),
            hint_count: hint_count.into(),
            duplicate_count: (hint_count - all).into(),
            parts: [second, third, counts.listed, 0, 0].map(|count| u64::from(count).into()),
            ..ShardRecord::default()
        })
    }

    fn open(shape: &Shape, shard: usize, record: &ShardRecord) -> Option<Self> {
        let duplicates = record.duplicate_count.get();
        let heads = record.hint_count.get().checked_sub(duplicates)?;
        let [second, third, listed, 0, 0] = record.parts.map(|part| part.get()) else {
            return None;
        };
        let counts = Counts {
            levels: [heads, u32::try_from(second).ok()?, u32::try_from(third).ok()?],
            listed: u32::try_from(listed).ok()?,
        };
        let function = PerfectHash::open(&counts, seed(shape, shard), record.place()?)?;
        Some(Self { function, heads, duplicates, first: 0 })
    }

    #[inline(always)]
    fn prefetch(&self, _: &View<'_>, _: u64) {}

    #[inline(always)]
    fn find<'f, P: Retrieve>(
        &self,
        view: &View<'f>,
        _: P,
        _: u64,
    ) -> Result<CandidateSet<Self::Several<'f>>, Damage> {
        Ok(CandidateSet::One(view.shape.slots.clone()))
    }

    fn duplicate_count(&self) -> u64 {
        self.duplicates.into()
    }

    fn each_padding(&self, each: &mut dyn FnMut(Padding)) {
        self.function.each_padding(each);
    }

    fn measure(&self, _: &Shape, sections: &mut Vec<Section>) {
        let [seeds, bumped] = self.function.section_lens_bytes();
        Section::add(sections, "seeds", seeds);
        Section::add(sections, "bumped hints", bumped);
    }
}
