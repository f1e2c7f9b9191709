//! Where keys lie: in a row, wiped when dropped, kept out of swap on request.

use std::fmt;

use crate::LockError;
use crate::backend::{Block, wipe};

/// Stored keys in a row.
pub(crate) struct KeyStore {
    blocks: Vec<Block>,
    locked: bool,
}

impl KeyStore {
    pub const fn new() -> Self {
        Self { blocks: Vec::new(), locked: false }
    }

    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub fn blocks_mut(&mut self) -> &mut [Block] {
        &mut self.blocks
    }

    pub const fn len(&self) -> usize {
        self.blocks.len()
    }

    pub const fn memory_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>()
    }

    pub const fn is_locked(&self) -> bool {
        self.locked
    }

    /// This store, followed by `count` zero blocks, in new memory that is not
    /// locked; the old memory is wiped.
    pub fn grow(&mut self, count: usize) {
        let mut grown = Vec::with_capacity(self.blocks.len() + count);
        grown.extend_from_slice(&self.blocks);
        grown.resize(self.blocks.len() + count, [0; 16]);
        *self = Self { blocks: grown, locked: false };
    }

    /// Keeps the keys out of swap until they are dropped or moved.
    pub fn lock(&mut self) -> Result<(), LockError> {
        if !self.locked && !self.blocks.is_empty() {
            memory::lock(&self.blocks)?;
            self.locked = true;
        }
        Ok(())
    }
}

impl Clone for KeyStore {
    /// A copy that is not locked.
    fn clone(&self) -> Self {
        Self { blocks: self.blocks.clone(), locked: false }
    }
}

impl Drop for KeyStore {
    fn drop(&mut self) {
        wipe(&mut self.blocks);
        if self.locked {
            memory::unlock(&self.blocks);
        }
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyStore({} redacted)", self.blocks.len())
    }
}

#[cfg(unix)]
mod memory {
    #![expect(unsafe_code, reason = "mlock and munlock")]

    use std::io;

    use super::{Block, LockError};

    pub fn lock(blocks: &Vec<Block>) -> Result<(), LockError> {
        let len_bytes = blocks.capacity() * size_of::<Block>();
        // SAFETY: `mlock` reads and writes nothing, it changes whether pages can
        // be swapped; the pages of the vector's memory are this process's own.
        let status = unsafe { libc::mlock(blocks.as_ptr().cast(), len_bytes) };
        if status == 0 {
            Ok(())
        } else {
            Err(LockError { len_bytes, source: io::Error::last_os_error() })
        }
    }

    pub fn unlock(blocks: &Vec<Block>) {
        let len_bytes = blocks.capacity() * size_of::<Block>();
        // SAFETY: as in `lock`; the memory is still the vector's. It cannot fail
        // on memory that was locked, and if it did the pages would stay locked.
        let _ = unsafe { libc::munlock(blocks.as_ptr().cast(), len_bytes) };
    }
}

#[cfg(not(unix))]
mod memory {
    use std::io;

    use super::{Block, LockError};

    pub fn lock(blocks: &Vec<Block>) -> Result<(), LockError> {
        let len_bytes = blocks.capacity() * size_of::<Block>();
        Err(LockError { len_bytes, source: io::ErrorKind::Unsupported.into() })
    }

    pub fn unlock(_: &Vec<Block>) {}
}
