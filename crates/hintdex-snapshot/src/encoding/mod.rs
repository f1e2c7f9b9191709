//! How the hints of a shard are packed. This module knows every encoding;
//! nothing else knows any.

mod bits;
mod buckets;
mod dense;
mod duplicates;
mod ribbon;
mod sorted;
mod spread;

use core::fmt;
use core::ops::Range;

use crate::candidates::Found;
use crate::format::{Checked, Header, ShardRecord, shard_of};
use crate::kernel::Retrieve;
use crate::snapshot::Section;
use crate::{BuildError, Damage, SnapshotParams};

use dense::DenseShard;
pub(crate) use duplicates::{Duplicate, group as duplicate_group};
use ribbon::RibbonShard;
use sorted::SortedShard;

/// How hints are stored. Its number and name never change meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Bumped ribbon retrieval (Dillinger, Hübschle-Schneider, Sanders, Walzer,
    /// "Fast Succinct Retrieval and Approximate Membership Using Ribbon", SEA
    /// 2022): hint → group, `value_bits` bits a hint and 0.2 to 0.5 % more. Any
    /// hint gets an answer, the right one if it is in the set. The default.
    Ribbon,
    /// A sparse directory over the hints into a dense array of slots: a lookup
    /// gives the slots of all hints near it. log2(slots / tries) + 1.8 bits a hint.
    Dense,
    /// The hints themselves, in order, cut to the bits that tell them apart and
    /// some check bits, each with its slot. A foreign hint finds a candidate once in
    /// 2^`check_bits`. log2(slots / tries) + check bits + 2.3 bits a hint.
    Sorted,
}

impl Encoding {
    /// Every encoding there is.
    pub const ALL: &'static [Self] = &[Self::Ribbon, Self::Dense, Self::Sorted];

    /// The number that stands for this encoding in files.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ribbon => 1,
            Self::Dense => 2,
            Self::Sorted => 3,
        }
    }

    /// The encoding a file means by `number`, if this version knows it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|encoding| encoding.number() == number)
    }

    /// The encoding's name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ribbon => "ribbon",
            Self::Dense => "dense",
            Self::Sorted => "sorted",
        }
    }

    /// The encoding called `name` on the command line.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|encoding| encoding.name() == name)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A hint and the slot whose key made it, in twelve bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
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

/// The numbers every shard of a snapshot shares.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub slots: Range<u32>,
    pub hint_count: u64,
    pub tries: u32,
    pub group_len_slots: u32,
    pub group_count: u32,
    /// Bits of a value, 1 to 32.
    pub value_bits: u32,
    pub check_bits: u8,
    pub shard_bits: u8,
    pub seed: u64,
}

impl Shape {
    pub fn new(params: &SnapshotParams, header: &Header) -> Self {
        Self {
            slots: params.slots.clone(),
            hint_count: header.hint_count.get(),
            tries: params.tries(),
            group_len_slots: params.group_len_slots(),
            group_count: params.group_count(),
            value_bits: params.value_bits().into(),
            check_bits: params.check_bits,
            shard_bits: header.shard_bits,
            seed: header.seed.get(),
        }
    }

    /// The same as the number of columns the ribbon's rows have.
    #[inline(always)]
    pub const fn columns(&self) -> usize {
        self.value_bits as usize
    }

    /// The group of a slot of the snapshot.
    pub fn group(&self, slot: u32) -> u32 {
        slot.saturating_sub(self.slots.start) / self.group_len_slots.max(1)
    }

    /// The slots of a group; empty for a number that is no group, which only
    /// foreign hints give.
    #[inline]
    pub fn slots_of(&self, group: u32) -> Range<u32> {
        if group >= self.group_count {
            return 0..0;
        }
        // No overflow: the group's first slot is one of the snapshot's.
        let start = self.slots.start + group * self.group_len_slots;
        start..start + self.group_len_slots.min(self.slots.end - start)
    }
}

/// The file as a lookup sees it: bytes are given out once they are checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'f> {
    pub bytes: Checked<'f>,
    pub shape: &'f Shape,
}

/// One shard of an encoding: how it is packed, and how a hint is looked up in it.
///
/// What is read from a file is checked for its own sake only: numbers that do
/// not fit together are refused by [`open`](Self::open), and bytes that make no
/// sense give fewer candidates or none. Wrong candidates do no harm.
pub(crate) trait Shard: Sized + Send + Sync {
    /// Appends the shard of `entries` to `out` and returns its record, complete but
    /// for the offset.
    fn build(
        shape: &Shape,
        shard: usize,
        entries: &[Entry],
        out: &mut Vec<u8>,
    ) -> Result<ShardRecord, BuildError>;

    /// The shard of a record, or `None` if the record's numbers do not fit together.
    fn open(shape: &Shape, shard: usize, record: &ShardRecord) -> Option<Self>;

    /// Starts loading what `find` will need of this hint.
    fn prefetch(&self, view: &View<'_>, head: u64);

    /// The candidates of a hint.
    fn find<'f, P: Retrieve>(
        &self,
        view: &View<'f>,
        path: P,
        head: u64,
    ) -> Result<Found<'f>, Damage>;

    /// Calls `each` with the bits that fill the parts of the shard up.
    fn each_padding(&self, each: &mut dyn FnMut(Padding));

    /// Adds the shard's bytes to `sections`, by name.
    fn measure(&self, shape: &Shape, sections: &mut Vec<Section>);
}

/// Bits that fill a part of the file up, all zero.
#[derive(Debug)]
pub(crate) struct Padding {
    /// What the bits follow.
    pub behind: &'static str,
    /// The first of them and the end, counted from the beginning of the file.
    pub bits: Range<u64>,
}

impl Padding {
    /// Whole bytes of the file.
    pub fn of_bytes(behind: &'static str, bytes: Range<usize>) -> Self {
        Self { behind, bits: bytes.start as u64 * 8..bytes.end as u64 * 8 }
    }

    /// Where in `file` the first byte is that has a bit of this which is not zero.
    pub fn not_zero(&self, file: &[u8]) -> Option<u64> {
        let first = self.bits.start / 8;
        let bytes =
            usize::try_from(first).ok()?..usize::try_from(self.bits.end.div_ceil(8)).ok()?;
        let mut bytes = (first..).zip(file.get(bytes)?);
        // Of the first byte, the lower bits may belong to the part before.
        let is_padding = |at: u64, byte: u8| {
            if at == first { byte >> (self.bits.start % 8) } else { byte }
        };
        bytes.find(|&(at, &byte)| is_padding(at, byte) != 0).map(|(at, _)| at)
    }
}

/// The shards of a snapshot, whatever their encoding.
#[derive(Debug)]
pub(crate) enum Shards {
    Ribbon(Box<[RibbonShard]>),
    Dense(Box<[DenseShard]>),
    Sorted(Box<[SortedShard]>),
}

/// Evaluates `$each` with `$shards` bound to the shards of whichever encoding.
macro_rules! for_encoding {
    ($self:expr, $shards:ident => $each:expr) => {
        match $self {
            Shards::Ribbon($shards) => $each,
            Shards::Dense($shards) => $each,
            Shards::Sorted($shards) => $each,
        }
    };
}

impl Shards {
    /// The shards of a directory, or the number of the record that makes no sense.
    pub fn open(encoding: Encoding, shape: &Shape, records: &[ShardRecord]) -> Result<Self, usize> {
        Ok(match encoding {
            Encoding::Ribbon => Self::Ribbon(open_all(shape, records)?),
            Encoding::Dense => Self::Dense(open_all(shape, records)?),
            Encoding::Sorted => Self::Sorted(open_all(shape, records)?),
        })
    }

    /// The candidates of a hint.
    #[inline(always)]
    pub fn find<'f, P: Retrieve>(
        &self,
        view: &View<'f>,
        path: P,
        head: u64,
    ) -> Result<Found<'f>, Damage> {
        let shard = shard_of(head, view.shape.shard_bits);
        for_encoding!(self, shards => match shards.get(shard) {
            Some(shard) => shard.find(view, path, head),
            None => Ok(Found::none()),
        })
    }

    /// The group of a hint, where it takes no more than a few instructions to
    /// find it; else `None`, and [`find`](Self::find) knows. `columns` are the
    /// shape's.
    #[inline(always)]
    pub fn find_quick<P: Retrieve>(
        &self,
        view: &View<'_>,
        path: P,
        columns: usize,
        head: u64,
    ) -> Option<u32> {
        let Self::Ribbon(shards) = self else { return None };
        // The number of shards is a power of two, so this is `shard_of`.
        #[expect(clippy::cast_possible_truncation, reason = "less than `shards.len()`")]
        let shard = ((u128::from(head) * shards.len() as u128) >> 64) as usize;
        shards.get(shard)?.find_quick(view.bytes.all()?, path, columns, head)
    }

    /// Starts loading what a lookup of this hint will need.
    #[inline(always)]
    pub fn prefetch(&self, view: &View<'_>, head: u64) {
        let shard = shard_of(head, view.shape.shard_bits);
        for_encoding!(self, shards => if let Some(shard) = shards.get(shard) {
            shard.prefetch(view, head);
        });
    }

    /// How many entries the lists of duplicate hints have.
    pub fn duplicate_count(&self) -> u64 {
        match self {
            Self::Ribbon(shards) => shards.iter().map(RibbonShard::duplicate_count).sum(),
            Self::Dense(_) | Self::Sorted(_) => 0,
        }
    }

    /// Calls `each` with the bits that fill the parts of all shards up.
    pub fn each_padding(&self, each: &mut dyn FnMut(Padding)) {
        for_encoding!(self, shards => shards.iter().for_each(|shard| shard.each_padding(each)));
    }

    /// Bytes by section.
    pub fn sections(&self, shape: &Shape) -> Vec<Section> {
        let mut sections = Vec::new();
        for_encoding!(self, shards => shards.iter().for_each(|shard| shard.measure(shape, &mut sections)));
        sections
    }
}

fn open_all<S: Shard>(shape: &Shape, records: &[ShardRecord]) -> Result<Box<[S]>, usize> {
    // To the byte: a collected `Result` grows as it goes.
    let mut shards = Vec::with_capacity(records.len());
    for (at, record) in records.iter().enumerate() {
        shards.push(S::open(shape, at, record).ok_or(at)?);
    }
    Ok(shards.into_boxed_slice())
}

/// Builds one shard in the encoding of the snapshot.
pub(crate) fn build_shard(
    encoding: Encoding,
    shape: &Shape,
    shard: usize,
    entries: &[Entry],
    out: &mut Vec<u8>,
) -> Result<ShardRecord, BuildError> {
    match encoding {
        Encoding::Ribbon => RibbonShard::build(shape, shard, entries, out),
        Encoding::Dense => DenseShard::build(shape, shard, entries, out),
        Encoding::Sorted => SortedShard::build(shape, shard, entries, out),
    }
}

/// The number of hints of a shard, which its record can hold.
fn hint_count(shard: usize, entries: &[Entry]) -> Result<u32, BuildError> {
    let hints = entries.len() as u64;
    u32::try_from(hints).map_err(|_| BuildError::ShardTooLarge { shard, hints })
}

/// The candidates in a bucket of codes.
#[derive(Clone, Debug)]
pub(crate) enum BucketCandidates<'f> {
    Dense(dense::DenseCandidates<'f>),
    Sorted(sorted::SortedCandidates<'f>),
}

impl BucketCandidates<'_> {
    #[inline]
    pub fn next(&mut self) -> Option<Range<u32>> {
        match self {
            Self::Dense(slots) => slots.next(),
            Self::Sorted(groups) => groups.next(),
        }
    }
}
