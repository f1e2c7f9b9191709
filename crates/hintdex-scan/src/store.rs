//! Memory for keys: contiguous, in huge pages where the system has them, locked where the process
//! may lock that much, left out of core dumps, wiped on drop.

use std::fmt;

use memmap2::MmapMut;

use crate::backend::{Block, wipe};

/// The length of a huge page. A store below that length has pages of the usual length.
const HUGE_PAGE_LEN_BYTES: usize = 2 << 20;

/// The usual length of a page.
const PAGE_LEN_BYTES: usize = 4 << 10;

/// The length of a stored key.
const BLOCK_LEN_BYTES: usize = size_of::<Block>();

/// Stored keys, contiguous in memory.
///
/// Lookups read keys all over the table. In pages of 4 KiB, the processor walks the page
/// table for nearly every key of a million; in pages of 2 MiB, for hardly any.
///
/// ```
/// use hintdex_scan::KeyStore;
///
/// let mut store = KeyStore::new();
/// store.grow(2);
/// store.blocks_mut()[1] = [7; 16];
/// assert_eq!((store.len(), store.blocks()[0]), (2, [0; 16]));
/// ```
pub struct KeyStore(Memory);

enum Memory {
    /// Without keys, or if the system maps nothing.
    Heap(Vec<Block>),
    /// The mapping is as long as the keys.
    Mapped { bytes: MmapMut, is_locked: bool },
}

impl KeyStore {
    /// A store without keys.
    pub const fn new() -> Self {
        Self(Memory::Heap(Vec::new()))
    }

    /// A store of `count` zero blocks.
    fn zeros(count: usize) -> Self {
        Self(Memory::zeros(count))
    }

    /// The keys, 16 bytes each.
    #[inline]
    pub fn blocks(&self) -> &[Block] {
        match &self.0 {
            Memory::Heap(blocks) => blocks,
            Memory::Mapped { bytes, .. } => bytes.as_chunks().0,
        }
    }

    /// [`blocks`](Self::blocks), to be written.
    #[inline]
    pub fn blocks_mut(&mut self) -> &mut [Block] {
        match &mut self.0 {
            Memory::Heap(blocks) => blocks,
            Memory::Mapped { bytes, .. } => bytes.as_chunks_mut().0,
        }
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.blocks().len()
    }

    /// Whether the store has no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of the store in memory.
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Memory::Heap(blocks) => blocks.capacity() * BLOCK_LEN_BYTES,
            Memory::Mapped { bytes, .. } if bytes.len() < HUGE_PAGE_LEN_BYTES => {
                bytes.len().next_multiple_of(PAGE_LEN_BYTES)
            }
            Memory::Mapped { bytes, .. } => bytes.len().next_multiple_of(HUGE_PAGE_LEN_BYTES),
        }
    }

    /// Whether no page with a key is ever written to swap space.
    pub fn is_locked(&self) -> bool {
        match &self.0 {
            Memory::Heap(blocks) => blocks.is_empty(),
            Memory::Mapped { is_locked, .. } => *is_locked,
        }
    }

    /// Appends `count` zero blocks. The store moves to new memory, and the old memory
    /// is wiped: a `Vec` that reallocates would free it as it is.
    pub fn grow(&mut self, count: usize) {
        let old = self.blocks();
        let mut grown = Self::zeros(old.len() + count);
        grown.blocks_mut().iter_mut().zip(old).for_each(|(to, from)| *to = *from);
        *self = grown;
    }
}

impl Default for KeyStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    fn zeros(count: usize) -> Self {
        let len_bytes = count.saturating_mul(BLOCK_LEN_BYTES);
        if len_bytes == 0 {
            return Self::Heap(Vec::new());
        }
        match MmapMut::map_anon(len_bytes) {
            Ok(bytes) => {
                // Where the system has no huge pages, or writes no core dumps, nothing is lost.
                #[cfg(target_os = "linux")]
                {
                    if len_bytes >= HUGE_PAGE_LEN_BYTES {
                        let _ = bytes.advise(memmap2::Advice::HugePage);
                    }
                    let _ = bytes.advise(memmap2::Advice::DontDump);
                }
                // Beyond RLIMIT_MEMLOCK the pages stay as they are.
                let is_locked = bytes.lock().is_ok();
                Self::Mapped { bytes, is_locked }
            }
            // Without memory, an allocation on the heap aborts, as everywhere.
            Err(_) => Self::Heap(vec![[0; 16]; count]),
        }
    }
}

impl Clone for KeyStore {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        copy.grow(self.len());
        copy.blocks_mut().copy_from_slice(self.blocks());
        copy
    }
}

impl Drop for KeyStore {
    fn drop(&mut self) {
        wipe(self.blocks_mut());
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyStore({} redacted)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::KeyStore;

    #[test]
    fn a_store_prints_its_length_and_no_key() {
        let mut store = KeyStore::new();
        store.grow(3);
        store.blocks_mut().fill([0xab; 16]);
        assert_eq!(format!("{store:?}"), "KeyStore(3 redacted)");
    }

    /// From no memory to a mapping, and from one mapping to the next.
    #[test]
    fn a_store_keeps_its_keys_when_it_grows() {
        let mut store = KeyStore::new();
        for (byte, count) in [(1, 5), (2, 200_000), (3, 1), (4, 150_000)] {
            let old = store.blocks().to_vec();
            store.grow(count);
            assert_eq!(store.len(), old.len() + count);
            assert_eq!(store.blocks().get(..old.len()), Some(old.as_slice()));
            let new = store.blocks_mut().get_mut(old.len()..).unwrap_or_default();
            assert!(new.iter().all(|block| *block == [0; 16]), "the new keys are zeros");
            new.fill([byte; 16]);
            assert_eq!(store.clone().blocks(), store.blocks());
        }
    }
}
