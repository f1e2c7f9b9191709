//! Layers: the rows of a table, and its thresholds.

use core::ops::Range;

use super::place;
use crate::Damage;
use crate::encoding::shape::Shape;
use crate::encoding::shard::View;
use crate::format::ShardRecord;
use crate::hash;
use crate::kernel::{self, BLOCK_LEN_UNITS, Retrieve, window_len_bytes};
use crate::padding::Padding;
use crate::section::Section;

/// The most layers of a shard.
pub(super) const MAX_LAYERS: usize = 3;

/// The rows that a ribbon spans, and the rows of a block.
pub(super) const WIDTH_ROWS: u32 = 64;

/// The most blocks of a layer, so that a `u32` numbers their rows.
const MAX_BLOCKS: u32 = u32::MAX / WIDTH_ROWS;

/// The starts that share a threshold: the units of 256 rows. With fewer, thresholds would take
/// more bytes; with more, they would bump more hints that have room.
pub(super) const BUCKET_LEN_UNITS: u32 = 32;

/// The size of a layer: the number of its blocks of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub blocks: u32,
}

impl Size {
    /// The least size with `rows` rows; `None` if a `u32` cannot number them.
    pub fn of_rows(rows: u64) -> Option<Self> {
        let blocks = u32::try_from(rows.div_ceil(u64::from(WIDTH_ROWS)).max(1)).ok()?;
        (blocks <= MAX_BLOCKS).then_some(Self { blocks })
    }

    /// The number of units at which a ribbon can start.
    pub const fn starts(self) -> u32 {
        (self.blocks * BLOCK_LEN_UNITS).saturating_sub(BLOCK_LEN_UNITS - 1)
    }

    /// The number of buckets of these starts.
    pub const fn buckets(self) -> u32 {
        self.starts().div_ceil(BUCKET_LEN_UNITS)
    }

    /// The length of the rows: a word for each block and value bit.
    pub const fn rows_len_bytes(self, columns: usize) -> usize {
        self.blocks as usize * columns * 8
    }

    /// The length of the thresholds, padded to a word.
    pub const fn thresholds_len_bytes(self) -> usize {
        self.buckets().next_multiple_of(8) as usize
    }
}

/// A layer, ready for lookups. An absent layer has no starts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layer {
    multiplier: u64,
    /// The offset of the rows in the file.
    rows_at: usize,
    /// The offset of the thresholds in the file; 0 if the layer bumps no hint.
    thresholds_at: usize,
    starts: u32,
}

impl Layer {
    /// The layers of a record. `place` holds their rows and thresholds; `None` if these do not
    /// fill it.
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
                multiplier: place::multiplier(shape.seed, shard, number, attempt),
                rows_at: at,
                thresholds_at: 0,
                starts: Size { blocks }.starts(),
            };
            at = at.checked_add(Size { blocks }.rows_len_bytes(shape.columns()))?;
        }
        // All layers but the last bump. Thresholds follow rows, so their offset is never 0.
        for layer in layers.iter_mut().take(layer_count.saturating_sub(1)) {
            layer.thresholds_at = at;
            at = at.checked_add(layer.size().thresholds_len_bytes())?;
        }
        (at == place.end).then_some(layers)
    }

    /// Whether the shard has this layer.
    pub const fn is_there(&self) -> bool {
        self.starts != 0
    }

    /// Whether the layer bumps hints to the next layer.
    pub const fn bumps(&self) -> bool {
        self.thresholds_at != 0
    }

    const fn size(&self) -> Size {
        Size { blocks: self.starts.div_ceil(BLOCK_LEN_UNITS) }
    }

    /// The group of a hint; `None` if the hint was bumped or the layer is absent.
    #[inline(always)]
    pub fn find<P: Retrieve>(
        &self,
        view: &View<'_>,
        path: P,
        head: u64,
    ) -> Result<Option<u32>, Damage> {
        if !self.is_there() {
            return Ok(None);
        }
        let columns = view.shape.columns();
        let spot = Spot::of(self, columns, head);
        if self.bumps() && spot.is_bumped(view.bytes.touch_byte(spot.threshold_at)?) {
            return Ok(None);
        }
        // The kernel may read bytes past the rows, which do not affect the value. The bytes
        // exist: the manifest follows the last rows.
        let rows_len_bytes = BLOCK_LEN_UNITS as usize * columns;
        let rows =
            view.bytes.touch_window(spot.rows_at, rows_len_bytes, window_len_bytes(columns))?;
        Ok(Some(path.retrieve(rows, columns, place::coefficients(spot.hash))))
    }

    /// The group of a hint in a layer that bumps, and in a `file` whose blocks have all passed
    /// their checks. `None` leaves the hint to `find`.
    #[inline(always)]
    pub fn find_quick<P: Retrieve>(
        &self,
        file: &[u8],
        path: P,
        columns: usize,
        head: u64,
    ) -> Option<u32> {
        let spot = Spot::of(self, columns, head);
        if spot.is_bumped(*file.get(spot.threshold_at)?) {
            return None;
        }
        let rows = file.get(spot.rows_at..)?;
        Some(path.retrieve(rows, columns, place::coefficients(spot.hash)))
    }

    /// Starts loading the rows of a hint.
    #[inline]
    pub fn prefetch(&self, view: &View<'_>, head: u64) {
        let columns = view.shape.columns();
        let at = Spot::of(self, columns, head).rows_at;
        kernel::prefetch(view.bytes.peek(at..at + BLOCK_LEN_UNITS as usize * columns));
    }

    /// The padding behind the thresholds, if the layer has thresholds.
    pub fn padding(&self) -> Option<Padding> {
        let (size, at) = (self.size(), self.thresholds_at);
        let bytes = at + size.buckets() as usize..at + size.thresholds_len_bytes();
        self.bumps().then(|| Padding::of_bytes("thresholds", bytes))
    }

    /// Adds the layer's bytes to `sections`.
    pub fn measure(&self, shape: &Shape, sections: &mut Vec<Section>) {
        Section::add(sections, "rows", self.size().rows_len_bytes(shape.columns()));
        if self.bumps() {
            Section::add(sections, "thresholds", self.size().thresholds_len_bytes());
        }
    }
}

/// The place of a hint's ribbon.
struct Spot {
    hash: u64,
    start: u32,
    /// The offset of the threshold of the ribbon's bucket, if the layer bumps.
    threshold_at: usize,
    rows_at: usize,
}

impl Spot {
    #[inline(always)]
    fn of(layer: &Layer, columns: usize, head: u64) -> Self {
        let hash = hash::hash(head, layer.multiplier);
        let start = place::start(hash, layer.starts);
        Self {
            hash,
            start,
            threshold_at: layer.thresholds_at + (start / BUCKET_LEN_UNITS) as usize,
            rows_at: layer.rows_at + start as usize * columns,
        }
    }

    /// Whether the hint was bumped; `threshold` is the byte at `threshold_at`.
    #[inline(always)]
    const fn is_bumped(&self, threshold: u8) -> bool {
        self.start % BUCKET_LEN_UNITS < threshold as u32
    }
}

/// A layer as a number of the record: the blocks in the lower half, the attempt in the upper.
pub(super) const fn pack(size: Size, attempt: u32) -> u64 {
    (attempt as u64) << 32 | size.blocks as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
const fn unpack(part: u64) -> (u32, u32) {
    (part as u32, (part >> 32) as u32)
}
