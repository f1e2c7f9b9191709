//! `sorted`: truncated hints in order, each with its group.
//!
//! Of a hint, the bits that distinguish the snapshot's hints and the check bits are kept. The
//! upper bits select the bucket. The rest, the suffix, is coded as the gap to the suffix
//! before (Rice code); the group follows in `value_bits` bits.

use core::ops::Range;

use super::buckets::{Buckets, BucketsBuilder};
use super::shape::Shape;
use super::shard::{CandidateSet, Entry, Shard, View, hint_count};
use crate::bits::{BitReader, best_low_bits};
use crate::format::ShardRecord;
use crate::kernel::Retrieve;
use crate::padding::Padding;
use crate::section::Section;
use crate::spread::{self, Keyed};
use crate::{BuildError, Damage};

/// The most bits that select a bucket: a shard has at most about 2²⁰ hints.
const MAX_BUCKET_BITS: u32 = 20;

/// The least number of hints in a bucket on average; the greatest is twice as many.
const BUCKET_LEN_HINTS: u64 = 24;

#[derive(Debug)]
pub(crate) struct SortedShard {
    buckets: Buckets,
    widths: Widths,
}

/// The widths of the parts of a hint.
#[derive(Clone, Copy, Debug)]
struct Widths {
    /// The bits that select the bucket, behind the bits of the shard; at most
    /// [`MAX_BUCKET_BITS`].
    bucket_bits: u32,
    /// The bits that are coded in the bucket.
    suffix_bits: u32,
}

impl Widths {
    fn of(shape: &Shape) -> Self {
        let shard_bits = u32::from(shape.shard_bits);
        let apart = u64::BITS - shape.hint_count.saturating_sub(1).leading_zeros();
        let kept = (apart + u32::from(shape.check_bits)).clamp(shard_bits, u64::BITS);
        let steering = (shape.hint_count / BUCKET_LEN_HINTS).checked_ilog2().unwrap_or(0);
        let bucket_bits = (steering.clamp(shard_bits, kept) - shard_bits).min(MAX_BUCKET_BITS);
        Self { bucket_bits, suffix_bits: kept - shard_bits - bucket_bits }
    }

    /// The number of buckets of a shard.
    const fn bucket_count(self) -> u32 {
        1 << self.bucket_bits
    }

    /// A hint, given without the bits of the shard, with zeros for the bits that are not kept.
    const fn kept(self, local: u64) -> u64 {
        match u64::MAX.checked_shr(self.bucket_bits + self.suffix_bits) {
            Some(rest) => local & !rest,
            None => local,
        }
    }

    /// The bucket and the suffix of a hint, given without the bits of the shard.
    const fn split(self, local: u64) -> (u32, u64) {
        // Two shifts each: one shift by 64, for no bits, would overflow.
        #[expect(clippy::cast_possible_truncation, reason = "`bucket_bits` are left")]
        let bucket = (local >> 1 >> (u64::BITS - 1 - self.bucket_bits)) as u32;
        (bucket, local << self.bucket_bits >> 1 >> (u64::BITS - 1 - self.suffix_bits))
    }
}

impl Shard for SortedShard {
    type Several<'f> = SortedCandidates<'f>;

    fn build(
        shape: &Shape,
        shard: usize,
        entries: &[Entry],
        out: &mut Vec<u8>,
    ) -> Result<ShardRecord, BuildError> {
        let hint_count = hint_count(shard, entries)?;
        let widths = Widths::of(shape);
        let mut keys = spread::sorted(entries.iter().map(|entry| Keyed {
            hash: widths.kept(entry.head() << shape.shard_bits),
            value: shape.group(entry.slot),
        }));
        keys.dedup();

        let gaps = || {
            let mut before = None;
            keys.iter().map(move |key| {
                let (bucket, suffix) = widths.split(key.hash);
                let previous = before.replace((bucket, suffix)).filter(|&(of, _)| of == bucket);
                (bucket, suffix - previous.map_or(0, |(_, previous)| previous), key.value)
            })
        };
        let low_bits = best_low_bits(gaps().map(|(_, gap, _)| gap));
        let bucket_count = widths.bucket_count();
        let mut builder = BucketsBuilder::new(low_bits, bucket_count);
        for (bucket, gap, group) in gaps() {
            builder.begin(bucket);
            builder.codes.put_rice(gap, low_bits);
            builder.codes.put(group.into(), shape.value_bits);
        }
        builder.begin(bucket_count - 1);
        builder.finish(shard, hint_count, out)
    }

    fn open(shape: &Shape, _: usize, record: &ShardRecord) -> Option<Self> {
        let (buckets, widths) = (Buckets::open(record)?, Widths::of(shape));
        (buckets.bucket_count() == widths.bucket_count()).then_some(Self { buckets, widths })
    }

    fn prefetch(&self, view: &View<'_>, head: u64) {
        self.buckets.prefetch(view, self.widths.split(head << view.shape.shard_bits).0);
    }

    fn find<'f, P: Retrieve>(
        &self,
        view: &View<'f>,
        _: P,
        head: u64,
    ) -> Result<CandidateSet<SortedCandidates<'f>>, Damage> {
        let (bucket, wanted) = self.widths.split(head << view.shape.shard_bits);
        let codes = self.buckets.codes(view, bucket)?;
        let low_bits = self.buckets.low_bits;
        let groups = SortedCandidates { codes, low_bits, suffix: 0, wanted, shape: view.shape };
        Ok(CandidateSet::Several(groups))
    }

    fn each_padding(&self, each: &mut dyn FnMut(Padding)) {
        self.buckets.each_padding(each);
    }

    fn measure(&self, _: &Shape, sections: &mut Vec<Section>) {
        self.buckets.measure(sections);
    }
}

/// Decodes the groups of the hints in a bucket that equal the wanted suffix.
#[derive(Clone, Debug)]
pub(crate) struct SortedCandidates<'f> {
    codes: BitReader<'f>,
    low_bits: u32,
    /// The suffix of the hint that was read last.
    suffix: u64,
    wanted: u64,
    shape: &'f Shape,
}

impl Iterator for SortedCandidates<'_> {
    type Item = Range<u32>;

    #[inline]
    fn next(&mut self) -> Option<Range<u32>> {
        loop {
            self.suffix = self.suffix.checked_add(self.codes.take_rice(self.low_bits)?)?;
            let group = self.codes.take(self.shape.value_bits)?;
            if self.suffix > self.wanted {
                return None;
            }
            if self.suffix == self.wanted {
                let slots = self.shape.slots_of(u32::try_from(group).ok()?);
                return (!slots.is_empty()).then_some(slots);
            }
        }
    }
}
