//! Equations that are solved, against the values they were made for.

use proptest::prelude::*;

use super::equations::{Equation, ROWS, Sums, Unit, place};
use super::rows::{Solved, write};
use crate::kernel::tests::retrieve;
use crate::kernel::{Kernel, MAX_COLUMNS, window_len_bytes};

fn equations() -> impl Strategy<Value = Vec<Equation>> {
    let equation = (any::<u64>(), any::<u32>());
    let equation = equation.prop_map(|(coefficients, value)| Equation { coefficients, value });
    prop::collection::vec(equation, 16 * ROWS)
}

/// Sixteen units of rows, of which each has an equation where `is_there`.
fn units(equations: &[Equation], is_there: impl Fn(usize) -> bool) -> Vec<Unit> {
    let mut units = vec![Unit::default(); equations.len() / ROWS];
    for (at, equation) in equations.iter().enumerate().filter(|&(at, _)| is_there(at)) {
        let row = at % ROWS;
        let coefficients = equation.coefficients >> row << row | 1 << row;
        units[at / ROWS][row] = Equation { coefficients, ..*equation };
    }
    units
}

proptest! {
    /// What was solved gives back the values, through every kernel.
    #[test]
    fn every_kernel_reads_what_was_solved(
        equations in equations(),
        columns in 1..=MAX_COLUMNS,
        // Of how many rows every one but the last has an equation.
        period in 2_usize..100,
    ) {
        let mask = u32::MAX >> (32 - columns);
        let cut = |equation: &Equation| Equation { value: equation.value & mask, ..*equation };
        let equations: Vec<_> = equations.iter().map(cut).collect();
        let units = units(&equations, |row| row % period != period - 1);
        // Rows behind the last are zeros.
        let mut rows = vec![0; columns * units.len()];
        let mut solved = Solved::default();
        for (bytes, unit) in rows.chunks_exact_mut(columns).zip(&units).rev() {
            write(&solved.solve(unit), bytes);
        }
        rows.resize(rows.len() + window_len_bytes(MAX_COLUMNS), 0);
        for (first, unit) in (0..).step_by(columns).zip(&units) {
            let rows = &rows[first..];
            for equation in unit.iter().filter(|equation| equation.coefficients != 0) {
                for kernel in Kernel::all() {
                    let coefficients = equation.coefficients;
                    let value = retrieve(kernel, rows, columns, coefficients);
                    prop_assert_eq!(value, { equation.value }, "{:?}", kernel);
                }
            }
        }
    }

    /// Sums take from an equation what taking one equation after the other does.
    #[test]
    fn sums_take_what_equations_do(equations in equations(), equation in equations()) {
        let unit = units(&equations, |_| true)[0];
        let mut sums = Sums::default();
        sums.become_of(&unit);
        for mut equation in equation {
            let at_once = sums.take_from(equation);
            prop_assert_eq!(place(&mut unit.clone(), &mut equation), None);
            prop_assert_eq!({ at_once.coefficients }, { equation.coefficients });
            prop_assert_eq!({ at_once.value }, { equation.value });
        }
        for (row, single) in sums.singles().into_iter().enumerate() {
            prop_assert_eq!({ single.coefficients } & 0xff, 1 << row);
        }
    }
}
