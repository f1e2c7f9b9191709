//! The errors of a station.

use std::path::{Path, PathBuf};
use std::{error, fmt, io};

use hintdex_core::Params;
use hintdex_host::{FileError, SecretError};
use hintdex_snapshot::{BuildError, OpenError};
use hintdex_wire::{DeviceId, Slot};

use crate::keys::KeyPart;

/// Why a call of a station failed.
///
/// See the example of [`KeyImport`](crate::KeyImport).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The index refused the call or failed. Its message states the remedy.
    Index(hintdex_core::Error),
    /// A file, or another source, holds no key of this kind.
    KeyFile {
        /// The file, or the name of the source.
        path: PathBuf,
        /// The name of the key: master key, station key, wrap key or hop key.
        what: &'static str,
        /// The number of hex digits of such a key.
        digits: usize,
        /// What is wrong with the file.
        why: &'static str,
    },
    /// A wrapped master key cannot be unwrapped, or a passphrase cannot wrap one. The message
    /// states the remedy.
    WrappedKey {
        /// The file, or the source of the passphrase.
        path: PathBuf,
        /// What is wrong, and the remedy.
        why: &'static str,
    },
    /// The passphrase is not the one of the wrapped master key.
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The master key is wrapped, and no source of its passphrase was given.
    NoPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The fleet keeps no master key, and no source of the key was given.
    KeyElsewhere {
        /// The record of the place of the key.
        path: PathBuf,
        /// Where the key was when the record was written, unless the record is damaged.
        place: Option<String>,
    },
    /// The station key is missing, damaged, or that of another fleet.
    StationKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// A backup, or a file of it, is missing or damaged. Restore another one.
    Backup {
        /// The folder or the file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// A backup is not written or restored as the call asks. Nothing was changed.
    BackupRefused {
        /// The folder.
        path: PathBuf,
        /// The reason, and the remedy.
        why: &'static str,
    },
    /// A given station key is not that of the point that the devices of the fleet know.
    OtherStationKey,
    /// A master key or a passphrase cannot be read from its source. The text that names the
    /// source may be the key, so the error does not quote it.
    Secret(SecretError),
    /// The file of device keys cannot be used. Restore it from a backup.
    DeviceKeys {
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        why: &'static str,
    },
    /// Imported keys of devices of the fleet are missing or damaged. Restore the file from a
    /// backup.
    KeysMissing {
        /// The file that should hold the keys.
        path: PathBuf,
        /// The first such device, or the first of the run of ids that holds such a device.
        first: DeviceId,
        /// The last device of that run.
        last: DeviceId,
    },
    /// Another import of keys is in progress. Finish it first.
    ImportInProgress,
    /// A device occurs twice in an import. Remove one of the two.
    DeviceTwice {
        /// The device.
        device: DeviceId,
    },
    /// A key of a device in an import is all zeros. Give the device a random key.
    ZeroKey {
        /// The device.
        device: DeviceId,
        /// The part of the device's keys.
        part: KeyPart,
    },
    /// A key of an import occurs twice: in one device, in two devices of the import, or in a
    /// device that was imported before. Give each device keys of its own.
    SharedKey {
        /// The place of the second device in the import: how many devices precede it.
        number: u64,
        /// The second device.
        device: DeviceId,
        /// The part of the device's keys.
        part: KeyPart,
        /// The first device with the key.
        other: DeviceId,
        /// The part of its keys.
        other_part: KeyPart,
        /// How many later devices share keys as well.
        more: u64,
    },
    /// A device of a transfer brings its own keys, and the transfer lacks them, or there is no
    /// wrap key to unwrap them. Export with a wrap key, and import with the same.
    NotWrapped {
        /// The device.
        device: DeviceId,
    },
    /// A device has no key of a generation, or none any longer.
    NoSuchGeneration {
        /// The device.
        device: DeviceId,
        /// The generation.
        generation: u16,
    },
    /// The keys of a device in a transfer are damaged, or wrapped under another wrap key.
    WrongWrapKey {
        /// The device.
        device: DeviceId,
    },
    /// The given master key differs from the key of the fleet.
    OtherMasterKey {
        /// The file of the fleet's key.
        path: PathBuf,
    },
    /// The given parameters differ from those of the index.
    OtherParams {
        /// The parameters of the index.
        has: Box<hintdex_core::Params>,
    },
    /// A snapshot cannot be used. The message of `source` states the remedy.
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        source: OpenError,
    },
    /// A sound snapshot cannot serve this fleet. Rebuild it.
    SnapshotRefused {
        /// The file.
        path: PathBuf,
        /// Why the snapshot cannot serve the fleet.
        why: &'static str,
    },
    /// A live hint is in neither the lean window nor its snapshot. No packet is lost: a scan
    /// finds the device, and a roll adds the hint.
    NotHeld {
        /// The slot of the hint.
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
            Self::WrongPassphrase { .. } | Self::NoPassphrase { .. } => true,
            Self::KeyElsewhere { .. } | Self::OtherStationKey => true,
            Self::StationKey { .. } | Self::Backup { .. } => false,
            Self::BackupRefused { .. } => true,
            Self::DeviceKeys { .. } | Self::KeysMissing { .. } | Self::WrappedKey { .. } => false,
            Self::Secret(_) => false,
            Self::ZeroKey { .. } | Self::SharedKey { .. } => false,
            Self::NotWrapped { .. } | Self::NoSuchGeneration { .. } => true,
            Self::WrongWrapKey { .. } => false,
            Self::SnapshotRefused { .. } | Self::Rebuild(BuildError::Params { .. }) => true,
            Self::Snapshot { source, .. } => matches!(source, OpenError::WrongKey),
            // The given path is not a regular file.
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

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File(FileError::new(doing, path, source))
    }
}

impl From<hintdex_core::Error> for Error {
    fn from(error: hintdex_core::Error) -> Self {
        Self::Index(error)
    }
}

impl From<SecretError> for Error {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
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
            Self::KeyFile { .. }
            | Self::WrappedKey { .. }
            | Self::WrongPassphrase { .. }
            | Self::NoPassphrase { .. }
            | Self::KeyElsewhere { .. }
            | Self::StationKey { .. }
            | Self::Backup { .. }
            | Self::BackupRefused { .. }
            | Self::OtherStationKey
            | Self::OtherMasterKey { .. } => self.fmt_key_of_fleet(f),
            Self::Secret(error) => fmt::Display::fmt(error, f),
            Self::DeviceKeys { .. }
            | Self::KeysMissing { .. }
            | Self::ImportInProgress
            | Self::DeviceTwice { .. }
            | Self::ZeroKey { .. }
            | Self::NotWrapped { .. }
            | Self::NoSuchGeneration { .. }
            | Self::WrongWrapKey { .. }
            | Self::SharedKey { .. } => self.fmt_device_keys(f),
            Self::OtherParams { has } if !has.naming.has_index() => {
                let naming = has.naming.name().unwrap_or_default();
                write!(
                    f,
                    "the index was created for {naming} packets with other parameters; omit these \
                     options or repeat the values that hintdex inspect shows"
                )
            }
            Self::OtherParams { has } => {
                let Params { scheme, nonces, lookahead, derivation, ratchet, suite, .. } = &**has;
                let bits = ratchet.map_or_else(|| "none".to_owned(), |bits| bits.to_string());
                let data = has.associated_data.to_string();
                let lead = has.lead.map_or_else(|| "none".to_owned(), |lead| lead.to_string());
                write!(
                    f,
                    "the index was created with hints {scheme}, nonces {nonces}, lookahead {lookahead}, \
                     derivation {derivation}, ratchet bits {bits}, suite {suite}, associated data {data:?} \
                     and lead {lead}; omit these options or repeat these values"
                )
            }
            Self::Snapshot { path, source } => write!(f, "{}: {source}", path.display()),
            Self::SnapshotRefused { path, why } => {
                write!(f, "{}: {why}; build a new snapshot with hintdex rebuild", path.display())
            }
            Self::NotHeld { slot } => write!(
                f,
                "a hint of slot {} is neither in the index nor in its snapshot; hintdex roll adds it",
                slot.0
            ),
            Self::Rebuild(error) => fmt::Display::fmt(error, f),
            Self::File(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl Error {
    /// Writes the message of a failure that is about the keys of devices.
    fn fmt_device_keys(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceKeys { path, why } => write!(f, "{}: {why}", path.display()),
            Self::KeysMissing { path, first, last } => write!(
                f,
                "{}: keys of devices {first} to {last} are missing or damaged; restore it from a backup",
                path.display()
            ),
            Self::ImportInProgress => {
                f.write_str("another import of keys is in progress; wait until it ends")
            }
            Self::DeviceTwice { device } => {
                write!(f, "device {device} occurs twice; remove one of the two")
            }
            Self::ZeroKey { device, part } => write!(
                f,
                "the {part} of device {device} is all zeros; give the device a random key"
            ),
            Self::NotWrapped { device } => write!(
                f,
                "the keys of device {device} are not those that this fleet derives; give the \
                 wrap key to the export and to the import"
            ),
            Self::NoSuchGeneration { device, generation } => write!(
                f,
                "device {device} has no key of generation {generation}; hintdex device show lists \
                 its keys"
            ),
            Self::WrongWrapKey { device } => write!(
                f,
                "the keys of device {device} are damaged, or wrapped under another wrap key; \
                 nothing was imported"
            ),
            Self::SharedKey { device, part, other, other_part, .. } => write!(
                f,
                "the {part} of device {device} is also the {other_part} of device {other}; give each device keys of its own"
            ),
            // `fmt` writes every other variant.
            _ => Ok(()),
        }
    }

    /// Writes the message of a failure that is about the master key or the station key.
    fn fmt_key_of_fleet(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backup { path, why } | Self::BackupRefused { path, why } => {
                write!(f, "{}: {why}", path.display())
            }
            Self::StationKey { path, why } => write!(
                f,
                "{}: {why}; restore it from a backup, or give the key of this station to hintdex \
                 provision with --station-key",
                path.display()
            ),
            Self::OtherStationKey => f.write_str(
                "the station key is not that of this fleet, whose devices know another point",
            ),
            Self::KeyFile { path, what, digits, why } => {
                let path = path.display();
                write!(f, "{path}: not a {what}: {why}; it must be {digits} hex digits")
            }
            Self::WrappedKey { path, why } => write!(f, "{}: {why}", path.display()),
            Self::WrongPassphrase { path } => write!(
                f,
                "{}: the passphrase does not unwrap the master key; give the right one with \
                 --passphrase, or the key itself with --master-key",
                path.display()
            ),
            Self::NoPassphrase { path } => write!(
                f,
                "{}: the master key is wrapped under a passphrase; name the source of the \
                 passphrase with --passphrase or HINTDEX_PASSPHRASE: a path, credential:NAME, \
                 command:WORDS or prompt",
                path.display()
            ),
            Self::KeyElsewhere { path, place } => {
                let place = place.as_deref().unwrap_or("not readable from this record");
                write!(
                    f,
                    "{}: the fleet keeps no master key; its place was {place}; name the source of \
                     the key with --master-key or HINTDEX_MASTER_KEY",
                    path.display()
                )
            }
            Self::OtherMasterKey { path } => write!(
                f,
                "{}: the fleet has this master key, not the given one; give this key or none",
                path.display()
            ),
            // `fmt` writes every other variant.
            _ => Ok(()),
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
            Self::Secret(error) => error::Error::source(error),
            _ => None,
        }
    }
}
