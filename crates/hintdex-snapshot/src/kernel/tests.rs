//! Compares each kernel of this processor with the definition of a value.

use proptest::prelude::*;

use super::{Kernel, MAX_COLUMNS, Retrieve, UNIT_LEN_ROWS, Work, window_len_bytes};

/// The value by its definition: row by row.
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

/// The value that a kernel retrieves.
pub(crate) fn retrieve(kernel: Kernel, rows: &[u8], columns: usize, coefficients: u64) -> u32 {
    kernel.run(One { rows, columns, coefficients })
}

#[test]
fn the_portable_kernel_is_first_and_names_are_unique() {
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
    fn every_kernel_retrieves_the_value_of_the_definition(
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
}
