//! Removing a file that held a secret.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::{FileError, sync_folder_of};

/// How many bytes are overwritten at a time.
const CHUNK_LEN_BYTES: usize = 4096;

/// Overwrites the bytes of the file `path` with zeros, syncs them, and removes the name, durably.
/// A file that does not exist is no error.
///
/// The bytes of a file with a further hard link are left alone: somebody keeps them under
/// another name. Where the file system or the disk writes to new blocks (snapshots, journals of
/// data, copy on write, solid-state disks), the old bytes stay until these blocks are used again.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let (path, other) = (folder.path().join("old.key"), folder.path().join("copy.key"));
/// std::fs::write(&path, b"a secret")?;
/// hintdex_host::shred(&path).unwrap();
/// assert!(!path.exists());
///
/// std::fs::write(&path, b"a secret")?;
/// std::fs::hard_link(&path, &other)?;
/// hintdex_host::shred(&path).unwrap();
/// assert_eq!(std::fs::read(&other)?, b"a secret");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// The file cannot be overwritten or removed, or is not a regular file.
pub fn shred(path: &Path) -> Result<(), FileError> {
    let failed = |doing| FileError::of(doing, path);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(found) if !found.is_file() => {
            let source = io::Error::new(ErrorKind::InvalidInput, "it is not a regular file");
            return Err(failed("removing a file of a secret")(source));
        }
        _ => {}
    }
    overwrite(path).map_err(failed("overwriting a file of a secret"))?;
    fs::remove_file(path).map_err(failed("removing a file of a secret"))?;
    sync_folder_of(path)
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let found = file.metadata()?;
    if found.nlink() > 1 {
        return Ok(());
    }
    let mut left = usize::try_from(found.len()).unwrap_or(usize::MAX);
    while left > 0 {
        let len = left.min(CHUNK_LEN_BYTES);
        file.write_all([0; CHUNK_LEN_BYTES].get(..len).unwrap_or_default())?;
        left -= len;
    }
    file.sync_all()
}
