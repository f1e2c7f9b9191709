//! What a kernel computes: the traits of a path, and the widths that all paths share.

/// How many rows of a column make a byte.
pub(crate) const UNIT_LEN_ROWS: u32 = 8;

/// How many units a ribbon spans. It begins with one.
pub(crate) const BLOCK_LEN_UNITS: u32 = 8;

/// The most bytes a path reads at once.
const MAX_READ_BYTES: usize = 64;

/// The most columns there are: the most bits of a value.
pub(crate) const MAX_COLUMNS: usize = 32;

/// What a [`Kernel`](super::Kernel) runs: a closure that is compiled for each path.
pub(crate) trait Work {
    /// What comes of it.
    type Output;

    /// Does the work. Must be `#[inline(always)]`.
    fn run<P: Retrieve>(self, path: P) -> Self::Output;
}

/// A lookup that is compiled for each path and called through a pointer.
pub(crate) trait Lookup {
    /// What is looked up in.
    type Subject;

    /// Looks a head up. Must be `#[inline(always)]`.
    fn run<P: Retrieve>(path: P, subject: &Self::Subject, head: u64) -> Option<u32>;
}

/// A lookup as one path does it.
pub(crate) type Compiled<W> = fn(&<W as Lookup>::Subject, u64) -> Option<u32>;

/// The inner loop of a lookup, as one path does it.
pub(crate) trait Retrieve: Copy {
    /// The value a ribbon gives: bit *i* is the parity of those rows of column
    /// *i* that `coefficients` choose. `columns` is at most [`MAX_COLUMNS`];
    /// bits past it are anything.
    ///
    /// `rows` must be [`window_len_bytes`] long, or the value is 0; what is in
    /// it past the eighth unit changes nothing.
    fn parities(self, rows: &[u8], columns: usize, coefficients: u64) -> u32;

    /// The same without the bits past the last column.
    #[inline(always)]
    fn retrieve(self, rows: &[u8], columns: usize, coefficients: u64) -> u32 {
        let value = self.parities(rows, columns, coefficients);
        #[expect(clippy::cast_possible_truncation, reason = "32 bits at most are left")]
        let value = (u64::from(value) & ((1 << columns) - 1)) as u32;
        value
    }
}

/// How many bytes a path may read, from the unit where a ribbon begins: seven
/// units, and the eighth as if it had all columns a register can hold.
#[inline]
pub(crate) const fn window_len_bytes(columns: usize) -> usize {
    (BLOCK_LEN_UNITS as usize - 1) * columns + MAX_READ_BYTES
}
