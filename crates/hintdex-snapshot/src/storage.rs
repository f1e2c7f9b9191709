//! Where the bytes of an open snapshot are.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// A file mapped, or read, into memory.
#[derive(Debug)]
pub(crate) enum Storage {
    /// Pages of the file, shared by everybody who has it mapped.
    Mapped(Mmap),
    /// A copy that nobody can take away.
    Owned(Box<[u8]>),
}

impl Storage {
    /// Maps the file.
    pub fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // An empty file cannot be mapped, and is no snapshot either.
        if file.metadata()?.len() == 0 {
            return Ok(Self::Owned(Box::default()));
        }
        #[expect(unsafe_code, reason = "the one mapping of the crate")]
        // SAFETY: the mapped bytes are a `&[u8]` for as long as the mapping
        // lives, so they must not change under it. A snapshot is never changed
        // in place: it is written under another name, synced and renamed, and
        // renaming over a file leaves its mapped pages as they are. Whoever
        // truncates or overwrites a published snapshot breaks this from
        // outside; `Snapshot::open` says so and names `open_in_memory`, which
        // asks for no such promise.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Self::Mapped(map))
    }

    /// Reads the file.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut bytes = Vec::new();
        // To the byte, where the length is known: growing as it goes would
        // take up to twice the memory.
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        bytes.try_reserve_exact(len).map_err(io::Error::other)?;
        Read::by_ref(&mut file).take(len as u64).read_to_end(&mut bytes)?;
        Ok(Self::Owned(bytes.into_boxed_slice()))
    }
}

impl Deref for Storage {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}
