//! The records of the folder's files, byte for byte, and the one rule each is written and
//! read by.

use hintdex_wire::beacon::eddystone::RotationExponent;
use hintdex_wire::beacon::gaen::identifier_key;
use hintdex_wire::{DeviceId, HintKey};
use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::bounds::{ClockBounds, LAST_UNIX_S};
use crate::hypotheses::Former;
use crate::hypothesis::Hypothesis;
use crate::registration::{Registration, RollingPeriod, Rule, Scheme, Status};

/// The flag of a beacon whose identifiers begin at a random point of their rotation.
const RANDOMIZED: u8 = 1;
/// The flag of a beacon that is resolved no longer.
const RETIRED: u8 = 2;
/// The flag of a beacon whose key is wiped: its digest stands in the key's place.
const REVOKED: u8 = 4;

/// What the keys begin with: it names the folder and authenticates its windows.
#[derive(
    Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Zeroize, ZeroizeOnDrop,
)]
#[repr(C)]
pub struct KeysHeader {
    #[zeroize(skip)]
    pub magic: [u8; 8],
    #[zeroize(skip)]
    pub version: U16,
    #[zeroize(skip)]
    pub reserved: [u8; 2],
    #[zeroize(skip)]
    pub beacons: U32,
    #[zeroize(skip)]
    pub folder_id: [u8; 16],
    pub window_key: [u8; 32],
}

/// A beacon: what it is called, its key, how its identifiers are made.
#[derive(
    Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Zeroize, ZeroizeOnDrop,
)]
#[repr(C)]
pub struct BeaconRecord {
    #[zeroize(skip)]
    pub device: U32,
    pub scheme: u8,
    pub k: u8,
    pub rolling_period: u8,
    pub flags: u8,
    pub key: [u8; 16],
    #[zeroize(skip)]
    pub start: I64,
    #[zeroize(skip)]
    pub measured_unix_s: U64,
}

impl BeaconRecord {
    /// The row of a registration. For a daily key, the key of its identifiers is kept.
    pub fn new(registration: &Registration) -> Self {
        let (device, key, rule) = (registration.device, &registration.key, registration.rule);
        match rule {
            Rule::Gaen { .. } => Self::of_key(device, identifier_key(key).expose(), rule),
            Rule::EddystoneEid { .. } | Rule::BleRpa => Self::of_key(device, key.expose(), rule),
        }
    }

    /// The row of an active beacon, with the key that the row keeps.
    pub fn of_key(device: DeviceId, key: &[u8; 16], rule: Rule) -> Self {
        let blank = Self {
            device: device.0.into(),
            scheme: rule.scheme().number(),
            k: 0,
            rolling_period: 0,
            flags: 0,
            key: *key,
            start: 0.into(),
            measured_unix_s: 0.into(),
        };
        match rule {
            Rule::EddystoneEid { k, clock_offset_s, measured_unix_s, is_randomized } => Self {
                k: k.get(),
                flags: if is_randomized { RANDOMIZED } else { 0 },
                start: clock_offset_s.into(),
                measured_unix_s: measured_unix_s.into(),
                ..blank
            },
            Rule::Gaen { start_interval, rolling_period } => Self {
                rolling_period: rolling_period.get(),
                start: i64::from(start_interval).into(),
                ..blank
            },
            Rule::BleRpa => blank,
        }
    }

    /// The row of the same active beacon with another rule of its scheme.
    pub fn with_rule(&self, rule: Rule) -> Self {
        Self::of_key(self.device(), &self.key, rule)
    }

    pub fn device(&self) -> DeviceId {
        DeviceId(self.device.get())
    }

    pub fn key(&self) -> HintKey {
        HintKey::from_bytes(self.key)
    }

    /// Whether the beacon is resolved; `None` for flags that no version writes.
    pub const fn status(&self) -> Option<Status> {
        match self.flags & !RANDOMIZED {
            0 => Some(Status::Active),
            RETIRED => Some(Status::Retired),
            REVOKED => Some(Status::Revoked),
            _ => None,
        }
    }

    /// The row with another status. Only a row that keeps its key may become active again.
    pub const fn with_status(mut self, status: Status) -> Self {
        let flag = match status {
            Status::Active => 0,
            Status::Retired => RETIRED,
            Status::Revoked => REVOKED,
        };
        self.flags = self.flags & RANDOMIZED | flag;
        self
    }

    /// How the identifiers of an active beacon are made. A search asks this, so no search finds
    /// a beacon that is retired or revoked.
    pub fn rule(&self) -> Option<Rule> {
        self.registered().filter(|_| self.status() == Some(Status::Active))
    }

    /// The registered rule, whatever the status; `None` for a row that no registration has.
    pub fn registered(&self) -> Option<Rule> {
        self.status()?;
        let (start, measured) = (self.start.get(), self.measured_unix_s.get());
        let scheme = Scheme::ALL.into_iter().find(|scheme| scheme.number() == self.scheme)?;
        let rule = match scheme {
            Scheme::EddystoneEid => Rule::EddystoneEid {
                k: RotationExponent::new(self.k)?,
                clock_offset_s: start,
                measured_unix_s: measured,
                is_randomized: self.flags & RANDOMIZED != 0,
            },
            Scheme::Gaen => Rule::Gaen {
                start_interval: u32::try_from(start).ok()?,
                rolling_period: RollingPeriod::new(self.rolling_period.into())?,
            },
            Scheme::BleRpa => Rule::BleRpa,
        };
        // A field that the scheme does not use is zero: the row equals the row that is written.
        let is_zero = match scheme {
            Scheme::EddystoneEid => self.rolling_period == 0,
            Scheme::Gaen => self.k == 0 && measured == 0 && self.flags & RANDOMIZED == 0,
            Scheme::BleRpa => {
                let small = [self.k, self.rolling_period, self.flags & RANDOMIZED] == [0; 3];
                small && measured == 0 && start == 0
            }
        };
        is_zero.then_some(rule)
    }

    /// What its registration says of its clock. Of beacons without a clock of their
    /// own it is not asked.
    pub fn registered_clock(&self) -> ClockBounds {
        ClockBounds::measured(self.start.get(), self.measured_unix_s.get())
    }
}

/// What the clocks begin with. `crc` is that of the bytes before it.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ClocksHeader {
    pub magic: [u8; 8],
    pub version: U16,
    pub reserved: [u8; 6],
    pub records: U64,
    pub folder_id: [u8; 16],
    pub moves: U64,
    pub crc: U32,
}

/// A hypothesis of a beacon's clock. `crc` is that of the folder's id and the bytes before
/// it, so that a record is damaged or moved alone.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ClockRecord {
    pub slot: U32,
    pub kind: u8,
    pub held: u8,
    pub back: u8,
    pub reserved: u8,
    pub since_unix_s: U64,
    pub least_us: I64,
    pub most_us: I64,
    pub heard_unix_s: U64,
    pub newest_step: U64,
    pub newest_least_us: I64,
    pub newest_most_us: I64,
    pub crc: U32,
}

/// What a clock record says of its beacon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockOf {
    Known(Hypothesis),
    Former(Former),
    Suspected(Hypothesis),
}

impl ClocksHeader {
    pub fn sealed(mut self) -> Self {
        self.crc = self.checksum().into();
        self
    }

    /// Whether it is as it was written.
    pub fn is_whole(&self) -> bool {
        self.crc.get() == self.checksum() && self.reserved == [0; 6]
    }

    fn checksum(&self) -> u32 {
        let bytes = self.as_bytes();
        crc32fast::hash(bytes.split_last_chunk::<4>().map_or(bytes, |(before, _)| before))
    }
}

impl ClockRecord {
    /// The record of what is thought of a beacon's clock.
    pub fn new(slot: u32, of: &ClockOf, folder_id: &[u8; 16]) -> Self {
        let (kind, clock, since_unix_s, held, back) = match of {
            ClockOf::Known(clock) => (1, clock, 0, 0, 0),
            ClockOf::Former(Former { clock, since_unix_s, held, back }) => {
                (2, clock, *since_unix_s, *held, *back)
            }
            ClockOf::Suspected(clock) => (3, clock, 0, 0, 0),
        };
        let (bounds, (newest_step, newest_least_us, newest_most_us)) =
            (clock.bounds(), clock.newest());
        let mut record = Self {
            slot: slot.into(),
            kind,
            held,
            back,
            reserved: 0,
            since_unix_s: since_unix_s.into(),
            least_us: bounds.least_us.into(),
            most_us: bounds.most_us.into(),
            heard_unix_s: bounds.heard_unix_s.into(),
            newest_step: newest_step.into(),
            newest_least_us: newest_least_us.into(),
            newest_most_us: newest_most_us.into(),
            crc: 0.into(),
        };
        record.crc = record.checksum(folder_id).into();
        record
    }

    /// What it says, if it is as it was written and can be true; the rule by which
    /// records are written, too.
    pub fn read(&self, folder_id: &[u8; 16]) -> Option<(u32, ClockOf)> {
        if self.crc.get() != self.checksum(folder_id) || self.reserved != 0 {
            return None;
        }
        let bounds = ClockBounds {
            least_us: self.least_us.get(),
            most_us: self.most_us.get(),
            heard_unix_s: self.heard_unix_s.get(),
        };
        let newest_us = (self.newest_least_us.get(), self.newest_most_us.get());
        let clock = Hypothesis::checked(bounds, self.newest_step.get(), newest_us)?;
        let (since_unix_s, held, back) = (self.since_unix_s.get(), self.held, self.back);
        let of = match self.kind {
            2 if since_unix_s <= LAST_UNIX_S => {
                return Some((
                    self.slot.get(),
                    ClockOf::Former(Former { clock, since_unix_s, held, back }),
                ));
            }
            1 => ClockOf::Known(clock),
            3 => ClockOf::Suspected(clock),
            _ => return None,
        };
        ((since_unix_s, held, back) == (0, 0, 0)).then_some((self.slot.get(), of))
    }

    fn checksum(&self, folder_id: &[u8; 16]) -> u32 {
        let bytes = self.as_bytes();
        let mut crc = crc32fast::Hasher::new();
        crc.update(folder_id);
        crc.update(bytes.split_last_chunk::<4>().map_or(bytes, |(before, _)| before));
        crc.finalize()
    }
}

/// What the record of windows begins with.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct WindowsHeader {
    pub magic: [u8; 8],
    pub version: U16,
    pub reserved: [u8; 2],
    pub windows: U32,
    pub folder_id: [u8; 16],
}

/// A window's file that the folder's owner made.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct WindowRecord {
    pub start_unix_s: U64,
}
