//! The inner loops of the ribbon, picked for the processor at run time.
//!
//! A value is one parity for each of its bits: of the rows of a column that 64
//! coefficients choose. The columns of 64 rows lie side by side as words, so
//! that the wide paths fetch four or eight of them at once. A block of rows is
//! shorter than a page and the coefficients are two masks, one for the block
//! where the ribbon begins and one for the next, so nothing is shifted.
//!
//! All paths give the same answers; the tests run each that the processor has.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test stops at the first surprise")]
mod tests;

use core::fmt;

/// How many rows a block of a column holds, a bit for each.
pub(crate) const BLOCK_LEN_ROWS: usize = 64;

/// The most columns a block has: the most bits of a value.
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
    Popcnt(x86::Popcnt),
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
        let detected = [
            x86::Popcnt::detect().map(Path::Popcnt),
            x86::Avx2::detect().map(Path::Avx2),
            x86::Avx512::detect().map(Path::Avx512),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let detected = [];
        portable.into_iter().chain(detected).flatten().map(Self)
    }

    /// The fastest this processor has.
    pub fn best() -> Self {
        Self::all().last().unwrap_or(Self(Path::Portable))
    }

    /// What the kernel is called: `portable`, `popcnt`, `avx2` or `avx512`.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Path::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Path::Popcnt(_) => "popcnt",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(_) => "avx512",
        }
    }

    /// Asks for the cache lines of `bytes`.
    #[inline]
    pub(crate) fn prefetch(self, bytes: &[u8]) {
        #[cfg(target_arch = "x86_64")]
        x86::prefetch(bytes);
        #[cfg(not(target_arch = "x86_64"))]
        let _ = bytes;
    }

    /// The value a ribbon gives: bit *i* is the parity of those rows of column
    /// *i* that `coefficients` choose, the first of them `shift` rows into the
    /// first block. `rows` holds that block and the next, `columns` words each;
    /// a next block that is not there counts as zeros.
    #[inline]
    pub(crate) fn retrieve(self, rows: &[u8], columns: u8, shift: u32, coefficients: u64) -> u32 {
        let masks = [coefficients << shift, coefficients >> 1 >> (63 - shift)];
        let (words, _) = rows.as_chunks::<8>();
        let columns = usize::from(columns).min(MAX_COLUMNS);
        let Some((first, next)) = words.split_at_checked(columns) else { return 0 };
        // Without a next block the ribbon ends with this one, and its mask is 0:
        // any words will do.
        let next = next.get(..columns).unwrap_or(first);
        match self.0 {
            Path::Portable => portable::retrieve(first, next, masks),
            #[cfg(target_arch = "x86_64")]
            Path::Popcnt(path) => path.retrieve(first, next, masks),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(path) => path.retrieve(first, next, masks),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(path) => path.retrieve(first, next, masks),
        }
    }

    /// Solves the 64 rows of a block from the last to the first. `columns` is
    /// the block after it, and then the block itself.
    ///
    /// The equation of a row says that the row, and those of the 63 after it
    /// that `coefficients` choose (bit 0 is the row itself), add up to the
    /// row's value.
    pub(crate) fn solve_block(
        self,
        coefficients: &[u64; BLOCK_LEN_ROWS],
        values: &[u32; BLOCK_LEN_ROWS],
        columns: &mut [u64],
    ) {
        match self.0 {
            Path::Portable => portable::solve_block(coefficients, values, columns),
            #[cfg(target_arch = "x86_64")]
            Path::Popcnt(popcnt)
            | Path::Avx2(x86::Avx2(popcnt))
            | Path::Avx512(x86::Avx512(popcnt)) => {
                popcnt.solve_block(coefficients, values, columns);
            }
        }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({})", self.name())
    }
}
