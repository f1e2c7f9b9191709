//! Changes of the registered beacons: all that are given, or none.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::path::Path;

use hintdex_wire::DeviceId;
use subtle::ConstantTimeEq;

use crate::clock_store::ClockStore;
use crate::folder::Folder;
use crate::records::{BeaconRecord, ClockOf};
use crate::registration::{
    FUTURE_ALLOWANCE_S, MAX_MEASURED_AGE_S, Refusal, Registration, Rule, Scheme, Status,
};
use crate::registry::Registry;
use crate::{Error, Event};

/// The oldest possible clock: it has wrapped once.
const LONGEST_CLOCK_S: u64 = 1 << 33;

/// The name of a beacon: the scheme, the id, and the rolling start of a daily key.
pub(crate) type Name = (u8, u32, i64);

/// Changes of a folder of beacons, on their way.
///
/// Nothing is changed before [`publish`](Self::publish): dropped changes leave no trace. Takes
/// about 90 bytes a beacon, registered ones included, and half a microsecond for each.
///
/// ```
/// use hintdex_beacon::wire::{DeviceId, HintKey};
/// use hintdex_beacon::{
///     Change, Changes, Error, Inventory, Refusal, Registration, RollingPeriod, Rule, Scheme,
///     Selection, Status,
/// };
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path().join("beacons");
/// let now = 1_764_000_000;
/// let mut changes = Changes::open(&folder, now)?;
///
/// // A daily key of exposure notification, and a Bluetooth device with resolvable addresses.
/// let start_interval = 1_764_000_000 / 600;
/// let gaen = Rule::Gaen { start_interval, rolling_period: RollingPeriod::DAY };
/// changes.add(&Registration { device: DeviceId(1), key: HintKey::from_bytes([1; 16]), rule: gaen })?;
/// let phone =
///     Registration { device: DeviceId(2), key: HintKey::from_bytes([2; 16]), rule: Rule::BleRpa };
/// changes.add(&phone)?;
/// assert_eq!(phone.rule.scheme(), Scheme::BleRpa);
///
/// // A beacon is registered once, and one process at a time opens the folder.
/// assert!(matches!(changes.add(&phone), Err(Refusal::DuplicateId { .. })));
/// assert!(matches!(Changes::open(&folder, now), Err(Error::Locked { .. })));
/// assert_eq!(changes.next_device(), Some(DeviceId(3)));
/// assert_eq!(changes.publish()?, 2);
///
/// // A list that is given again changes what differs.
/// let mut changes = Changes::open(&folder, now)?;
/// assert_eq!(changes.put(&phone)?, Change::Unchanged);
/// let other_key = Registration { key: HintKey::from_bytes([3; 16]), ..phone };
/// assert_eq!(changes.put(&other_key)?, Change::Changed);
///
/// // The phone is stolen: its key is wiped, and never registered again.
/// changes.revoke(&Selection::of(DeviceId(2)))?;
/// changes.publish()?;
/// let mut changes = Changes::open(&folder, now)?;
/// let again = Registration { device: DeviceId(3), ..other_key };
/// assert_eq!(changes.add(&again), Err(Refusal::RevokedKey { of: DeviceId(2) }));
/// drop(changes);
/// let status = |beacon: hintdex_beacon::BeaconInfo| (beacon.device.0, beacon.status);
/// let inventory = Inventory::open(&folder)?;
/// let all: Vec<_> = inventory.beacons().map(status).collect();
/// assert_eq!(all, [(1, Status::Active), (2, Status::Revoked)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Changes {
    folder: Folder,
    pub(crate) registry: Registry,
    /// The number of registered beacons at the beginning.
    before: u32,
    now_unix_s: u64,
    /// Slots by name.
    names: HashMap<Name, u32>,
    /// Slots by a keyed hash of the beacon's scheme and key.
    keys: HashMap<u64, u32>,
    /// Ids with their slots, in order, for [`slots_of_device`](Self::slots_of_device).
    by_device: Vec<(u32, u32)>,
    has_revoked: bool,
    is_changed: bool,
    /// Slots whose learned clocks are of another unit, or of another registration.
    forgotten: Vec<u32>,
    /// Clocks that were learned elsewhere.
    pub(crate) clocks: Vec<(u32, ClockOf)>,
    events: Vec<Event>,
}

/// The effect of a registration on a folder.
///
/// See the example of [`Changes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The beacon is new.
    Added,
    /// Its key, or how its identifiers are made, is another one now.
    Changed,
    /// It is registered so already.
    Unchanged,
}

impl Changes {
    /// Begins to change the folder at `path`, which is created if it does not exist.
    /// `now_unix_s` is the station's time, against which clocks are checked.
    ///
    /// # Errors
    /// [`Error::Locked`] if another program has the folder open, [`Error::Damaged`] if
    /// its keys are damaged, and those of the file system.
    pub fn open(path: &Path, now_unix_s: u64) -> Result<Self, Error> {
        let folder = Folder::open_or_create(path)?;
        let registry = match Registry::read(&folder)? {
            Some(registry) => registry,
            None => Registry::create(path)?,
        };
        Ok(Self::of(folder, registry, now_unix_s))
    }

    /// [`open`](Self::open) for a folder that has beacons already.
    ///
    /// # Errors
    /// [`Error::NoBeacons`] for any other folder, and those of [`open`](Self::open).
    pub fn open_registered(path: &Path, now_unix_s: u64) -> Result<Self, Error> {
        let (folder, registry) = Registry::of_folder(path)?;
        Ok(Self::of(folder, registry, now_unix_s))
    }

    fn of(folder: Folder, registry: Registry, now_unix_s: u64) -> Self {
        let before = registry.len();
        let mut changes = Self {
            folder,
            registry,
            before,
            now_unix_s,
            names: HashMap::new(),
            keys: HashMap::new(),
            by_device: Vec::new(),
            has_revoked: false,
            is_changed: false,
            forgotten: Vec::new(),
            clocks: Vec::new(),
            events: Vec::new(),
        };
        for slot in 0..before {
            if let Some(row) = changes.registry.get(slot) {
                changes.has_revoked |= row.status() == Some(Status::Revoked);
                // A revoked unit whose id went to a new one comes behind the new one.
                changes.names.entry(name(row)).or_insert(slot);
                changes.keys.insert(changes.hash_of(row), slot);
            }
        }
        changes
    }

    /// Adds a beacon.
    ///
    /// # Errors
    /// [`Refusal`] if it cannot be registered beside the registered and the added ones. Other
    /// beacons can still be added.
    pub fn add(&mut self, registration: &Registration) -> Result<(), Refusal> {
        check_clock(registration.rule, self.now_unix_s)?;
        self.add_row(BeaconRecord::new(registration)).map(|_| ())
    }

    /// Adds a row, and returns its slot.
    pub(crate) fn add_row(&mut self, row: BeaconRecord) -> Result<u32, Refusal> {
        if self.registry.len() >= u32::MAX - 1 {
            return Err(Refusal::Full);
        }
        // Of two faults, the plainer one is reported.
        if self.names.contains_key(&name(&row)) {
            return Err(duplicate(&row));
        }
        self.check_key(&row, None)?;
        let slot = self.registry.len();
        self.names.insert(name(&row), slot);
        self.keys.insert(self.hash_of(&row), slot);
        self.registry.push(row);
        self.is_changed = true;
        Ok(slot)
    }

    /// Adds a beacon, or changes a registered one so that it is as given: for lists that are
    /// given again.
    ///
    /// A learned clock stays if the registered offset stays. The time at which an offset was
    /// measured is no change by itself.
    ///
    /// # Errors
    /// [`Refusal`], also of a beacon that is retired or revoked.
    pub fn put(&mut self, registration: &Registration) -> Result<Change, Refusal> {
        let row = BeaconRecord::new(registration);
        let Some((slot, old)) = self.named(&name(&row)) else {
            return self.add(registration).map(|()| Change::Added);
        };
        let status = old.status().unwrap_or(Status::Active);
        if status != Status::Active {
            return Err(Refusal::NotActive { device: row.device(), status });
        }
        let has_same_key = bool::from(old.key.ct_eq(&row.key));
        if has_same_key && is_same_rule(old, &row) {
            return Ok(Change::Unchanged);
        }
        let is_same_clock = old.start == row.start && old.k == row.k;
        check_clock(registration.rule, self.now_unix_s)?;
        self.check_key(&row, Some(slot))?;
        self.replace_row(slot, row, !is_same_clock);
        Ok(Change::Changed)
    }

    /// Keeps the row of a revoked unit whose id has gone to a new one: an old list must not bring
    /// its key back.
    pub(crate) fn keep_revoked(&mut self, row: BeaconRecord) -> Result<(), Refusal> {
        if self.registry.len() >= u32::MAX - 1 {
            return Err(Refusal::Full);
        }
        self.keys.insert(self.hash_of(&row), self.registry.len());
        self.registry.push(row);
        Ok(())
    }

    /// The slot and the row of a name.
    pub(crate) fn named(&self, name: &Name) -> Option<(u32, &BeaconRecord)> {
        let slot = *self.names.get(name)?;
        Some((slot, self.registry.get(slot)?))
    }

    /// Checks that no beacon but that of `slot` has the key of `row`.
    pub(crate) fn check_key(&self, row: &BeaconRecord, slot: Option<u32>) -> Result<(), Refusal> {
        let owner = |key: &BeaconRecord, is_digest: bool| {
            let of = *self.keys.get(&self.hash_of(key))?;
            let known = self.registry.get(of)?;
            let is_other = Some(of) != slot || is_digest;
            let is_it = known.scheme == key.scheme
                && (known.status() == Some(Status::Revoked)) == is_digest
                && bool::from(known.key.ct_eq(&key.key));
            (is_other && is_it).then(|| known.device())
        };
        if let Some(of) = owner(row, false) {
            return Err(Refusal::DuplicateKey { of });
        }
        if self.has_revoked {
            let digest = BeaconRecord { key: self.registry.digest_of(row), ..row.clone() };
            if let Some(of) = owner(&digest, true) {
                return Err(Refusal::RevokedKey { of });
            }
        }
        Ok(())
    }

    /// Replaces the row of a slot by a row of the same name.
    pub(crate) fn replace_row(&mut self, slot: u32, row: BeaconRecord, forgets_clock: bool) {
        if let Some(old) = self.registry.get(slot) {
            let (old, new) = (self.hash_of(old), self.hash_of(&row));
            self.keys.remove(&old);
            self.keys.insert(new, slot);
        }
        self.has_revoked |= row.status() == Some(Status::Revoked);
        self.registry.set(slot, row);
        if forgets_clock && slot < self.before {
            self.forgotten.push(slot);
        }
        self.is_changed = true;
    }

    /// The slots of an id. Sorts all beacons at the first call, and again after beacons were added.
    pub(crate) fn slots_of_device(&mut self, device: DeviceId) -> Vec<u32> {
        // Rows are added and replaced by rows of the same id, and never removed.
        if self.by_device.len() != self.registry.rows().len() {
            let rows = (0_u32..).zip(self.registry.rows());
            self.by_device = rows.map(|(slot, row)| (row.device.get(), slot)).collect();
            self.by_device.sort_unstable();
        }
        let first = self.by_device.partition_point(|(id, _)| *id < device.0);
        let of_device = self.by_device.iter().skip(first).take_while(|(id, _)| *id == device.0);
        of_device.map(|(_, slot)| *slot).collect()
    }

    /// The station's time.
    pub(crate) const fn now_unix_s(&self) -> u64 {
        self.now_unix_s
    }

    /// One key under two schemes is allowed: their identifiers differ in length.
    fn hash_of(&self, row: &BeaconRecord) -> u64 {
        self.keys.hasher().hash_one((row.scheme, row.key))
    }

    /// The id after the greatest one that is registered or added; `None` after the last id.
    /// Walks over all beacons: about a nanosecond each.
    pub fn next_device(&self) -> Option<DeviceId> {
        match self.registry.rows().iter().map(|row| row.device.get()).max() {
            None => Some(DeviceId(0)),
            Some(last) => last.checked_add(1).map(DeviceId),
        }
    }

    /// The ids of the active beacons of a scheme, with the rolling starts of daily keys.
    pub fn active(&self, scheme: Scheme) -> impl Iterator<Item = (DeviceId, Option<u32>)> {
        let rows = self.registry.rows().iter();
        rows.filter(move |row| row.scheme == scheme.number()).filter_map(|row| {
            let start_interval = match row.rule()? {
                Rule::Gaen { start_interval, .. } => Some(start_interval),
                Rule::EddystoneEid { .. } | Rule::BleRpa => None,
            };
            Some((row.device(), start_interval))
        })
    }

    /// The number of beacons, with those that are added, retired or revoked.
    pub fn len(&self) -> u32 {
        self.registry.len()
    }

    /// Whether no beacon is registered or added.
    pub fn is_empty(&self) -> bool {
        self.registry.len() == 0
    }

    /// The number of added beacons.
    pub fn added(&self) -> u32 {
        self.registry.len() - self.before
    }

    /// Damage that was found in the clocks.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Makes the changes, durably, and returns the number of registered beacons. Writes nothing
    /// without a change.
    ///
    /// # Errors
    /// Those of the file system; the registered beacons are then those of before, some of which
    /// may have lost their learned clocks.
    pub fn publish(mut self) -> Result<u32, Error> {
        self.publish_changes()?;
        Ok(self.registry.len())
    }

    /// [`publish`](Self::publish), after which the events can be taken.
    ///
    /// # Errors
    /// Those of [`publish`](Self::publish).
    pub fn publish_changes(&mut self) -> Result<(), Error> {
        if !self.is_changed {
            return Ok(());
        }
        // A clock record names a slot. So the clocks of former units leave the file before the
        // new units take their slots; and so do clocks of slots that an interrupted call added.
        let touches_clocks = !self.forgotten.is_empty() || self.added() > 0;
        if touches_clocks && let Some(registered) = Registry::read(&self.folder)? {
            let mut clocks = ClockStore::read(&self.folder, &registered, &mut self.events)?;
            for slot in &self.forgotten {
                if let Some(row) = registered.get(*slot) {
                    clocks.forget(*slot, row.registered_clock());
                }
            }
            clocks.save(&self.folder, &registered)?;
        }
        if !self.clocks.is_empty() {
            let mut clocks = ClockStore::read(&self.folder, &self.registry, &mut self.events)?;
            self.clocks.iter().for_each(|(slot, of)| clocks.restore_moved(*slot, *of));
            clocks.save(&self.folder, &self.registry)?;
        }
        self.registry.publish(&self.folder)?;
        self.is_changed = false;
        Ok(())
    }
}

/// The name of the beacon of a row.
pub(crate) fn name(row: &BeaconRecord) -> Name {
    let daily = row.scheme == Scheme::Gaen.number();
    (row.scheme, row.device.get(), if daily { row.start.get() } else { 0 })
}

/// Whether two rows have the same rule. When an offset was measured does not count.
fn is_same_rule(old: &BeaconRecord, new: &BeaconRecord) -> bool {
    let fields = |row: &BeaconRecord| (row.k, row.rolling_period, row.flags, row.start);
    fields(old) == fields(new)
}

fn duplicate(row: &BeaconRecord) -> Refusal {
    let start_interval = match row.registered() {
        Some(Rule::Gaen { start_interval, .. }) => Some(start_interval),
        _ => None,
    };
    Refusal::DuplicateId { device: DeviceId(row.device.get()), start_interval }
}

/// Checks that a clock can have been measured so.
pub(crate) fn check_clock(rule: Rule, now_unix_s: u64) -> Result<(), Refusal> {
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
