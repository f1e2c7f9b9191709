//! The folder: one owner at a time, files that are there whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::Error;

const LOCK_FILE: &str = "beacons.lock";

/// A folder of beacons that is ours until this is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The lock goes with the process, however it ends.
    _lock: File,
}

impl Folder {
    /// Takes a folder that is there.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let lock = path.join(LOCK_FILE);
        let opened =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock);
        let file = opened.map_err(Error::io("opening the lock", &lock))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::Locked { folder: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Error::io("locking", &lock)(source)),
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: file }),
        }
    }

    /// Takes a folder, and makes it if it is not there.
    pub fn open_or_create(path: &Path) -> Result<Self, Error> {
        make_folders(path).map_err(Error::io("making the folder", path))?;
        Self::open(path)
    }

    /// Where the file called `name` is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Puts `parts` into the file called `name`, readable by its owner alone:
    /// written beside it, synced, renamed over it, the folder synced.
    pub fn publish(&self, name: &str, parts: &[&[u8]]) -> Result<(), Error> {
        let (target, draft) = (self.file(name), self.file(&format!("{name}.new")));
        let failed = |doing| Error::io(doing, &draft);
        // A draft that a killed process left has the mode it was made with: 0600.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft).map_err(failed("writing"))?;
        for part in parts {
            file.write_all(part).map_err(failed("writing"))?;
        }
        file.sync_all().map_err(failed("syncing"))?;
        fs::rename(&draft, &target).map_err(failed("moving into place"))?;
        let synced = File::open(&self.path).and_then(|folder| folder.sync_all());
        synced.map_err(Error::io("syncing", &self.path))
    }
}

/// Makes `path` and every folder above it that is missing, for their owner alone, and makes
/// the name of each durable.
fn make_folders(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    make_folders(parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        // Another process was faster: the lock decides whose the folder is.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    File::open(parent)?.sync_all()
}
