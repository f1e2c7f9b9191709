//! Devices that come with their keys.

use std::ops::Range;
use std::sync::{Arc, MutexGuard, TryLockError};

use hintdex_core::{DeviceRange, KeyOrigin, Report};
use hintdex_wire::{DeviceId, HintKey, KeyId, Slot};

use super::FleetKeys;
use super::given::Appended;
use crate::{Error, Station};

/// Devices on their way into a fleet, each with keys of its own.
///
/// Keys go to the fleet's file as they come, sealed under its master key, so an import of
/// any length takes 12 bytes of memory a device, and 28 more for each run of ids. The devices
/// are there when [`provision`](Self::provision) returns, all of them; before that, and if it
/// fails, none is, and what was written is taken back.
pub struct KeyImport<'a> {
    station: &'a Station,
    appended: Appended,
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
        Ok(KeyImport { station: self, appended, _alone: alone })
    }
}

impl KeyImport<'_> {
    /// Takes the factory keys of `device`: its hint key, and the 32 bytes whose halves its
    /// packets are encrypted and authenticated under.
    ///
    /// # Errors
    /// What the index says if it has the device, or what the file system says.
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
        self.appended.add(KeyId::first(device), (hint_key, dev_key))
    }

    /// Adds the devices, in the order of their ids. All of them are added or none.
    /// `report` counts slots.
    ///
    /// # Errors
    /// [`Error::DeviceTwice`], or what [`Station::provision`] says.
    pub fn provision(mut self, report: Option<Report<'_>>) -> Result<Range<Slot>, Error> {
        let devices = self.appended.keys()?.into_iter().map(|key| key.device);
        let ranges = DeviceRange::covering(devices, KeyOrigin::Given);
        let FleetKeys { given, .. } = self.station.keys.as_ref();
        let before = given.load_full();
        given.store(Arc::new(self.appended.finish()?));
        let provisioned = self.station.provision(&ranges, report);
        // What fails may do so when the devices are there already.
        if ranges.first().is_some_and(|range| self.is_there(range.first)) {
            self.appended.keep();
        } else {
            given.store(before);
        }
        provisioned
    }

    fn is_there(&self, device: DeviceId) -> bool {
        !self.station.index.slots(device).is_empty()
    }
}
