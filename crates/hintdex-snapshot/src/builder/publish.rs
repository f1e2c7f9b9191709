//! A file that is there whole or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::BuildError;

/// How many drafts this process has begun.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// The end of the name of every draft.
const DRAFT_SUFFIX: &str = ".building";

/// A file being written beside the one it will replace.
///
/// Readers see the old file until [`publish`](Self::publish) renames this one
/// over it; a build that fails, or is dropped, takes its file with it. One that
/// is killed leaves its `.NAME.PROCESS.NUMBER.building`, which the next build of
/// NAME removes. Every draft has a name of its own, so builds do not meet.
///
/// A draft is locked while it is written. The lock goes with the process, however
/// it ends, so a draft that can be locked is nobody's; the number of a process
/// would not tell, since it is used again, and another container has its own.
pub(super) struct Draft {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    published: bool,
}

impl Draft {
    /// Makes the file in the folder of `target`, and removes those that killed
    /// builds of the same target have left there.
    pub fn create(target: &Path) -> Result<Self, BuildError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        remove_stale(target, &name);
        loop {
            let (process, number) = (process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed));
            let temporary =
                target.with_file_name(format!(".{name}.{process}.{number}{DRAFT_SUFFIX}"));
            let file = match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                // Of a process that had this one's number; it may be at work yet.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => opened.map_err(|source| io_error("create", &temporary, source))?,
            };
            // Between these two lines another build may take the file for a
            // stale one: then it has the lock, or has had it and the file is gone.
            // A file system without locks has no stale drafts removed, either.
            let locked = !matches!(file.try_lock(), Err(TryLockError::WouldBlock));
            if locked && temporary.exists() {
                return Ok(Self { file, temporary, target: target.to_owned(), published: false });
            }
        }
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
        let folder = folder_of(&self.target);
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

/// Removes the drafts of `target` that no process writes any more.
///
/// What cannot be read, locked or removed stays: a stale draft takes room and
/// does nothing else.
fn remove_stale(target: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(folder_of(target)) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_draft = path.file_name().is_some_and(|of| is_draft(&of.to_string_lossy(), name));
        let Some(draft) = is_draft.then(|| File::open(&path).ok()).flatten() else { continue };
        // Locks are held on open files, so this is refused for our own, too. It is held
        // until the file is gone: else its maker may lock it in between, and find it there.
        if draft.try_lock().is_ok() {
            let _ = fs::remove_file(&path);
        }
        drop(draft);
    }
}

/// Whether `file` is what [`Draft::create`] calls a draft of `name`.
fn is_draft(file: &str, name: &str) -> bool {
    let numbers = file
        .strip_prefix('.')
        .and_then(|rest| rest.strip_prefix(name))
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| rest.strip_suffix(DRAFT_SUFFIX));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    numbers
        .and_then(|numbers| numbers.split_once('.'))
        .is_some_and(|(process, number)| is_number(process) && is_number(number))
}

/// The folder a file is in.
fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> BuildError {
    BuildError::Io { doing, path: path.to_owned(), source }
}
