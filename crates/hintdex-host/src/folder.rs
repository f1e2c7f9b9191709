//! Folders: private, durable, with one owner at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::{FileError, LockError};

/// The folder that `path` is in.
///
/// See the example of [`create_private_folders`].
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the names in the folder of `path` durable, the name of `path` among them.
///
/// # Errors
///
/// The folder cannot be opened or synced.
///
/// See the example of [`create_private_folders`].
pub fn sync_folder_of(path: &Path) -> Result<(), FileError> {
    let folder = folder_of(path);
    sync(folder).map_err(FileError::of("syncing a folder", folder))
}

pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes `path` and every folder above it that is missing, mode 0700, and makes the name of
/// each new folder durable. A folder that exists keeps its mode.
///
/// # Errors
///
/// A folder cannot be made or synced, or a file is in its place.
///
/// ```
/// use std::io::ErrorKind;
/// use hintdex_host::{FileError, create_private_folders, folder_of, remove_folder, sync_folder_of};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let fleet = folder.path().join("stations/fleet");
/// create_private_folders(&fleet)?;
///
/// let file = fleet.join("notes");
/// std::fs::write(&file, b"new").unwrap();
/// assert_eq!(folder_of(&file), fleet);
/// sync_folder_of(&file)?; // the name of the file is durable now
///
/// // A file stands where a folder is wanted: the error names it.
/// let error: FileError = create_private_folders(&file).unwrap_err();
/// assert_eq!((error.kind(), error.path()), (ErrorKind::AlreadyExists, file.as_path()));
/// remove_folder(&fleet)?;
/// # Ok::<(), FileError>(())
/// ```
pub fn create_private_folders(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    create_private_folders(folder_of(path))?;
    match DirBuilder::new().mode(0o700).create(path) {
        // Another process was faster: the folder's lock decides which of the two owns it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made.map_err(FileError::of("making a folder", path))?,
    }
    sync_folder_of(path)
}

/// Removes a folder and all of its contents. A folder that does not exist is no error.
///
/// # Errors
///
/// A file or a folder in it cannot be removed; some may be gone.
///
/// See the example of [`create_private_folders`].
pub fn remove_folder(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(FileError::new("removing a folder", path, error))
        }
        _ => Ok(()),
    }
}

/// A folder that belongs to this process until the lock is dropped.
///
/// The lock is `flock` on an empty file, which stays. The system releases the lock with the
/// process, however the process ends.
///
/// ```
/// use hintdex_host::{FolderLock, LockError};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let lock = FolderLock::take(folder.path(), "LOCK")?;
/// assert!(matches!(FolderLock::take(folder.path(), "LOCK"), Err(LockError::Held)));
/// drop(lock);
/// FolderLock::take(folder.path(), "LOCK")?;
/// # Ok::<(), LockError>(())
/// ```
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock whose file is called `name`, mode 0600, in a folder that exists.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`], or the file cannot be opened or locked.
    pub fn take(folder: &Path, name: &str) -> Result<Self, LockError> {
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let opened = options.open(&path).map_err(FileError::of("opening the lock", &path));
        let file = opened.map_err(LockError::File)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held),
            Err(TryLockError::Error(source)) => {
                Err(LockError::File(FileError::new("locking", &path, source)))
            }
        }
    }
}
