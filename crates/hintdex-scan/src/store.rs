//! Memory for keys: contiguous, in huge pages where the system has them, wiped on drop.

use std::fmt;

use memmap2::MmapMut;

use crate::backend::{Block, wipe};

/// The length of a huge page. A store below that length stays on the heap.
const HUGE_PAGE_LEN_BYTES: usize = 2 << 20;

/// The length of a stored key.
const BLOCK_LEN_BYTES: usize = size_of::<Block>();

/// Stored keys, contiguous in memory.
///
/// Lookups read keys all over the table. In pages of 4 KiB, the processor walks the page
/// table for nearly every key of a million; in pages of 2 MiB, for hardly any.
pub(crate) struct KeyStore(Memory);

enum Memory {
    Heap(Vec<Block>),
    /// The mapping is as long as the keys.
    Mapped(MmapMut),
}

impl KeyStore {
    pub const fn new() -> Self {
        Self(Memory::Heap(Vec::new()))
    }

    /// A store of `count` zero blocks.
    fn zeros(count: usize) -> Self {
        Self(Memory::zeros(count))
    }

    #[inline]
    pub fn blocks(&self) -> &[Block] {
        match &self.0 {
            Memory::Heap(blocks) => blocks,
            Memory::Mapped(bytes) => bytes.as_chunks().0,
        }
    }

    #[inline]
    pub fn blocks_mut(&mut self) -> &mut [Block] {
        match &mut self.0 {
            Memory::Heap(blocks) => blocks,
            Memory::Mapped(bytes) => bytes.as_chunks_mut().0,
        }
    }

    pub fn len(&self) -> usize {
        self.blocks().len()
    }

    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Memory::Heap(blocks) => blocks.capacity() * BLOCK_LEN_BYTES,
            Memory::Mapped(bytes) => bytes.len().next_multiple_of(HUGE_PAGE_LEN_BYTES),
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

impl Memory {
    fn zeros(count: usize) -> Self {
        let len_bytes = count.saturating_mul(BLOCK_LEN_BYTES);
        if len_bytes < HUGE_PAGE_LEN_BYTES {
            return Self::Heap(vec![[0; 16]; count]);
        }
        match MmapMut::map_anon(len_bytes) {
            Ok(bytes) => {
                // Where the system has no huge pages, nothing is lost.
                #[cfg(target_os = "linux")]
                let _ = bytes.advise(memmap2::Advice::HugePage);
                Self::Mapped(bytes)
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

    /// From the heap to a mapping, and from one mapping to the next.
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
