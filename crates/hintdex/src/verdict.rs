//! What a station says of a packet.

use std::fmt;

use hintdex_wire::{DeviceId, Nonce};

use crate::Ticket;

/// Who knew the device behind a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// An attached snapshot.
    Snapshot,
    /// The live index.
    Index,
    /// The scan over all devices.
    Scan,
}

impl Source {
    /// Its name in the program's output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Index => "index",
            Self::Scan => "scan",
        }
    }
}

/// What a station says of a packet.
///
/// Of a packet whose tag does not verify nothing is said but that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Authentic and new. Its state is durable, to the degree the user chose.
    Accepted {
        /// Who sent it.
        device: DeviceId,
        /// Under which nonce.
        nonce: Nonce,
        /// What it says.
        payload: Vec<u8>,
        /// Who knew the device.
        source: Source,
    },
    /// Authentic, and accepted before.
    Replay {
        /// Who sent it.
        device: DeviceId,
        /// Under which nonce.
        nonce: Nonce,
        /// Who knew the device.
        source: Source,
    },
    /// Authentic, and older than the replay window remembers; or made at a time that the
    /// device's clock should be past.
    Stale {
        /// Who sent it.
        device: DeviceId,
        /// Under which nonce.
        nonce: Nonce,
        /// Who knew the device.
        source: Source,
    },
    /// Authentic, and made at a time that the device's clock should not have reached. A
    /// second packet that agrees with it is accepted and moves the device.
    Early {
        /// Who sent it.
        device: DeviceId,
        /// Under which nonce.
        nonce: Nonce,
        /// Who knew the device.
        source: Source,
    },
    /// Its hint is a device's, its tag is not.
    Forged,
    /// No device of the fleet is known to have made its hint.
    Unknown(Unknown),
    /// It is no packet.
    Malformed(Malformed),
}

/// Why no device is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unknown {
    /// No device of the fleet made the hint: all were tried.
    NoDevice,
    /// Neither snapshot nor index knows it, and the budget for scans is spent. The
    /// packet waits for [`scan_waiting`](crate::Station::scan_waiting), which returns its
    /// verdict with this ticket.
    ScanBudget {
        /// Names the packet.
        ticket: Ticket,
    },
    /// The device that sent it is out of service: its stored state is damaged, or its key.
    OutOfService {
        /// Which device.
        device: DeviceId,
    },
    /// More devices may have made the hint than are tried for one packet, and the
    /// tag verified under none of those that were.
    TooManyCandidates,
}

/// Why something is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// Too short for a hint and a tag.
    TooShort {
        /// How long it is.
        len_bytes: usize,
        /// How long the shortest packet is.
        least_bytes: usize,
    },
}

impl Verdict {
    /// Its name in the program's output.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Replay { .. } => "replay",
            Self::Stale { .. } => "stale",
            Self::Early { .. } => "early",
            Self::Forged => "forged",
            Self::Unknown(_) => "unknown",
            Self::Malformed(_) => "malformed",
        }
    }

    /// Why it is not accepted, in a few words; empty if it is.
    pub fn reason(&self) -> String {
        match self {
            Self::Accepted { .. } => String::new(),
            Self::Replay { .. } => "this nonce was accepted before".into(),
            Self::Stale { .. } => "older than the replay window or than the clock allows".into(),
            Self::Early { .. } => "ahead of the time that the clock allows".into(),
            Self::Forged => "the tag does not verify".into(),
            Self::Unknown(why) => why.to_string(),
            Self::Malformed(why) => why.to_string(),
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice => f.write_str("no device made this hint"),
            Self::ScanBudget { .. } => {
                f.write_str("scan budget: not in the index, and no scan is allowed now")
            }
            Self::OutOfService { device } => {
                write!(f, "device {device} is out of service: its record or its key is damaged")
            }
            Self::TooManyCandidates => f.write_str("too many candidates: not all were tried"),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { len_bytes, least_bytes } => {
                write!(f, "{len_bytes} bytes, the shortest packet has {least_bytes}")
            }
        }
    }
}
