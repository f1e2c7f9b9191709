//! Folders on disk.

use std::fs;
use std::path::Path;

use crate::Error;

/// Removes a folder and all that is in it, if it is there.
pub(crate) fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("removing a leftover folder", path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes the name of what was moved to `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::File::open(parent).map_err(Error::io("opening a folder", parent))?;
    folder.sync_all().map_err(Error::io("syncing a folder", parent))
}
