//! What can go wrong at a station.

use std::path::{Path, PathBuf};
use std::{error, fmt, io};

use hintdex_host::FileError;
use hintdex_snapshot::{BuildError, OpenError};
use hintdex_wire::{DeviceId, Slot};

use crate::KeyPart;

/// Why a station did not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The index refused or failed; its message says what to do.
    Index(hintdex_core::Error),
    /// A file holds no master key. Write 64 hex digits into it.
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The path that was given for the master key cannot be opened. Give the path of a file,
    /// not the key itself. What was given may be a key, so the path is described, not kept.
    NoKeyFile {
        /// The folder of the path, if there is such a folder.
        folder: Option<PathBuf>,
        /// The length of the path in characters.
        len_chars: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds no device keys that can be used. Restore it from a backup.
    DeviceKeys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Keys that were given for devices of the fleet are gone or damaged. Restore the file
    /// from a backup.
    KeysMissing {
        /// The file that should hold them.
        path: PathBuf,
        /// The first such device, or the first of the run in which there is one.
        first: DeviceId,
        /// The last.
        last: DeviceId,
    },
    /// Keys are being imported. End that import first.
    ImportInProgress,
    /// A device is in an import twice. Take one of them out.
    DeviceTwice {
        /// Which device.
        device: DeviceId,
    },
    /// A key of a device in an import is all zeros. Give the device a random key.
    ZeroKey {
        /// Which device.
        device: DeviceId,
        /// Which of its keys.
        part: KeyPart,
    },
    /// A key of a device in an import is also another key: of the same device, of another
    /// one in the import, or of one that was imported before. Give each device keys of its own.
    SharedKey {
        /// Where the second of the two stands in the import: how many devices were added before.
        number: u64,
        /// Whose it is.
        device: DeviceId,
        /// Which of its keys.
        part: KeyPart,
        /// Whose the first is.
        other: DeviceId,
        /// Which of its keys.
        other_part: KeyPart,
        /// How many devices behind this one share keys, too.
        more: u64,
    },
    /// The master key given differs from the one kept beside the index.
    OtherMasterKey {
        /// The one beside the index.
        path: PathBuf,
    },
    /// The parameters asked for are not those the index was made with.
    OtherParams {
        /// What the index has.
        has: hintdex_core::Params,
    },
    /// A file is no snapshot that can be used; its message says what to do.
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: OpenError,
    },
    /// A snapshot is sound and cannot serve this fleet. Rebuild it.
    SnapshotRefused {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A hint that is live is neither in the window nor in the snapshot it is left
    /// to. Nothing is lost: roll, and it is there again.
    NotHeld {
        /// Whose hint it is.
        slot: Slot,
    },
    /// No snapshot was built.
    Rebuild(BuildError),
    /// The file system refused an operation. Where only the last sync of a publication
    /// failed, the new file is in place ([`FileError::is_published`]).
    File(FileError),
}

impl Error {
    /// Whether the call was wrong, rather than the data or the system.
    pub fn is_usage(&self) -> bool {
        use hintdex_core::Error as Index;
        match self {
            Self::KeyFile { .. } | Self::OtherMasterKey { .. } | Self::OtherParams { .. } => true,
            Self::DeviceTwice { .. } | Self::ImportInProgress => true,
            Self::DeviceKeys { .. } | Self::KeysMissing { .. } | Self::NoKeyFile { .. } => false,
            Self::ZeroKey { .. } | Self::SharedKey { .. } => false,
            Self::SnapshotRefused { .. } | Self::Rebuild(BuildError::Params { .. }) => true,
            Self::Snapshot { source, .. } => matches!(source, OpenError::WrongKey),
            // The path that was given is no regular file.
            Self::Rebuild(BuildError::File(error)) => error.kind() == io::ErrorKind::InvalidInput,
            Self::NotHeld { .. } | Self::Rebuild(_) | Self::File(_) => false,
            Self::Index(error) => !matches!(
                error,
                Index::NewerVersion { .. }
                    | Index::Corrupted { .. }
                    | Index::Unsound { .. }
                    | Index::WindowDamaged { .. }
                    | Index::OutOfService { .. }
                    | Index::Threads { .. }
                    | Index::Poisoned { .. }
                    | Index::Store { .. }
                    | Index::File(_)
            ),
        }
    }

    /// That `path`, which somebody gave for the master key, cannot be opened.
    pub(crate) fn no_key_file(path: &Path, source: io::Error) -> Self {
        let folder = path.parent().filter(|folder| folder.is_dir()).map(Path::to_owned);
        Self::NoKeyFile { folder, len_chars: path.to_string_lossy().chars().count(), source }
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File(FileError::new(doing, path, source))
    }
}

impl From<hintdex_core::Error> for Error {
    fn from(error: hintdex_core::Error) -> Self {
        Self::Index(error)
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
            Self::Index(error) => fmt::Display::fmt(error, f),
            Self::KeyFile { path, why } => {
                write!(f, "{}: not a master key: {why}; it must be 64 hex digits", path.display())
            }
            Self::NoKeyFile { folder, len_chars, source } => {
                write!(f, "the path of the master key, {len_chars} characters long")?;
                if let Some(folder) = folder {
                    write!(f, " and in {}", folder.display())?;
                }
                write!(
                    f,
                    ", cannot be opened: {source}; give the path of a file that holds the key, not the key itself"
                )
            }
            Self::DeviceKeys { path, why } => write!(f, "{}: {why}", path.display()),
            Self::KeysMissing { path, first, last } => write!(
                f,
                "{}: keys of devices {first} to {last} are missing or damaged; restore it from a backup",
                path.display()
            ),
            Self::ImportInProgress => {
                f.write_str("keys are being imported already; wait for the end of that import")
            }
            Self::DeviceTwice { device } => {
                write!(f, "device {device} is there twice; take one of the two out")
            }
            Self::ZeroKey { device, part } => write!(
                f,
                "the {part} of device {device} is all zeros; give the device a random key"
            ),
            Self::SharedKey { device, part, other, other_part, .. } => write!(
                f,
                "the {part} of device {device} is also the {other_part} of device {other}; give each device keys of its own"
            ),
            Self::OtherMasterKey { path } => write!(
                f,
                "{}: the index has another master key than the one given; leave the key out or give this one",
                path.display()
            ),
            Self::OtherParams { has } => write!(
                f,
                "the index was made with hints {}, nonces {} and lookahead {}; leave these options out or give the same",
                has.scheme, has.nonces, has.lookahead
            ),
            Self::Snapshot { path, source } => write!(f, "{}: {source}", path.display()),
            Self::SnapshotRefused { path, why } => {
                write!(f, "{}: {why}; make a new one with rebuild", path.display())
            }
            Self::NotHeld { slot } => write!(
                f,
                "a hint of slot {} is neither in the index nor in its snapshot; hintdex roll puts it back",
                slot.0
            ),
            Self::Rebuild(error) => fmt::Display::fmt(error, f),
            Self::File(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Index(error) => Some(error),
            Self::Snapshot { source, .. } => Some(source),
            Self::Rebuild(error) => Some(error),
            Self::File(error) => error::Error::source(error),
            Self::NoKeyFile { source, .. } => Some(source),
            _ => None,
        }
    }
}
