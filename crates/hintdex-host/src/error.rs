//! Why a file or a folder was not written, read or locked.

use std::error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An operation on a file or a folder that the system refused.
///
/// See the example of [`create_private_folders`](crate::create_private_folders).
#[derive(Debug)]
pub struct FileError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
    is_published: bool,
}

impl FileError {
    /// `doing` names the operation as a gerund: "writing the master key".
    pub fn new(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self { doing, path: path.to_owned(), source, is_published: false }
    }

    /// The same, ready for `map_err`.
    pub fn of(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::new(doing, path, source)
    }

    /// The new file has its name, but the folder with that name could not be synced.
    pub(crate) fn of_published(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            is_published: true,
            ..Self::new("syncing the folder of the new file", path, source)
        }
    }

    /// The operation, as a gerund.
    pub const fn doing(&self) -> &'static str {
        self.doing
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of the system's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether readers see the new file all the same, and only its durability is in doubt.
    pub const fn is_published(&self) -> bool {
        self.is_published
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doing, path, source, is_published } = self;
        write!(f, "{}: {doing} failed: {source}", path.display())?;
        if *is_published {
            f.write_str(
                "; readers see the new file, but a loss of power may bring back the state \
                 before: check the disk, then write the file again",
            )?;
        }
        Ok(())
    }
}

impl error::Error for FileError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Why a folder was not locked.
///
/// See the example of [`FolderLock`](crate::FolderLock).
#[derive(Debug)]
pub enum LockError {
    /// Another process, or another part of this one, holds the lock.
    Held,
    /// The lock file cannot be opened or locked.
    File(FileError),
}
