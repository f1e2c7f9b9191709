//! Each kernel of this processor against the definition.

use proptest::prelude::*;

use super::{
    Kernel, MAX_COLUMNS, MAX_READ_BYTES, Retrieve, UNIT_LEN_ROWS, Work, solve_block,
    window_len_bytes,
};

/// The value by its definition, row by row.
fn by_rows(rows: &[u8], columns: usize, coefficients: u64) -> u32 {
    let bit = |column: usize, row: usize| {
        let byte = rows[row / UNIT_LEN_ROWS as usize * columns + column];
        u32::from(byte >> (row % UNIT_LEN_ROWS as usize) & 1)
    };
    (0..columns).fold(0, |value, column| {
        let rows = (0..64).filter(|row| coefficients >> row & 1 == 1);
        let parity = rows.fold(0, |sum, row| sum ^ bit(column, row));
        value | parity << column
    })
}

/// One retrieval.
struct One<'r> {
    rows: &'r [u8],
    columns: usize,
    coefficients: u64,
}

impl Work for One<'_> {
    type Output = u32;

    #[inline(always)]
    fn run<P: Retrieve>(self, path: P) -> u32 {
        path.retrieve(self.rows, self.columns, self.coefficients)
    }
}

fn retrieve(kernel: Kernel, rows: &[u8], columns: usize, coefficients: u64) -> u32 {
    kernel.run(One { rows, columns, coefficients })
}

#[test]
fn there_is_a_portable_kernel_and_no_two_of_a_name() {
    let names: Vec<_> = Kernel::all().map(Kernel::name).collect();
    assert_eq!(names.first(), Some(&"portable"));
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), names.len());
    println!("kernels of this processor: {names:?}");
}

proptest! {
    #[test]
    fn every_kernel_gives_the_value_of_the_definition(
        rows in prop::collection::vec(any::<u8>(), window_len_bytes(MAX_COLUMNS)),
        columns in 1_usize..=32,
        coefficients: u64,
    ) {
        let rows = &rows[..window_len_bytes(columns)];
        let expected = by_rows(rows, columns, coefficients);
        for kernel in Kernel::all() {
            let value = retrieve(kernel, rows, columns, coefficients);
            prop_assert_eq!(value, expected, "{:?}", kernel);
            let too_few = retrieve(kernel, &rows[1..], columns, coefficients);
            prop_assert_eq!(too_few, 0, "{:?}", kernel);
        }
    }

    /// What was solved gives back the values.
    #[test]
    fn every_kernel_reads_what_was_solved(
        coefficients in prop::array::uniform32(any::<u64>()),
        values in prop::array::uniform32(any::<u32>()),
        after in prop::collection::vec(any::<u64>(), 32),
        columns in 1_usize..=32,
    ) {
        // Every second row has an equation.
        let pick = |row: usize| (row % 2 == 1).then_some(row / 2);
        // Within the eight units that begin with the row's.
        let within = |row: usize| u64::MAX >> (row % UNIT_LEN_ROWS as usize);
        let coefficient = |row| pick(row).map_or(0, |at| coefficients[at] & within(row) | 1);
        let coefficients: [u64; 64] = std::array::from_fn(coefficient);
        let values: [u32; 64] = std::array::from_fn(|row| pick(row).map_or(0, |at| values[at]));
        let after = &after[..columns];
        let mut solved = after.to_vec();
        solve_block(&coefficients, &values, &mut solved);
        let units = |block: &[u64]| -> Vec<u8> {
            (0..8).flat_map(|unit| block.iter().map(move |word| word.to_le_bytes()[unit])).collect()
        };
        let mut rows = [units(&solved), units(after)].concat();
        rows.resize(rows.len() + MAX_READ_BYTES, 0xff);
        let mask = u32::MAX >> (32 - columns);
        for kernel in Kernel::all() {
            for row in (0..64).filter(|&row| coefficients[row] != 0) {
                // A ribbon begins with a unit, an equation of the solver with a
                // row of it.
                let from = &rows[row / UNIT_LEN_ROWS as usize * columns..];
                let shifted = coefficients[row] << (row % UNIT_LEN_ROWS as usize);
                let value = retrieve(kernel, from, columns, shifted);
                prop_assert_eq!(value, values[row] & mask, "{:?}, row {}", kernel, row);
            }
        }
    }
}
