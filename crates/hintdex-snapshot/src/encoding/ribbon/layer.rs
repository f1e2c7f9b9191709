//! One layer: rows in columns of 64, and the thresholds that bump.

use core::num::NonZeroUsize;
use core::ops::Range;

use super::place;
use crate::Damage;
use crate::encoding::{Shape, View};
use crate::format::ShardRecord;
use crate::kernel::{self, Retrieve, UNIT_LEN_ROWS, window_len_bytes};
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

/// The thresholds as the bytes of a word, so that choosing one is a shift: a
/// branch on it would be mispredicted for one hint in six.
const THRESHOLD_BYTES: u32 = {
    let [none, first, second, all] = THRESHOLDS_ROWS;
    none | first << 8 | second << 16 | all << 24
};

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

/// A layer, ready to be asked. An absent one has no places.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layer {
    seed: u64,
    starts: u32,
    blocks: u32,
    /// Where the rows begin in the data.
    rows_at: usize,
    /// Where the thresholds begin; `None` if nothing is bumped.
    thresholds_at: Option<NonZeroUsize>,
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
            *layer = Self {
                seed: place::layer_seed(shape.seed, shard, number, attempt),
                starts: Size { blocks }.starts(),
                blocks,
                rows_at: at,
                thresholds_at: None,
            };
            at = at.checked_add(Size { blocks }.rows_len_bytes(shape.value_bits))?;
        }
        // All but the last layer bump. Thresholds follow rows, so not at 0.
        for layer in layers.iter_mut().take(layer_count.saturating_sub(1)) {
            layer.thresholds_at = NonZeroUsize::new(at);
            at = at.checked_add(layer.size().thresholds_len_bytes())?;
        }
        (at == place.end).then_some(layers)
    }

    const fn size(&self) -> Size {
        Size { blocks: self.blocks }
    }

    /// The group of a hint; `None` if the hint was bumped or there is no such layer.
    #[inline(always)]
    pub fn find<P: Retrieve>(
        &self,
        view: &View<'_>,
        path: P,
        head: u64,
    ) -> Result<Option<u32>, Damage> {
        let hash = place::hash(head, self.seed);
        let start = place::start(hash, self.starts);
        if let Some(at) = self.thresholds_at {
            let bucket = start / BUCKET_LEN_ROWS;
            let at = at.get() + (bucket / BUCKETS_PER_BYTE) as usize;
            let byte = view.bytes.touch(at..at + 1)?.first().copied().unwrap_or(0);
            let code = u32::from(byte >> (bucket % BUCKETS_PER_BYTE * 2) & 3);
            if start % BUCKET_LEN_ROWS < THRESHOLD_BYTES >> (code * 8) & 0xff {
                return Ok(None);
            }
        } else if self.starts == 0 {
            return Ok(None);
        }
        let columns = view.shape.value_bits;
        let at = self.window(columns, start);
        // The kernel may read more than the window, though nothing comes of
        // it; the manifest, longer than that, always follows the last rows.
        let rows = view.bytes.touch_some(at.clone(), window_len_bytes(columns.into()))?;
        Ok(Some(path.retrieve(
            rows,
            columns,
            start % UNIT_LEN_ROWS as u32,
            place::coefficients(hash),
        )))
    }

    /// The eight units of rows from the one where a ribbon begins, and the
    /// ninth unless the ribbon fills eight.
    #[inline(always)]
    fn window(&self, columns: u8, start: u32) -> Range<usize> {
        let first = start as usize / UNIT_LEN_ROWS;
        let end = (start as usize + WIDTH_ROWS as usize).div_ceil(UNIT_LEN_ROWS);
        self.rows_at + first * usize::from(columns)..self.rows_at + end * usize::from(columns)
    }

    /// Starts loading the rows of a hint.
    #[inline]
    pub fn prefetch(&self, view: &View<'_>, head: u64) {
        let start = place::start(place::hash(head, self.seed), self.starts);
        kernel::prefetch(view.bytes.peek(self.window(view.shape.value_bits, start)));
    }

    /// Adds the layer's bytes to `sections`.
    pub fn measure(&self, shape: &Shape, sections: &mut Vec<Section>) {
        Section::add(sections, "rows", self.size().rows_len_bytes(shape.value_bits));
        if self.thresholds_at.is_some() {
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
