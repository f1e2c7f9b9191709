//! The bytes of an open snapshot: a mapped file, or a copy in memory.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;

use memmap2::{Mmap, MmapMut};

use crate::OpenError;

/// The length of a huge page. A shorter copy uses no huge pages.
#[cfg(target_os = "linux")]
const HUGE_PAGE_LEN_BYTES: usize = 2 << 20;

/// A file that may be a snapshot.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    file: File,
    pub len_bytes: u64,
}

impl SnapshotFile {
    /// Opens a regular file. Rejects folders, pipes and devices.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        // Checked before opening, which would wait for the writer of a pipe.
        if !std::fs::metadata(path).map_err(OpenError::Io)?.is_file() {
            return Err(OpenError::NotASnapshot);
        }
        let file = File::open(path).map_err(OpenError::Io)?;
        let len_bytes = file.metadata().map_err(OpenError::Io)?.len();
        Ok(Self { file, len_bytes })
    }

    /// Reads the beginning of the file, at most `most_bytes`.
    pub fn head(&self, most_bytes: u64) -> Result<Vec<u8>, OpenError> {
        let mut head = Vec::new();
        (&self.file).take(most_bytes).read_to_end(&mut head).map_err(OpenError::Io)?;
        Ok(head)
    }

    /// The file, positioned behind the bytes that were read.
    pub const fn rest(&self) -> &File {
        &self.file
    }
}

/// A snapshot's bytes in memory: pages of the file, shared by all processes that map it, or a
/// private copy that no change of the file reaches.
#[derive(Debug)]
pub(crate) struct Storage(Mmap);

impl Storage {
    /// Maps the file.
    pub fn map(file: &SnapshotFile) -> io::Result<Self> {
        // An empty file cannot be mapped; the checks of the header reject it.
        if file.len_bytes == 0 {
            return Self::copy(0, &mut io::empty());
        }
        #[expect(unsafe_code, reason = "the one mapping of a file in the crate")]
        // SAFETY: the mapped bytes are a `&[u8]` for as long as the mapping lives, so they
        // must not change in that time. A snapshot is never changed in place: the builder
        // writes another file, syncs it and renames it, and a rename over a file leaves the
        // mapped pages as they are. Another program that truncates or overwrites a published
        // snapshot violates this; `Snapshot::open` documents the requirement and names
        // `open_in_memory`, which does not have it.
        let map = unsafe { Mmap::map(&file.file) }?;
        Ok(Self(map))
    }

    /// Reads exactly `len_bytes` into as much memory.
    pub fn copy(len_bytes: usize, from: &mut impl Read) -> io::Result<Self> {
        // A mapping cannot be empty; the checks of the header reject a byte, too.
        let mut copy = MmapMut::map_anon(len_bytes.max(1))?;
        // Lookups access random addresses, and pages of 2 MiB avoid most walks of the page
        // table. A system without huge pages ignores the advice.
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
