//! `dense`: a hint selects a bucket of an array of slots.
//!
//! Of a hint only its bucket is stored. A bucket is the set of the slots of its hints. The
//! slots are sorted, and each is coded as the gap to the slot before (Rice code). For 32 slots
//! of a million, a gap takes 16.4 bits, and the offset of the bucket half a bit a hint.

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

#[derive(Debug)]
pub(crate) struct DenseShard {
    buckets: Buckets,
}

impl DenseShard {
    fn bucket(&self, shape: &Shape, head: u64) -> u32 {
        bucket_of(head << shape.shard_bits, self.buckets.bucket_count())
    }
}

/// The bucket of a hint: `local` is its head without the bits of the shard, and all buckets
/// have the same width.
#[expect(clippy::cast_possible_truncation, reason = "less than `bucket_count`")]
const fn bucket_of(local: u64, bucket_count: u32) -> u32 {
    ((local as u128 * bucket_count as u128) >> 64) as u32
}

/// For each group of each bucket: the bucket, and the number of groups skipped since the
/// bucket's previous group. `keys` are hints without the bits of the shard, in order, and
/// their groups.
fn gaps(keys: &mut [Keyed], bucket_count: u32) -> Vec<(u32, u32)> {
    let mut gaps = Vec::with_capacity(keys.len());
    let bucket = |key: &Keyed| bucket_of(key.hash, bucket_count);
    for keys in keys.chunk_by_mut(|key, next| bucket(key) == bucket(next)) {
        keys.sort_unstable_by_key(|key| key.value);
        // The lowest group that is not coded yet.
        let mut next = 0;
        for key in &*keys {
            // A group of several hints of the bucket is coded once.
            if let Some(gap) = u64::from(key.value).checked_sub(next) {
                gaps.push((bucket(key), u32::try_from(gap).unwrap_or(u32::MAX)));
                next = u64::from(key.value) + 1;
            }
        }
    }
    gaps
}

impl Shard for DenseShard {
    type Several<'f> = DenseCandidates<'f>;

    fn build(
        shape: &Shape,
        shard: usize,
        entries: &[Entry],
        out: &mut Vec<u8>,
    ) -> Result<ShardRecord, BuildError> {
        let hint_count = hint_count(shard, entries)?;
        // A hint of the snapshot shares its bucket with as many other hints as a bucket has on
        // average, so buckets of `tries` - 1 hints yield `tries` slots.
        let bucket_count = hint_count.div_ceil(shape.tries.saturating_sub(1).max(1));
        let mut keys = spread::sorted(entries.iter().map(|entry| Keyed {
            hash: entry.head() << shape.shard_bits,
            value: shape.group(entry.slot),
        }));
        let gaps = gaps(&mut keys, bucket_count);
        let low_bits = best_low_bits(gaps.iter().map(|&(_, gap)| gap.into()));
        let mut builder = BucketsBuilder::new(low_bits, bucket_count);
        for (bucket, gap) in gaps {
            builder.begin(bucket);
            builder.codes.put_rice(gap.into(), low_bits);
        }
        if let Some(last) = bucket_count.checked_sub(1) {
            builder.begin(last);
        }
        builder.finish(shard, hint_count, out)
    }

    fn open(_: &Shape, _: usize, record: &ShardRecord) -> Option<Self> {
        Some(Self { buckets: Buckets::open(record)? })
    }

    fn prefetch(&self, view: &View<'_>, head: u64) {
        self.buckets.prefetch(view, self.bucket(view.shape, head));
    }

    fn find<'f, P: Retrieve>(
        &self,
        view: &View<'f>,
        _: P,
        head: u64,
    ) -> Result<CandidateSet<DenseCandidates<'f>>, Damage> {
        let codes = self.buckets.codes(view, self.bucket(view.shape, head))?;
        let low_bits = self.buckets.low_bits;
        let slots = DenseCandidates { codes, low_bits, next_group: 0, shape: view.shape };
        Ok(CandidateSet::Several(slots))
    }

    fn each_padding(&self, each: &mut dyn FnMut(Padding)) {
        self.buckets.each_padding(each);
    }

    fn measure(&self, _: &Shape, sections: &mut Vec<Section>) {
        self.buckets.measure(sections);
    }
}

/// Decodes the slots of a bucket, in rising order.
#[derive(Clone, Debug)]
pub(crate) struct DenseCandidates<'f> {
    codes: BitReader<'f>,
    low_bits: u32,
    /// The group of the next code if its gap is 0.
    next_group: u64,
    shape: &'f Shape,
}

impl Iterator for DenseCandidates<'_> {
    type Item = Range<u32>;

    #[inline]
    fn next(&mut self) -> Option<Range<u32>> {
        let group = self.next_group.checked_add(self.codes.take_rice(self.low_bits)?)?;
        self.next_group = group.checked_add(1)?;
        let slots = self.shape.slots_of(u32::try_from(group).ok()?);
        (!slots.is_empty()).then_some(slots)
    }
}
