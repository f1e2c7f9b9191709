//! Check blocks: every 8 KiB of the data has a CRC-32 in the manifest.

use core::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{BLOCK_CRC_LEN_BYTES, BLOCK_LEN_BYTES, DATA_OFFSET_BYTES};
use crate::Damage;

/// The CRC-32 (IEEE) of a block, its file and its number: a whole block of
/// another file, or of another place in this one, does not pass either.
pub(crate) fn block_crc(file_id: &[u8; 16], block: u64, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(file_id);
    crc.update(&block.to_le_bytes());
    crc.update(bytes);
    crc.finalize()
}

/// The CRCs of `data` from block `first` on, as the manifest holds them.
pub(crate) fn block_crcs<'a>(
    file_id: &'a [u8; 16],
    first: u64,
    data: &'a [u8],
) -> impl Iterator<Item = [u8; BLOCK_CRC_LEN_BYTES]> + 'a {
    let numbered = (first..).zip(data.chunks(BLOCK_LEN_BYTES));
    numbered.map(|(block, bytes)| block_crc(file_id, block, bytes).to_le_bytes())
}

/// Which blocks of the data were found whole.
///
/// One bit a block, set by whoever touched it first. Two threads may both
/// check a block; the data never change, so both find the same.
#[derive(Debug)]
pub(crate) struct Checks {
    file_id: [u8; 16],
    /// Where the CRCs lie in the file.
    crcs: Range<usize>,
    data: Range<usize>,
    whole: Box<[AtomicU64]>,
}

impl Checks {
    /// Nothing checked yet. `data` and `crcs` are places in the file.
    pub fn new(file_id: [u8; 16], data: Range<usize>, crcs: Range<usize>) -> Self {
        let blocks = data.len().div_ceil(BLOCK_LEN_BYTES);
        let whole = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { file_id, crcs, data, whole }
    }

    /// How many blocks there are.
    pub fn block_count(&self) -> usize {
        self.data.len().div_ceil(BLOCK_LEN_BYTES)
    }

    /// The bytes `at` (from the beginning of the data), once the blocks they
    /// lie in have been found whole.
    ///
    /// Costs a load and a branch a block; the first touch of a block costs its
    /// CRC, about a microsecond.
    #[inline]
    pub fn touch<'f>(&self, file: &'f [u8], at: Range<usize>) -> Result<&'f [u8], Damage> {
        let mut block = at.start / BLOCK_LEN_BYTES;
        let last = at.end.saturating_sub(1) / BLOCK_LEN_BYTES;
        while block <= last {
            if !self.is_whole(block) {
                self.check(file, block)?;
            }
            block += 1;
        }
        let data = file.get(self.data.clone()).unwrap_or_default();
        data.get(at.clone()).ok_or_else(|| Damage::new(last as u64))
    }

    /// The bytes `at`, unchecked; none if they are not all there.
    #[inline]
    pub fn unchecked<'f>(&self, file: &'f [u8], at: Range<usize>) -> &'f [u8] {
        file.get(self.data.clone()).and_then(|data| data.get(at)).unwrap_or_default()
    }

    #[inline]
    fn is_whole(&self, block: usize) -> bool {
        self.whole
            .get(block / 64)
            .is_some_and(|word| word.load(Ordering::Relaxed) >> (block % 64) & 1 == 1)
    }

    /// Computes the CRC of a block and remembers that it was right.
    #[cold]
    pub fn check(&self, file: &[u8], block: usize) -> Result<(), Damage> {
        let damage = Damage::new(block as u64);
        let data = file.get(self.data.clone()).ok_or(damage)?;
        let bytes = data.chunks(BLOCK_LEN_BYTES).nth(block).ok_or(damage)?;
        let crcs = file.get(self.crcs.clone()).ok_or(damage)?;
        let (crcs, _) = crcs.as_chunks::<BLOCK_CRC_LEN_BYTES>();
        let expected = crcs.get(block).ok_or(damage)?;
        if block_crc(&self.file_id, block as u64, bytes).to_le_bytes() != *expected {
            return Err(damage);
        }
        if let Some(word) = self.whole.get(block / 64) {
            word.fetch_or(1 << (block % 64), Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Damage {
    const fn new(block: u64) -> Self {
        Self { block, offset_bytes: DATA_OFFSET_BYTES + block * BLOCK_LEN_BYTES as u64 }
    }
}
