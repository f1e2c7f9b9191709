//! Folders on disk.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::Error;

/// The end of the name of an index that is being made; it begins with a dot and the name
/// that the index will have, and is random in between.
pub const DRAFT_SUFFIX: &str = ".making";

/// Makes a folder beside `path`, with a name that nobody else has, for its owner alone.
/// Dropping the folder removes it with all that is in it.
pub(crate) fn draft_of(path: &Path) -> Result<TempDir, Error> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    let mut builder = tempfile::Builder::new();
    let draft = builder.prefix(&name).suffix(DRAFT_SUFFIX).tempdir_in(parent(path));
    draft.map_err(Error::io("making a folder beside", path))
}

/// The folder that `path` is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes a folder and all that is in it, if it is there.
pub(crate) fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("removing a leftover folder", path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes the name `path` durable: that of a folder which was moved there.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = parent(path);
    let folder = fs::File::open(parent).map_err(Error::io("opening a folder", parent))?;
    folder.sync_all().map_err(Error::io("syncing a folder", parent))
}
