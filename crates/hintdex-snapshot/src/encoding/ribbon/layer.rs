//! One layer: rows in columns of 64, and the thresholds that bump.

use core::num::NonZeroUsize;
use core::ops::Range;

use super::place;
use crate::Damage;
use crate::encoding::{Shape, View};
use crate::format::ShardRecord;
use crate::kernel::{self, Retrieve, UNIT_LEN_ROWS, WINDOW_LEN_UNITS, window_len_bytes};
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
    pub const fn rows_len_bytes(self, columns: usize) -> usize {
        self.blocks as usize * columns * 8
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
            at = at.checked_add(Size { blocks }.rows_len_bytes(shape.columns()))?;
        }
        // All but the last layer bump. Thresholds follow rows, so not at 0.
        for layer in layers.iter_mut().take(layer_count.saturating_sub(1)) {
            layer.thresholds_at = NonZeroUsize::new(at);
            at = at.checked_add(layer.size().thresholds_len_bytes())?;
        }
        (at == place.end).then_some(layers)
    }

    /// Whether the shard has this layer.
    pub const fn is_there(&self) -> bool {
        self.starts != 0
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
        if !self.is_there() {
            return Ok(None);
        }
        let spot = Spot::of(self, view.shape.columns(), head);
        if let Some(at) = spot.threshold_at
            && spot.is_bumped(view.bytes.touch_byte(at)?)
        {
            return Ok(None);
        }
        let rows =
            view.bytes.touch_window(spot.rows_at, spot.rows_len_bytes, spot.window_len_bytes)?;
        Ok(Some(spot.retrieve(path, rows)))
    }

    /// The same of a `file` whose blocks have all been found whole, and of the
    /// first layer, where nearly all hints are: `None` leaves it to `find`.
    #[inline(always)]
    pub fn find_quick<P: Retrieve>(
        &self,
        file: &[u8],
        shape: &Shape,
        path: P,
        head: u64,
    ) -> Option<u32> {
        let spot = Spot::of(self, shape.columns(), head);
        if spot.is_bumped(*file.get(spot.threshold_at?)?) {
            return None;
        }
        let rows = file.get(spot.rows_at..spot.rows_at + spot.window_len_bytes)?;
        Some(spot.retrieve(path, rows))
    }

    /// Starts loading the rows of a hint.
    #[inline]
    pub fn prefetch(&self, view: &View<'_>, head: u64) {
        let start = place::start(place::hash(head, self.seed), self.starts);
        let columns = view.shape.columns();
        let at = self.rows_at + (start / UNIT_LEN_ROWS) as usize * columns;
        kernel::prefetch(view.bytes.peek(at..at + WINDOW_LEN_UNITS * columns));
    }

    /// Adds the layer's bytes to `sections`.
    pub fn measure(&self, shape: &Shape, sections: &mut Vec<Section>) {
        Section::add(sections, "rows", self.size().rows_len_bytes(shape.columns()));
        if self.thresholds_at.is_some() {
            Section::add(sections, "thresholds", self.size().thresholds_len_bytes());
        }
    }
}

/// Where a hint's ribbon is.
struct Spot {
    hash: u64,
    start: u32,
    columns: usize,
    /// The byte with the threshold of the ribbon's bucket, unless nothing is bumped.
    threshold_at: Option<usize>,
    rows_at: usize,
    /// The units the ribbon touches: nine, or eight if it begins with one.
    rows_len_bytes: usize,
    /// What the kernel may read, though nothing comes of the rest. It is there:
    /// after the last rows there always is the manifest, which is longer.
    window_len_bytes: usize,
}

impl Spot {
    #[inline(always)]
    fn of(layer: &Layer, columns: usize, head: u64) -> Self {
        let hash = place::hash(head, layer.seed);
        let start = place::start(hash, layer.starts);
        let bytes_before = start / (BUCKET_LEN_ROWS * BUCKETS_PER_BYTE);
        let units = WINDOW_LEN_UNITS - usize::from(start.is_multiple_of(UNIT_LEN_ROWS));
        Self {
            hash,
            start,
            columns,
            threshold_at: layer.thresholds_at.map(|at| at.get() + bytes_before as usize),
            rows_at: layer.rows_at + (start / UNIT_LEN_ROWS) as usize * columns,
            rows_len_bytes: units * columns,
            window_len_bytes: window_len_bytes(columns),
        }
    }

    /// Whether the hint was bumped, by the byte at `threshold_at`.
    #[inline(always)]
    const fn is_bumped(&self, byte: u8) -> bool {
        let code = byte as u32 >> (self.start / BUCKET_LEN_ROWS % BUCKETS_PER_BYTE * 2) & 3;
        self.start % BUCKET_LEN_ROWS < THRESHOLD_BYTES >> (code * 8) & 0xff
    }

    /// The value in the rows at `rows_at`.
    #[inline(always)]
    fn retrieve<P: Retrieve>(&self, path: P, rows: &[u8]) -> u32 {
        let shift = self.start % UNIT_LEN_ROWS;
        path.retrieve(rows, self.columns, shift, place::coefficients(self.hash))
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
