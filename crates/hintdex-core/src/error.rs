//! What can go wrong in an index, and what to do about it.

use std::path::{Path, PathBuf};
use std::{error, fmt, io};

use hintdex_host::FileError;
use hintdex_wire::{DeviceId, HintScheme, KeyId, Nonce, NonceKind, Slot};

/// Why an index did not do what it was asked.
///
/// The message says what, where and the remedy; [`source`](error::Error::source)
/// has what the store or the system said.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no index in this folder. Provision one, or check the path.
    NotAnIndex {
        /// The folder.
        path: PathBuf,
    },
    /// There is an index in this folder already. Open it instead.
    AlreadyAnIndex {
        /// The folder.
        path: PathBuf,
    },
    /// Another process has the index open. Wait for it or stop it.
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A newer version of hintdex wrote the index. Update this one.
    NewerVersion {
        /// The version the index has.
        found: u16,
        /// The newest version this program reads.
        supported: u16,
    },
    /// The keys given are not those the index was built with. Nothing was changed.
    ForeignKeys,
    /// A record that cannot be made again is damaged. Restore the index from a backup.
    Corrupted {
        /// Which record.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A record was about to be stored that no reader would take: a defect of this program.
    /// Nothing was stored. Report it.
    Unsound {
        /// Which record.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The call makes no sense for this index. Nothing was changed.
    NotForThisIndex {
        /// The call.
        call: &'static str,
        /// Why not, and what to call instead.
        why: &'static str,
    },
    /// Some of the devices are there already. Nothing was added.
    AlreadyProvisioned {
        /// The first id that is there.
        first: DeviceId,
        /// The last id of the same run.
        last: DeviceId,
    },
    /// A range holds no device. Ask for one at least.
    NoDevices,
    /// A range ends past 2³² − 1, the last id there is.
    IdsPastTheLast {
        /// Where it begins.
        first: DeviceId,
        /// How many ids were asked for.
        count: u64,
    },
    /// Hints of a scheme have no room for such nonces. Choose `aes128` hints.
    NoRoomForNonces {
        /// The hints.
        scheme: HintScheme,
        /// The nonces.
        nonces: NonceKind,
    },
    /// A lookahead is 0 or larger than [`MAX_LOOKAHEAD`](crate::MAX_LOOKAHEAD).
    LookaheadOutOfRange {
        /// What was asked for.
        lookahead: u32,
    },
    /// A snapshot holds too few nonces of a device for the index to lean on it.
    /// Build one with a longer horizon, or roll.
    HorizonTooShort {
        /// How many it holds.
        horizon_nonces: u32,
        /// How many it has to hold.
        least_nonces: u32,
    },
    /// All 2³² slots are taken.
    SlotsUsedUp,
    /// The key source has no such key.
    NoSuchKey(KeyId),
    /// No such device was provisioned.
    UnknownDevice(DeviceId),
    /// A nonce is larger than any the hint scheme has.
    NoncePastTheLast {
        /// The nonce.
        nonce: Nonce,
        /// The last one there is.
        last: Nonce,
    },
    /// No such slot was provisioned.
    UnknownSlot(Slot),
    /// A write failed earlier and what it left behind is unknown, so the index
    /// refuses everything until it is opened again. Mend the cause, then reopen.
    Poisoned {
        /// What failed.
        cause: String,
    },
    /// No thread could be started. Allow more of them.
    Threads {
        /// What the system said.
        why: String,
    },
    /// A window of hints is damaged. Nothing is lost: `decode` and `roll` build it again.
    WindowDamaged {
        /// What is wrong with it.
        why: String,
    },
    /// Devices are out of service: nothing they send is accepted. Restore their records from
    /// a backup, or retire them.
    OutOfService {
        /// The first of them.
        device: DeviceId,
        /// Why.
        why: &'static str,
        /// How many there are beside it.
        others: usize,
    },
    /// The store failed.
    Store {
        /// What it was doing.
        doing: &'static str,
        /// What it said.
        source: rocksdb::Error,
    },
    /// The file system refused an operation. Where only the last sync of a publication
    /// failed, the new file is in place ([`FileError::is_published`]).
    File(FileError),
}

impl Error {
    pub(crate) fn store(doing: &'static str) -> impl FnOnce(rocksdb::Error) -> Self {
        move |source| Self::Store { doing, source }
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File(FileError::new(doing, path, source))
    }

    pub(crate) fn window_damaged(why: impl Into<String>) -> Self {
        Self::WindowDamaged { why: why.into() }
    }

    pub(crate) const fn unsound(what: &'static str, why: &'static str) -> Self {
        Self::Unsound { what, why }
    }

    pub(crate) fn corrupted(what: &'static str, why: impl Into<String>) -> Self {
        Self::Corrupted { what, why: why.into() }
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
            Self::NotAnIndex { path } => {
                write!(f, "{}: no index here; make one with provision", path.display())
            }
            Self::AlreadyAnIndex { path } => {
                write!(f, "{}: there is an index here already; open it instead", path.display())
            }
            Self::InUse { path } => {
                write!(
                    f,
                    "{}: another process has this index open; wait for it or stop it",
                    path.display()
                )
            }
            Self::NewerVersion { found, supported } => write!(
                f,
                "the index has format version {found}, this program reads up to {supported}; update hintdex"
            ),
            Self::ForeignKeys => {
                f.write_str("the master key is not the one this index was made with; use that one")
            }
            Self::NotForThisIndex { call, why } => write!(f, "{call}: {why}"),
            Self::AlreadyProvisioned { first, last } => write!(
                f,
                "devices {first} to {last} are in the index already; nothing was added, choose other ids"
            ),
            Self::NoDevices => f.write_str("there must be at least one device"),
            Self::IdsPastTheLast { first, count } => write!(
                f,
                "{count} devices from id {first} on go past the last id {}; choose fewer or lower ids",
                u32::MAX
            ),
            Self::NoRoomForNonces { scheme, nonces } => {
                write!(f, "{scheme} hints have no room for {nonces} nonces; aes128 hints have")
            }
            Self::LookaheadOutOfRange { lookahead } => write!(
                f,
                "a lookahead of {lookahead} hints is out of range; choose 1 to {}",
                crate::MAX_LOOKAHEAD
            ),
            Self::HorizonTooShort { horizon_nonces, least_nonces } => write!(
                f,
                "the snapshot holds {horizon_nonces} nonces a device and the index needs \
                 {least_nonces}; build one with a longer horizon"
            ),
            Self::SlotsUsedUp => f.write_str("all 2^32 slots are taken; start another index"),
            Self::NoSuchKey(KeyId { device, generation }) => {
                write!(
                    f,
                    "no key of generation {generation} for device {device}; add it to the key source"
                )
            }
            Self::UnknownDevice(device) => write!(f, "device {device} is not in the index"),
            Self::NoncePastTheLast { nonce, last } => {
                write!(f, "nonce {nonce} is past {last}, the last one of the hint scheme")
            }
            Self::UnknownSlot(slot) => write!(f, "slot {} is not in the index", slot.0),
            Self::Threads { why } => {
                write!(f, "starting threads failed: {why}; allow this process more of them")
            }
            _ => self.fmt_failure(f),
        }
    }
}

impl Error {
    /// The message of what is wrong with the data or the system, and not with the call.
    fn fmt_failure(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupted { what, why } => {
                write!(f, "the index is damaged: {what}: {why}; restore it from a backup")
            }
            Self::Unsound { what, why } => write!(
                f,
                "{what} was not stored: {why}; this is a defect of hintdex, please report it"
            ),
            Self::Poisoned { cause } => write!(
                f,
                "an earlier write failed ({cause}); mend the cause and open the index again"
            ),
            Self::WindowDamaged { why } => write!(
                f,
                "a window of hints is damaged: {why}; nothing is lost: hintdex decode and hintdex \
                 roll build it again"
            ),
            Self::OutOfService { device, why, others } => {
                write!(f, "device {device} is out of service: {why}")?;
                match others {
                    0 => {}
                    1 => f.write_str("; so is another device")?,
                    others => write!(f, "; so are {others} other devices")?,
                }
                f.write_str("; every other device goes on: restore the record from a backup")
            }
            Self::Store { doing, source } => write!(f, "{doing} failed: {source}"),
            Self::File(error) => fmt::Display::fmt(error, f),
            // Every other error is a refused call.
            _ => Ok(()),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Store { source, .. } => Some(source),
            Self::File(error) => error::Error::source(error),
            _ => None,
        }
    }
}
