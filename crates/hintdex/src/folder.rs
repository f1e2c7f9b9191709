//! A fleet's folder on disk: one owner at a time, files that are there whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use hintdex_core::DRAFT_SUFFIX;
use tempfile::NamedTempFile;

use crate::Error;

/// The file whose lock says who has the folder. The file itself is empty and stays.
const LOCK_FILE: &str = "fleet.lock";

/// A fleet's folder that belongs to this process until it is dropped.
///
/// The lock is taken before anything in the folder is looked at, so that two processes
/// never make one fleet. The system drops the lock with the process, however that ends.
#[derive(Debug)]
pub(crate) struct FleetFolder {
    _lock: File,
}

impl FleetFolder {
    /// Takes a folder that is there, and removes the drafts that a killed process left.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(&path).map_err(Error::io("opening the lock", &path))?;
        match lock.try_lock() {
            Ok(()) => sweep(dir),
            Err(TryLockError::WouldBlock) => {
                return Err(hintdex_core::Error::InUse { path: dir.to_owned() }.into());
            }
            Err(TryLockError::Error(source)) => return Err(Error::io("locking", &path)(source)),
        }
        Ok(Self { _lock: lock })
    }

    /// Takes a folder, and makes it if it is not there.
    pub(crate) fn open_or_create(dir: &Path) -> Result<Self, Error> {
        make_folders(dir).map_err(Error::io("making a folder", dir))?;
        Self::open(dir)
    }

    /// Removes a folder in this one, whole or not at all.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(DRAFT_SUFFIX);
        let draft = path.with_file_name(hidden(&name));
        // What a process that is stopped here leaves is swept like any other draft.
        fs::rename(path, &draft)?;
        fs::remove_dir_all(&draft)
    }
}

/// Makes `dir` and every folder above it that is missing, for their owner alone, and makes
/// the name of each durable.
fn make_folders(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = folder_of(dir);
    make_folders(parent)?;
    match DirBuilder::new().mode(0o700).create(dir) {
        // Another process was faster: the lock decides whose the folder is.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        made => made?,
    }
    File::open(parent)?.sync_all()
}

/// Removes the drafts of files and of the index that nobody finishes any more: whoever made
/// them had the lock, and has it no longer.
fn sweep(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(DRAFT_SUFFIX) {
            let path = entry.path();
            // A draft that cannot be removed takes room and does nothing else.
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
}

fn hidden(name: &OsStr) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden
}

/// A file beside `path` with a name that nobody else has, readable by its owner alone.
/// Dropping the file removes it.
pub(crate) fn draft_of(path: &Path) -> io::Result<NamedTempFile> {
    let mut name = hidden(path.file_name().unwrap_or_default());
    name.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&name).suffix(DRAFT_SUFFIX).tempfile_in(folder_of(path))
}

/// Gives a draft the name `path`, unless there is such a file already. The name is durable
/// once the folder was [synced](sync_folder_of).
pub(crate) fn publish(draft: NamedTempFile, path: &Path) -> io::Result<File> {
    draft.as_file().sync_all()?;
    Ok(draft.persist_noclobber(path)?)
}

/// Makes the names of the files beside `path`, and its own, durable.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The folder that `path` is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
