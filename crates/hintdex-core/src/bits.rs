//! Bit fields in a byte slice: bit *i* is bit *i* mod 8 of byte *i* / 8.

/// A word whose lowest `bits` ≤ 63 bits are ones.
pub(crate) const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// The lowest eight bits.
pub(crate) const fn low_byte(word: u64) -> u8 {
    word.to_le_bytes()[0]
}

/// Reads `width` ≤ 32 bits from `at_bit` on; bits past the end read as zero.
pub(crate) fn read_bits(bytes: &[u8], at_bit: u64, width: u32) -> u64 {
    read_word(bytes, at_bit) & mask(width)
}

/// Reads at least 57 bits from `at_bit` on; bits past the end read as zero.
pub(crate) fn read_word(bytes: &[u8], at_bit: u64) -> u64 {
    let at = usize::try_from(at_bit / 8).unwrap_or(usize::MAX);
    let rest = bytes.get(at..).unwrap_or_default();
    let word = match rest.first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    word >> (at_bit % 8)
}

/// Appends bit fields to a byte vector.
pub(crate) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    pending_bits: u32,
}

impl<'a> BitWriter<'a> {
    /// Starts at a byte boundary.
    pub(crate) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, pending_bits: 0 }
    }

    /// Appends the `width` ≤ 32 low bits of `value`, whose other bits must be zero.
    pub(crate) fn push(&mut self, value: u64, width: u32) {
        self.pending |= value << self.pending_bits;
        self.pending_bits += width;
        if self.pending_bits >= 32 {
            let [a, b, c, d, ..] = self.pending.to_le_bytes();
            self.out.extend([a, b, c, d]);
            self.pending >>= 32;
            self.pending_bits -= 32;
        }
    }

    /// Fills the last byte with zeros.
    pub(crate) fn finish(mut self) {
        while self.pending_bits > 0 {
            self.out.push(low_byte(self.pending));
            self.pending >>= 8;
            self.pending_bits = self.pending_bits.saturating_sub(8);
        }
    }
}

/// A word with the lowest bit of each byte set.
const ONES: u64 = 0x0101_0101_0101_0101;

/// For each byte of a word, the number of zeros in that byte and all lower ones.
///
/// All bytes are counted at once, because not every processor has `popcnt`
/// (Warren, *Hacker's Delight*, section 5–1).
pub(crate) const fn zero_sums(word: u64) -> u64 {
    let word = !word;
    let pairs = word - (word >> 1 & 0x5555_5555_5555_5555);
    let fours = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333);
    ((fours + (fours >> 4)) & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(ONES)
}

/// The number of zeros of the word with these sums.
pub(crate) const fn zeros_of(sums: u64) -> u64 {
    sums >> 56
}

/// The position behind the `zeros`-th zero of a word; the word has at least `zeros` ≥ 1 zeros
/// (Vigna, "Broadword Implementation of Rank/Select Queries", 2008).
pub(crate) const fn after_zeros_in(word: u64, sums: u64, zeros: u64) -> u64 {
    // The high bit of a byte stays set where its sum is below `zeros`. No byte borrows from
    // the next, because every sum is at most 64.
    let below = (((zeros - 1) * ONES) | (ONES << 7)).wrapping_sub(sums) & (ONES << 7);
    let at = ((below >> 7).wrapping_mul(ONES) >> 56) * 8;
    let before = if at == 0 { 0 } else { sums >> (at - 8) & 0xff };
    let mut inverted = !word >> at;
    let mut left = zeros - before;
    while left > 1 {
        inverted &= inverted.wrapping_sub(1);
        left -= 1;
    }
    at + inverted.trailing_zeros() as u64 + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn after_zeros_returns_the_position_that_counting_returns(
            word in prop_oneof![any::<u64>(), any::<u64>().prop_map(|word| word | word << 7)],
        ) {
            let sums = zero_sums(word);
            prop_assert_eq!(zeros_of(sums), u64::from(word.count_zeros()));
            let zeros = (0..64).filter(|at| word >> at & 1 == 0);
            for (at, count) in zeros.zip(1..) {
                prop_assert_eq!(after_zeros_in(word, sums, count), at + 1);
            }
        }
    }
}
