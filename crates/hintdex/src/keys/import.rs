//! Devices that come with their keys.

use std::ops::Range;
use std::sync::{Arc, MutexGuard, TryLockError};

use hintdex_core::{DeviceRange, KeyOrigin, Report};
use hintdex_wire::{DeviceId, HintKey, KeyId, Slot};

use super::FleetKeys;
use super::distinct::Distinct;
use super::given::Appended;
use crate::{Error, Station};

/// Devices on their way into a fleet, each with keys of its own.
///
/// Keys go to the fleet's file as they come, sealed under its master key, so an import of
/// any length takes 36 bytes of memory a device, and 28 more for each run of ids. When
/// [`provision`](Self::provision) returns, all of the devices are there; before that, and if
/// it refuses them, none is, and what was written is taken back. If a write of the index
/// fails, nobody knows whether the devices are there: then the keys stay, the index refuses
/// everything, and a station that is opened again has all of the devices or none.
pub struct KeyImport<'a> {
    station: &'a Station,
    appended: Appended,
    distinct: Distinct,
    _alone: MutexGuard<'a, ()>,
}

impl Station {
    /// Begins an import.
    ///
    /// # Errors
    /// [`Error::ImportInProgress`] while there is another one, or what the file system says.
    pub fn import_keys(&self) -> Result<KeyImport<'_>, Error> {
        let keys = &self.keys;
        let alone = match keys.importing.try_lock() {
            Ok(alone) => alone,
            // What a thread that panicked had written was taken back.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(Error::ImportInProgress),
        };
        let appended = keys.given.load().append(&keys.master)?;
        Ok(KeyImport { station: self, appended, distinct: Distinct::default(), _alone: alone })
    }
}

impl KeyImport<'_> {
    /// Takes the factory keys of `device`: its hint key, and the 32 bytes whose halves its
    /// packets are encrypted and authenticated under.
    ///
    /// # Errors
    /// [`Error::ZeroKey`] if the hint key or a half of the device key is zeros,
    /// [`Error::SharedKey`] if two of the three are the same, what the index says if it has
    /// the device, or what the file system says.
    pub fn add(
        &mut self,
        device: DeviceId,
        hint_key: &HintKey,
        dev_key: &[u8; 32],
    ) -> Result<(), Error> {
        if self.is_there(device) {
            let (first, last) = (device, device);
            return Err(hintdex_core::Error::AlreadyProvisioned { first, last }.into());
        }
        self.distinct.add(device, hint_key, dev_key)?;
        self.appended.add(KeyId::first(device), (hint_key, dev_key))
    }

    /// Adds the devices, in the order of their ids. All of them are added or none.
    /// `report` counts slots.
    ///
    /// Costs 0.2 µs a device beside what [`Station::provision`] does, and a microsecond for
    /// each device that was imported before, whose keys are compared with these.
    ///
    /// # Errors
    /// [`Error::DeviceTwice`], [`Error::SharedKey`], or what [`Station::provision`] says.
    /// Where the [station is poisoned](Station::is_poisoned) afterwards, only opening it again
    /// tells whether the devices are there.
    pub fn provision(self, report: Option<Report<'_>>) -> Result<Range<Slot>, Error> {
        let Self { station, mut appended, distinct, _alone } = self;
        let devices = appended.keys()?.into_iter().map(|key| key.device);
        let ranges = DeviceRange::covering(devices, KeyOrigin::Imported);
        let FleetKeys { given, .. } = station.keys.as_ref();
        let before = given.load_full();
        let after = appended.finish()?;
        distinct.check(&after, appended.first_new())?;
        given.store(Arc::new(after));
        // From here on the index may come to have the devices, whatever stops this. The next
        // opening forgets the keys of devices that the index does not have.
        appended.keep();
        let provisioned = station.provision(&ranges, report);
        let is_there = |range: &DeviceRange| !station.index.slots(range.first).is_empty();
        let is_refused = !station.is_poisoned() && !ranges.first().is_some_and(is_there);
        if provisioned.is_err() && is_refused {
            given.store(before);
            appended.take_back();
        }
        provisioned
    }

    fn is_there(&self, device: DeviceId) -> bool {
        !self.station.index.slots(device).is_empty()
    }
}
