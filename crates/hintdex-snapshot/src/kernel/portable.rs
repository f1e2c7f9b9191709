//! The portable path: words, no instruction set assumed.

use super::{BLOCK_LEN_ROWS, Retrieve, WINDOW_LEN_UNITS, window_len_bytes};

/// How many columns a word holds, a byte each.
const WORD_LEN_COLUMNS: usize = 8;

/// The lowest bit of every byte.
const ONES: u64 = 0x0101_0101_0101_0101;

/// No instructions beyond the target's own.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Retrieve for Portable {
    #[inline(always)]
    fn parities(self, rows: &[u8], columns: usize, shift: u32, coefficients: u64) -> u32 {
        if rows.len() < window_len_bytes(columns) {
            return 0;
        }
        // A mask for each unit, for all columns of a word.
        let masks: [u8; 16] = (u128::from(coefficients) << (shift % 8)).to_le_bytes();
        let masks = masks.map(|mask| u64::from(mask) * ONES);
        let mut value = 0;
        for word in 0..columns.div_ceil(WORD_LEN_COLUMNS) {
            let at = word * WORD_LEN_COLUMNS;
            let mut sum = 0;
            for (unit, mask) in masks.iter().take(WINDOW_LEN_UNITS).enumerate() {
                let start = unit * columns + at;
                let bytes = rows.get(start..).and_then(|rest| rest.first_chunk());
                let bytes = bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
                sum ^= bytes & mask;
            }
            value |= u32::from(byte_parities(sum)) << at;
        }
        value
    }
}

/// The parities of the bytes of a word, the lowest byte's in bit 0.
#[inline(always)]
const fn byte_parities(bytes: u64) -> u8 {
    let bytes = bytes ^ bytes >> 4;
    let bytes = bytes ^ bytes >> 2;
    let bits = (bytes ^ bytes >> 1) & ONES;
    // The product moves the bit of byte i to bit 56 + i; below that, no two
    // meet in a way that carries.
    (bits.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

/// See [`solve_block`](super::solve_block).
#[inline(always)]
pub(super) fn solve_block(
    coefficients: &[u64; BLOCK_LEN_ROWS],
    values: &[u32; BLOCK_LEN_ROWS],
    columns: &mut [u64],
) {
    for (coefficients, value) in coefficients.iter().zip(values).rev() {
        // A row with no equation is free. It becomes zero, so that the file
        // depends on nothing else.
        let (coefficients, value) = (coefficients >> 1, *value);
        for (bit, column) in columns.iter_mut().enumerate() {
            let sum = (coefficients & *column).count_ones() ^ value >> bit;
            *column = *column << 1 | u64::from(sum & 1);
        }
    }
}
