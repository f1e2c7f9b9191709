//! What a resolver did on its own, for the log.

use std::fmt;
use std::path::PathBuf;

use hintdex_wire::DeviceId;

/// Something the owner of the beacons should know of. Prints as one line.
///
/// See the example of [`Resolver`](crate::Resolver).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A beacon's clock was moved to where it was not expected.
    ClockMoved {
        /// Whose clock.
        device: DeviceId,
        /// What it shows now.
        clock_s: u64,
        /// When it was heard, for the second time.
        at_unix_s: u64,
    },
    /// A beacon's clock is again where it was before it was moved.
    ClockRestored {
        /// Whose clock.
        device: DeviceId,
        /// When it was heard there, for the second time.
        at_unix_s: u64,
    },
    /// What was learned of some clocks is damaged: those begin again at what their
    /// registrations say.
    ClocksDamaged {
        /// The file.
        path: PathBuf,
        /// How many hypotheses are lost; none where the header alone is damaged.
        records: u64,
        /// Where the first damage is.
        offset_bytes: u64,
    },
    /// The record of windows is damaged: files that it named stay where they are.
    WindowRecordDamaged {
        /// The file.
        path: PathBuf,
    },
    /// A window's file was damaged, and is built again.
    WindowDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A window was not built ahead; it will be when it is needed.
    NextWindowFailed {
        /// Why.
        what: String,
    },
    /// The station's clock went back further than windows are kept.
    StationClockWentBack {
        /// From where.
        from_unix_s: u64,
        /// To where.
        to_unix_s: u64,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockMoved { device, clock_s, at_unix_s } => write!(
                f,
                "the clock of beacon {device} is at {clock_s} s now: identifiers of two rotations \
                 agree, the second at {at_unix_s}; power loss, a new battery, or a receiver \
                 whose own clock is wrong; where it was before is kept for a while"
            ),
            Self::ClockRestored { device, at_unix_s } => write!(
                f,
                "the clock of beacon {device} is again where it was before it was moved: \
                 identifiers of two rotations say so, the second at {at_unix_s}"
            ),
            Self::ClocksDamaged { path, records, offset_bytes } => write!(
                f,
                "{}: {records} records are damaged, the first damage at offset {offset_bytes}; \
                 what they said of clocks is learned again from the registrations on",
                path.display()
            ),
            Self::WindowRecordDamaged { path } => write!(
                f,
                "{}: the record of windows is damaged; it begins anew, and files of windows that \
                 have passed stay until you remove them",
                path.display()
            ),
            Self::WindowDamaged { path, what } => {
                write!(f, "{}: {what}; it is built again", path.display())
            }
            Self::NextWindowFailed { what } => {
                write!(f, "the next window was not built ahead, it will be when it begins: {what}")
            }
            Self::StationClockWentBack { from_unix_s, to_unix_s } => write!(
                f,
                "the station's clock went back from {from_unix_s} to {to_unix_s}; check its time"
            ),
        }
    }
}
