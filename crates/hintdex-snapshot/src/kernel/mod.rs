//! The inner loops of the ribbon, selected for the processor at run time.
//!
//! Each bit of a value is the parity of a column's rows that 64 coefficients select. Eight
//! rows of a column are a byte, and the bytes of all columns are adjacent. So a lookup masks
//! eight adjacent strings of bytes and adds them (exclusive or). One byte a column remains,
//! whose parity is the bit. With 20 columns this reads 160 bytes, three or four cache lines,
//! and takes one instruction for each string and step. With AVX-512 a register holds several
//! strings.
//!
//! All paths return the same values; the tests run every path that the processor supports.

mod portable;
mod retrieve;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test stops at the first surprise")]
pub(crate) mod tests;

use core::fmt;

use self::retrieve::Compiled;
#[cfg(test)]
pub(crate) use self::retrieve::MAX_COLUMNS;
pub(crate) use self::retrieve::{
    BLOCK_LEN_UNITS, Lookup, Retrieve, UNIT_LEN_ROWS, Work, window_len_bytes,
};

/// The instructions of the ribbon's loops.
///
/// A value of this type is proof that the processor supports them: only [`Kernel::all`]
/// creates values.
///
/// See the example of [`Snapshot`](crate::Snapshot).
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
    /// The kernels that this processor supports, from slow to fast. The portable kernel is
    /// always the first.
    pub fn all() -> impl Iterator<Item = Self> {
        let portable = [Some(Path::Portable)];
        #[cfg(target_arch = "x86_64")]
        let detected =
            [x86::Avx2::detect().map(Path::Avx2), x86::Avx512::detect().map(Path::Avx512)];
        #[cfg(not(target_arch = "x86_64"))]
        let detected = [];
        portable.into_iter().chain(detected).flatten().map(Self)
    }

    /// The fastest kernel that this processor supports.
    pub fn best() -> Self {
        Self::all().last().unwrap_or(Self(Path::Portable))
    }

    /// The name of the kernel: `portable`, `avx2` or `avx512`.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Path::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(_) => "avx512",
        }
    }

    /// Runs `work` with this kernel's instructions.
    ///
    /// All code that is inlined into `work` is compiled for them. So a lookup is one function
    /// for each kernel, and its inner loop makes no call.
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
    /// `W` compiled for this kernel, as a function pointer.
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

/// Prefetches the cache line of `byte`.
#[inline(always)]
pub(crate) fn prefetch_line(byte: Option<&u8>) {
    #[cfg(target_arch = "x86_64")]
    byte.into_iter().for_each(x86::prefetch_line);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = byte;
}

/// Prefetches the cache lines of `bytes`.
#[inline]
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch(bytes);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
