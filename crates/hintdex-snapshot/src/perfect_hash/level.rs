//! One level: buckets, their seeds, and the places that follow from them.

use core::ops::Range;

use crate::Damage;
use crate::format::Checked;
use crate::hash::{self, scaled};
use crate::kernel;
use crate::packed::WORD_LEN_BYTES;

/// The longest slice.
pub(super) const MAX_SLICE_LEN_PLACES: u32 = 1024;

/// The shortest slice, unless a level has fewer heads.
const MIN_SLICE_LEN_PLACES: u32 = 64;

/// A table is at least so many times as long as a slice, down to the shortest slice.
const SLICES_PER_TABLE: u32 = 64;

/// The number of shifts.
pub(super) const SHIFTS: u32 = 8;

/// The number of patterns.
pub(super) const PATTERNS: usize = 32;

/// The seed of a bucket whose heads are bumped.
pub(super) const BUMPED: u8 = 0;

/// One level of a function.
#[derive(Clone, Debug)]
pub(super) struct Level {
    geometry: Geometry,
    multiplier: u64,
    seeds_at: usize,
}

/// A question for the place of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    hash: u64,
    seed_at: usize,
}

/// The numbers that follow from the number of heads of a level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub buckets: u32,
    /// The length of a slice less one; the length is a power of two.
    pub slice_mask: u32,
    /// The number of heads, and so of places.
    heads: u32,
}

/// A head as the places of a bucket see it. The upper bits of a seed are a *pattern*, the lower
/// bits a *shift*, and the seed puts the head at
/// `start + (first + pattern · step + shift) mod slice length`.
///
/// A pattern puts each head anywhere in its slice; a shift moves the heads of a bucket together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Orbit {
    pub start: u32,
    first: u32,
    /// Odd, so that the patterns differ in their places, or have all of a slice.
    step: u32,
    slice_mask: u32,
}

impl Geometry {
    pub const fn new(number: usize, heads: u32) -> Self {
        let slice_len = slice_len_places(heads);
        Self { buckets: bucket_count(number, heads), slice_mask: slice_len - 1, heads }
    }

    /// The bucket of a hash.
    #[inline(always)]
    pub const fn bucket(&self, hash: u64) -> u32 {
        scaled(hash, self.buckets)
    }

    /// Where a hash may be placed.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a word")]
    pub const fn orbit(&self, hash: u64) -> Orbit {
        let mixed = hash::mixed(hash);
        // The slice lies around the scaled hash, as far as the table has places there.
        let start = scaled(hash, self.heads).saturating_sub(self.slice_mask / 2);
        let last = self.heads.saturating_sub(self.slice_mask + 1);
        Orbit {
            start: if start < last { start } else { last },
            first: mixed as u32,
            step: (mixed >> 32) as u32 | 1,
            slice_mask: self.slice_mask,
        }
    }
}

impl Orbit {
    /// The place under `seed`.
    #[inline(always)]
    pub const fn place(&self, seed: u8) -> u32 {
        let (pattern, shift) = split(seed);
        self.start + (self.offset(pattern).wrapping_add(shift) & self.slice_mask)
    }

    /// How far from the start of its slice `pattern` puts the head, without a shift.
    #[inline(always)]
    pub const fn offset(&self, pattern: u32) -> u32 {
        self.first.wrapping_add(self.step.wrapping_mul(pattern)) & self.slice_mask
    }

    /// Whether `seed` shifts the head past the end of its slice, to the start.
    #[inline(always)]
    pub const fn wraps(&self, seed: u8) -> bool {
        let (pattern, shift) = split(seed);
        self.offset(pattern) + shift > self.slice_mask
    }
}

/// The pattern and the shift of a seed.
const fn split(seed: u8) -> (u32, u32) {
    (seed as u32 / SHIFTS, seed as u32 % SHIFTS)
}

impl Level {
    /// Level `number` of a function that is built with `seed`, whose seeds lie at
    /// `seeds_at` of the file.
    pub const fn new(seed: u64, number: usize, heads: u32, seeds_at: usize) -> Self {
        Self {
            geometry: Geometry::new(number, heads),
            multiplier: multiplier(seed, number),
            seeds_at,
        }
    }

    /// The length of the seeds of level `number`.
    pub const fn seeds_len_bytes(number: usize, heads: u32) -> usize {
        bucket_count(number, heads) as usize
    }

    /// The length of the seeds with their padding.
    pub const fn padded_len_bytes(&self) -> usize {
        (self.geometry.buckets as usize).next_multiple_of(WORD_LEN_BYTES)
    }

    /// Where the zeros behind the seeds are.
    pub const fn padding(&self) -> Range<usize> {
        let end = self.seeds_at + self.geometry.buckets as usize;
        end..self.seeds_at + self.padded_len_bytes()
    }

    /// What `head` asks of the level: its hash, and where in the file its seed is.
    #[inline(always)]
    pub const fn ask(&self, head: u64) -> Asked {
        let hash = hash::hash(head, self.multiplier);
        Asked { hash, seed_at: self.seeds_at + self.geometry.bucket(hash) as usize }
    }

    /// The place of what is asked for; `None` if the level bumps its bucket, or has no head.
    #[inline(always)]
    pub fn answer(&self, bytes: &Checked<'_>, asked: &Asked) -> Result<Option<u32>, Damage> {
        if self.geometry.buckets == 0 {
            return Ok(None);
        }
        let seed = bytes.touch_byte(asked.seed_at)?;
        Ok((seed != BUMPED).then(|| self.geometry.orbit(asked.hash).place(seed)))
    }

    /// The place of `head`; `None` if the level bumps its bucket, or has no head.
    pub fn place(&self, bytes: &Checked<'_>, head: u64) -> Result<Option<u32>, Damage> {
        self.answer(bytes, &self.ask(head))
    }
}

impl Asked {
    /// Starts loading the seed.
    #[inline(always)]
    pub fn prefetch(&self, bytes: &Checked<'_>) {
        kernel::prefetch_line(bytes.peek_byte(self.seed_at));
    }
}

/// The length of a slice, a power of two: at most 1024, and short beside the table,
/// because few slices reach the places at its ends.
const fn slice_len_places(heads: u32) -> u32 {
    let longest = match heads.checked_ilog2() {
        Some(bits) => 1 << bits,
        None => 1,
    };
    let mut len = MAX_SLICE_LEN_PLACES;
    while len > longest || len > MIN_SLICE_LEN_PLACES && len > heads / SLICES_PER_TABLE {
        len /= 2;
    }
    len
}

/// How many buckets the heads of level `number` are hashed to. With 4.5 heads a bucket, a head
/// of a large level takes the fewest bits in all. A head that a lower level bumps costs
/// up to 64 bits more, so lower levels have 3.5 heads a bucket.
#[expect(clippy::cast_possible_truncation, reason = "fewer buckets than heads")]
const fn bucket_count(number: usize, heads: u32) -> u32 {
    let heads_per_two_buckets = if number == 0 { 9 } else { 7 };
    (heads as u64 * 2).div_ceil(heads_per_two_buckets) as u32
}

/// The multiplier of level `number` of a function that is built with `seed`.
pub(super) const fn multiplier(seed: u64, number: usize) -> u64 {
    hash::mix(seed ^ number as u64) | 1
}
