//! Devices that come with their keys.

use std::ops::Range;
use std::sync::Arc;

use hintdex_core::{DeviceRange, KeyOrigin, Report};
use hintdex_wire::{DeviceId, HintKey, KeyId, Slot};

use super::FleetKeys;
use super::given::Appended;
use crate::{Error, Station};

/// Devices on their way into a fleet, each with keys of its own.
///
/// Keys go to the fleet's file as they come, sealed under its master key, so an import of
/// any length takes 12 bytes of memory a device. The devices are there when
/// [`provision`](Self::provision) returns, all of them; before that, and if it fails, none
/// is, and what was written is forgotten.
pub struct KeyImport<'a> {
    station: &'a Station,
    appended: Appended,
}

impl Station {
    /// Begins an import. Only one at a time: the last one to be provisioned counts.
    ///
    /// # Errors
    /// What the file system says.
    pub fn import_keys(&self) -> Result<KeyImport<'_>, Error> {
        let keys = &self.keys;
        let appended = keys.given.load().append(&keys.master)?;
        Ok(KeyImport { station: self, appended })
    }
}

impl KeyImport<'_> {
    /// Takes the factory keys of `device`: its hint key, and the 32 bytes whose halves its
    /// packets are encrypted and authenticated under.
    ///
    /// # Errors
    /// What the file system says.
    pub fn add(
        &mut self,
        device: DeviceId,
        hint_key: &HintKey,
        dev_key: &[u8; 32],
    ) -> Result<(), Error> {
        self.appended.add(KeyId::first(device), (hint_key, dev_key))
    }

    /// Adds the devices, in the order of their ids. All of them are added or none.
    /// `report` counts slots.
    ///
    /// # Errors
    /// [`Error::DeviceTwice`], or what [`Station::provision`] says.
    pub fn provision(self, report: Option<Report<'_>>) -> Result<Range<Slot>, Error> {
        let Self { station, appended } = self;
        let devices = appended.keys()?.into_iter().map(|key| key.device);
        let ranges = DeviceRange::covering(devices, KeyOrigin::Given);
        let FleetKeys { given, .. } = station.keys.as_ref();
        let before = given.load_full();
        given.store(Arc::new(appended.finish()?));
        let provisioned = station.provision(&ranges, report);
        if provisioned.is_err() {
            given.store(before);
        }
        provisioned
    }
}
