//! Equations of eight rows, and sums of them.

use core::ops::BitXor;

use crate::kernel::UNIT_LEN_ROWS;

/// The rows of a unit.
pub(super) const ROWS: usize = UNIT_LEN_ROWS as usize;

/// An equation: of the 64 rows from the beginning of a unit on, those that the
/// coefficients choose add up to the value.
///
/// In twelve bytes, because a shard has a million of them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(Rust, packed(4))]
pub(super) struct Equation {
    /// Bit 0 stands for the unit's first row.
    pub coefficients: u64,
    pub value: u32,
}

impl Equation {
    /// The same where the unit before is left, none of whose rows it has.
    #[inline(always)]
    pub const fn next_unit(self) -> Self {
        Self { coefficients: self.coefficients >> UNIT_LEN_ROWS, ..self }
    }

    /// This, or nothing at all.
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

/// The equations that begin in a unit: in place *k* the one that begins with row *k*, or
/// nothing.
pub(super) type Unit = [Equation; ROWS];

/// Takes equations of the unit from `equation` until it begins in a later unit, or with a
/// row that has none: then it becomes that row's.
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

/// How many rows share a table of sums.
const HALF: usize = ROWS / 2;

/// How many sums that makes.
const SUMS: usize = 1 << HALF;

/// Sums of the equations of a unit of whose rows each has one. With them an equation
/// leaves the unit in one step instead of four.
#[derive(Clone, Default)]
pub(super) struct Sums {
    /// What an equation with these of the unit's first four rows is to be added to, and
    /// one with these of its last four.
    first: SumsOfHalf,
    last: SumsOfHalf,
}

/// Apart, because sums of equal numbers are made several at once.
#[derive(Clone, Default)]
struct SumsOfHalf {
    coefficients: [u64; SUMS],
    values: [u32; SUMS],
}

impl Sums {
    /// Becomes the sums of `unit`.
    #[inline(never)]
    pub fn become_of(&mut self, unit: &Unit) {
        let ([first, last], _) = unit.as_chunks::<HALF>() else { return };
        self.last.become_of(&apart(last, HALF));
        let first = first.map(|equation| equation ^ self.last.sum(equation, HALF));
        self.first.become_of(&apart(&first, 0));
    }

    /// Leaves nothing of the unit in an equation.
    #[inline(always)]
    pub fn take_from(&self, equation: Equation) -> Equation {
        equation ^ self.first.sum(equation, 0) ^ self.last.sum(equation, HALF)
    }

    /// The unit's equations, none of which has a row of another's.
    pub fn singles(&self) -> Unit {
        let ([a, b, c, d], [e, f, g, h]) = (self.first.singles(), self.last.singles());
        [a, b, c, d, e, f, g, h]
    }
}

impl SumsOfHalf {
    #[inline(always)]
    fn become_of(&mut self, equations: &[Equation; HALF]) {
        add_up(&equations.map(|equation| equation.coefficients), &mut self.coefficients);
        add_up(&equations.map(|equation| equation.value), &mut self.values);
    }

    /// What leaves nothing of the half that begins with row `first` in an equation.
    #[inline(always)]
    fn sum(&self, equation: Equation, first: usize) -> Equation {
        #[expect(clippy::cast_possible_truncation, reason = "a few of its bits")]
        let rows = (equation.coefficients >> first) as usize % SUMS;
        Equation {
            coefficients: self.coefficients.get(rows).copied().unwrap_or_default(),
            value: self.values.get(rows).copied().unwrap_or_default(),
        }
    }

    fn singles(&self) -> [Equation; HALF] {
        let [_, a, b, _, c, _, _, _, d, ..] = self.coefficients;
        let [_, e, f, _, g, _, _, _, h, ..] = self.values;
        let of = |coefficients, value| Equation { coefficients, value };
        [of(a, e), of(b, f), of(c, g), of(d, h)]
    }
}

/// Four equations so that none has a row of another's. They begin with
/// row `first` and those after it.
#[inline(always)]
fn apart(equations: &[Equation; HALF], first: usize) -> [Equation; HALF] {
    let [a, b, c, d] = *equations;
    let without = |equation: Equation, other: Equation, at: usize| {
        equation ^ other.only_if(equation.coefficients >> (first + at) & 1)
    };
    let c = without(c, d, 3);
    let b = without(without(b, c, 2), d, 3);
    let a = without(without(without(a, b, 1), c, 2), d, 3);
    [a, b, c, d]
}

/// Puts every sum of some of `terms`, of which there are `SUMS`, in its place: bit *i* of
/// that says whether term *i* is in.
#[inline(always)]
pub(super) fn add_up<T, const TERMS: usize, const SUMS: usize>(
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
