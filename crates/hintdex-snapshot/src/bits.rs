//! Bits, least significant first, and Rice codes (Rice, Plaunt 1971).

/// Appends bits to bytes.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that are not in `bytes` yet; fewer than [`WORD_BITS`] between calls.
    pending: u128,
    pending_bits: u32,
}

/// The number of bits that are moved into the bytes at a time.
const WORD_BITS: u32 = u64::BITS;

impl BitWriter {
    /// Appends the lower `width` bits of `value`; `width` is at most 64.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "one word at a time")]
    pub fn put(&mut self, value: u64, width: u32) {
        let kept = if width < WORD_BITS { value & ((1 << width) - 1) } else { value };
        self.pending |= u128::from(kept) << self.pending_bits;
        self.pending_bits += width;
        if self.pending_bits >= WORD_BITS {
            self.bytes.extend((self.pending as u64).to_le_bytes());
            self.pending >>= WORD_BITS;
            self.pending_bits -= WORD_BITS;
        }
    }

    /// Appends `value` as a Rice code: `value >> low_bits` ones, a zero, and the low bits, of
    /// which there are at most 56.
    #[inline]
    pub fn put_rice(&mut self, value: u64, low_bits: u32) {
        let mut ones = value >> low_bits;
        while ones >= 32 {
            self.put(u64::MAX, 32);
            ones -= 32;
        }
        self.put((1 << ones) - 1, u32::try_from(ones).unwrap_or(0) + 1);
        self.put(value, low_bits);
    }

    /// The number of bits.
    pub fn len_bits(&self) -> u64 {
        self.bytes.len() as u64 * 8 + u64::from(self.pending_bits)
    }

    /// The bytes; the last byte is padded with zeros.
    pub fn finish(mut self) -> Vec<u8> {
        let pending = self.pending.to_le_bytes();
        let len_bytes = self.pending_bits.div_ceil(8) as usize;
        self.bytes.extend(pending.get(..len_bytes).unwrap_or_default());
        self.bytes
    }
}

/// Reads the bits of a [`BitWriter`]. Returns `None` past the end.
#[derive(Clone, Debug)]
pub(crate) struct BitReader<'f> {
    bytes: &'f [u8],
    at: usize,
    end: usize,
}

impl<'f> BitReader<'f> {
    /// A reader of the bits `at..end` of `bytes`.
    pub fn new(bytes: &'f [u8], at: usize, end: usize) -> Self {
        Self { bytes, at, end: end.min(bytes.len() * 8) }
    }

    /// At least the next 57 bits, with zeros past the last byte.
    #[inline]
    fn peek(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        word >> (self.at % 8)
    }

    /// The next `width` bits; `width` is at most 57.
    #[inline]
    pub fn take(&mut self, width: u32) -> Option<u64> {
        let value = self.peek() & ((1 << width) - 1);
        self.at += width as usize;
        (self.at <= self.end).then_some(value)
    }

    /// The value of the next Rice code with `low_bits` low bits, at most 56.
    #[inline]
    pub fn take_rice(&mut self, low_bits: u32) -> Option<u64> {
        let mut quotient = 0;
        loop {
            let ones = self.peek().trailing_ones().min(56);
            self.at += ones as usize;
            quotient += u64::from(ones);
            if self.at >= self.end {
                return None;
            }
            if ones < 56 {
                break;
            }
        }
        self.at += 1;
        // No writer writes a quotient that overflows.
        let value = quotient.checked_mul(1 << low_bits)?;
        value.checked_add(self.take(low_bits)?)
    }
}

/// The most low bits of a Rice code, so that [`BitReader::take`] can read them.
pub(crate) const MAX_LOW_BITS: u32 = 56;

/// The number of low bits with which the Rice codes of `values` are shortest; the lowest such
/// number.
///
/// The codes of *n* values *v* with *b* low bits take n + L(b) bits, where
/// L(b) = n·b + Σ⌊v / 2^b⌋. One more low bit saves L(b) − L(b+1) = Σ⌈⌊v / 2^b⌋ / 2⌉ − n bits,
/// which falls as *b* grows. So the best *b* is the first for which that is at most 0. Let *S*
/// be the sum of the values. Where S / 2^b ≥ 3·n, the saving is positive, because
/// Σ⌈⌊v / 2^b⌋ / 2⌉ > (S / 2^b − n) / 2. Where S / 2^b ≤ n, it is not, because ⌈x / 2⌉ ≤ x for
/// whole numbers. At most three candidates lie between.
pub(crate) fn best_low_bits(values: impl Iterator<Item = u64> + Clone) -> u32 {
    let add = |(count, sum), value| (count + 1, sum + u128::from(value));
    let (count, sum) = values.clone().fold((0_u64, 0_u128), add);
    if count == 0 {
        return 0;
    }
    let first_with = |values: u128| {
        let is_enough = |&low_bits: &u32| sum <= values << low_bits;
        (0..MAX_LOW_BITS).find(is_enough).unwrap_or(MAX_LOW_BITS)
    };
    let candidates = first_with(3 * u128::from(count))..=first_with(count.into());
    let len_bits = |low_bits: u32| {
        let ones: u64 = values.clone().map(|value| value >> low_bits).sum();
        ones + count * u64::from(low_bits)
    };
    candidates.min_by_key(|&low_bits| (len_bits(low_bits), low_bits)).unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use core::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    /// The length of the codes, as written.
    fn len_bits(values: &[u64], low_bits: u32) -> u64 {
        let mut writer = BitWriter::default();
        values.iter().for_each(|&value| writer.put_rice(value, low_bits));
        writer.len_bits()
    }

    proptest! {
        /// Values of one size and of several sizes, so that the best width is at either end of
        /// the candidates.
        #[test]
        fn no_other_width_makes_shorter_codes(
            values in prop::collection::vec((any::<u64>(), 48_u32..64), 0..200),
            // Small values: their codes are written with every width that is tried.
            widths in 1_u32..=16,
        ) {
            let values: Vec<u64> =
                values.iter().map(|&(value, shift)| value >> shift.max(64 - widths)).collect();
            let best = best_low_bits(values.iter().copied());
            let (least, expected) =
                (0..20).map(|low_bits| (len_bits(&values, low_bits), low_bits)).min().unwrap();
            prop_assert_eq!((len_bits(&values, best), best), (least, expected));
        }

        /// Values of any size, including values that are too large to be written.
        #[test]
        fn the_width_for_large_values_minimizes_the_computed_length(
            values in prop::collection::vec((any::<u64>(), 0_u32..64), 0..50),
        ) {
            let values: Vec<u64> = values.iter().map(|&(value, shift)| value >> shift).collect();
            let len_bits = |low_bits: u32| {
                let ones = values.iter().map(|&value| u128::from(value >> low_bits));
                ones.map(|ones| ones + u128::from(low_bits)).sum::<u128>()
            };
            let expected = (0..=MAX_LOW_BITS).min_by_key(|&low_bits| len_bits(low_bits));
            let reads = Cell::new(0);
            let counted = values.iter().inspect(|_| reads.set(reads.get() + 1)).copied();
            prop_assert_eq!(Some(best_low_bits(counted)), expected);
            // One pass for the sum, and three for the widths.
            prop_assert!(reads.get() <= 4 * values.len());
        }

        /// A reader returns the values that were written, and `None` past the end.
        #[test]
        fn a_reader_returns_the_values_that_were_written(
            values in prop::collection::vec((any::<u64>(), 0_u32..=57, 0_u32..=56), 0..100),
        ) {
            let mut writer = BitWriter::default();
            for &(value, width, low_bits) in &values {
                writer.put(value, width);
                writer.put_rice(value >> 8 >> (56 - low_bits), low_bits);
            }
            let len_bits = writer.len_bits();
            let bytes = writer.finish();
            prop_assert_eq!(bytes.len() as u64, len_bits.div_ceil(8));
            let mut reader = BitReader::new(&bytes, 0, usize::try_from(len_bits).unwrap());
            for &(value, width, low_bits) in &values {
                prop_assert_eq!(reader.take(width), Some(value & ((1 << width) - 1)));
                prop_assert_eq!(reader.take_rice(low_bits), Some(value >> 8 >> (56 - low_bits)));
            }
            prop_assert_eq!(reader.take_rice(0), None);
            prop_assert_eq!(reader.take(1), None);
        }
    }
}
