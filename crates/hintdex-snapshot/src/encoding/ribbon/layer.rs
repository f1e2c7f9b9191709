//! One layer: rows in columns of 64, and the thresholds that bump.

use core::ops::Range;

use super::place;
use crate::Damage;
use crate::encoding::{Shape, View};
use crate::format::ShardRecord;
use crate::snapshot::Section;

/// The most layers a shard has.
pub(super) const MAX_LAYERS: usize = 3;

/// How many rows a ribbon spans, and a block of rows holds.
pub(super) const WIDTH_ROWS: u32 = 64;

/// The most blocks of a layer: their rows can be numbered.
const MAX_BLOCKS: u32 = u32::MAX / WIDTH_ROWS;

/// How many places share a threshold.
pub(super) const BUCKET_LEN_ROWS: u32 = 128;

/// What the two bits of a bucket mean: hints that begin below this many rows
/// into the bucket are bumped.
pub(super) const THRESHOLDS_ROWS: [u32; 4] = [0, 16, 40, BUCKET_LEN_ROWS];

/// How many buckets' thresholds a byte holds.
const BUCKETS_PER_BYTE: u32 = 4;

/// The size of a layer: how many blocks of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub blocks: u32,
}

impl Size {
    /// The least size with so many rows; `None` if their places cannot be numbered.
    pub fn of_rows(rows: u64) -> Option<Self> {
        let blocks = u32::try_from(rows.div_ceil(u64::from(WIDTH_ROWS)).max(1)).ok()?;
        (blocks <= MAX_BLOCKS).then_some(Self { blocks })
    }

    /// How many places a ribbon can begin at.
    pub const fn starts(self) -> u32 {
        (self.blocks * WIDTH_ROWS).saturating_sub(WIDTH_ROWS - 1)
    }

    /// How many buckets those are.
    pub const fn buckets(self) -> u32 {
        self.starts().div_ceil(BUCKET_LEN_ROWS)
    }

    /// How many bytes the rows take: a word for each block and value bit.
    pub const fn rows_len_bytes(self, value_bits: u8) -> usize {
        self.blocks as usize * value_bits as usize * 8
    }

    /// How many bytes the thresholds take, filled up to a word.
    pub const fn thresholds_len_bytes(self) -> usize {
        self.buckets().div_ceil(BUCKETS_PER_BYTE).next_multiple_of(8) as usize
    }
}

/// A layer, ready to be asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layer {
    seed: u64,
    /// Where the rows begin in the data.
    rows_at: usize,
    /// Where the thresholds begin, unless nothing is bumped.
    thresholds_at: usize,
    blocks: u32,
    bumps: bool,
}

impl Layer {
    /// The layers of a record whose rows and thresholds lie in `place`; `None`
    /// if they do not fill it.
    pub fn read_all(
        shape: &Shape,
        shard: usize,
        record: &ShardRecord,
        place: Range<usize>,
    ) -> Option<[Self; MAX_LAYERS]> {
        let [first, second, third, 0, 0] = record.parts.map(|part| part.get()) else { return None };
        let parts = [first, second, third];
        let layer_count = parts.iter().take_while(|&&part| part != 0).count();
        if parts.iter().skip(layer_count).any(|&part| part != 0) {
            return None;
        }
        let mut layers = [Self::default(); MAX_LAYERS];
        let mut at = place.start;
        for ((layer, part), number) in layers.iter_mut().zip(parts).zip(0..layer_count) {
            let (blocks, attempt) = unpack(part);
            if blocks == 0 || blocks > MAX_BLOCKS {
                return None;
            }
            layer.blocks = blocks;
            layer.seed = place::layer_seed(shape.seed, shard, number, attempt);
            layer.bumps = number + 1 < layer_count;
            layer.rows_at = at;
            at = at.checked_add(Size { blocks }.rows_len_bytes(shape.value_bits))?;
        }
        for layer in layers.iter_mut().filter(|layer| layer.bumps) {
            layer.thresholds_at = at;
            at = at.checked_add(layer.size().thresholds_len_bytes())?;
        }
        (at == place.end).then_some(layers)
    }

    const fn size(&self) -> Size {
        Size { blocks: self.blocks }
    }

    /// The group of a hint; `None` if the hint was bumped or there is no such layer.
    #[inline]
    pub fn find(&self, view: &View<'_>, head: u64) -> Result<Option<u32>, Damage> {
        if self.blocks == 0 {
            return Ok(None);
        }
        let hash = place::hash(head, self.seed);
        let start = place::start(hash, self.size().starts());
        if self.bumps && start % BUCKET_LEN_ROWS < self.threshold(view, start / BUCKET_LEN_ROWS)? {
            return Ok(None);
        }
        let rows = view.touch(self.window(view, start))?;
        let shift = start % WIDTH_ROWS;
        Ok(Some(view.kernel.retrieve(
            rows,
            view.shape.value_bits,
            shift,
            place::coefficients(hash),
        )))
    }

    /// The block of rows where a ribbon begins and the one after it, if there is one.
    #[inline]
    fn window(&self, view: &View<'_>, start: u32) -> Range<usize> {
        let block = start / WIDTH_ROWS;
        let end = self.blocks.min(block + 2);
        let len = view.shape.value_bits as usize * 8;
        self.rows_at + block as usize * len..self.rows_at + end as usize * len
    }

    #[inline]
    fn threshold(&self, view: &View<'_>, bucket: u32) -> Result<u32, Damage> {
        let at = self.thresholds_at + (bucket / BUCKETS_PER_BYTE) as usize;
        let byte = view.touch(at..at + 1)?.first().copied().unwrap_or(0);
        let [none, first, second, all] = THRESHOLDS_ROWS;
        Ok(match byte >> (bucket % BUCKETS_PER_BYTE * 2) & 3 {
            0 => none,
            1 => first,
            2 => second,
            _ => all,
        })
    }

    /// Starts loading the rows of a hint.
    #[inline]
    pub fn prefetch(&self, view: &View<'_>, head: u64) {
        let start = place::start(place::hash(head, self.seed), self.size().starts());
        view.kernel.prefetch(view.data(self.window(view, start)));
    }

    /// Adds the layer's bytes to `sections`.
    pub fn measure(&self, shape: &Shape, sections: &mut Vec<Section>) {
        Section::add(sections, "rows", self.size().rows_len_bytes(shape.value_bits));
        if self.bumps {
            Section::add(sections, "thresholds", self.size().thresholds_len_bytes());
        }
    }
}

/// Which layers a record describes: blocks of rows below, the attempt above.
pub(super) const fn pack(size: Size, attempt: u32) -> u64 {
    (attempt as u64) << 32 | size.blocks as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
const fn unpack(part: u64) -> (u32, u32) {
    (part as u32, (part >> 32) as u32)
}

/// Thresholds, two bits a bucket, as `Layer` reads them.
pub(super) fn pack_thresholds(codes: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = codes
        .chunks(BUCKETS_PER_BYTE as usize)
        .map(|codes| codes.iter().rev().fold(0, |byte, code| byte << 2 | code & 3))
        .collect();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}
