//! Buckets: a sparse directory over the hints into a dense string of bits.
//!
//! The range of a shard's hints is divided into buckets of equal width. Each bucket is a
//! string of codes. A lookup reads the two ends of its bucket and decodes the codes between.
//! [`dense`](super::dense) and [`sorted`](super::sorted) define the codes.
//!
//! ```text
//! codes, bucket after bucket │ an offset for every 16 buckets (u32) │ a packed offset a bucket
//! ```

use super::shard::View;
use crate::bits::{BitReader, BitWriter, MAX_LOW_BITS};
use crate::format::ShardRecord;
use crate::kernel;
use crate::padding::Padding;
use crate::section::Section;
use crate::{BuildError, Damage};

/// The number of buckets that share an absolute offset.
const GROUP_LEN_BUCKETS: usize = 16;

/// The length of an absolute offset in bytes.
const ABSOLUTE_LEN_BYTES: usize = 4;

/// The alignment of each part of a shard: a word.
const PART_ALIGN_BYTES: usize = 8;

/// The bucketed codes of a shard, as its record describes them.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    bucket_count: u32,
    codes_bits: u32,
    /// The low bits of the Rice codes.
    pub low_bits: u32,
    relative_bits: u32,
    codes_at: usize,
    absolute_at: usize,
    relative_at: usize,
    end: usize,
}

impl Buckets {
    /// The buckets of a record; `None` if its numbers do not fit together.
    pub fn open(record: &ShardRecord) -> Option<Self> {
        let [bucket_count, codes_bits, widths, 0, 0] = record.parts.map(|part| part.get()) else {
            return None;
        };
        let [relative_bits, low_bits, 0, 0, 0, 0, 0, 0] = widths.to_le_bytes() else {
            return None;
        };
        if relative_bits > 32
            || u32::from(low_bits) > MAX_LOW_BITS
            || record.duplicate_count.get() != 0
        {
            return None;
        }
        let (bucket_count, codes_bits) =
            (u32::try_from(bucket_count).ok()?, u32::try_from(codes_bits).ok()?);
        let codes_at = record.place()?.start;
        let groups = (bucket_count as usize).div_ceil(GROUP_LEN_BUCKETS);
        let absolute_at = codes_at + padded(codes_bits.div_ceil(8) as usize);
        let relative_at = absolute_at + padded(groups * ABSOLUTE_LEN_BYTES);
        let packed = bucket_count as usize * usize::from(relative_bits);
        let end = relative_at + padded(packed.div_ceil(8));
        if (end - codes_at) as u64 != record.len_bytes.get() {
            return None;
        }
        Some(Self {
            bucket_count,
            codes_bits,
            low_bits: low_bits.into(),
            relative_bits: relative_bits.into(),
            codes_at,
            absolute_at,
            relative_at,
            end,
        })
    }

    /// The codes of a bucket.
    pub fn codes<'f>(&self, view: &View<'f>, bucket: u32) -> Result<BitReader<'f>, Damage> {
        let start = self.offset(view, bucket)? as usize;
        let end = (self.offset(view, bucket.saturating_add(1))? as usize).max(start);
        let at = self.codes_at + start / 8;
        let bytes = view.bytes.touch(at..self.codes_at + end.div_ceil(8))?;
        Ok(BitReader::new(bytes, start % 8, end - start / 8 * 8))
    }

    /// The first bit of a bucket; for a bucket past the last, the end of the codes.
    fn offset(&self, view: &View<'_>, bucket: u32) -> Result<u32, Damage> {
        if bucket >= self.bucket_count {
            return Ok(self.codes_bits);
        }
        let bucket = bucket as usize;
        let at = self.absolute_at + bucket / GROUP_LEN_BUCKETS * ABSOLUTE_LEN_BYTES;
        let absolute = view.bytes.touch(at..at + ABSOLUTE_LEN_BYTES)?;
        let absolute = absolute.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let relative_bits = self.relative_bits as usize;
        let bit = bucket * relative_bits;
        let last = self.relative_at + (bit + relative_bits).div_ceil(8);
        let packed = view.bytes.touch(self.relative_at + bit / 8..last)?;
        let mut packed = BitReader::new(packed, bit % 8, packed.len() * 8);
        let relative = packed.take(self.relative_bits).unwrap_or(0);
        // A sound file has no offset past the codes. The bucket is then empty.
        let offset = u32::try_from(u64::from(absolute) + relative).unwrap_or(u32::MAX);
        Ok(offset.min(self.codes_bits))
    }

    /// Starts loading the offset of a bucket and its codes.
    pub fn prefetch(&self, view: &View<'_>, bucket: u32) {
        let bucket = bucket as usize;
        let at = self.relative_at + bucket * self.relative_bits as usize / 8;
        kernel::prefetch(view.bytes.peek(at..at + 8));
        // The codes are within a cache line or two of the mean offset.
        let mean_bits = (self.codes_bits / self.bucket_count.max(1)) as usize;
        let at = self.codes_at + bucket * mean_bits / 8;
        kernel::prefetch(view.bytes.peek(at..at + mean_bits / 8));
    }

    /// Calls `each` with the padding of the three parts.
    pub fn each_padding(&self, each: &mut dyn FnMut(Padding)) {
        let groups = u64::from(self.bucket_count).div_ceil(GROUP_LEN_BUCKETS as u64);
        let absolute_bits = groups * ABSOLUTE_LEN_BYTES as u64 * 8;
        let packed_bits = u64::from(self.bucket_count) * u64::from(self.relative_bits);
        let parts = [
            ("codes", self.codes_at, u64::from(self.codes_bits), self.absolute_at),
            ("absolute offsets", self.absolute_at, absolute_bits, self.relative_at),
            ("relative offsets", self.relative_at, packed_bits, self.end),
        ];
        for (behind, at, len_bits, end) in parts {
            each(Padding { behind, bits: at as u64 * 8 + len_bits..end as u64 * 8 });
        }
    }

    /// Adds the bytes of the parts to `sections`.
    pub fn measure(&self, sections: &mut Vec<Section>) {
        Section::add(sections, "codes", self.absolute_at - self.codes_at);
        Section::add(sections, "bucket offsets", self.end - self.absolute_at);
    }

    /// The number of buckets.
    pub const fn bucket_count(&self) -> u32 {
        self.bucket_count
    }
}

/// The length of a part with its padding.
const fn padded(len_bytes: usize) -> usize {
    len_bytes.next_multiple_of(PART_ALIGN_BYTES)
}

/// Builds the bytes that [`Buckets`] reads.
#[derive(Debug)]
pub(super) struct BucketsBuilder {
    pub codes: BitWriter,
    pub low_bits: u32,
    starts: Vec<u64>,
}

impl BucketsBuilder {
    pub fn new(low_bits: u32, bucket_count: u32) -> Self {
        let starts = Vec::with_capacity(bucket_count as usize);
        Self { codes: BitWriter::default(), low_bits, starts }
    }

    /// Begins a bucket: codes written from now on belong to it. Buckets must begin in rising
    /// order; skipped buckets are empty.
    pub fn begin(&mut self, bucket: u32) {
        while self.starts.len() <= bucket as usize {
            self.starts.push(self.codes.len_bits());
        }
    }

    /// Appends the shard to `out` and returns its record.
    pub fn finish(
        self,
        shard: usize,
        hint_count: u32,
        out: &mut Vec<u8>,
    ) -> Result<ShardRecord, BuildError> {
        let too_large = BuildError::ShardTooLarge { shard, hints: hint_count.into() };
        let codes_bits = self.codes.len_bits();
        let Ok(_) = u32::try_from(codes_bits) else { return Err(too_large) };
        let base = out.len();
        append(out, base, &self.codes.finish());
        let mut absolute = Vec::new();
        let mut widest = 0;
        for group in self.starts.chunks(GROUP_LEN_BUCKETS) {
            let first = group.first().copied().unwrap_or(0);
            widest = widest.max(group.last().copied().unwrap_or(0) - first);
            absolute.extend(u32::try_from(first).unwrap_or(u32::MAX).to_le_bytes());
        }
        append(out, base, &absolute);
        let relative_bits = u64::BITS - widest.leading_zeros();
        let mut relative = BitWriter::default();
        for group in self.starts.chunks(GROUP_LEN_BUCKETS) {
            let first = group.first().copied().unwrap_or(0);
            group.iter().for_each(|start| relative.put(start - first, relative_bits));
        }
        append(out, base, &relative.finish());
        let widths = u64::from(relative_bits) | u64::from(self.low_bits) << 8;
        Ok(ShardRecord {
            len_bytes: ((out.len() - base) as u64).into(),
            hint_count: hint_count.into(),
            parts: [self.starts.len() as u64, codes_bits, widths, 0, 0].map(Into::into),
            ..ShardRecord::default()
        })
    }
}

/// Appends a part and its padding to the shard that begins at `base`.
fn append(out: &mut Vec<u8>, base: usize, part: &[u8]) {
    out.extend_from_slice(part);
    out.resize(base + padded(out.len() - base), 0);
}
