//! A sparse directory over the hints into a dense string of bits.
//!
//! The hints of a shard are cut into buckets of equal width, each bucket a
//! string of codes; a lookup finds where its bucket begins and ends, and
//! decodes it. What the codes say is the business of [`dense`](super::dense)
//! and [`sorted`](super::sorted).
//!
//! ```text
//! codes, bucket after bucket │ an offset for every 16 buckets (u32) │ a packed offset a bucket
//! ```

use core::ops::Range;

use super::View;
use super::bits::{BitReader, BitWriter};
use crate::format::{DATA_OFFSET_BYTES, ShardRecord};
use crate::kernel;
use crate::snapshot::Section;
use crate::{BuildError, Damage};

/// How many buckets share an absolute offset.
const GROUP_LEN_BUCKETS: u64 = 16;

/// The length of an absolute offset in bytes.
const ABSOLUTE_LEN_BYTES: u64 = 4;

/// Each part of a shard begins on a word.
const PART_ALIGN_BYTES: u64 = 8;

/// The bucketed codes of a shard, as its record describes them.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    bucket_count: u64,
    codes_bits: u64,
    /// The low bits of the Rice codes.
    pub low_bits: u32,
    relative_bits: u32,
    codes_at: usize,
    absolute_at: usize,
    relative_at: usize,
    end: usize,
}

impl Buckets {
    /// Reads the numbers of a record; `None` if they do not fit together.
    pub fn open(record: &ShardRecord) -> Option<Self> {
        let [bucket_count, codes_bits, widths, _, reserved] = record.parts.map(|part| part.get());
        let [relative_bits, low_bits, 0, 0, 0, 0, 0, 0] = widths.to_le_bytes() else { return None };
        if relative_bits > 32 || low_bits > 56 || reserved != 0 || record.duplicate_count.get() != 0
        {
            return None;
        }
        if bucket_count > u64::from(u32::MAX) || codes_bits > u64::from(u32::MAX) {
            return None;
        }
        let start = DATA_OFFSET_BYTES + record.offset_bytes.get();
        let absolute = start + codes_bits.div_ceil(8).next_multiple_of(PART_ALIGN_BYTES);
        let relative = absolute
            + (bucket_count.div_ceil(GROUP_LEN_BUCKETS) * ABSOLUTE_LEN_BYTES)
                .next_multiple_of(PART_ALIGN_BYTES);
        let end = relative
            + (bucket_count * u64::from(relative_bits))
                .div_ceil(8)
                .next_multiple_of(PART_ALIGN_BYTES);
        if end != start + record.len_bytes.get() {
            return None;
        }
        Some(Self {
            bucket_count,
            codes_bits,
            low_bits: low_bits.into(),
            relative_bits: relative_bits.into(),
            codes_at: usize::try_from(start).ok()?,
            absolute_at: usize::try_from(absolute).ok()?,
            relative_at: usize::try_from(relative).ok()?,
            end: usize::try_from(end).ok()?,
        })
    }

    /// The bucket of a hint, and where in the bucket it is as a fraction of 2⁶⁴.
    /// `local` is the hint's head without the bits that chose the shard.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the product")]
    pub fn bucket_of(&self, local: u64) -> (u64, u64) {
        let product = u128::from(local) * u128::from(self.bucket_count);
        ((product >> 64) as u64, product as u64)
    }

    /// The codes of a bucket.
    pub fn codes<'f>(&self, view: &View<'f>, bucket: u64) -> Result<BitReader<'f>, Damage> {
        let start = self.offset(view, bucket)?;
        let end = self.offset(view, bucket + 1)?.max(start);
        let at = Range { start: start / 8, end: end.div_ceil(8) };
        let bytes = view.bytes.touch(self.codes_at + at.start..self.codes_at + at.end)?;
        Ok(BitReader::new(bytes, start % 8, end - at.start * 8))
    }

    /// The first bit of a bucket; the end of the codes past the last bucket.
    fn offset(&self, view: &View<'_>, bucket: u64) -> Result<usize, Damage> {
        #[expect(clippy::cast_possible_truncation, reason = "`open` saw both below 2³²")]
        let (bucket, codes_bits) = (bucket as usize, self.codes_bits as usize);
        if bucket as u64 >= self.bucket_count {
            return Ok(codes_bits);
        }
        let at =
            self.absolute_at + bucket / GROUP_LEN_BUCKETS as usize * ABSOLUTE_LEN_BYTES as usize;
        let absolute = view.bytes.touch(at..at + ABSOLUTE_LEN_BYTES as usize)?;
        let absolute = absolute.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let bit = bucket * self.relative_bits as usize;
        let at = self.relative_at + bit / 8;
        let last = self.relative_at + (bit + self.relative_bits as usize).div_ceil(8);
        let packed = view.bytes.touch(at..last)?;
        let relative = BitReader::new(packed, bit % 8, packed.len() * 8).take(self.relative_bits);
        let offset = u64::from(absolute) + relative.unwrap_or(0);
        // An offset past the codes can only be a builder's fault; it reads nothing.
        Ok(usize::try_from(offset).unwrap_or(codes_bits).min(codes_bits))
    }

    /// Starts loading the offsets of a hint's bucket.
    pub fn prefetch(&self, view: &View<'_>, local: u64) {
        let (bucket, _) = self.bucket_of(local);
        #[expect(clippy::cast_possible_truncation, reason = "a bucket's number is below 2³²")]
        let bucket = bucket as usize;
        let at = self.relative_at + bucket * self.relative_bits as usize / 8;
        kernel::prefetch(view.bytes.peek(at..at + 8));
        // The codes are where the average says, give or take a line or two.
        let mean_bits = self.codes_bits as usize / (self.bucket_count as usize).max(1);
        let at = self.codes_at + bucket * mean_bits / 8;
        kernel::prefetch(view.bytes.peek(at..at + mean_bits / 8));
    }

    /// Adds the bytes of the parts to `sections`.
    pub fn measure(&self, sections: &mut Vec<Section>) {
        Section::add(sections, "codes", self.absolute_at - self.codes_at);
        Section::add(sections, "bucket offsets", self.end - self.absolute_at);
    }

    /// How many buckets there are.
    pub fn bucket_count(&self) -> u64 {
        self.bucket_count
    }
}

/// Writes what [`Buckets`] reads.
#[derive(Debug)]
pub(super) struct BucketsBuilder {
    pub codes: BitWriter,
    pub low_bits: u32,
    starts: Vec<u64>,
}

impl BucketsBuilder {
    pub fn new(low_bits: u32, bucket_count: usize) -> Self {
        Self { codes: BitWriter::default(), low_bits, starts: Vec::with_capacity(bucket_count) }
    }

    /// What is written to `codes` from now on belongs to the next bucket.
    pub fn next_bucket(&mut self) {
        self.starts.push(self.codes.len_bits());
    }

    /// Appends the shard to `out`.
    #[expect(clippy::cast_possible_truncation, reason = "offsets were seen to be below 2³²")]
    pub fn finish(
        self,
        shard: usize,
        hint_count: u32,
        out: &mut Vec<u8>,
    ) -> Result<ShardRecord, BuildError> {
        let codes_bits = self.codes.len_bits();
        if u32::try_from(codes_bits).is_err() {
            return Err(BuildError::ShardTooLarge { shard, hints: hint_count.into() });
        }
        let base = out.len();
        append(out, base, &self.codes.finish());
        let group_starts = || {
            self.starts
                .chunks(GROUP_LEN_BUCKETS as usize)
                .map(|group| (group.first().copied().unwrap_or(0), group))
        };
        let absolute: Vec<u8> =
            group_starts().flat_map(|(first, _)| (first as u32).to_le_bytes()).collect();
        append(out, base, &absolute);
        let widest = group_starts()
            .filter_map(|(first, group)| Some(group.last()? - first))
            .max()
            .unwrap_or(0);
        let relative_bits = u64::BITS - widest.leading_zeros();
        let mut relative = BitWriter::default();
        for (first, group) in group_starts() {
            group.iter().for_each(|start| relative.put(start - first, relative_bits));
        }
        append(out, base, &relative.finish());
        let widths =
            u64::from_le_bytes([relative_bits as u8, self.low_bits as u8, 0, 0, 0, 0, 0, 0]);
        let parts = [self.starts.len() as u64, codes_bits, widths, 0, 0];
        Ok(ShardRecord {
            len_bytes: ((out.len() - base) as u64).into(),
            hint_count: hint_count.into(),
            parts: parts.map(Into::into),
            ..ShardRecord::default()
        })
    }
}

/// Appends a part and zeros up to the next word of the shard that begins at `base`.
fn append(out: &mut Vec<u8>, base: usize, part: &[u8]) {
    out.extend_from_slice(part);
    let len = (out.len() - base).next_multiple_of(PART_ALIGN_BYTES as usize);
    out.resize(base + len, 0);
}
