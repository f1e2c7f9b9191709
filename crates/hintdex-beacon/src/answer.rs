//! What is said of a sighting.

use hintdex_wire::{DeviceId, Slot};

/// How a beacon was found.
///
/// See the example of [`Resolver`](crate::Resolver).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// Its clock is where it is expected.
    Snapshot,
    /// Its clock began anew not long ago, or goes on from there.
    Epoch,
    /// A search found its clock.
    Search,
    /// Every key was tried.
    Scan,
}

impl Source {
    /// Its name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Epoch => "epoch",
            Self::Search => "search",
            Self::Scan => "scan",
        }
    }
}

/// A beacon that sends what was heard.
///
/// See the example of [`Resolver`](crate::Resolver).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identification {
    /// Whose it is.
    pub device: DeviceId,
    /// Its place in the order of registration.
    pub slot: Slot,
    /// When the identifier began, in seconds on the beacon's own clock, whose 32 bits
    /// may have wrapped (GAEN: in unix time); `None` of one made from no clock.
    pub clock_s: Option<u64>,
    /// How it was found.
    pub source: Source,
}

/// What is said of a sighting.
///
/// See the [example of the crate](crate).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One beacon sends this, at about this time.
    Identified(Identification),
    /// Several keys fit, which for the 24 bits of a resolvable address happens by
    /// chance; ids in rising order.
    Ambiguous(Vec<DeviceId>),
    /// No registered beacon sends this at about this time.
    Unknown,
    /// The time of the sighting is so far from the station's that nothing was looked for:
    /// more than a year ahead, or so long ago that it would take more than some thousand
    /// identifiers of each beacon. One of the two clocks is wrong, or the station has to
    /// be told the time.
    OutOfRange,
}

impl Answer {
    /// The beacon, if there is one.
    pub const fn identification(&self) -> Option<&Identification> {
        match self {
            Self::Identified(found) => Some(found),
            _ => None,
        }
    }
}
