//! Who may read a fleet's files.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file or a folder of a fleet that other users of the machine may read or write.
///
/// A snapshot, a window of beacons or a state links the hints of a device without any key,
/// so each of these is its owner's alone. The message names the remedy.
///
/// ```
/// use std::fs::{Permissions, set_permissions, write};
/// use std::os::unix::fs::PermissionsExt;
/// use hintdex_host::Exposed;
///
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("fleet.hdx");
/// write(&path, b"hints").unwrap();
/// set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
/// let warning: Exposed = Exposed::find(&path).unwrap();
/// assert!(warning.to_string().contains("fleet.hdx"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    path: PathBuf,
    mode: u32,
    kind: Kind,
}

/// What other users have access to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Secret,
}

impl Exposed {
    /// Whether `path` has permissions for its group or for all others. A path that cannot
    /// be looked at is no finding: opening it reports the reason.
    pub fn find(path: &Path) -> Option<Self> {
        let kind = if path.is_dir() { Kind::Folder } else { Kind::File };
        Self::find_as(path, kind)
    }

    /// [`find`](Self::find) for a regular file that holds a secret, and no more than a secret.
    pub fn find_secret(path: &Path) -> Option<Self> {
        path.is_file().then(|| Self::find_as(path, Kind::Secret)).flatten()
    }

    fn find_as(path: &Path, kind: Kind) -> Option<Self> {
        let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then(|| Self { path: path.to_owned(), mode, kind })
    }

    /// [`find`](Self::find) for a folder and for each file and folder in it, sorted by path.
    /// The contents of inner folders are not looked at: a closed folder closes them.
    pub fn find_in(folder: &Path) -> Vec<Self> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        [folder.to_owned()].iter().chain(&paths).filter_map(|path| Self::find(path)).collect()
    }
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, mode, kind } = self;
        let path = path.display();
        write!(f, "{path}: other users have access (mode {mode:04o}), and ")?;
        match kind {
            Kind::Secret => write!(f, "it holds a secret; close it: chmod 600 {path}"),
            Kind::File | Kind::Folder => {
                let closed = if *kind == Kind::Folder { "700" } else { "600" };
                write!(
                    f,
                    "its bytes link the packets of a device without any key; close it: chmod \
                     {closed} {path}"
                )
            }
        }
    }
}
