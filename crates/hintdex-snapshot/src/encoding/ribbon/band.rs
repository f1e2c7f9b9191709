//! Solving for the rows: elimination in a band 64 wide.

use super::layer::{BUCKET_LEN_UNITS, Size, WIDTH_ROWS};
use super::place;
use crate::kernel::{self, BLOCK_LEN_ROWS, MAX_COLUMNS, UNIT_LEN_ROWS};

/// A hash of a hint and the value the hint shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keyed {
    pub hash: u64,
    pub value: u32,
}

/// The equations of a layer in echelon form: the equation that begins at a row,
/// if there is one, is the only one there.
pub(super) struct Band {
    size: Size,
    /// Bit 0 stands for the row itself; 0 for no equation.
    coefficients: Vec<u64>,
    values: Vec<u32>,
}

/// An equation that contradicts those before it.
struct Contradiction;

impl Band {
    pub fn new(size: Size) -> Self {
        let rows = (size.blocks * WIDTH_ROWS) as usize;
        Self { size, coefficients: vec![0; rows], values: vec![0; rows] }
    }

    /// Adds the equations of `keys`, which are in the order of their hashes, and
    /// gives each bucket's threshold in units and which keys were bumped.
    ///
    /// A bucket is filled from its last place to its first: where it overlaps
    /// the bucket before is where room runs out, so that is what is bumped.
    pub fn fill(&mut self, keys: &[Keyed], bumped: &mut Vec<Keyed>) -> Vec<u8> {
        let starts = self.size.starts();
        let mut thresholds = Vec::with_capacity(self.size.buckets() as usize);
        let mut rest = keys;
        for bucket in 0..self.size.buckets() {
            let end = (bucket + 1) * BUCKET_LEN_UNITS;
            let len = rest.iter().take_while(|key| place::start(key.hash, starts) < end).count();
            let (keys, after) = rest.split_at(len);
            rest = after;
            let threshold = self.fill_bucket(bucket * BUCKET_LEN_UNITS, keys, bumped);
            #[expect(clippy::cast_possible_truncation, reason = "at most a bucket")]
            thresholds.push(threshold as u8);
        }
        thresholds
    }

    /// Adds the equations of one bucket and gives its threshold.
    fn fill_bucket(&mut self, first: u32, keys: &[Keyed], bumped: &mut Vec<Keyed>) -> u32 {
        let starts = self.size.starts();
        let offset = |key: &Keyed| place::start(key.hash, starts) - first;
        // The rows this bucket has filled, each with the offset of its key.
        let mut filled: Vec<(usize, u32)> = Vec::with_capacity(keys.len());
        let mut threshold = 0;
        for key in keys.iter().rev() {
            let offset = offset(key);
            if offset < threshold {
                break;
            }
            let row = ((first + offset) * UNIT_LEN_ROWS) as usize;
            match self.add(row, place::coefficients(key.hash), key.value) {
                Ok(Some(row)) => filled.push((row, offset)),
                Ok(None) => {}
                Err(Contradiction) => {
                    // All keys of its unit are bumped with it; those of them
                    // that went in already went in last.
                    threshold = offset + 1;
                    while let Some((row, _)) = filled.pop_if(|&mut (_, offset)| offset < threshold)
                    {
                        self.clear(row);
                    }
                }
            }
        }
        bumped.extend(keys.iter().take_while(|key| offset(key) < threshold));
        threshold
    }

    /// Adds one equation, and says which row it fills; `None` if it follows from
    /// those before.
    #[inline]
    fn add(
        &mut self,
        start: usize,
        coefficients: u64,
        value: u32,
    ) -> Result<Option<usize>, Contradiction> {
        let (mut row, mut coefficients, mut value) = (start, coefficients, value);
        loop {
            // Always there: a ribbon ends at the last row at the latest.
            let (Some(there), Some(there_value)) =
                (self.coefficients.get_mut(row), self.values.get_mut(row))
            else {
                return Err(Contradiction);
            };
            if *there == 0 {
                *there = coefficients;
                *there_value = value;
                return Ok(Some(row));
            }
            coefficients ^= *there;
            value ^= *there_value;
            if coefficients == 0 {
                return if value == 0 { Ok(None) } else { Err(Contradiction) };
            }
            let zeros = coefficients.trailing_zeros();
            row += zeros as usize;
            coefficients >>= zeros;
        }
    }

    fn clear(&mut self, row: usize) {
        if let (Some(coefficients), Some(value)) =
            (self.coefficients.get_mut(row), self.values.get_mut(row))
        {
            *coefficients = 0;
            *value = 0;
        }
    }

    /// Solves the equations and appends the rows: for each eight of them a byte
    /// for each of `width` columns. Rows that nothing asks for are zero.
    pub fn solve(&self, width: usize, out: &mut Vec<u8>) {
        let base = out.len();
        out.resize(base + self.size.rows_len_bytes(width), 0);
        let block_len = width * BLOCK_LEN_ROWS / UNIT_LEN_ROWS as usize;
        let blocks = out.get_mut(base..).unwrap_or_default().chunks_exact_mut(block_len);
        let (coefficients, _) = self.coefficients.as_chunks::<BLOCK_LEN_ROWS>();
        let (values, _) = self.values.as_chunks::<BLOCK_LEN_ROWS>();
        let mut columns = [0; MAX_COLUMNS];
        let columns = columns.get_mut(..width).unwrap_or_default();
        // Backwards, because a row depends on the 63 after it.
        for ((block, coefficients), values) in blocks.zip(coefficients).zip(values).rev() {
            kernel::solve_block(coefficients, values, columns);
            for (unit, bytes) in block.chunks_exact_mut(width).enumerate() {
                let rows = columns.iter().map(|column| column.to_le_bytes());
                let rows = rows.filter_map(|rows| rows.get(unit).copied());
                bytes.iter_mut().zip(rows).for_each(|(byte, rows)| *byte = rows);
            }
        }
    }
}
