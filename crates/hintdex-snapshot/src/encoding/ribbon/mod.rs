//! `ribbon`: a function from hints to groups, in little more than its values.
//!
//! Bumped ribbon retrieval (Dillinger, Hübschle-Schneider, Sanders, Walzer,
//! "Fast Succinct Retrieval and Approximate Membership Using Ribbon", SEA
//! 2022), of ribbons 64 wide (Dillinger, Walzer, "Ribbon filter: practically
//! smaller than Bloom and Xor", 2021). A hint is hashed to a place in a table
//! and 64 coefficients; its value is the sum over GF(2) of the rows of the
//! table that its coefficients choose among the 64 from its place on. Building
//! is solving for the rows.
//!
//! A ribbon begins with a row whose number is a multiple of eight, so that its
//! rows are whole bytes and a lookup shifts nothing; that costs no room that can
//! be measured.
//!
//! The table has 4 or 5 % fewer rows than there are hints, so that nearly every
//! row is used. Hints that fit no more are *bumped*: of every 256 rows, the hints
//! that begin in the first so many go to the next, much smaller layer, as a byte
//! for each 256 rows says. The third layer takes what is left, with rows to
//! spare. In all 0.2 to 0.5 % more than the values alone.
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
use super::padding::Padding;
use super::shape::Shape;
use super::shard::{CandidateSet, Entry, Shard, View};
use crate::format::{DATA_OFFSET_BYTES, ShardRecord};
use crate::kernel::Retrieve;
use crate::section::Section;
use crate::{BuildError, Damage};

use self::layer::Layer;

/// The shard's layers and its list of duplicate hints.
#[derive(Debug)]
pub(crate) struct RibbonShard {
    first: Layer,
    /// Those that hold what the first bumped; apart, so that a shard is a cache
    /// line and a file of empty shards takes no more memory than it is long.
    rest: Option<Box<[Layer]>>,
    duplicates_at: usize,
    duplicate_count: u32,
    /// Hints are most likely in the first layer: it bumps, and none is listed.
    is_quick: bool,
}

impl RibbonShard {
    fn layers(&self) -> impl Iterator<Item = &Layer> {
        [&self.first].into_iter().chain(self.rest.iter().flatten())
    }

    /// Where the list of duplicate hints lies.
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
        let start = DATA_OFFSET_BYTES + usize::try_from(record.offset_bytes.get()).ok()?;
        let end = start.checked_add(usize::try_from(record.len_bytes.get()).ok()?)?;
        let duplicates = duplicates::place(record, &(start..end))?;
        let layers = Layer::read_all(shape, shard, record, start..duplicates.start)?;
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

    /// The group of a hint that is in the first layer and no duplicate, in a
    /// `file` whose blocks have all been found whole. `None` leaves it to
    /// [`find`](Shard::find): 4 % of the hints, and no other, as a rule.
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

/// The groups of a hint that several groups have, from the list of duplicate hints.
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
