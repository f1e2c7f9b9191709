//! The inner loops of the ribbon, picked for the processor at run time.

/// Which instructions a lookup uses. All give the same answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Path);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Portable,
}

impl Kernel {
    /// The fastest this processor has.
    pub fn best() -> Self {
        Self(Path::Portable)
    }

    pub(crate) fn prefetch(self, _bytes: &[u8]) {}

    /// The value a ribbon gives: for each value bit the parity of the column's
    /// rows that `coefficients` choose, the first of them `shift` rows into the
    /// first block.
    #[inline]
    pub(crate) fn retrieve(
        self,
        rows: &[u8],
        value_bits: u8,
        shift: u32,
        coefficients: u64,
    ) -> u32 {
        let (words, _) = rows.as_chunks::<8>();
        let (first, second) = words.split_at_checked(value_bits.into()).unwrap_or_default();
        let lower = coefficients << shift;
        let upper = coefficients >> 1 >> (63 - shift);
        let mut value = 0;
        for (bit, word) in first.iter().enumerate() {
            let next = second.get(bit).map_or(0, |word| u64::from_le_bytes(*word));
            let sum = u64::from_le_bytes(*word) & lower ^ next & upper;
            value |= (sum.count_ones() & 1) << bit;
        }
        value
    }

    /// Solves the 64 rows of a block backwards, `columns` being the block after
    /// it, and leaves the block's own columns there.
    pub(crate) fn solve_block(
        self,
        coefficients: &[u64; 64],
        values: &[u32; 64],
        value_bits: u8,
        columns: &mut [u64; 32],
    ) {
        for (coefficients, value) in coefficients.iter().zip(values).rev() {
            for (bit, column) in columns.iter_mut().take(value_bits.into()).enumerate() {
                let sum = (coefficients >> 1 & *column).count_ones() ^ value >> bit;
                let set = if *coefficients == 0 { 0 } else { sum & 1 };
                *column = *column << 1 | u64::from(set);
            }
        }
    }
}
