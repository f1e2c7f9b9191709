//! Where the bytes of an open snapshot are.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;

use memmap2::{Mmap, MmapMut};

use crate::OpenError;

/// The length of a huge page; a shorter copy gets none.
#[cfg(target_os = "linux")]
const HUGE_PAGE_LEN_BYTES: usize = 2 << 20;

/// A file that may be a snapshot.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    file: File,
    pub len_bytes: u64,
}

impl SnapshotFile {
    /// Opens the file; a folder, a pipe or a device is none.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        // Asked before: opening a pipe would wait for whoever writes to it.
        if !std::fs::metadata(path).map_err(OpenError::Io)?.is_file() {
            return Err(OpenError::NotASnapshot);
        }
        let file = File::open(path).map_err(OpenError::Io)?;
        let len_bytes = file.metadata().map_err(OpenError::Io)?.len();
        Ok(Self { file, len_bytes })
    }

    /// Reads the beginning of the file, `most_bytes` of it if there are so many.
    pub fn head(&self, most_bytes: u64) -> Result<Vec<u8>, OpenError> {
        let mut head = Vec::new();
        (&self.file).take(most_bytes).read_to_end(&mut head).map_err(OpenError::Io)?;
        Ok(head)
    }

    /// The file behind what was read of it.
    pub const fn rest(&self) -> &File {
        &self.file
    }
}

/// A snapshot's bytes in memory: pages of the file, shared by everybody who has
/// it mapped, or a copy that nobody can take away.
#[derive(Debug)]
pub(crate) struct Storage(Mmap);

impl Storage {
    /// Maps the file.
    pub fn map(file: &SnapshotFile) -> io::Result<Self> {
        // An empty file cannot be mapped, and is no snapshot either.
        if file.len_bytes == 0 {
            return Self::copy(0, &mut io::empty());
        }
        #[expect(unsafe_code, reason = "the one mapping of a file in the crate")]
        // SAFETY: the mapped bytes are a `&[u8]` for as long as the mapping
        // lives, so they must not change under it. A snapshot is never changed
        // in place: it is written under another name, synced and renamed, and
        // renaming over a file leaves its mapped pages as they are. Whoever
        // truncates or overwrites a published snapshot breaks this from
        // outside; `Snapshot::open` says so and names `open_in_memory`, which
        // asks for no such promise.
        let map = unsafe { Mmap::map(&file.file) }?;
        Ok(Self(map))
    }

    /// Reads `len_bytes`, to the byte: no more memory than the snapshot is long.
    pub fn copy(len_bytes: usize, from: &mut impl Read) -> io::Result<Self> {
        // A mapping cannot be empty, and one byte is no snapshot either.
        let mut copy = MmapMut::map_anon(len_bytes.max(1))?;
        // Lookups go everywhere, so pages of 2 MiB spare most of them a walk of
        // the page table. Where the system has none, nothing is lost.
        #[cfg(target_os = "linux")]
        if len_bytes >= HUGE_PAGE_LEN_BYTES {
            let _ = copy.advise(memmap2::Advice::HugePage);
        }
        let bytes = copy.get_mut(..len_bytes).unwrap_or_default();
        from.read_exact(bytes)?;
        Ok(Self(copy.make_read_only()?))
    }
}

impl Deref for Storage {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}
