//! Solved equations, compared with their values.

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

/// Sixteen units, with an equation at each row for which `is_there` returns true.
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
    /// Every kernel retrieves the values of the equations from the solved rows.
    #[test]
    fn every_kernel_retrieves_the_values_of_solved_equations(
        equations in equations(),
        columns in 1..=MAX_COLUMNS,
        // Every row has an equation, except for one row of each `period`.
        period in 2_usize..100,
    ) {
        let mask = u32::MAX >> (32 - columns);
        let cut = |equation: &Equation| Equation { value: equation.value & mask, ..*equation };
        let equations: Vec<_> = equations.iter().map(cut).collect();
        let units = units(&equations, |row| row % period != period - 1);
        // The rows behind the last row are zero.
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

    /// Sums remove the same rows from an equation as one equation after the other.
    #[test]
    fn sums_remove_what_single_equations_remove(equations in equations(), equation in equations()) {
        let unit = units(&equations, |_| true)[0];
        let mut sums = Sums::default();
        sums.compute(&unit);
        for mut equation in equation {
            let at_once = sums.reduce(equation);
            prop_assert_eq!(place(&mut unit.clone(), &mut equation), None);
            prop_assert_eq!({ at_once.coefficients }, { equation.coefficients });
            prop_assert_eq!({ at_once.value }, { equation.value });
        }
        for (row, single) in sums.reduced().into_iter().enumerate() {
            prop_assert_eq!({ single.coefficients } & 0xff, 1 << row);
        }
    }
}
