//! The rows that solve the equations, unit by unit from the last to the first.

use super::equations::{ROWS, Unit, subset_sums};
use crate::kernel::{BLOCK_LEN_UNITS, UNIT_LEN_ROWS};

/// The units of an equation's rows.
const UNITS: usize = BLOCK_LEN_UNITS as usize;

/// The bits of a byte, and the number of its values.
const BYTE_BITS: usize = 8;
const BYTES: usize = 1 << BYTE_BITS;

/// The rows of the eight units that were solved last, as sums: an equation of the unit before
/// them has no other solved row.
pub(super) struct Solved {
    /// For each unit, the sums of all subsets of its rows: bit *i* of a sum's index is set if
    /// the subset contains row *i*. So an equation takes one step a unit.
    sums: Box<[[u32; BYTES]; UNITS]>,
    /// The index of the unit that is replaced next.
    oldest: u32,
}

impl Default for Solved {
    /// Zeros for the rows behind the last row.
    fn default() -> Self {
        Self { sums: Box::new([[0; BYTES]; UNITS]), oldest: 0 }
    }
}

impl Solved {
    /// Solves the equations of a unit; all units behind it are solved. A row without an
    /// equation is free and becomes zero, so that the same input yields the same file.
    #[inline(always)]
    pub fn solve(&mut self, unit: &Unit) -> [u32; ROWS] {
        let mut rows = [0; ROWS];
        for (row, equation) in unit.iter().enumerate().rev() {
            let mut sum = equation.value;
            // Byte i holds the coefficients of the unit i behind this unit.
            let behind = equation.coefficients & !0xff;
            let behind = behind.rotate_left(self.oldest * UNIT_LEN_ROWS).to_le_bytes();
            for (sums, byte) in self.sums.iter().zip(behind) {
                sum ^= sums.get(usize::from(byte)).copied().unwrap_or_default();
            }
            // Then the solved rows of this unit. In a unit that was full, equations have none.
            let mut within = equation.coefficients & 0xff & !(1 << row);
            while within != 0 {
                sum ^= rows.get(within.trailing_zeros() as usize).copied().unwrap_or_default();
                within &= within - 1;
            }
            if let Some(row) = rows.get_mut(row) {
                *row = sum;
            }
        }
        if let Some(sums) = self.sums.get_mut(self.oldest as usize) {
            subset_sums(&rows, sums);
        }
        self.oldest = (self.oldest + BLOCK_LEN_UNITS - 1) % BLOCK_LEN_UNITS;
        rows
    }
}

/// Writes eight rows in the order of the file: a byte a column, row *k* in bit *k*.
#[inline(always)]
pub(super) fn write(rows: &[u32; ROWS], bytes: &mut [u8]) {
    let columns = |first: usize| {
        #[expect(clippy::cast_possible_truncation, reason = "eight columns at a time")]
        let block = rows.map(|row| (row >> first) as u8);
        transposed(u64::from_le_bytes(block)).to_le_bytes()
    };
    let (chunks, rest) = bytes.as_chunks_mut::<BYTE_BITS>();
    let chunks_len = chunks.len() * BYTE_BITS;
    for (chunk, first) in chunks.iter_mut().zip((0..).step_by(BYTE_BITS)) {
        *chunk = columns(first);
    }
    if !rest.is_empty() {
        rest.iter_mut().zip(columns(chunks_len)).for_each(|(byte, column)| *byte = column);
    }
}

/// The transpose of a block of eight times eight bits, a row a byte (Warren,
/// "Hacker's Delight", second edition, section 7-3).
#[inline(always)]
fn transposed(block: u64) -> u64 {
    // Exchanges the bits of `lower` with the bits that are `by` above them.
    let exchange = |block: u64, by: u32, lower: u64| {
        let differing = (block ^ block >> by) & lower;
        block ^ differing ^ differing << by
    };
    let block = exchange(block, 7, 0x00aa_00aa_00aa_00aa);
    let block = exchange(block, 14, 0x0000_cccc_0000_cccc);
    exchange(block, 28, 0x0000_0000_f0f0_f0f0)
}
