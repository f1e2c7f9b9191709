//! Check blocks: every 8 KiB of the data has a CRC-32 in the manifest.

use core::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::{BLOCK_CRC_LEN_BYTES, BLOCK_LEN_BYTES, DATA_OFFSET_BYTES};
use crate::Damage;

/// The CRC-32 (IEEE) of a block, its file and its number: a whole block of
/// another file, or of another place in this one, does not pass either.
fn block_crc(file_id: &[u8; 16], block: u64, bytes: &[u8]) -> [u8; BLOCK_CRC_LEN_BYTES] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(file_id);
    crc.update(&block.to_le_bytes());
    crc.update(bytes);
    crc.finalize().to_le_bytes()
}

/// The CRCs of `data` from block `first` on, as the manifest holds them.
pub(crate) fn block_crcs<'a>(
    file_id: &'a [u8; 16],
    first: u64,
    data: &'a [u8],
) -> impl Iterator<Item = [u8; BLOCK_CRC_LEN_BYTES]> + 'a {
    let numbered = (first..).zip(data.chunks(BLOCK_LEN_BYTES));
    numbered.map(|(block, bytes)| block_crc(file_id, block, bytes))
}

/// Which blocks of the data were found whole.
///
/// One bit a block, set by whoever touched it first. Two threads may both
/// check a block; the data never change, so both find the same.
#[derive(Debug)]
pub(crate) struct Checks {
    file_id: [u8; 16],
    /// Where the data are in the file.
    data: Range<usize>,
    /// Where the CRCs of its blocks are.
    crcs: Range<usize>,
    whole: Box<[AtomicU64]>,
    /// Blocks not yet found whole: at 0 nobody looks at the bits any more.
    left: AtomicUsize,
}

/// A file whose bytes are given out once they are checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked<'f> {
    file: &'f [u8],
    checks: &'f Checks,
    /// No block is left to check.
    all_whole: bool,
}

impl Checks {
    /// Nothing checked yet of `data`, whose blocks' CRCs are at `crcs`.
    pub fn new(file_id: [u8; 16], data: Range<usize>, crcs: Range<usize>) -> Self {
        let block_count = data.len().div_ceil(BLOCK_LEN_BYTES);
        let whole = (0..block_count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { file_id, data, crcs, whole, left: AtomicUsize::new(block_count) }
    }

    /// How many blocks there are.
    pub fn block_count(&self) -> usize {
        self.data.len().div_ceil(BLOCK_LEN_BYTES)
    }

    fn is_whole(&self, block: usize) -> bool {
        let word = self.whole.get(block / 64);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (block % 64) & 1 == 1)
    }

    fn set_whole(&self, block: usize) {
        let bit = 1 << (block % 64);
        let before = self.whole.get(block / 64).map(|word| word.fetch_or(bit, Ordering::Relaxed));
        if before.is_some_and(|before| before & bit == 0) {
            self.left.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<'f> Checked<'f> {
    #[inline]
    pub fn new(file: &'f [u8], checks: &'f Checks) -> Self {
        Self { file, checks, all_whole: checks.left.load(Ordering::Relaxed) == 0 }
    }

    /// The file, if no block of it is left to check.
    #[inline(always)]
    pub fn all(&self) -> Option<&'f [u8]> {
        self.all_whole.then_some(self.file)
    }

    /// The bytes `at`, once the blocks they lie in have been found whole.
    ///
    /// Costs a branch when all blocks have been; before that a bit a block, and
    /// the first touch of a block its CRC, about a microsecond.
    #[inline(always)]
    pub fn touch(&self, at: Range<usize>) -> Result<&'f [u8], Damage> {
        self.touch_window(at.start, at.len(), at.len())
    }

    /// The bytes from `start` on, `len_bytes` in all, of which the first
    /// `checked_bytes` are checked like those of [`touch`](Self::touch).
    #[inline(always)]
    pub fn touch_window(
        &self,
        start: usize,
        checked_bytes: usize,
        len_bytes: usize,
    ) -> Result<&'f [u8], Damage> {
        if !self.all_whole {
            self.check_all(start, checked_bytes)?;
        }
        match self.file.get(start..start + len_bytes) {
            Some(bytes) => Ok(bytes),
            None => Err(Damage::of_block(block_of(start))),
        }
    }

    /// One byte, like [`touch`](Self::touch).
    #[inline(always)]
    pub fn touch_byte(&self, at: usize) -> Result<u8, Damage> {
        if !self.all_whole {
            self.check_all(at, 1)?;
        }
        self.file.get(at).copied().ok_or(Damage::of_block(block_of(at)))
    }

    /// The same bytes, unchecked, or none: a place to prefetch, never to read.
    #[inline(always)]
    pub fn peek(&self, at: Range<usize>) -> &'f [u8] {
        self.file.get(at).unwrap_or_default()
    }

    /// Checks those blocks of the bytes from `start` on that have not been
    /// found whole.
    #[inline(never)]
    fn check_all(&self, start: usize, len_bytes: usize) -> Result<(), Damage> {
        if len_bytes == 0 {
            return Ok(());
        }
        let mut blocks = block_of(start)..=block_of(start + len_bytes - 1);
        blocks.try_for_each(
            |block| {
                if self.checks.is_whole(block) { Ok(()) } else { self.check(block) }
            },
        )
    }

    /// Computes the CRC of a block and remembers that it was right.
    pub fn check(&self, block: usize) -> Result<(), Damage> {
        let data = self.file.get(self.checks.data.clone()).unwrap_or_default();
        let crcs = self.file.get(self.checks.crcs.clone()).unwrap_or_default();
        let bytes = data.chunks(BLOCK_LEN_BYTES).nth(block);
        let (crcs, _) = crcs.as_chunks::<BLOCK_CRC_LEN_BYTES>();
        match (bytes, crcs.get(block)) {
            (Some(bytes), Some(crc))
                if block_crc(&self.checks.file_id, block as u64, bytes) == *crc =>
            {
                self.checks.set_whole(block);
                Ok(())
            }
            _ => Err(Damage::of_block(block)),
        }
    }
}

/// The block a byte of the file lies in.
const fn block_of(at: usize) -> usize {
    at.saturating_sub(DATA_OFFSET_BYTES) / BLOCK_LEN_BYTES
}

impl Damage {
    const fn of_block(block: usize) -> Self {
        let block = block as u64;
        Self { block, offset_bytes: DATA_OFFSET_BYTES as u64 + block * BLOCK_LEN_BYTES as u64 }
    }
}
