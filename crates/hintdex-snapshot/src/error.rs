//! Errors: one enum for each operation.

use core::error::Error;
use core::fmt;
use core::ops::Range;
use std::io;

use hintdex_host::FileError;

/// Why a file was not opened as a snapshot. No lookup has used any of its bytes.
///
/// See the example of [`Snapshot`](crate::Snapshot).
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be read or mapped; check that it exists and is readable.
    Io(io::Error),
    /// The file does not begin with a snapshot's magic; pass a file that `hintdex rebuild` wrote.
    NotASnapshot,
    /// A newer hintdex wrote the file; use that version, or rebuild the file with this one.
    NewerVersion {
        /// The version of the file's format.
        got: u16,
        /// The newest version this crate reads.
        newest: u16,
    },
    /// The file was truncated; rebuild it, or copy it again.
    TooShort {
        /// The length of the file.
        got_bytes: u64,
        /// The length in its header, or the shortest length of a snapshot.
        expected_bytes: u64,
    },
    /// Something was appended to the file; rebuild it, or copy it again.
    TooLong {
        /// The length of the file.
        got_bytes: u64,
        /// The length in its header.
        expected_bytes: u64,
    },
    /// A part of the file fails its check; rebuild the file, or copy it again.
    Damaged {
        /// The part, by name.
        what: &'static str,
        /// The offset of the part in the file.
        offset_bytes: u64,
    },
    /// The snapshot is of another fleet; open it with that fleet's master key.
    WrongKey,
    /// A field of the header holds a number that this version does not know; rebuild the file.
    Field {
        /// The field, by its name in the table of the format.
        field: &'static str,
        /// The number in the field.
        got: u64,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(source) => write!(f, "cannot read the snapshot: {source}"),
            Self::NotASnapshot => {
                f.write_str("not a hintdex snapshot; pass a file that `hintdex rebuild` wrote")
            }
            Self::NewerVersion { got, newest } => write!(
                f,
                "snapshot format {got} is newer than {newest}, the newest format that this \
                 version reads; use a newer hintdex, or rebuild the snapshot"
            ),
            Self::TooShort { got_bytes, expected_bytes } => write!(
                f,
                "the snapshot was truncated to {got_bytes} of {expected_bytes} bytes; rebuild it"
            ),
            Self::TooLong { got_bytes, expected_bytes } => write!(
                f,
                "the snapshot has {got_bytes} bytes, and its header states {expected_bytes}; \
                 rebuild it"
            ),
            Self::Damaged { what, offset_bytes } => {
                write!(f, "the snapshot's {what} at offset {offset_bytes} is damaged; rebuild it")
            }
            Self::WrongKey => {
                f.write_str("the snapshot is of another fleet (another master key); pass this fleet's snapshot, or build it with `hintdex rebuild`")
            }
            Self::Field { field, got } => {
                write!(f, "the snapshot's field {field} holds {got}, which is not allowed; rebuild it")
            }
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            _ => None,
        }
    }
}

/// A check block whose bytes fail their CRC.
///
/// Lookups that need the block return this error; all others return their candidates. Until
/// the file is rebuilt, ask the live index or the scan for the hints of the block.
///
/// See the example of [`Snapshot`](crate::Snapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The number of the block in the data.
    pub block: u64,
    /// The offset of the block in the file.
    pub offset_bytes: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, offset_bytes } = self;
        write!(f, "the snapshot's block {block} at offset {offset_bytes} is damaged; rebuild it")
    }
}

impl Error for Damage {}

/// Why a snapshot is not sound. Lookups that do not need the damaged bytes still succeed.
///
/// See the example of [`Snapshot`](crate::Snapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// A block fails its CRC; rebuild the file, or copy it again.
    Damaged(Damage),
    /// A byte of the padding is not zero although its block passes its CRC: the file was not
    /// written by the rules of the format. Rebuild it.
    Padding {
        /// The part before the padding.
        behind: &'static str,
        /// The offset of the byte in the file.
        offset_bytes: u64,
    },
}

impl VerifyError {
    /// The offset of the block or the byte in the file.
    pub const fn offset_bytes(&self) -> u64 {
        match self {
            Self::Damaged(Damage { offset_bytes, .. }) | Self::Padding { offset_bytes, .. } => {
                *offset_bytes
            }
        }
    }
}

impl From<Damage> for VerifyError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(damage) => damage.fmt(f),
            Self::Padding { behind, offset_bytes } => write!(
                f,
                "the snapshot's byte at offset {offset_bytes}, padding behind the {behind}, is \
                 not zero; rebuild it"
            ),
        }
    }
}

impl Error for VerifyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Damaged(damage) => Some(damage),
            Self::Padding { .. } => None,
        }
    }
}

/// Why no snapshot was built. A previous file at the path is unchanged, except after a
/// [`FileError`] that [`is_published`](FileError::is_published).
///
/// See the example of [`Builder`](crate::Builder).
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A parameter is out of its range.
    Params {
        /// The parameter, by name.
        param: &'static str,
        /// The value that was passed.
        got: u64,
        /// The allowed values.
        allowed: &'static str,
    },
    /// A chain is built from points, not from heads and slots; call
    /// [`Builder::build_chain`](crate::Builder::build_chain).
    NeedsPoints,
    /// The folder or the file cannot be written. If only the last sync failed, the new file
    /// is published ([`FileError::is_published`]).
    File(FileError),
    /// No seed worked for a shard. Hints from a cipher never cause this in practice; check
    /// that the source computes its hints with one.
    SeedsUsedUp {
        /// The number of the shard.
        shard: usize,
        /// The number of seeds that were tried.
        attempts: u32,
    },
    /// The source returned another number of hints than it announced, or different hints in
    /// different passes: the fleet changed during the build. Build again.
    HintsChanged {
        /// The number that the source announced.
        announced: u64,
        /// The number that it returned.
        got: u64,
    },
    /// The source returned a hint of a slot that the snapshot does not cover. Extend
    /// [`SnapshotParams::slots`](crate::SnapshotParams::slots), or omit the hints of the slot.
    SlotOutside {
        /// The lowest such slot.
        slot: u32,
        /// The slots of the parameters.
        slots: Range<u32>,
    },
    /// The system refused memory for the hints of a pass. Lower the bound
    /// ([`Builder::memory_bytes`](crate::Builder::memory_bytes)), or use fewer threads.
    OutOfMemory {
        /// The size of the refused request in bytes.
        asked_bytes: u64,
        /// The bound on the memory of the build in bytes.
        memory_bytes: u64,
    },
    /// The chains of [`Encoding::Chain`](crate::Encoding::Chain) need more memory than the
    /// build may take; give the build so much
    /// ([`Builder::memory_bytes`](crate::Builder::memory_bytes)), or shorten the horizon.
    ChainNeedsMemory {
        /// What the build needs, in bytes.
        asked_bytes: u64,
        /// The bound that the build was given, in bytes.
        memory_bytes: u64,
    },
    /// A shard has more hints than its record can hold: the hints are not uniform. Check that
    /// the source computes them with a cipher.
    ShardTooLarge {
        /// The number of the shard.
        shard: usize,
        /// The number of its hints.
        hints: u64,
    },
    /// The system did not start the threads of the build; use fewer threads.
    Threads(rayon::ThreadPoolBuildError),
}

impl From<FileError> for BuildError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Params { param, got, allowed } => {
                write!(f, "{param} cannot be {got}; use {allowed}")
            }
            Self::NeedsPoints => f.write_str(
                "a chain is built from slots and nonces; build it with build_chain, or choose \
                 another encoding",
            ),
            Self::File(error) => fmt::Display::fmt(error, f),
            Self::SeedsUsedUp { shard, attempts } => {
                write!(
                    f,
                    "none of {attempts} seeds fits shard {shard}; are the hints from a cipher?"
                )
            }
            Self::HintsChanged { announced, got } => write!(
                f,
                "the source announced {announced} hints and returned {got}: the fleet changed \
                 during the build; build again"
            ),
            Self::SlotOutside { slot, slots: Range { start, end } } => write!(
                f,
                "the source returned a hint of slot {slot}, and the snapshot covers slots {start} \
                 to below {end}; cover the slot, or omit its hints"
            ),
            Self::OutOfMemory { asked_bytes, memory_bytes } => write!(
                f,
                "the system refused {asked_bytes} bytes for the build, whose bound is \
                 {memory_bytes} in all; lower the bound, and the build makes more passes"
            ),
            Self::ChainNeedsMemory { asked_bytes, memory_bytes } => write!(
                f,
                "a chain of so many hints needs {asked_bytes} bytes, and the build may take \
                 {memory_bytes}; give it more memory, or a shorter horizon"
            ),
            Self::ShardTooLarge { shard, hints } => {
                write!(f, "shard {shard} has too many hints: {hints}; are the hints from a cipher?")
            }
            Self::Threads(source) => write!(f, "cannot start the threads of the build: {source}"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(error) => error.source(),
            Self::Threads(source) => Some(source),
            _ => None,
        }
    }
}
