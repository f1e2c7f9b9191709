//! What can go wrong with a folder of beacons.

use std::error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use hintdex_host::FileError;
use hintdex_snapshot::{BuildError, OpenError};
use hintdex_wire::DeviceId;

/// Why the folder was not opened, changed or asked.
///
/// See the example of [`Changes`](crate::Changes).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No beacons are registered in the folder. Changes keys first.
    NoBeacons {
        /// The folder.
        folder: PathBuf,
    },
    /// Another program has the folder open. Wait for it, or end it.
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// A file is not what was written. The message says what brings it back.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// Where in the file.
        offset_bytes: u64,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A newer hintdex wrote the file. Use that one.
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        got: u16,
        /// The newest version this crate reads.
        newest: u16,
    },
    /// A file that is not of these beacons is where a window of theirs has to be. Move it
    /// away.
    ForeignFile {
        /// The file.
        path: PathBuf,
    },
    /// No beacon of this id has a clock of its own.
    NoClock {
        /// The id.
        device: DeviceId,
    },
    /// An option is out of its range.
    Option {
        /// Which, as the call names it.
        option: &'static str,
        /// What may be given.
        allowed: &'static str,
    },
    /// A window was not built. Its message says what to do.
    Build(BuildError),
    /// A window that was just built cannot be read.
    Window {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: OpenError,
    },
    /// The file system refused an operation. Where only the last sync of a publication
    /// failed, the new file is in place ([`FileError::is_published`]).
    File(FileError),
}

impl Error {
    /// Whether the call was wrong, rather than the data or the system.
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoBeacons { .. }
                | Self::Locked { .. }
                | Self::ForeignFile { .. }
                | Self::NoClock { .. }
                | Self::Option { .. }
        )
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File(FileError::new(doing, &path, source))
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBeacons { folder } => write!(
                f,
                "{}: no beacons are registered here; import keys first (hintdex import-keys)",
                folder.display()
            ),
            Self::Locked { folder } => write!(
                f,
                "{}: another program has these beacons open; wait for it or end it",
                folder.display()
            ),
            Self::Damaged { path, what, offset_bytes, remedy } => {
                write!(f, "{}: {what} at offset {offset_bytes}; {remedy}", path.display())
            }
            Self::NewerVersion { path, got, newest } => write!(
                f,
                "{}: format {got} is newer than {newest}, the newest known here; use a newer hintdex",
                path.display()
            ),
            Self::ForeignFile { path } => write!(
                f,
                "{}: this file is not of these beacons, and a window of theirs goes there; move \
                 it away",
                path.display()
            ),
            Self::NoClock { device } => write!(
                f,
                "beacon {device} has no clock here; give the id of a beacon that was registered \
                 with --scheme eddystone-eid"
            ),
            Self::Option { option, allowed } => write!(f, "{option} must be {allowed}"),
            Self::Build(source) => write!(f, "no window was built: {source}"),
            Self::Window { path, source } => write!(f, "{}: {source}", path.display()),
            Self::File(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Build(source) => Some(source),
            Self::Window { source, .. } => Some(source),
            Self::File(error) => error::Error::source(error),
            _ => None,
        }
    }
}
