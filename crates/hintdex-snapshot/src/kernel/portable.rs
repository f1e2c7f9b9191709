//! The portable path: words and rotations, no instruction set assumed.

use super::BLOCK_LEN_ROWS;

/// How many columns are folded at once: one for each byte of a word.
const COLUMNS_AT_ONCE: usize = 8;

/// See [`Kernel::retrieve`](super::Kernel::retrieve).
#[inline]
pub(super) fn retrieve(first: &[[u8; 8]], next: &[[u8; 8]], masks: [u64; 2]) -> u32 {
    let mut value = 0;
    let columns = first.chunks(COLUMNS_AT_ONCE).zip(next.chunks(COLUMNS_AT_ONCE));
    for (number, (first, next)) in columns.enumerate() {
        let mut sums = [0; COLUMNS_AT_ONCE];
        for ((sum, first), next) in sums.iter_mut().zip(first).zip(next) {
            *sum = masked(first, next, masks);
        }
        value |= u32::from(parities(sums)) << (number * COLUMNS_AT_ONCE);
    }
    value
}

/// The rows of a column that the coefficients choose, first and next block added.
#[inline]
pub(super) const fn masked(first: &[u8; 8], next: &[u8; 8], [lower, upper]: [u64; 2]) -> u64 {
    u64::from_le_bytes(*first) & lower ^ u64::from_le_bytes(*next) & upper
}

/// The parities of eight words, the first in bit 0.
///
/// Three rounds merge words in pairs: half of each word's lanes stay where they
/// are, the others are rotated onto them, and the two words share one. A lane
/// is a byte, then two, then four, so that in the end every byte is the sum of
/// the eight bytes of one word.
#[inline]
const fn parities([a, b, c, d, e, f, g, h]: [u64; COLUMNS_AT_ONCE]) -> u8 {
    const BYTES: u64 = 0x00ff_00ff_00ff_00ff;
    const PAIRS: u64 = 0x0000_ffff_0000_ffff;
    const HALVES: u64 = 0x0000_0000_ffff_ffff;
    let (ab, cd) = (merge(a, b, BYTES, 8), merge(c, d, BYTES, 8));
    let (ef, gh) = (merge(e, f, BYTES, 8), merge(g, h, BYTES, 8));
    let bytes = merge(merge(ab, cd, PAIRS, 16), merge(ef, gh, PAIRS, 16), HALVES, 32);
    let bytes = bytes ^ bytes >> 4;
    let bytes = bytes ^ bytes >> 2;
    let bits = (bytes ^ bytes >> 1) & 0x0101_0101_0101_0101;
    // The product moves the bit of byte i to bit 56 + i; no two meet elsewhere
    // in a way that carries.
    #[expect(clippy::cast_possible_truncation, reason = "the upper eight bits")]
    let gathered = (bits.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    gathered
}

/// `one`'s lanes under `mask` and `other`'s beside them, each with the lane of
/// its own word that a rotation by `lane_bits` brings.
#[inline]
const fn merge(one: u64, other: u64, mask: u64, lane_bits: u32) -> u64 {
    let swapped = (one ^ other) & mask;
    (other ^ swapped) ^ (one ^ swapped).rotate_left(lane_bits)
}

/// See [`Kernel::solve_block`](super::Kernel::solve_block).
#[inline]
pub(super) fn solve_block(
    coefficients: &[u64; BLOCK_LEN_ROWS],
    values: &[u32; BLOCK_LEN_ROWS],
    columns: &mut [u64],
) {
    for (coefficients, value) in coefficients.iter().zip(values).rev() {
        // A row with no equation is free, and zero for the file's bytes to
        // depend on nothing else.
        let (coefficients, value) = (coefficients >> 1, *value);
        for (bit, column) in columns.iter_mut().enumerate() {
            let sum = (coefficients & *column).count_ones() ^ value >> bit;
            *column = *column << 1 | u64::from(sum & 1);
        }
    }
}
