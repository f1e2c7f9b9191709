//! Solving for the rows: Gaussian elimination in a band of width 64.

use super::equations::{Equation, Sums, Unit, place};
use super::layer::{BUCKET_LEN_UNITS, Size};
use super::place::{coefficients, start};
use super::rows::{self, Solved};
use crate::kernel::{BLOCK_LEN_UNITS, UNIT_LEN_ROWS};
use crate::spread::Keyed;

/// The units that the ribbons of a bucket reach: its own, and a block behind it. Rounded up to
/// a power of two.
const REACH_LEN_UNITS: u32 = (BUCKET_LEN_UNITS + BLOCK_LEN_UNITS).next_power_of_two();

/// The equations of a layer in echelon form: at most one equation begins at each row.
pub(super) struct Band {
    size: Size,
    units: Vec<Unit>,
    /// The state of the units within reach, at their numbers modulo [`REACH_LEN_UNITS`].
    near: Vec<Near>,
    /// The rows that received an equation from the unit being added.
    filled: Vec<(u32, usize)>,
}

/// The state of a unit that still receives equations.
#[derive(Clone)]
struct Near {
    /// The rows without an equation. At 0, `sums` are valid.
    missing: u32,
    sums: Sums,
}

/// An equation contradicts the equations before it.
struct Contradiction;

impl Band {
    pub fn new(size: Size) -> Self {
        let units = (size.blocks * BLOCK_LEN_UNITS) as usize;
        let near = Near { missing: UNIT_LEN_ROWS, sums: Sums::default() };
        Self {
            size,
            units: vec![Unit::default(); units],
            near: vec![near; REACH_LEN_UNITS as usize],
            filled: Vec::new(),
        }
    }

    /// Adds the equations of `keys`, which are in the order of their hashes. Returns the
    /// threshold of each bucket in units, and appends the bumped keys to `bumped`.
    ///
    /// A bucket is filled from its last start to its first. Room is scarce at its beginning,
    /// where ribbons of the bucket before overlap, so the keys there are bumped.
    pub fn fill(&mut self, keys: &[Keyed], bumped: &mut Vec<Keyed>) -> Vec<u8> {
        let starts = self.size.starts();
        let mut thresholds = Vec::with_capacity(self.size.buckets() as usize);
        let mut rest = keys;
        for bucket in 0..self.size.buckets() {
            let units = bucket * BUCKET_LEN_UNITS..(bucket + 1) * BUCKET_LEN_UNITS;
            let is_here = |key: &&Keyed| start(key.hash, starts) < units.end;
            let (keys, after) = rest.split_at(rest.iter().take_while(is_here).count());
            rest = after;
            let too_many = self.fill_bucket(keys);
            bumped.extend(too_many);
            let threshold =
                too_many.last().map_or(0, |key| start(key.hash, starts) + 1 - units.start);
            #[expect(clippy::cast_possible_truncation, reason = "at most a bucket")]
            thresholds.push(threshold as u8);
            // Later buckets add no equation to these units.
            units.for_each(|unit| self.finish(unit));
        }
        thresholds
    }

    /// Adds the equations of one bucket, and returns the keys without room.
    fn fill_bucket<'k>(&mut self, keys: &'k [Keyed]) -> &'k [Keyed] {
        let starts = self.size.starts();
        let mut rest = keys;
        while let Some(last) = rest.last() {
            let unit = start(last.hash, starts);
            let is_here = |key: &&Keyed| start(key.hash, starts) == unit;
            let len = rest.iter().rev().take_while(is_here).count();
            let (before, keys) = rest.split_at(rest.len() - len);
            if self.fill_unit(unit, keys).is_err() {
                return rest;
            }
            rest = before;
        }
        rest
    }

    /// Adds the equations of all keys that start at one unit, or of none of them.
    fn fill_unit(&mut self, unit: u32, keys: &[Keyed]) -> Result<(), Contradiction> {
        self.filled.clear();
        for key in keys {
            let added =
                self.add(unit, Equation { coefficients: coefficients(key.hash), value: key.value });
            if added.is_err() {
                while let Some((unit, row)) = self.filled.pop() {
                    self.clear(unit, row);
                }
                return added;
            }
        }
        Ok(())
    }

    /// Adds an equation that begins in a unit. A linearly dependent equation adds nothing and
    /// is skipped.
    #[inline]
    fn add(&mut self, unit: u32, mut equation: Equation) -> Result<(), Contradiction> {
        let mut at = unit;
        while equation.coefficients != 0 {
            // Never fails: a ribbon ends at the last row at the latest.
            let Some((unit, near)) = self.unit_mut(at) else { return Err(Contradiction) };
            if near.missing == 0 {
                equation = near.sums.reduce(equation);
            } else if let Some(row) = place(unit, &mut equation) {
                near.missing -= 1;
                if near.missing == 0 {
                    near.sums.compute(unit);
                }
                self.filled.push((at, row));
                return Ok(());
            }
            equation = equation.next_unit();
            at += 1;
        }
        if equation.value == 0 { Ok(()) } else { Err(Contradiction) }
    }

    /// Removes an equation. No equation that was added later may depend on it.
    fn clear(&mut self, at: u32, row: usize) {
        if let Some((unit, near)) = self.unit_mut(at)
            && let Some(equation) = unit.get_mut(row)
        {
            *equation = Equation::default();
            near.missing += 1;
        }
    }

    /// Finishes a unit whose equations no longer change, and frees its state for another unit.
    fn finish(&mut self, at: u32) {
        let Some((unit, near)) = self.unit_mut(at) else { return };
        if near.missing == 0 {
            // Equivalent equations that are solved in fewer steps.
            *unit = near.sums.reduced();
        }
        near.missing = UNIT_LEN_ROWS;
    }

    #[inline(always)]
    fn unit_mut(&mut self, at: u32) -> Option<(&mut Unit, &mut Near)> {
        let near = self.near.get_mut((at % REACH_LEN_UNITS) as usize)?;
        Some((self.units.get_mut(at as usize)?, near))
    }

    /// Solves the equations and appends the rows: for each unit of eight rows, a byte for each
    /// of `width` columns. Rows without an equation are zero.
    pub fn solve(&self, width: usize, out: &mut Vec<u8>) {
        let base = out.len();
        out.resize(base + self.size.rows_len_bytes(width), 0);
        let units = out.get_mut(base..).unwrap_or_default().chunks_exact_mut(width);
        let mut solved = Solved::default();
        // Backwards, because a row depends on the 63 rows after it.
        for (bytes, unit) in units.zip(&self.units).rev() {
            rows::write(&solved.solve(unit), bytes);
        }
    }
}
