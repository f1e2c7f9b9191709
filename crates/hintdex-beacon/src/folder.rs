//! The folder of beacons: one owner at a time, files that exist whole or not at all.

use std::path::{Path, PathBuf};

use hintdex_host::{FolderLock, LockError, create_private_folders, publish};

use crate::Error;

const LOCK_FILE: &str = "beacons.lock";

/// A folder of beacons that belongs to this process until the value is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: FolderLock,
}

impl Folder {
    /// Takes a folder that exists.
    pub fn open(path: &Path) -> Result<Self, Error> {
        match FolderLock::take(path, LOCK_FILE) {
            Ok(lock) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(LockError::Held) => Err(Error::Locked { folder: path.to_owned() }),
            Err(LockError::File(error)) => Err(error.into()),
        }
    }

    /// Takes a folder, and makes a folder that does not exist.
    pub fn open_or_create(path: &Path) -> Result<Self, Error> {
        create_private_folders(path)?;
        Self::open(path)
    }

    /// Where the file called `name` is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes `parts` as the file called `name`: mode 0600, whole or not at all, durable.
    pub fn publish(&self, name: &str, parts: &[&[u8]]) -> Result<(), Error> {
        Ok(publish(&self.file(name), parts)?)
    }
}
