//! Memory for keys: contiguous, wiped on drop.

use std::fmt;

use crate::backend::{Block, wipe};

/// Stored keys, contiguous in memory.
#[derive(Clone)]
pub(crate) struct KeyStore(Vec<Block>);

impl KeyStore {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn blocks(&self) -> &[Block] {
        &self.0
    }

    pub fn blocks_mut(&mut self) -> &mut [Block] {
        &mut self.0
    }

    pub const fn len(&self) -> usize {
        self.0.len()
    }

    pub const fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Block>()
    }

    /// Appends `count` zero blocks. The store moves to new memory, and the old memory
    /// is wiped: a `Vec` that reallocates would free it as it is.
    pub fn grow(&mut self, count: usize) {
        let mut grown = Vec::with_capacity(self.0.len() + count);
        grown.extend_from_slice(&self.0);
        grown.resize(self.0.len() + count, [0; 16]);
        *self = Self(grown);
    }
}

impl Drop for KeyStore {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyStore({} redacted)", self.0.len())
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
}
