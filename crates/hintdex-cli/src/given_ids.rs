//! The devices that a list names, by number or by EUI.

use std::path::Path;

use hintdex::Station;
use hintdex::wire::{DeviceId, Slot};

use crate::failure::Failure;
use crate::id_map::IdMap;
use crate::input::{BadRecord, GivenId};

/// The ids of a fleet's devices, as lists name them.
pub struct GivenIds<'a> {
    station: &'a Station,
    /// The number of slots before the call.
    slots: u32,
    map: IdMap,
}

impl<'a> GivenIds<'a> {
    /// Those of the fleet of `station`, whose folder is `folder`.
    ///
    /// # Errors
    /// The id map cannot be read.
    pub fn open(station: &'a Station, folder: &Path) -> Result<Self, Failure> {
        let slots = u32::try_from(station.stats()?.slots).unwrap_or(u32::MAX);
        Ok(Self { station, slots, map: IdMap::open(folder)? })
    }

    /// The id of a device of a list. A new EUI gets a free id.
    ///
    /// # Errors
    /// No id is free.
    pub fn id_of(&mut self, given: GivenId) -> Result<DeviceId, BadRecord> {
        let eui = match given {
            GivenId::Number(id) => return Ok(DeviceId(id)),
            GivenId::Eui(eui) => eui,
        };
        let device = |slot| self.station.device(Slot(slot)).map(|device| device.0);
        let id = self.map.id_of(eui, || (0..self.slots).filter_map(device).collect());
        id.map(DeviceId).ok_or(BadRecord::Other("no device id is free"))
    }

    /// Writes the id map, if an EUI is new.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn publish(&mut self) -> Result<(), Failure> {
        self.map.publish()
    }
}
