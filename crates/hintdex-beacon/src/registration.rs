//! What is registered of a beacon, and why a registration is refused.

use std::fmt;

use hintdex_wire::beacon::eddystone::RotationExponent;
use hintdex_wire::{DeviceId, HintKey};

/// A beacon to be registered.
///
/// See the [example of the crate](crate).
#[derive(Clone, Debug)]
pub struct Registration {
    /// Whose it is.
    pub device: DeviceId,
    /// Eddystone-EID: the identity key. GAEN: the daily key (temporary exposure
    /// key). Resolvable addresses: the identity resolving key, most significant
    /// byte first.
    pub key: HintKey,
    /// How its identifiers are made.
    pub rule: Rule,
}

/// How the identifiers of a beacon are made from its key.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// From a clock of its own.
    EddystoneEid {
        /// An identifier lasts 2^k seconds.
        k: RotationExponent,
        /// Unix time less the beacon's clock: its clock read 0 at this unix time.
        clock_offset_s: i64,
        /// When that was measured, in unix time: its clock may have drifted since.
        measured_unix_s: u64,
        /// Whether an identifier begins at a random point of its rotation, as Google's
        /// text recommends, and lasts until the next one does: up to 2^k seconds longer.
        is_randomized: bool,
    },
    /// From unix time, for a day or less.
    Gaen {
        /// The rolling start: the first interval of ten minutes that the key is good for.
        start_interval: u32,
        /// How many intervals it is good for.
        rolling_period: RollingPeriod,
    },
    /// From a random number.
    BleRpa,
}

/// How many intervals of ten minutes a daily key is good for: 1 to 144.
///
/// See the example of [`Changes`](crate::Changes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollingPeriod(u8);

impl RollingPeriod {
    /// A whole day.
    pub const DAY: Self = Self(144);

    /// `None` of 0 and past [`DAY`](Self::DAY).
    pub fn new(intervals: u32) -> Option<Self> {
        u8::try_from(intervals)
            .ok()
            .filter(|intervals| (1..=Self::DAY.0).contains(intervals))
            .map(Self)
    }

    /// The number of intervals.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for RollingPeriod {
    fn default() -> Self {
        Self::DAY
    }
}

/// A scheme of identifiers. Its number and its name never change meaning.
///
/// See the example of [`Changes`](crate::Changes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Eddystone-EID.
    EddystoneEid,
    /// Exposure notification.
    Gaen,
    /// Resolvable private addresses of Bluetooth Low Energy.
    BleRpa,
}

impl Scheme {
    /// Every scheme there is.
    pub const ALL: [Self; 3] = [Self::EddystoneEid, Self::Gaen, Self::BleRpa];

    /// The number that stands for it in files.
    pub const fn number(self) -> u8 {
        match self {
            Self::EddystoneEid => 1,
            Self::Gaen => 2,
            Self::BleRpa => 3,
        }
    }

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EddystoneEid => "eddystone-eid",
            Self::Gaen => "gaen",
            Self::BleRpa => "ble-rpa",
        }
    }

    /// The scheme called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Rule {
    /// The scheme of its identifiers.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::EddystoneEid { .. } => Scheme::EddystoneEid,
            Self::Gaen { .. } => Scheme::Gaen,
            Self::BleRpa => Scheme::BleRpa,
        }
    }
}

/// Whether a beacon is resolved.
///
/// See the example of [`Changes`](crate::Changes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Its identifiers are resolved.
    Active,
    /// Its identifiers are unknown. Its key is kept.
    Retired,
    /// Its identifiers are unknown, and its key is wiped.
    Revoked,
}

impl Status {
    /// The name of the status, as the program prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}

/// How far in the future a beacon may have been started or measured: its owner's clock
/// may be off.
pub const FUTURE_ALLOWANCE_S: u64 = 86_400;

/// How long ago a clock may have been measured: twenty years. Its allowance has grown by a
/// day each way since, at 150 ppm. What is older was not measured, it is a 0 or a mistake.
pub const MAX_MEASURED_AGE_S: u64 = 20 * 366 * 86_400;

/// Why a beacon was not registered.
///
/// See the example of [`Changes`](crate::Changes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The id is taken: one beacon of a scheme an id, and one daily key an id and
    /// rolling start.
    DuplicateId {
        /// The id.
        device: DeviceId,
        /// The rolling start, where it counts.
        start_interval: Option<u32>,
    },
    /// Another beacon has this very key: nothing could tell them apart.
    DuplicateKey {
        /// Whose key it is.
        of: DeviceId,
    },
    /// The key is the wiped key of a beacon that was revoked.
    RevokedKey {
        /// The beacon.
        of: DeviceId,
    },
    /// The beacon is retired or revoked. A new unit may have its id.
    NotActive {
        /// The id.
        device: DeviceId,
        /// The status of the beacon.
        status: Status,
    },
    /// No beacon of this id is registered, or none of this scheme.
    UnknownId {
        /// The id.
        device: DeviceId,
    },
    /// The beacon has this key already.
    SameKey {
        /// The id.
        device: DeviceId,
    },
    /// The beacon's scheme has no such setting.
    NoSuchSetting {
        /// The id.
        device: DeviceId,
    },
    /// The clock would begin in the future.
    FutureClock {
        /// By so many seconds.
        ahead_s: u64,
    },
    /// The clock would have been measured in the future: until then nothing would be
    /// known of it.
    FutureMeasurement {
        /// By so many seconds.
        ahead_s: u64,
    },
    /// The clock would have been measured so long ago that nothing would be known of it now.
    PastMeasurement {
        /// So many seconds ago.
        age_s: u64,
    },
    /// The clock would have wrapped more than once since it began.
    PastClock {
        /// The offset.
        clock_offset_s: i64,
    },
    /// A beacon of another folder has a key or clocks that no beacon can have.
    UnsoundTransfer {
        /// The id.
        device: DeviceId,
    },
    /// There are 2³² − 1 beacons.
    Full,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateId { device, start_interval: None } => {
                write!(f, "id {device} is registered already; remove the line or choose another id")
            }
            Self::DuplicateId { device, start_interval: Some(start) } => write!(
                f,
                "id {device} with start_interval {start} is registered already; remove the line"
            ),
            Self::DuplicateKey { of } => write!(
                f,
                "the key is that of id {of}, so nothing could tell the two apart; give each its own"
            ),
            Self::RevokedKey { of } => {
                write!(f, "the key is that of id {of}, which was revoked; register a new key")
            }
            Self::NotActive { device, status } => write!(
                f,
                "id {device} is {}; give the id to a new unit with hintdex beacon replace",
                status.name()
            ),
            Self::UnknownId { device } => write!(
                f,
                "no beacon of id {device} is registered so; register it with hintdex beacon add"
            ),
            Self::SameKey { device } => {
                write!(f, "id {device} has this key already; remove the line or give the new key")
            }
            Self::NoSuchSetting { device } => write!(
                f,
                "id {device} has no such setting: eddystone-eid has k, a clock offset and \
                 randomized, gaen a rolling period"
            ),
            Self::FutureClock { ahead_s } => write!(
                f,
                "clock_offset_s is {ahead_s} s in the future, a day is allowed; it is the unix time, \
                 in seconds, at which the beacon's clock read 0"
            ),
            Self::FutureMeasurement { ahead_s } => write!(
                f,
                "measured_s is {ahead_s} s in the future, a day is allowed; it is the unix time, \
                 in seconds and not in milliseconds, at which clock_offset_s was measured"
            ),
            Self::PastMeasurement { age_s } => write!(
                f,
                "measured_s is {} years ago, 20 are allowed; it is the unix time, in seconds, at \
                 which clock_offset_s was measured, or empty if that is now",
                age_s / (365 * 86_400)
            ),
            Self::PastClock { clock_offset_s } => write!(
                f,
                "clock_offset_s {clock_offset_s} is more than 2^33 s ago; it is the unix time, in \
                 seconds, at which the beacon's clock read 0"
            ),
            Self::UnsoundTransfer { device } => write!(
                f,
                "the key or the clocks of id {device} are not sound; export the beacons again"
            ),
            Self::Full => f.write_str("the folder is full: 4,294,967,295 beacons are registered"),
        }
    }
}

impl std::error::Error for Refusal {}
