//! The places that a level leaves free, in ascending order, in little more than the
//! bits that such a list has: Elias and Fano's codes (Elias 1974; Vigna, "Quasi-succinct
//! indices", 2013).
//!
//! Of *k* places below *n*, each stores its lower log2(*n* / *k*) bits. The rest of place
//! *r* is a set bit at position `(place >> low_bits) + r` of a string of bits.
//!
//! ```text
//! lower bits, packed │ the string of bits │ the position of every 256th set bit (u32)
//! ```

use core::ops::Range;

use crate::Damage;
use crate::format::Checked;
use crate::packed::{self, WORD_LEN_BYTES};
use crate::padding::Padding;

/// The position of one set bit in so many is stored.
const SAMPLE_LEN_PLACES: u32 = 256;

/// The length of a stored position.
const SAMPLE_LEN_BYTES: usize = 4;

const WORD_BITS: u64 = 64;

/// The free places of a level in a file.
#[derive(Clone, Debug)]
pub(super) struct FreePlaces {
    /// The number of places of the level.
    places: u32,
    /// How many of them are free.
    count: u32,
    low_at: usize,
    upper_at: usize,
    samples_at: usize,
}

/// The lengths of the parts of a list.
struct Lens {
    low_bits: u32,
    low_bytes: usize,
    upper_bytes: usize,
    samples_bytes: usize,
}

impl Lens {
    const fn new(places: u32, count: u32) -> Self {
        let Some(mean) = places.checked_div(count) else {
            return Self { low_bits: 0, low_bytes: 0, upper_bytes: 0, samples_bytes: 0 };
        };
        let low_bits = if mean < 2 { 0 } else { mean.ilog2() };
        let low = (count as u64 * low_bits as u64).div_ceil(WORD_BITS);
        let upper = ((places >> low_bits) as u64 + count as u64 + 1).div_ceil(WORD_BITS);
        let samples = count.div_ceil(SAMPLE_LEN_PLACES) as usize;
        #[expect(clippy::cast_possible_truncation, reason = "below 2³³ words, 64-bit addresses")]
        let (low_words, upper_words) = (low as usize, upper as usize);
        Self {
            low_bits,
            low_bytes: low_words * WORD_LEN_BYTES,
            upper_bytes: upper_words * WORD_LEN_BYTES,
            samples_bytes: (samples * SAMPLE_LEN_BYTES).next_multiple_of(WORD_LEN_BYTES),
        }
    }
}

impl FreePlaces {
    /// The list of `count` free places below `places` at `at` of the file; `None` if
    /// there cannot be so many.
    pub fn open(places: u32, count: u32, at: usize) -> Option<Self> {
        let Lens { low_bytes, upper_bytes, .. } = Lens::new(places, count);
        let upper_at = at + low_bytes;
        let samples_at = upper_at + upper_bytes;
        (count <= places).then_some(Self { places, count, low_at: at, upper_at, samples_at })
    }

    /// The length of a list.
    pub const fn len_bytes(places: u32, count: u32) -> usize {
        let lens = Lens::new(places, count);
        lens.low_bytes + lens.upper_bytes + lens.samples_bytes
    }

    /// The length of this list.
    pub const fn padded_len_bytes(&self) -> usize {
        Self::len_bytes(self.places, self.count)
    }

    /// Calls `each` with the bits behind the lower bits, behind the string of bits, and behind the
    /// positions.
    pub fn each_padding(&self, each: &mut dyn FnMut(Padding)) {
        if self.count == 0 {
            return;
        }
        let lens = Lens::new(self.places, self.count);
        let count = u64::from(self.count);
        let upper_bits = u64::from(self.places >> lens.low_bits) + count + 1;
        let samples_bits = u64::from(self.count.div_ceil(SAMPLE_LEN_PLACES)) * 32;
        let ends = [self.upper_at, self.samples_at, self.samples_at + lens.samples_bytes];
        let used = [count * u64::from(lens.low_bits), upper_bits, samples_bits];
        for ((start, end), used_bits) in
            [self.low_at, self.upper_at, self.samples_at].into_iter().zip(ends).zip(used)
        {
            each(Padding::behind_bits("free places", &(start..end), used_bits));
        }
    }

    /// Appends the list of `free` places, which are sorted and below `places`.
    pub fn write(places: u32, free: &[u32], out: &mut Vec<u8>) {
        let count = u32::try_from(free.len()).unwrap_or(u32::MAX);
        let lens = Lens::new(places, count);
        let start = out.len();
        let low_mask = (1_u64 << lens.low_bits) - 1;
        packed::pack(free.iter().map(|&place| u64::from(place) & low_mask), lens.low_bits, out);
        debug_assert_eq!(out.len() - start, lens.low_bytes);
        let mut upper = vec![0; lens.upper_bytes];
        let mut samples = Vec::with_capacity(lens.samples_bytes);
        for (rank, &place) in (0_u32..).zip(free) {
            let position = u64::from(place >> lens.low_bits) + u64::from(rank);
            let byte = usize::try_from(position / 8).ok().and_then(|at| upper.get_mut(at));
            byte.into_iter().for_each(|byte| *byte |= 1 << (position % 8));
            if rank % SAMPLE_LEN_PLACES == 0 {
                samples.extend(u32::try_from(position).unwrap_or(u32::MAX).to_le_bytes());
            }
        }
        samples.resize(lens.samples_bytes, 0);
        out.extend(upper);
        out.extend(samples);
    }

    /// Starts loading what [`place`](Self::place) reads. The sampled positions are few, and are
    /// read at once.
    pub fn prefetch(&self, bytes: &Checked<'_>, rank: u32) {
        let rank = rank.min(self.count.saturating_sub(1));
        let low_bits = Lens::new(self.places, self.count).low_bits;
        packed::prefetch(bytes, &(self.low_at..self.upper_at), rank.into(), low_bits);
        let sample = sample(bytes.peek(self.sample_at(rank)));
        // A set bit follows the one before after two bits on average.
        let position = sample + u64::from(rank % SAMPLE_LEN_PLACES) * 2;
        packed::prefetch(bytes, &(self.upper_at..self.samples_at), position, 1);
    }

    /// The free place of rank `rank`; some place of the level past the last rank.
    pub fn place(&self, bytes: &Checked<'_>, rank: u32) -> Result<u32, Damage> {
        if self.count == 0 {
            return Ok(0);
        }
        let rank = rank.min(self.count - 1);
        let low_bits = Lens::new(self.places, self.count).low_bits;
        let position = self.position(bytes, rank)?;
        let low = packed::get(bytes, &(self.low_at..self.upper_at), rank.into(), low_bits)?;
        let upper = position.saturating_sub(rank.into()) << low_bits;
        // Damaged bits may add up to more than there are places.
        Ok(u32::try_from(upper | low).unwrap_or(u32::MAX).min(self.places - 1))
    }

    /// Where the position of the last sampled rank up to `rank` is.
    const fn sample_at(&self, rank: u32) -> Range<usize> {
        let at = self.samples_at + (rank / SAMPLE_LEN_PLACES) as usize * SAMPLE_LEN_BYTES;
        at..at + SAMPLE_LEN_BYTES
    }

    /// The position of the set bit of rank `rank`.
    fn position(&self, bytes: &Checked<'_>, rank: u32) -> Result<u64, Damage> {
        let sample = sample(bytes.touch(self.sample_at(rank))?);
        let words = (self.samples_at - self.upper_at) as u64 * 8 / WORD_BITS;
        let mut number = sample / WORD_BITS;
        let mut left = rank % SAMPLE_LEN_PLACES;
        // Bits before the sample belong to earlier ranks.
        let mut word = self.word(bytes, number)? >> (sample % 64) << (sample % 64);
        while left >= word.count_ones() && number + 1 < words {
            left -= word.count_ones();
            number += 1;
            word = self.word(bytes, number)?;
        }
        (0..left).for_each(|_| word &= word.wrapping_sub(1));
        Ok(number * WORD_BITS + u64::from(word.trailing_zeros()))
    }

    /// Word `number` of the string of bits; zeros past the last.
    fn word(&self, bytes: &Checked<'_>, number: u64) -> Result<u64, Damage> {
        let at = self.upper_at + usize::try_from(number).unwrap_or(0) * WORD_LEN_BYTES;
        packed::word(bytes, &(self.upper_at..self.samples_at), at)
    }
}

/// The position that a sample stores.
fn sample(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes).into())
}
