//! A file that is there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::BuildError;

/// How many drafts this process has begun.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// A file being written beside the one it will replace.
///
/// Readers see the old file until [`publish`](Self::publish) renames this one
/// over it; a build that fails, or is dropped, takes its file with it. One that
/// is killed leaves its `.building` file, which nobody opens and anybody may
/// remove. Every draft has a name of its own, so builds do not meet.
pub(super) struct Draft {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    published: bool,
}

impl Draft {
    /// Makes the file in the folder of `target`.
    pub fn create(target: &Path) -> Result<Self, BuildError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let (process, number) = (process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed));
        let temporary = target.with_file_name(format!(".{name}.{process}.{number}.building"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary);
        let file = file.map_err(|source| io_error("create", &temporary, source))?;
        Ok(Self { file, temporary, target: target.to_owned(), published: false })
    }

    /// Moves to an offset from the beginning of the file.
    pub fn seek(&mut self, offset_bytes: u64) -> Result<(), BuildError> {
        let moved = self.file.seek(SeekFrom::Start(offset_bytes));
        moved.map(drop).map_err(|source| io_error("write", &self.temporary, source))
    }

    /// Writes at the place the file is at.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        self.file.write_all(bytes).map_err(|source| io_error("write", &self.temporary, source))
    }

    /// Puts the file in the place of its target: synced, renamed, the folder synced.
    pub fn publish(mut self) -> Result<(), BuildError> {
        self.file.sync_all().map_err(|source| io_error("sync", &self.temporary, source))?;
        fs::rename(&self.temporary, &self.target)
            .map_err(|source| io_error("rename to", &self.target, source))?;
        self.published = true;
        // Without this the rename itself may not survive a loss of power.
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| io_error("sync", folder, source))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // Nothing to be done about a file that cannot be removed: the
            // build's own error is on its way to whoever asked for it.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> BuildError {
    BuildError::Io { doing, path: path.to_owned(), source }
}
