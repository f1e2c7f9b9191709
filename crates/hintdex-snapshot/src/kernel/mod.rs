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

/// Asks for the cache lines of `bytes`.
#[inline]
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch(bytes);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
