//! `dense`: hints only steer into an array of slots.
//!
//! Nothing of a hint is stored but the bucket it falls into. A bucket is the set
//! of the slots of its hints: sorted, and each coded as the gap to the one
//! before (Rice). For 32 slots of a million a gap takes 16.4 bits, and the
//! bucket's offset another half bit a hint.

use super::bits::{BitReader, best_low_bits};
use super::buckets::{Buckets, BucketsBuilder};
use super::{BucketCandidates, Entry, Shape, Shard, View};
use crate::format::ShardRecord;
use crate::kernel::Retrieve;
use crate::snapshot::Section;
use crate::{BuildError, Candidates, Damage};

#[derive(Debug)]
pub(crate) struct DenseShard {
    buckets: Buckets,
}

impl Shard for DenseShard {
    fn build(
        shape: &Shape,
        shard: usize,
        entries: &mut Vec<Entry>,
        out: &mut Vec<u8>,
    ) -> Result<ShardRecord, BuildError> {
        let hint_count = super::hint_count(shard, entries)?;
        // A hint of the set shares its bucket with (its bucket's mean) others.
        let mean = u64::from(shape.tries.saturating_sub(1).max(1));
        let bucket_count = u64::from(hint_count).div_ceil(mean);
        let bucket_of = |entry: &Entry| {
            let local = entry.head() << shape.shard_bits;
            #[expect(clippy::cast_possible_truncation, reason = "the upper half of the product")]
            let bucket = (u128::from(local) * u128::from(bucket_count) >> 64) as u64;
            bucket
        };
        entries.sort_unstable_by_key(|entry| (bucket_of(entry), entry.slot));
        entries.dedup_by_key(|entry| (bucket_of(entry), entry.slot));

        let gaps = || {
            let mut before = None;
            entries.iter().map(move |entry| {
                let (bucket, group) = (bucket_of(entry), shape.group(entry.slot));
                let previous = before.replace((bucket, group)).filter(|&(of, _)| of == bucket);
                (bucket, u64::from(previous.map_or(group, |(_, previous)| group - previous - 1)))
            })
        };
        let low_bits = best_low_bits(gaps().map(|(_, gap)| gap));
        let mut builder = BucketsBuilder::new(low_bits, bucket_count as usize);
        let mut buckets_begun = 0;
        for (bucket, gap) in gaps() {
            while buckets_begun <= bucket {
                builder.next_bucket();
                buckets_begun += 1;
            }
            builder.codes.put_rice(gap, low_bits);
        }
        (buckets_begun..bucket_count).for_each(|_| builder.next_bucket());
        builder.finish(shard, hint_count, out)
    }

    fn open(_: &Shape, _: usize, record: &ShardRecord) -> Option<Self> {
        Some(Self { buckets: Buckets::open(record)? })
    }

    fn prefetch(&self, view: &View<'_>, head: u64) {
        self.buckets.prefetch(view, head << view.shape.shard_bits);
    }

    fn find<'f, P: Retrieve>(
        &self,
        view: &View<'f>,
        _: P,
        head: u64,
    ) -> Result<Candidates<'f>, Damage> {
        let (bucket, _) = self.buckets.bucket_of(head << view.shape.shard_bits);
        let codes = self.buckets.codes(view, bucket)?;
        let low_bits = self.buckets.low_bits;
        let slots = DenseCandidates { codes, low_bits, next_group: 0, shape: view.shape };
        Ok(Candidates::bucket(BucketCandidates::Dense(slots)))
    }

    fn measure(&self, _: &Shape, sections: &mut Vec<Section>) {
        self.buckets.measure(sections);
    }
}

/// The slots of a bucket, in order.
#[derive(Clone, Debug)]
pub(crate) struct DenseCandidates<'f> {
    codes: BitReader<'f>,
    low_bits: u32,
    /// The least group that the next code can mean.
    next_group: u64,
    shape: &'f Shape,
}

impl DenseCandidates<'_> {
    #[inline]
    pub fn next(&mut self) -> Option<core::ops::Range<u32>> {
        let group = self.next_group.checked_add(self.codes.take_rice(self.low_bits)?)?;
        self.next_group = group.checked_add(1)?;
        let slots = self.shape.slots_of(u32::try_from(group).ok()?);
        (!slots.is_empty()).then_some(slots)
    }
}
