//! The traits of a kernel's paths, and the widths that all paths share.

/// The rows of a unit: one byte of each column.
pub(crate) const UNIT_LEN_ROWS: u32 = 8;

/// The units that a ribbon spans. A ribbon begins at a unit.
pub(crate) const BLOCK_LEN_UNITS: u32 = 8;

/// The most bytes that a path reads at once.
const MAX_READ_BYTES: usize = 64;

/// The most columns: the most bits of a value.
pub(crate) const MAX_COLUMNS: usize = 32;

/// Work for a [`Kernel`](super::Kernel): a closure that is compiled for each path.
pub(crate) trait Work {
    /// The result of the work.
    type Output;

    /// Does the work. An implementation must be `#[inline(always)]`.
    fn run<P: Retrieve>(self, path: P) -> Self::Output;
}

/// A lookup that is compiled for each path and called through a function pointer.
pub(crate) trait Lookup {
    /// The structure that is read.
    type Subject;

    /// Looks a head up. An implementation must be `#[inline(always)]`.
    fn run<P: Retrieve>(path: P, subject: &Self::Subject, head: u64) -> Option<u32>;
}

/// A lookup compiled for one path.
pub(crate) type Compiled<W> = fn(&<W as Lookup>::Subject, u64) -> Option<u32>;

/// The inner loop of a lookup on one path.
pub(crate) trait Retrieve: Copy {
    /// The value of a ribbon: bit *i* is the parity of those rows of column *i* that
    /// `coefficients` select. `columns` is at most [`MAX_COLUMNS`]; bits past the last column
    /// are arbitrary.
    ///
    /// If `rows` is shorter than [`window_len_bytes`], the value is 0. Bytes past the eighth
    /// unit do not affect the value.
    fn parities(self, rows: &[u8], columns: usize, coefficients: u64) -> u32;

    /// The value of a ribbon, with zeros past the last column.
    #[inline(always)]
    fn retrieve(self, rows: &[u8], columns: usize, coefficients: u64) -> u32 {
        let value = self.parities(rows, columns, coefficients);
        #[expect(clippy::cast_possible_truncation, reason = "32 bits at most are left")]
        let value = (u64::from(value) & ((1 << columns) - 1)) as u32;
        value
    }
}

/// The bytes that a path may read from the first unit of a ribbon on: seven units, and a whole
/// register for the eighth.
#[inline]
pub(crate) const fn window_len_bytes(columns: usize) -> usize {
    (BLOCK_LEN_UNITS as usize - 1) * columns + MAX_READ_BYTES
}
