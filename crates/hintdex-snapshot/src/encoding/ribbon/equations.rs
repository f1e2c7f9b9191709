//! Equations, and the sums of a unit's equations.

use core::ops::BitXor;

use crate::kernel::UNIT_LEN_ROWS;

/// The rows of a unit.
pub(super) const ROWS: usize = UNIT_LEN_ROWS as usize;

/// An equation: of the 64 rows from the first row of a unit on, the rows that the coefficients
/// select sum to the value.
///
/// It takes twelve bytes, because a shard has a million equations.
#[derive(Clone, Copy, Debug, Default)]
#[repr(Rust, packed(4))]
pub(super) struct Equation {
    /// Bit 0 is the coefficient of the unit's first row.
    pub coefficients: u64,
    pub value: u32,
}

impl Equation {
    /// The same equation relative to the next unit. It must have no row of its present unit.
    #[inline(always)]
    pub const fn next_unit(self) -> Self {
        Self { coefficients: self.coefficients >> UNIT_LEN_ROWS, ..self }
    }

    /// This equation if `bit` is 1, and the empty equation if `bit` is 0.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "all bits are the same")]
    const fn only_if(self, bit: u64) -> Self {
        let mask = 0_u64.wrapping_sub(bit);
        Self { coefficients: self.coefficients & mask, value: self.value & mask as u32 }
    }
}

impl BitXor for Equation {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        Self {
            coefficients: self.coefficients ^ other.coefficients,
            value: self.value ^ other.value,
        }
    }
}

/// The equations that begin in a unit: at index *k* the equation that begins with row *k*, or
/// the empty equation.
pub(super) type Unit = [Equation; ROWS];

/// Adds equations of the unit to `equation` until it begins with a row without an equation, or
/// in a later unit. In the first case it becomes the row's equation, and the row is returned.
#[inline(always)]
pub(super) fn place(unit: &mut Unit, equation: &mut Equation) -> Option<usize> {
    loop {
        let row = equation.coefficients.trailing_zeros() as usize;
        let there = unit.get_mut(row)?;
        if there.coefficients == 0 {
            *there = *equation;
            return Some(row);
        }
        *equation = *equation ^ *there;
    }
}

/// The number of rows that share a table of sums.
const HALF: usize = ROWS / 2;

/// The number of sums in a table.
const SUMS: usize = 1 << HALF;

/// Sums of the equations of a full unit: each of its rows has an equation. With the sums, one
/// step instead of four removes all rows of the unit from an equation.
#[derive(Clone, Default)]
pub(super) struct Sums {
    /// For each subset of the unit's first four rows, the sum that removes it from an equation;
    /// `last` for the last four rows.
    first: SumsOfHalf,
    last: SumsOfHalf,
}

/// Coefficients and values are in separate arrays, so that the compiler can add several at once.
#[derive(Clone, Default)]
struct SumsOfHalf {
    coefficients: [u64; SUMS],
    values: [u32; SUMS],
}

impl Sums {
    /// Computes the sums of `unit`.
    #[inline(never)]
    pub fn compute(&mut self, unit: &Unit) {
        let ([first, last], _) = unit.as_chunks::<HALF>() else { return };
        self.last.compute(&reduced_half(last, HALF));
        let first = first.map(|equation| equation ^ self.last.sum(equation, HALF));
        self.first.compute(&reduced_half(&first, 0));
    }

    /// Removes all rows of the unit from an equation.
    #[inline(always)]
    pub fn reduce(&self, equation: Equation) -> Equation {
        equation ^ self.first.sum(equation, 0) ^ self.last.sum(equation, HALF)
    }

    /// Equivalent equations of the unit, each with one row of the unit.
    pub fn reduced(&self) -> Unit {
        let ([a, b, c, d], [e, f, g, h]) = (self.first.reduced(), self.last.reduced());
        [a, b, c, d, e, f, g, h]
    }
}

impl SumsOfHalf {
    #[inline(always)]
    fn compute(&mut self, equations: &[Equation; HALF]) {
        subset_sums(&equations.map(|equation| equation.coefficients), &mut self.coefficients);
        subset_sums(&equations.map(|equation| equation.value), &mut self.values);
    }

    /// The sum that removes the four rows from `first` on from an equation.
    #[inline(always)]
    fn sum(&self, equation: Equation, first: usize) -> Equation {
        #[expect(clippy::cast_possible_truncation, reason = "a few of its bits")]
        let rows = (equation.coefficients >> first) as usize % SUMS;
        Equation {
            coefficients: self.coefficients.get(rows).copied().unwrap_or_default(),
            value: self.values.get(rows).copied().unwrap_or_default(),
        }
    }

    fn reduced(&self) -> [Equation; HALF] {
        let [_, a, b, _, c, _, _, _, d, ..] = self.coefficients;
        let [_, e, f, _, g, _, _, _, h, ..] = self.values;
        let of = |coefficients, value| Equation { coefficients, value };
        [of(a, e), of(b, f), of(c, g), of(d, h)]
    }
}

/// Equivalent equations, each with one of the four rows. The equations begin with row `first`
/// and the three rows after it.
#[inline(always)]
fn reduced_half(equations: &[Equation; HALF], first: usize) -> [Equation; HALF] {
    let [a, b, c, d] = *equations;
    let without = |equation: Equation, other: Equation, at: usize| {
        equation ^ other.only_if(equation.coefficients >> (first + at) & 1)
    };
    let c = without(c, d, 3);
    let b = without(without(b, c, 2), d, 3);
    let a = without(without(without(a, b, 1), c, 2), d, 3);
    [a, b, c, d]
}

/// Computes the sums of all subsets of `terms`: bit *i* of a sum's index is set if the subset
/// contains term *i*.
#[inline(always)]
pub(super) fn subset_sums<T, const TERMS: usize, const SUMS: usize>(
    terms: &[T; TERMS],
    sums: &mut [T; SUMS],
) where
    T: Copy + Default + BitXor<Output = T>,
{
    if let Some(none) = sums.first_mut() {
        *none = T::default();
    }
    for (at, term) in terms.iter().enumerate() {
        let (without, with) = sums.split_at_mut(1 << at);
        with.iter_mut().zip(without).for_each(|(with, without)| *with = *without ^ *term);
    }
}
