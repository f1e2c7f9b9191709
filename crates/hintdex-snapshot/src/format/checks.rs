//! Check blocks: the manifest holds a CRC-32 for each 8 KiB of the data.

use core::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::{BLOCK_CRC_LEN_BYTES, BLOCK_LEN_BYTES, DATA_OFFSET_BYTES};
use crate::Damage;

/// The CRC-32 (IEEE) of a block, its file id and its number. So an intact block of another
/// file, or of another place in this file, fails, too.
fn block_crc(file_id: &[u8; 16], block: u64, bytes: &[u8]) -> [u8; BLOCK_CRC_LEN_BYTES] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(file_id);
    crc.update(&block.to_le_bytes());
    crc.update(bytes);
    crc.finalize().to_le_bytes()
}

/// The CRCs of the blocks of `data`, the first of which has the number `first`.
pub(crate) fn block_crcs<'a>(
    file_id: &'a [u8; 16],
    first: u64,
    data: &'a [u8],
) -> impl Iterator<Item = [u8; BLOCK_CRC_LEN_BYTES]> + 'a {
    let numbered = (first..).zip(data.chunks(BLOCK_LEN_BYTES));
    numbered.map(|(block, bytes)| block_crc(file_id, block, bytes))
}

/// The blocks that have passed their checks: one bit a block.
///
/// Two threads may check the same block at the same time. The data never change, so both get
/// the same result.
#[derive(Debug)]
pub(crate) struct Checks {
    file_id: [u8; 16],
    /// The place of the data in the file.
    data: Range<usize>,
    /// The place of the blocks' CRCs in the file.
    crcs: Range<usize>,
    passed: Box<[AtomicU64]>,
    /// The number of blocks that have not passed yet. At 0, lookups no longer read the bits.
    left: AtomicUsize,
}

/// A file that returns bytes only from blocks that pass their checks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked<'f> {
    file: &'f [u8],
    checks: &'f Checks,
    /// All blocks had passed when this view was made.
    all_passed: bool,
}

impl Checks {
    /// The checks of `data`, whose CRCs are at `crcs`. No block has passed yet.
    pub fn new(file_id: [u8; 16], data: Range<usize>, crcs: Range<usize>) -> Self {
        let block_count = data.len().div_ceil(BLOCK_LEN_BYTES);
        let passed = (0..block_count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { file_id, data, crcs, passed, left: AtomicUsize::new(block_count) }
    }

    /// No block to check: for bytes that are built in memory.
    pub fn nothing() -> Self {
        Self::new([0; 16], 0..0, 0..0)
    }

    /// The number of blocks.
    pub fn block_count(&self) -> usize {
        self.data.len().div_ceil(BLOCK_LEN_BYTES)
    }

    fn has_passed(&self, block: usize) -> bool {
        let word = self.passed.get(block / 64);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (block % 64) & 1 == 1)
    }

    fn set_passed(&self, block: usize) {
        let bit = 1 << (block % 64);
        let before = self.passed.get(block / 64).map(|word| word.fetch_or(bit, Ordering::Relaxed));
        if before.is_some_and(|before| before & bit == 0) {
            self.left.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<'f> Checked<'f> {
    #[inline]
    pub fn new(file: &'f [u8], checks: &'f Checks) -> Self {
        Self { file, checks, all_passed: checks.left.load(Ordering::Relaxed) == 0 }
    }

    /// The file, if all of its blocks have passed.
    #[inline(always)]
    pub fn all(&self) -> Option<&'f [u8]> {
        self.all_passed.then_some(self.file)
    }

    /// The bytes `at`, after a check of their blocks.
    ///
    /// Costs a branch once all blocks have passed. Before that, it costs reading a bit a block,
    /// and about a microsecond for the CRC at the first touch of a block.
    ///
    /// # Errors
    /// [`Damage`] of the first block that fails.
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
        if !self.all_passed {
            self.check_all(start, checked_bytes)?;
        }
        match self.file.get(start..start + len_bytes) {
            Some(bytes) => Ok(bytes),
            None => Err(Damage::of_block(block_of(start))),
        }
    }

    /// One byte, checked like those of [`touch`](Self::touch).
    #[inline(always)]
    pub fn touch_byte(&self, at: usize) -> Result<u8, Damage> {
        if !self.all_passed {
            self.check_all(at, 1)?;
        }
        self.file.get(at).copied().ok_or(Damage::of_block(block_of(at)))
    }

    /// Unchecked bytes, only for a prefetch; empty if `at` is not within the file.
    #[inline(always)]
    pub fn peek(&self, at: Range<usize>) -> &'f [u8] {
        self.file.get(at).unwrap_or_default()
    }

    /// An unchecked byte, only for a prefetch.
    #[inline(always)]
    pub fn peek_byte(&self, at: usize) -> Option<&'f u8> {
        self.file.get(at)
    }

    /// Checks the blocks of the bytes from `start` on, except those that have passed.
    #[inline(never)]
    fn check_all(&self, start: usize, len_bytes: usize) -> Result<(), Damage> {
        if len_bytes == 0 {
            return Ok(());
        }
        let mut blocks = block_of(start)..=block_of(start + len_bytes - 1);
        blocks.try_for_each(
            |block| {
                if self.checks.has_passed(block) { Ok(()) } else { self.check(block) }
            },
        )
    }

    /// Computes the CRC of a block, compares it with the manifest, and stores that the block
    /// has passed.
    pub fn check(&self, block: usize) -> Result<(), Damage> {
        let data = self.file.get(self.checks.data.clone()).unwrap_or_default();
        let crcs = self.file.get(self.checks.crcs.clone()).unwrap_or_default();
        let bytes = data.chunks(BLOCK_LEN_BYTES).nth(block);
        let (crcs, _) = crcs.as_chunks::<BLOCK_CRC_LEN_BYTES>();
        match (bytes, crcs.get(block)) {
            (Some(bytes), Some(crc))
                if block_crc(&self.checks.file_id, block as u64, bytes) == *crc =>
            {
                self.checks.set_passed(block);
                Ok(())
            }
            _ => Err(Damage::of_block(block)),
        }
    }
}

/// The number of the block that holds a byte of the file.
const fn block_of(at: usize) -> usize {
    at.saturating_sub(DATA_OFFSET_BYTES) / BLOCK_LEN_BYTES
}

impl Damage {
    const fn of_block(block: usize) -> Self {
        let block = block as u64;
        Self { block, offset_bytes: DATA_OFFSET_BYTES as u64 + block * BLOCK_LEN_BYTES as u64 }
    }
}
