//! The portable path: 64-bit words, no instruction set assumed.

use super::retrieve::{Retrieve, Work, window_len_bytes};

/// The columns in a word, a byte each.
const WORD_LEN_COLUMNS: usize = 8;

/// A word with the lowest bit of each byte set.
const ONES: u64 = 0x0101_0101_0101_0101;

/// The path without instructions beyond those of the compilation target.
#[derive(Clone, Copy)]
pub(super) struct Portable;

/// See [`Kernel::run`](super::Kernel::run). No path is inlined, so that the caller stays small
/// enough to be inlined into its own caller.
#[inline(never)]
pub(super) fn run<W: Work>(work: W) -> W::Output {
    work.run(Portable)
}

impl Retrieve for Portable {
    #[inline(always)]
    fn parities(self, rows: &[u8], columns: usize, coefficients: u64) -> u32 {
        if rows.len() < window_len_bytes(columns) {
            return 0;
        }
        if columns <= 2 * WORD_LEN_COLUMNS {
            parities::<2>(rows, columns, coefficients)
        } else {
            parities::<4>(rows, columns, coefficients)
        }
    }
}

/// The parities of `WORDS` words of columns.
#[inline(always)]
fn parities<const WORDS: usize>(rows: &[u8], columns: usize, coefficients: u64) -> u32 {
    let mut sums = [0; WORDS];
    let mut rest = rows;
    for mask in coefficients.to_le_bytes() {
        // The mask of the unit, repeated for each column of a word.
        let mask = u64::from(mask) * ONES;
        let (words, _) = rest.as_chunks::<WORD_LEN_COLUMNS>();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum ^= u64::from_le_bytes(*word) & mask;
        }
        rest = rest.get(columns..).unwrap_or_default();
    }
    sums.iter().rev().fold(0, |value, sum| value << 8 | u32::from(byte_parities(*sum)))
}

/// The parities of the bytes of a word; bit 0 belongs to the lowest byte.
#[inline(always)]
const fn byte_parities(bytes: u64) -> u8 {
    let bytes = bytes ^ bytes >> 4;
    let bytes = bytes ^ bytes >> 2;
    let bits = (bytes ^ bytes >> 1) & ONES;
    // The product moves the bit of byte i to bit 56 + i. No carry reaches these bits from
    // below.
    (bits.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}
