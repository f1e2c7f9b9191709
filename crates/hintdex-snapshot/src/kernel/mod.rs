//! The inner loops of the ribbon, picked for the processor at run time.
//!
//! A value is one parity for each of its bits: of the rows of a column that 64
//! coefficients choose. Eight rows of a column are a byte, and the bytes of all
//! columns lie side by side, so a lookup masks eight neighbouring strings of
//! bytes, adds them up, and ends with one byte a column whose parity is the
//! bit. For 20 columns that is 160 bytes: three or four cache lines, and one
//! instruction for each string and step. With AVX-512 a register holds several
//! strings at once.
//!
//! All paths give the same answers; the tests run each that the processor has.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test stops at the first surprise")]
pub(crate) mod tests;

use core::fmt;

/// How many rows of a column make a byte.
pub(crate) const UNIT_LEN_ROWS: u32 = 8;

/// How many units a ribbon spans. It begins with one.
pub(crate) const BLOCK_LEN_UNITS: u32 = 8;

/// The most bytes a path reads at once.
const MAX_READ_BYTES: usize = 64;

/// The most columns there are: the most bits of a value.
pub(crate) const MAX_COLUMNS: usize = 32;

/// Which instructions the ribbon's loops use.
///
/// A value of this type is proof that the processor has them: only
/// [`Kernel::all`] makes one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Path);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
}

impl Kernel {
    /// Those this processor can run, the fastest last. The portable one always
    /// is among them.
    pub fn all() -> impl Iterator<Item = Self> {
        let portable = [Some(Path::Portable)];
        #[cfg(target_arch = "x86_64")]
        let detected =
            [x86::Avx2::detect().map(Path::Avx2), x86::Avx512::detect().map(Path::Avx512)];
        #[cfg(not(target_arch = "x86_64"))]
        let detected = [];
        portable.into_iter().chain(detected).flatten().map(Self)
    }

    /// The fastest this processor has.
    pub fn best() -> Self {
        Self::all().last().unwrap_or(Self(Path::Portable))
    }

    /// What the kernel is called: `portable`, `avx2` or `avx512`.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Path::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(_) => "avx512",
        }
    }

    /// Does `work` with this kernel's instructions.
    ///
    /// Everything that inlines into `work` is compiled for them, so that a
    /// lookup is one function for each kernel and its inner loop costs no call.
    #[inline]
    pub(crate) fn run<W: Work>(self, work: W) -> W::Output {
        match self.0 {
            Path::Portable => portable::run(work),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(path) => path.run(work),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(path) => path.run(work),
        }
    }
}

impl Kernel {
    /// `W` compiled for this kernel, so that a call is one jump.
    pub(crate) fn compile<W: Lookup>(self) -> Compiled<W> {
        match self.0 {
            Path::Portable => |subject, head| W::run(portable::Portable, subject, head),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(path) => path.compile::<W>(),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(path) => path.compile::<W>(),
        }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({})", self.name())
    }
}

/// What a [`Kernel`] runs: a closure that is compiled for each path.
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

/// Asks for the cache lines of `bytes`.
#[inline]
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch(bytes);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
