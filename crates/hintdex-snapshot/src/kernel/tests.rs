//! Each kernel of this processor against the definition.

use proptest::prelude::*;

use super::{BLOCK_LEN_ROWS, Kernel};

/// The value by its definition, row by row.
fn by_rows(rows: &[u8], columns: usize, shift: u32, coefficients: u64) -> u32 {
    let bit = |column: usize, row: u32| {
        let word = row as usize / BLOCK_LEN_ROWS * columns + column;
        let byte = rows.get(word * 8 + row as usize % BLOCK_LEN_ROWS / 8);
        byte.map_or(0, |byte| u32::from(byte >> (row % 8) & 1))
    };
    (0..columns).fold(0, |value, column| {
        let rows = (0..64).filter(|row| coefficients >> row & 1 == 1);
        let parity = rows.fold(0, |sum, row| sum ^ bit(column, shift + row));
        value | parity << column
    })
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
        rows in prop::collection::vec(any::<u8>(), 2 * 32 * 8),
        columns in 1_u8..=32,
        shift in 0_u32..64,
        coefficients: u64,
    ) {
        let rows = &rows[..2 * usize::from(columns) * 8];
        let expected = by_rows(rows, columns.into(), shift, coefficients);
        for kernel in Kernel::all() {
            prop_assert_eq!(kernel.retrieve(rows, columns, shift, coefficients), expected, "{:?}", kernel);
        }
    }

    /// The last block has none after it; its ribbons begin with its first row.
    #[test]
    fn every_kernel_reads_a_last_block(
        rows in prop::collection::vec(any::<u8>(), 32 * 8),
        columns in 1_u8..=32,
        coefficients: u64,
    ) {
        let rows = &rows[..usize::from(columns) * 8];
        let expected = by_rows(rows, columns.into(), 0, coefficients);
        for kernel in Kernel::all() {
            prop_assert_eq!(kernel.retrieve(rows, columns, 0, coefficients), expected, "{:?}", kernel);
        }
    }

    /// What was solved gives back the values.
    #[test]
    fn every_kernel_solves(
        coefficients in prop::array::uniform32(any::<u64>()),
        values in prop::array::uniform32(any::<u32>()),
        after in prop::collection::vec(any::<u64>(), 32),
        columns in 1_u8..=32,
    ) {
        // Every second row has an equation.
        let pick = |row: usize| (row % 2 == 1).then_some(row / 2);
        let coefficients: [u64; 64] = std::array::from_fn(|row| pick(row).map_or(0, |at| coefficients[at] | 1));
        let values: [u32; 64] = std::array::from_fn(|row| pick(row).map_or(0, |at| values[at]));
        let mask = u32::MAX >> (32 - columns);
        for kernel in Kernel::all() {
            let mut solved = after[..columns.into()].to_vec();
            kernel.solve_block(&coefficients, &values, &mut solved);
            let rows: Vec<u8> =
                solved.iter().chain(&after[..columns.into()]).flat_map(|word| word.to_le_bytes()).collect();
            for (row, shift) in (0..64).zip(0..) {
                if coefficients[row] != 0 {
                    let value = kernel.retrieve(&rows, columns, shift, coefficients[row]);
                    prop_assert_eq!(value, values[row] & mask, "{:?}, row {}", kernel, row);
                }
            }
        }
    }
}
