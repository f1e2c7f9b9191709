//! What can go wrong: one enum for each operation.

use core::error::Error;
use core::fmt;
use core::ops::Range;
use std::io;

use hintdex_host::FileError;

/// Why a file was not opened as a snapshot. Nothing of it was used.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be read or mapped; see that it is there and readable.
    Io(io::Error),
    /// The file does not begin like a snapshot; give the file that `hintdex rebuild` wrote.
    NotASnapshot,
    /// A newer hintdex wrote the file; use that one, or rebuild with this one.
    NewerVersion {
        /// The version of the file's format.
        got: u16,
        /// The newest version this crate reads.
        newest: u16,
    },
    /// The file was cut; rebuild it, or copy it again.
    TooShort {
        /// The length of the file.
        got_bytes: u64,
        /// The length its header gives, or the shortest there is.
        expected_bytes: u64,
    },
    /// Something was appended to the file; rebuild it, or copy it again.
    TooLong {
        /// The length of the file.
        got_bytes: u64,
        /// The length its header gives.
        expected_bytes: u64,
    },
    /// A part of the file is not what was written; rebuild it, or copy it again.
    Damaged {
        /// Which part.
        what: &'static str,
        /// Where the part begins in the file.
        offset_bytes: u64,
    },
    /// The snapshot is of another fleet; open it with that fleet's master key.
    WrongKey,
    /// A number in the file is not one this version knows; rebuild the file.
    Field {
        /// The field, as the format's table calls it.
        field: &'static str,
        /// What stands there.
        got: u64,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(source) => write!(f, "cannot read the snapshot: {source}"),
            Self::NotASnapshot => {
                f.write_str("not a hintdex snapshot; give a file that `hintdex rebuild` wrote")
            }
            Self::NewerVersion { got, newest } => write!(
                f,
                "snapshot format {got} is newer than {newest}, the newest known here; \
                 use a newer hintdex or rebuild it"
            ),
            Self::TooShort { got_bytes, expected_bytes } => write!(
                f,
                "the snapshot was cut to {got_bytes} of {expected_bytes} bytes; rebuild it"
            ),
            Self::TooLong { got_bytes, expected_bytes } => write!(
                f,
                "the snapshot has {got_bytes} bytes where its header says {expected_bytes}; \
                 rebuild it"
            ),
            Self::Damaged { what, offset_bytes } => {
                write!(f, "the snapshot's {what} at offset {offset_bytes} is damaged; rebuild it")
            }
            Self::WrongKey => {
                f.write_str("the snapshot is of another fleet (another master key); give this fleet's snapshot, or make one with rebuild")
            }
            Self::Field { field, got } => {
                write!(f, "the snapshot's field {field} holds {got}, which it may not; rebuild it")
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

/// A check block whose bytes are not those that were written.
///
/// Lookups that need the block fail with this; others are answered as before.
/// Answer from the live index or the scan meanwhile, and rebuild the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The number of the block in the data.
    pub block: u64,
    /// Where the block begins in the file.
    pub offset_bytes: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, offset_bytes } = self;
        write!(f, "the snapshot's block {block} at offset {offset_bytes} is damaged; rebuild it")
    }
}

impl Error for Damage {}

/// Why a snapshot is not sound. Lookups go on: those that need what is damaged fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// A block is not what was written; rebuild the file, or copy it again.
    Damaged(Damage),
    /// A byte that fills a part of the file up is not zero, and its block's check
    /// vouches for it: the file was not written by this format's rules. Rebuild it.
    Padding {
        /// The part before the padding.
        behind: &'static str,
        /// Where in the file the byte is.
        offset_bytes: u64,
    },
}

impl VerifyError {
    /// Where in the file the block or the byte is.
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

/// Why no snapshot was built. The file of that name is what it was before, unless
/// [`FileError::is_published`].
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A parameter is out of its range.
    Params {
        /// Which, as the call names it.
        param: &'static str,
        /// What was given.
        got: u64,
        /// What may be given.
        allowed: &'static str,
    },
    /// The folder or the file cannot be written. Where only the last sync failed, the new
    /// file is in place ([`FileError::is_published`]).
    File(FileError),
    /// No seed worked for a shard, which for hints from a cipher does not
    /// happen in the life of the universe: are the hints made by one?
    SeedsUsedUp {
        /// The shard.
        shard: usize,
        /// How many seeds were tried.
        attempts: u32,
    },
    /// The source gave another number of hints than it had announced, or other
    /// hints on another pass: the fleet changed while the snapshot was built.
    HintsChanged {
        /// How many it had announced.
        announced: u64,
        /// How many it gave.
        got: u64,
    },
    /// The source gave a hint of a slot that the snapshot does not cover; let
    /// [`SnapshotParams::slots`](crate::SnapshotParams::slots) cover it, or leave its
    /// hints out.
    SlotOutside {
        /// The least such slot.
        slot: u32,
        /// The slots of the parameters.
        slots: Range<u32>,
    },
    /// The system refused memory for the hints of a pass; give the build less of it
    /// ([`Builder::memory_bytes`](crate::Builder::memory_bytes)) or fewer threads.
    OutOfMemory {
        /// What the build asked for when it was refused, in bytes.
        asked_bytes: u64,
        /// The bound that the build was given, in bytes.
        memory_bytes: u64,
    },
    /// A shard has more hints than its record can count; the hints are not uniform.
    ShardTooLarge {
        /// The shard.
        shard: usize,
        /// Its hints.
        hints: u64,
    },
    /// The pool of threads did not start.
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
                write!(f, "{param} cannot be {got}; give {allowed}")
            }
            Self::File(error) => fmt::Display::fmt(error, f),
            Self::SeedsUsedUp { shard, attempts } => {
                write!(f, "shard {shard} fits no seed of {attempts}; are the hints from a cipher?")
            }
            Self::HintsChanged { announced, got } => write!(
                f,
                "{announced} hints were announced and {got} given: the fleet changed meanwhile; \
                 build again"
            ),
            Self::SlotOutside { slot, slots: Range { start, end } } => write!(
                f,
                "a hint of slot {slot} was given, and the snapshot covers slots {start} to below \
                 {end}; cover the slot or leave its hints out"
            ),
            Self::OutOfMemory { asked_bytes, memory_bytes } => write!(
                f,
                "the system refused {asked_bytes} bytes for the build, which may take \
                 {memory_bytes} in all; give it less memory, and it makes more passes"
            ),
            Self::ShardTooLarge { shard, hints } => {
                write!(f, "shard {shard} has {hints} hints, too many; are the hints from a cipher?")
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
