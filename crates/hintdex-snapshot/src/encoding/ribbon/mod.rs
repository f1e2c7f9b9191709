//! `ribbon`: a function from hints to groups, in little more space than its values.
//!
//! Bumped ribbon retrieval (Dillinger, Hübschle-Schneider, Sanders, Walzer,
//! "Fast Succinct Retrieval and Approximate Membership Using Ribbon", SEA
//! 2022), of ribbons 64 wide (Dillinger, Walzer, "Ribbon filter: practically
//! smaller than Bloom and Xor", 2021). A hint is hashed to a start in a table and to 64
//! coefficients. The coefficients select some of the 64 rows from the start on, and the value
//! of the hint is the sum of these rows over GF(2). A build solves the equations of all hints
//! for the rows.
//!
//! A ribbon starts at a row whose number is a multiple of eight. So its rows are whole bytes,
//! and a lookup shifts nothing. The cost in space is too small to be measured.
//!
//! The table has 4 or 5 % fewer rows than there are hints, so that nearly every row is used.
//! The hints without room are *bumped* to the next, much smaller layer. A threshold, a byte
//! for each 256 rows, bumps the hints that start in the first rows of the 256. The third layer
//! holds the remaining hints in more rows than hints. In all, a shard takes 0.2 to 0.5 % more
//! than the values alone.
//!
//! ```text
//! rows of layer 0, 1, 2 │ thresholds of layer 0, 1 │ duplicate hints
//! ```

mod band;
mod build;
mod equations;
mod layer;
mod place;
mod rows;

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test stops at the first surprise")]
mod tests;

use core::ops::Range;
use core::slice;

use super::duplicates::{self, DUPLICATE_LEN_BYTES, Duplicate};
use super::shape::Shape;
use super::shard::{CandidateSet, Entry, Shard, View};
use crate::format::ShardRecord;
use crate::kernel::Retrieve;
use crate::padding::Padding;
use crate::section::Section;
use crate::{BuildError, Damage};

use self::layer::Layer;

/// The shard's layers and its list of duplicate hints.
#[derive(Debug)]
pub(crate) struct RibbonShard {
    first: Layer,
    /// The layers of bumped hints. Boxed, so that a shard is one cache line, and the shards of a
    /// file of empty shards take no more memory than the file is long.
    rest: Option<Box<[Layer]>>,
    duplicates_at: usize,
    duplicate_count: u32,
    /// The first layer bumps and no hint is listed, so most hints are in the first layer.
    is_quick: bool,
}

impl RibbonShard {
    fn layers(&self) -> impl Iterator<Item = &Layer> {
        [&self.first].into_iter().chain(self.rest.iter().flatten())
    }

    /// The place of the list of duplicate hints.
    fn duplicates(&self) -> Range<usize> {
        let len_bytes = self.duplicate_count as usize * DUPLICATE_LEN_BYTES;
        self.duplicates_at..self.duplicates_at + len_bytes
    }
}

impl Shard for RibbonShard {
    type Several<'f> = Listed<'f>;

    const HAS_QUICK_FIND: bool = true;

    fn build(
        shape: &Shape,
        shard: usize,
        entries: &[Entry],
        out: &mut Vec<u8>,
    ) -> Result<ShardRecord, BuildError> {
        build::build(shape, shard, entries, out)
    }

    fn open(shape: &Shape, shard: usize, record: &ShardRecord) -> Option<Self> {
        let bytes = record.place()?;
        let duplicates = duplicates::place(record, &bytes)?;
        let layers = Layer::read_all(shape, shard, record, bytes.start..duplicates.start)?;
        let [first, rest @ ..] = layers;
        let rest = rest.iter().any(Layer::is_there).then(|| Box::from(rest));
        let duplicate_count = record.duplicate_count.get();
        let is_quick = first.bumps() && duplicate_count == 0;
        Some(Self { first, rest, duplicates_at: duplicates.start, duplicate_count, is_quick })
    }

    #[inline]
    fn prefetch(&self, view: &View<'_>, head: u64) {
        self.first.prefetch(view, head);
    }

    #[inline(always)]
    fn find<'f, P: Retrieve>(
        &self,
        view: &View<'f>,
        path: P,
        head: u64,
    ) -> Result<CandidateSet<Listed<'f>>, Damage> {
        let same = duplicates::List::new(view, self.duplicates()).of(head)?;
        if !same.is_empty() {
            return Ok(CandidateSet::Several(Listed { entries: same.iter(), shape: view.shape }));
        }
        for layer in self.layers() {
            if let Some(group) = layer.find(view, path, head)? {
                return Ok(CandidateSet::One(view.shape.slots_of(group)));
            }
        }
        Ok(CandidateSet::none())
    }

    /// The group of a hint in the first layer. `None` leaves the hint to `find`: as a rule,
    /// 4 % of the hints.
    #[inline(always)]
    fn find_quick<P: Retrieve>(
        &self,
        file: &[u8],
        path: P,
        columns: usize,
        head: u64,
    ) -> Option<u32> {
        if self.is_quick { self.first.find_quick(file, path, columns, head) } else { None }
    }

    fn duplicate_count(&self) -> u64 {
        self.duplicate_count.into()
    }

    fn each_padding(&self, each: &mut dyn FnMut(Padding)) {
        self.layers().filter_map(Layer::padding).for_each(each);
    }

    fn measure(&self, shape: &Shape, sections: &mut Vec<Section>) {
        for layer in self.layers() {
            layer.measure(shape, sections);
        }
        Section::add(sections, "duplicates", self.duplicates().len());
    }
}

/// The groups of a duplicate hint, from the list.
#[derive(Clone, Debug)]
pub(crate) struct Listed<'f> {
    entries: slice::Iter<'f, Duplicate>,
    shape: &'f Shape,
}

impl Iterator for Listed<'_> {
    type Item = Range<u32>;

    #[inline]
    fn next(&mut self) -> Option<Range<u32>> {
        let shape = self.shape;
        let mut groups =
            self.entries.by_ref().map(|entry| shape.slots_of(duplicates::group(entry)));
        groups.find(|slots| !slots.is_empty())
    }
}
