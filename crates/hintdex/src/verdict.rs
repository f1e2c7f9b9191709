//! Verdicts: the result of decoding for one packet.

use std::fmt;

use hintdex_wire::{DeviceId, Nonce, PacketError, WrongLead};

use crate::Ticket;

/// Where a hint was resolved.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// An attached snapshot.
    Snapshot,
    /// The live index.
    Index,
    /// The scan over all devices.
    Scan,
    /// The time of reception, at which the device was due.
    Schedule,
    /// The packet itself, which carries the id of its device encrypted.
    Packet,
}

impl Source {
    /// The name of the source in the program's output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Index => "index",
            Self::Scan => "scan",
            Self::Schedule => "schedule",
            Self::Packet => "packet",
        }
    }

    /// The number of the source in stored records.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Snapshot => 1,
            Self::Index => 2,
            Self::Scan => 3,
            Self::Schedule => 4,
            Self::Packet => 5,
        }
    }

    /// The source with this number.
    pub(crate) fn of_number(number: u8) -> Option<Self> {
        let all = [Self::Snapshot, Self::Index, Self::Scan, Self::Schedule, Self::Packet];
        all.into_iter().find(|source| source.number() == number)
    }
}

/// The verdict on one packet.
///
/// The verdict on a packet whose tag does not verify names neither device nor nonce.
///
/// See the [example of the crate](crate).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Authentic and new. The device's new state is as durable as the options ask.
    Accepted {
        /// The device that sent the packet.
        device: DeviceId,
        /// The generation of the key that opened the packet: nonces begin anew under each.
        generation: u16,
        /// The nonce of the packet. A packet without a nonce gets the number of the packets that
        /// were accepted of its device before.
        nonce: Nonce,
        /// The decrypted payload.
        payload: Vec<u8>,
        /// Where the hint was resolved.
        source: Source,
    },
    /// Authentic, and this nonce was accepted before.
    Replay {
        /// The device that sent the packet.
        device: DeviceId,
        /// The nonce of the packet.
        nonce: Nonce,
        /// Where the hint was resolved.
        source: Source,
    },
    /// Authentic, and below the replay window; with clocked nonces, made at a time that the
    /// device's clock must have passed.
    Stale {
        /// The device that sent the packet.
        device: DeviceId,
        /// The nonce of the packet.
        nonce: Nonce,
        /// Where the hint was resolved.
        source: Source,
    },
    /// Authentic, and further ahead than the device can be: made at a time that its clock cannot
    /// have reached, or past the largest gap that its settings allow.
    Early {
        /// The device that sent the packet.
        device: DeviceId,
        /// The nonce of the packet.
        nonce: Nonce,
        /// Where the hint was resolved.
        source: Source,
        /// Which limit the packet is past.
        why: EarlyReason,
    },
    /// A device of the fleet has the hint, and the tag does not verify.
    Forged,
    /// No device of the fleet is known to have made the hint.
    Unknown(Unknown),
    /// The bytes are no packet.
    Malformed(Malformed),
}

/// Why a packet is early.
///
/// See the example of [`Station::set_devices`](crate::Station::set_devices).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EarlyReason {
    /// The device's clock cannot have reached the time of the nonce. A second packet that agrees
    /// is accepted and moves the device's clock.
    Clock,
    /// The counter skips more nonces than are accepted at once. A second packet that agrees is
    /// accepted.
    AwaitsSecond,
    /// The counter skips more nonces than the device's [`MaxGap`](crate::MaxGap) allows.
    PastMaxGap,
}

/// Why a packet is unknown.
///
/// See the example of [`Station`](crate::Station).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unknown {
    /// No device of the fleet made the hint: every key was tried.
    NoDevice,
    /// Neither snapshot nor index resolves the hint, and the scan budget is spent. The packet
    /// waits for [`scan_waiting`](crate::Station::scan_waiting), which returns its verdict
    /// with this ticket.
    ScanBudget {
        /// Names the packet that waits.
        ticket: Ticket,
    },
    /// The device that sent the packet is out of service: its stored state or its key is
    /// damaged. With a damaged hint key the hint cannot be confirmed, and the device is the
    /// one that the live index names for the hint.
    OutOfService {
        /// The device.
        device: DeviceId,
    },
    /// The packet has no hint, and it is of none of the devices that are due at its time.
    NotDue,
    /// The hint has more candidates than are tried for one packet, and the tag verified
    /// under none of those that were tried.
    TooManyCandidates,
}

/// Why bytes are no packet.
///
/// See the example of [`Station`](crate::Station).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// Too short for a hint and a tag.
    TooShort {
        /// The length, in bytes.
        len_bytes: usize,
        /// The length of the shortest packet, in bytes.
        least_bytes: usize,
    },
    /// The ephemeral point has a small order, so the agreed key would be the same for every
    /// station (RFC 7748, section 6.1).
    WeakPoint,
    /// The first byte is not the lead of the fleet's packets.
    WrongLead(WrongLead),
}

impl From<WrongLead> for Malformed {
    fn from(error: WrongLead) -> Self {
        Self::WrongLead(error)
    }
}

impl From<PacketError> for Malformed {
    fn from(PacketError { len_bytes, least_bytes }: PacketError) -> Self {
        Self::TooShort { len_bytes, least_bytes }
    }
}

impl Verdict {
    /// The name of the verdict in the program's output.
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

    /// Why the packet is not accepted, in a few words; empty for an accepted packet.
    pub fn reason(&self) -> String {
        match self {
            Self::Accepted { .. } => String::new(),
            Self::Replay { .. } => "this nonce was accepted before".into(),
            Self::Stale { .. } => "older than the replay window or than the clock allows".into(),
            Self::Early { why, .. } => why.to_string(),
            Self::Forged => "the tag does not verify".into(),
            Self::Unknown(why) => why.to_string(),
            Self::Malformed(why) => why.to_string(),
        }
    }
}

impl fmt::Display for EarlyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clock => "ahead of the time that the clock allows",
            Self::AwaitsSecond => {
                "skips more nonces than are accepted at once: the next packet that agrees is accepted"
            }
            Self::PastMaxGap => "skips more nonces than the device may skip",
        })
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
            Self::NotDue => f.write_str("no device that is due sent this packet"),
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
            Self::WeakPoint => f.write_str("its point has a small order, so there is no key"),
            Self::WrongLead(error) => error.fmt(f),
        }
    }
}
