//! The errors of an index, each with its remedy.

use std::path::{Path, PathBuf};
use std::{error, fmt, io};

use hintdex_host::FileError;
use hintdex_wire::{DeviceId, HintScheme, KeyId, Nonce, NonceKind, PacketFormat, Slot, Suite};

/// Why a call on an index failed.
///
/// The message states what failed, where, and the remedy. [`source`](error::Error::source)
/// returns the error of the store or of the system.
///
/// See the example of [`LiveIndex`](crate::LiveIndex).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The folder holds no index. Provision one, or check the path.
    NotAnIndex {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds an index already. Open it instead.
    AlreadyAnIndex {
        /// The folder.
        path: PathBuf,
    },
    /// Another process has the index open. Wait for it or stop it.
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A newer version of hintdex wrote the index. Update this program.
    NewerVersion {
        /// The format version of the index.
        found: u16,
        /// The newest format version this program reads.
        supported: u16,
    },
    /// The keys are not those of the index. Nothing was changed.
    ForeignKeys,
    /// A record that cannot be rebuilt is damaged. Restore the index from a backup.
    Corrupted {
        /// The record.
        what: &'static str,
        /// The damage.
        why: String,
    },
    /// A record that a reader would reject was about to be stored: a defect of this program.
    /// Nothing was stored. Report it.
    Unsound {
        /// The record.
        what: &'static str,
        /// The rule that the record breaks.
        why: &'static str,
    },
    /// The call does not apply to this index. Nothing was changed.
    NotForThisIndex {
        /// The call.
        call: &'static str,
        /// The reason, and the call to use instead.
        why: &'static str,
    },
    /// Some of the devices are in the index already. Nothing was added.
    AlreadyProvisioned {
        /// The first id that is in the index already.
        first: DeviceId,
        /// The last id of the same run.
        last: DeviceId,
    },
    /// A range holds no device. Pass at least one.
    NoDevices,
    /// A range ends past 2³² − 1, the last id.
    IdsPastTheLast {
        /// The first id of the range.
        first: DeviceId,
        /// The length of the range, in ids.
        count: u64,
    },
    /// Hints of the scheme are too short for the nonces. Choose `aes128` hints.
    NoRoomForNonces {
        /// The hint scheme.
        scheme: HintScheme,
        /// The kind of nonces.
        nonces: NonceKind,
    },
    /// Key epochs are spans of a counter's nonces, and the nonces are clocked. Choose counters, or
    /// no ratchet.
    RatchetOfClocks {
        /// The kind of nonces.
        nonces: NonceKind,
    },
    /// There are no packets of this hint scheme and this suite. Choose another pair.
    NoSuchFormat {
        /// The pair.
        format: PacketFormat,
    },
    /// The suite authenticates no associated data, and the fleet would have some. Choose another
    /// suite, or no associated data.
    NoAssociatedData {
        /// The suite.
        suite: Suite,
    },
    /// Packets that name their devices without an index of hints do not go with this parameter.
    /// Leave the parameter out.
    NotWithoutHints {
        /// How packets name their devices.
        naming: &'static str,
        /// The parameter.
        what: &'static str,
    },
    /// A lookahead is 0 or larger than [`MAX_LOOKAHEAD`](crate::MAX_LOOKAHEAD).
    LookaheadOutOfRange {
        /// The requested lookahead, in nonces.
        lookahead: u32,
        /// The largest lookahead, in nonces.
        max_lookahead: u32,
    },
    /// A setting of devices is out of range.
    SettingOutOfRange {
        /// The rule.
        what: &'static str,
        /// The largest value.
        most: u32,
    },
    /// A snapshot holds too few nonces of each device for a lean window.
    /// Build a snapshot with a longer horizon, or roll.
    HorizonTooShort {
        /// The nonces it holds of each device.
        horizon_nonces: u32,
        /// The nonces it must hold of each device.
        least_nonces: u32,
    },
    /// All 2³² slots are taken.
    SlotsUsedUp,
    /// The key source has no such key.
    NoSuchKey(KeyId),
    /// The device is not in the index.
    UnknownDevice(DeviceId),
    /// A state that was exported elsewhere is none that an index with these parameters has.
    UnsoundTransfer {
        /// The device.
        device: DeviceId,
        /// Why.
        why: &'static str,
    },
    /// A new key of a device is not newer than the keys that the device has or had.
    GenerationPassed {
        /// The device.
        device: DeviceId,
        /// The generation of the new key.
        given: u16,
        /// The newest generation that the device has.
        newest: u16,
    },
    /// A nonce is larger than the hint scheme and the kind of nonces allow.
    NoncePastTheLast {
        /// The nonce.
        nonce: Nonce,
        /// The last valid nonce.
        last: Nonce,
    },
    /// The slot is not in the index.
    UnknownSlot(Slot),
    /// A write failed earlier and its result is unknown, so the index refuses everything until
    /// it is opened again. Remove the cause, then reopen the index.
    Poisoned {
        /// The failure.
        cause: String,
    },
    /// A thread could not be started. Allow the process more threads.
    Threads {
        /// The error of the system.
        why: String,
    },
    /// A window of hints is damaged. Nothing is lost: `decode` and `roll` rebuild it.
    WindowDamaged {
        /// The damage.
        why: String,
    },
    /// Devices are out of service: their packets are not accepted. Restore their records from
    /// a backup, or retire them.
    OutOfService {
        /// The first of these devices.
        device: DeviceId,
        /// Why it is out of service.
        why: &'static str,
        /// How many further devices are out of service.
        others: usize,
    },
    /// Readers have not acknowledged as many payloads as the outbox has room for, so no further
    /// batch is admitted. Let the readers catch up, or give the outbox more room.
    OutboxFull {
        /// The payloads that wait, at most.
        waiting: u64,
        /// The room of the outbox, in payloads.
        room: u64,
        /// The reader that is furthest behind, if there is one.
        reader: Option<String>,
    },
    /// The outbox has no reader of this name, or a reader cannot have this name. Name it in
    /// [`Outbox::set_readers`](crate::Outbox::set_readers); a name has 1 to 64 bytes.
    NoSuchReader {
        /// The name.
        name: String,
    },
    /// An operation of the store failed.
    Store {
        /// The operation.
        doing: &'static str,
        /// The error of the store.
        source: rocksdb::Error,
    },
    /// An operation of the file system failed. If only the last sync of a publication
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

impl Error {
    /// The message of a key that cannot be added.
    fn fmt_of_keys(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsoundTransfer { device, why } => write!(
                f,
                "the exported state of device {device} is not sound: {why}; nothing was imported; \
                 export it again"
            ),
            Self::GenerationPassed { device, given, newest } => write!(
                f,
                "device {device} has a key of generation {newest}, and a new key of generation \
                 {given} would not be newer; give it a later generation"
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnIndex { path } => {
                write!(f, "{}: no index here; create one with provision", path.display())
            }
            Self::AlreadyAnIndex { path } => {
                write!(f, "{}: the folder holds an index already; open it instead", path.display())
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
            Self::ForeignKeys => f.write_str(
                "the master key is not the one of this index; use the one it was created with",
            ),
            Self::NotForThisIndex { call, why } => write!(f, "{call}: {why}"),
            Self::AlreadyProvisioned { first, last } => write!(
                f,
                "devices {first} to {last} are in the index already; nothing was added; choose other ids"
            ),
            Self::NoDevices => f.write_str("no devices were given; pass at least one"),
            Self::IdsPastTheLast { first, count } => write!(
                f,
                "{count} devices from id {first} on end past the last id {}; choose fewer or lower ids",
                u32::MAX
            ),
            Self::NoRoomForNonces { .. }
            | Self::RatchetOfClocks { .. }
            | Self::NoSuchFormat { .. }
            | Self::NoAssociatedData { .. }
            | Self::NotWithoutHints { .. }
            | Self::LookaheadOutOfRange { .. } => self.fmt_of_params(f),
            Self::SettingOutOfRange { what, most } => {
                write!(f, "a setting is out of range: {what}, and at most {most}")
            }
            Self::HorizonTooShort { horizon_nonces, least_nonces } => write!(
                f,
                "the snapshot holds {horizon_nonces} nonces a device and the index needs \
                 {least_nonces}; build one with a longer horizon"
            ),
            Self::SlotsUsedUp => f.write_str("all 2^32 slots are taken; create another index"),
            Self::NoSuchKey(KeyId { device, generation }) => {
                write!(
                    f,
                    "no key of generation {generation} for device {device}; add it to the key source"
                )
            }
            Self::UnknownDevice(device) => write!(f, "device {device} is not in the index"),
            Self::UnsoundTransfer { .. } | Self::GenerationPassed { .. } => self.fmt_of_keys(f),
            Self::NoncePastTheLast { nonce, last } => {
                write!(f, "nonce {nonce} is past {last}, the last nonce of the hint scheme")
            }
            Self::UnknownSlot(slot) => write!(f, "slot {} is not in the index", slot.0),
            Self::Threads { why } => {
                write!(f, "starting threads failed: {why}; allow this process more threads")
            }
            _ => self.fmt_failure(f),
        }
    }
}

impl Error {
    /// Writes the message of parameters that no index can have.
    fn fmt_of_params(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoomForNonces { scheme, nonces } => {
                write!(f, "{scheme} hints are too short for {nonces} nonces; choose aes128 hints")
            }
            Self::RatchetOfClocks { nonces } => write!(
                f,
                "a ratchet needs counters, not {nonces} nonces; omit the ratchet or choose counters"
            ),
            Self::NoSuchFormat { format: PacketFormat { scheme, suite } } => write!(
                f,
                "{scheme} hints have no packets of suite {suite}; choose suite aes-ctr-hmac or \
                 other hints"
            ),
            Self::NoAssociatedData { suite } => write!(
                f,
                "suite {suite} authenticates no associated data; omit the data or choose another \
                 suite"
            ),
            Self::NotWithoutHints { naming, what } => {
                write!(f, "{naming} packets do not go with {what}; leave {what} out")
            }
            Self::LookaheadOutOfRange { lookahead, max_lookahead } => write!(
                f,
                "a lookahead of {lookahead} hints is out of range; choose 1 to {max_lookahead}"
            ),
            _ => Ok(()),
        }
    }

    /// Writes the message of a fault of the data or the system, rather than of the call.
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
                "an earlier write failed ({cause}); remove the cause and open the index again"
            ),
            Self::WindowDamaged { why } => write!(
                f,
                "a window of hints is damaged: {why}; nothing is lost: hintdex decode and hintdex \
                 roll rebuild it"
            ),
            Self::OutOfService { device, why, others } => {
                write!(f, "device {device} is out of service: {why}")?;
                match others {
                    0 => {}
                    1 => f.write_str("; so is another device")?,
                    others => write!(f, "; so are {others} other devices")?,
                }
                f.write_str("; all other devices work; restore the record from a backup")
            }
            Self::NoSuchReader { name } => write!(
                f,
                "the outbox has no reader {name:?}; name it when the outbox is opened, with 1 to 64 \
                 bytes"
            ),
            Self::OutboxFull { waiting, room, reader } => {
                write!(
                    f,
                    "the outbox is full: {waiting} payloads wait, and it has room for {room}; "
                )?;
                match reader {
                    Some(reader) => {
                        write!(f, "reader {reader:?} is furthest behind: let it catch up")
                    }
                    None => f.write_str("it has no reader: name one"),
                }
            }
            Self::Store { doing, source } => write!(f, "{doing} failed: {source}"),
            Self::File(error) => fmt::Display::fmt(error, f),
            // `fmt` writes every other variant.
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
