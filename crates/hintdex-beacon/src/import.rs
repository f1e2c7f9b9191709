//! Registering beacons: all that are given, or none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::path::Path;

use hintdex_wire::DeviceId;
use subtle::ConstantTimeEq;

use crate::Error;
use crate::folder::Folder;
use crate::records::BeaconRecord;
use crate::registration::{
    FUTURE_ALLOWANCE_S, MAX_MEASURED_AGE_S, Refusal, Registration, Rule, Scheme,
};
use crate::registry::Registry;

/// The oldest clock there may be: it has wrapped once.
const LONGEST_CLOCK_S: u64 = 1 << 33;

/// What a beacon is called: the scheme, the id, and the rolling start of a daily key.
type Name = (u8, u32, i64);

/// Beacons on their way into a folder.
///
/// Nothing is there before [`publish`](Self::publish): drop it and nothing happened.
/// Takes about 90 bytes a beacon, those that are there already included, and half a
/// microsecond for each.
///
/// ```
/// use hintdex_beacon::wire::{DeviceId, HintKey};
/// use hintdex_beacon::{Error, Import, Refusal, Registration, RollingPeriod, Rule, Scheme};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path().join("beacons");
/// let now = 1_764_000_000;
/// let mut import = Import::open(&folder, now)?;
///
/// // A daily key of exposure notification, and a Bluetooth device with resolvable addresses.
/// let start_interval = 1_764_000_000 / 600;
/// let gaen = Rule::Gaen { start_interval, rolling_period: RollingPeriod::DAY };
/// import.add(&Registration { device: DeviceId(1), key: HintKey::from_bytes([1; 16]), rule: gaen })?;
/// let phone =
///     Registration { device: DeviceId(2), key: HintKey::from_bytes([2; 16]), rule: Rule::BleRpa };
/// import.add(&phone)?;
/// assert_eq!(phone.rule.scheme(), Scheme::BleRpa);
///
/// // A beacon is registered once, and one process at a time opens the folder.
/// assert!(matches!(import.add(&phone), Err(Refusal::DuplicateId { .. })));
/// assert!(matches!(Import::open(&folder, now), Err(Error::Locked { .. })));
/// assert_eq!(import.next_device(), Some(DeviceId(3)));
/// assert_eq!(import.publish()?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Import {
    folder: Folder,
    registry: Registry,
    before: u32,
    now_unix_s: u64,
    names: HashMap<Name, ()>,
    /// Slots by a keyed hash of the beacon's scheme and key.
    keys: HashMap<u64, u32>,
}

impl Import {
    /// Begins an import into the folder at `path`, which is made if it is not there.
    /// `now_unix_s` is the station's time, against which clocks are checked.
    ///
    /// # Errors
    /// [`Error::Locked`] when another program has it open, [`Error::Damaged`] when
    /// its keys are damaged, and what the file system says.
    pub fn open(path: &Path, now_unix_s: u64) -> Result<Self, Error> {
        let folder = Folder::open_or_create(path)?;
        let registry = match Registry::read(&folder)? {
            Some(registry) => registry,
            None => Registry::create(path)?,
        };
        let before = registry.len();
        let (names, keys) = (HashMap::new(), HashMap::new());
        let mut import = Self { folder, registry, before, now_unix_s, names, keys };
        for slot in 0..before {
            if let Some(row) = import.registry.get(slot) {
                import.names.insert(name(row), ());
                import.keys.insert(import.hash_of(row), slot);
            }
        }
        Ok(import)
    }

    /// Adds a beacon.
    ///
    /// # Errors
    /// [`Refusal`] when it cannot be registered beside those that are there and
    /// those that were added; others may still be.
    pub fn add(&mut self, registration: &Registration) -> Result<(), Refusal> {
        if self.registry.len() >= u32::MAX - 1 {
            return Err(Refusal::Full);
        }
        check_clock(registration.rule, self.now_unix_s)?;
        let row = BeaconRecord::new(registration);
        let hash = self.hash_of(&row);
        if let Some(of) = self.keys.get(&hash).and_then(|slot| self.registry.get(*slot))
            && of.scheme == row.scheme
            && bool::from(of.key.ct_eq(&row.key))
        {
            // Of two faults the plainer one is told.
            let same_id = self.names.contains_key(&name(&row));
            return Err(if same_id {
                duplicate(&row)
            } else {
                Refusal::DuplicateKey { of: of.device() }
            });
        }
        match self.names.entry(name(&row)) {
            Entry::Occupied(_) => return Err(duplicate(&row)),
            Entry::Vacant(vacant) => vacant.insert(()),
        };
        self.keys.insert(hash, self.registry.len());
        self.registry.push(row);
        Ok(())
    }

    /// One key under two schemes is fine: their identifiers differ in length.
    fn hash_of(&self, row: &BeaconRecord) -> u64 {
        self.keys.hasher().hash_one((row.scheme, row.key))
    }

    /// The id after the greatest one that was registered or added; `None` after the last id.
    /// Walks over all beacons: about a nanosecond each.
    pub fn next_device(&self) -> Option<DeviceId> {
        match self.registry.rows().iter().map(|row| row.device.get()).max() {
            None => Some(DeviceId(0)),
            Some(last) => last.checked_add(1).map(DeviceId),
        }
    }

    /// How many were added.
    pub fn added(&self) -> u32 {
        self.registry.len() - self.before
    }

    /// Registers what was added, durably, and says how many beacons there are now.
    ///
    /// # Errors
    /// What the file system says; the folder is then what it was before.
    pub fn publish(mut self) -> Result<u32, Error> {
        if self.added() > 0 {
            self.registry.publish(&self.folder)?;
        }
        Ok(self.registry.len())
    }
}

fn name(row: &BeaconRecord) -> Name {
    let daily = row.scheme == Scheme::Gaen.number();
    (row.scheme, row.device.get(), if daily { row.start.get() } else { 0 })
}

fn duplicate(row: &BeaconRecord) -> Refusal {
    let start_interval = match row.rule() {
        Some(Rule::Gaen { start_interval, .. }) => Some(start_interval),
        _ => None,
    };
    Refusal::DuplicateId { device: DeviceId(row.device.get()), start_interval }
}

fn check_clock(rule: Rule, now_unix_s: u64) -> Result<(), Refusal> {
    let Rule::EddystoneEid { clock_offset_s, measured_unix_s, .. } = rule else { return Ok(()) };
    let ahead_s = measured_unix_s.saturating_sub(now_unix_s);
    if ahead_s > FUTURE_ALLOWANCE_S {
        return Err(Refusal::FutureMeasurement { ahead_s });
    }
    let age_s = now_unix_s.saturating_sub(measured_unix_s);
    if age_s > MAX_MEASURED_AGE_S {
        return Err(Refusal::PastMeasurement { age_s });
    }
    let now = i64::try_from(now_unix_s).unwrap_or(i64::MAX);
    let ahead_s = clock_offset_s.saturating_sub(now);
    match u64::try_from(ahead_s) {
        Ok(ahead_s) if ahead_s > FUTURE_ALLOWANCE_S => Err(Refusal::FutureClock { ahead_s }),
        Err(_) if ahead_s.unsigned_abs() > LONGEST_CLOCK_S => {
            Err(Refusal::PastClock { clock_offset_s })
        }
        _ => Ok(()),
    }
}
