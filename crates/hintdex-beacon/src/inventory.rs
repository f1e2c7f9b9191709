//! The registered beacons, to be listed.

use std::path::Path;

use hintdex_wire::DeviceId;

use crate::bounds::ClockBounds;
use crate::clock_store::ClockStore;
use crate::folder::Folder;
use crate::records::BeaconRecord;
use crate::registration::{Rule, Scheme, Status};
use crate::registry::Registry;
use crate::{Error, Event};

/// The beacons of a folder with the state of each. Opened by one process at a time.
///
/// See the example of [`Changes`](crate::Changes).
#[derive(Debug)]
pub struct Inventory {
    pub(crate) registry: Registry,
    pub(crate) clocks: ClockStore,
    events: Vec<Event>,
    _folder: Folder,
}

/// A registered beacon.
///
/// See the example of [`Changes`](crate::Changes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeaconInfo {
    /// The id.
    pub device: DeviceId,
    /// Whether the beacon is resolved.
    pub status: Status,
    /// How its identifiers are made, as registered.
    pub rule: Rule,
    /// What is known of its clock. Only Eddystone beacons have clocks of their own.
    pub clock: Option<BeaconClock>,
}

/// What is known of a beacon's clock.
///
/// ```
/// use hintdex_beacon::{BeaconClock, Inventory};
///
/// # use hintdex_beacon::wire::beacon::eddystone::RotationExponent;
/// # use hintdex_beacon::wire::{DeviceId, HintKey};
/// # use hintdex_beacon::{Changes, Registration, Rule};
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("beacons");
/// # let now = 1_764_000_000;
/// # let (k, key) = (RotationExponent::new(10).unwrap(), HintKey::from_bytes([7; 16]));
/// # let (clock_offset_s, is_randomized) = (1_763_000_000, false);
/// # let rule = Rule::EddystoneEid { k, clock_offset_s, measured_unix_s: now, is_randomized };
/// # let mut changes = Changes::open(&folder, now)?;
/// # changes.add(&Registration { device: DeviceId(42), key, rule })?;
/// # changes.publish()?;
/// let beacon = Inventory::open(&folder)?.beacons().next().unwrap();
/// let BeaconClock { offset_s, heard_unix_s, .. } = beacon.clock.unwrap();
/// // As registered, to the second, and never heard.
/// assert_eq!((offset_s, heard_unix_s), ((1_762_999_999, 1_763_000_001), None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeaconClock {
    /// The least and the greatest unix time less the clock, in seconds, at the newest sighting,
    /// or when the offset was measured.
    pub offset_s: (i64, i64),
    /// The time of the newest sighting; `None` if the beacon was never heard.
    pub heard_unix_s: Option<u64>,
    /// Whether the clock has moved, and its former value is served, too.
    pub has_former: bool,
    /// How many further values single rotations suggest.
    pub suspected: u32,
}

impl Inventory {
    /// Opens the folder at `path`, and changes nothing in it.
    ///
    /// # Errors
    /// [`Error::NoBeacons`], [`Error::Locked`], [`Error::Damaged`], and those of the file system.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let (folder, registry) = Registry::of_folder(path)?;
        let mut events = Vec::new();
        let clocks = ClockStore::read(&folder, &registry, &mut events)?;
        Ok(Self { registry, clocks, events, _folder: folder })
    }

    /// All beacons, in the order of registration.
    pub fn beacons(&self) -> impl Iterator<Item = BeaconInfo> {
        let rows = (0_u32..).zip(self.registry.rows());
        rows.filter_map(|(slot, row)| self.info(slot, row))
    }

    /// Damage that was found in the clocks.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn info(&self, slot: u32, row: &BeaconRecord) -> Option<BeaconInfo> {
        let rule = row.registered()?;
        let has_clock = rule.scheme() == Scheme::EddystoneEid;
        let clock = has_clock.then(|| self.clock(slot)).flatten();
        Some(BeaconInfo { device: row.device(), status: row.status()?, rule, clock })
    }

    fn clock(&self, slot: u32) -> Option<BeaconClock> {
        let ClockBounds { least_us, most_us, heard_unix_s } = *self.clocks.known(slot)?;
        let seconds = |us: i64| us.div_euclid(1_000_000);
        let suspected = self.clocks.suspected(slot).count();
        Some(BeaconClock {
            offset_s: (seconds(least_us), seconds(most_us)),
            heard_unix_s: self.clocks.was_heard(slot).then_some(heard_unix_s),
            has_former: self.clocks.former(slot).is_some(),
            suspected: u32::try_from(suspected).unwrap_or(u32::MAX),
        })
    }
}
