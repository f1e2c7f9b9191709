//! The devices that a list names, by number or by EUI.

use std::path::Path;

use hintdex::Station;
use hintdex::wire::DeviceId;

use crate::failure::Failure;
use crate::id_map::IdMap;
use crate::input::{BadRecord, GivenId};

/// The ids of a fleet's devices, as lists name them.
pub struct GivenIds<'a> {
    station: &'a Station,
    map: IdMap,
}

impl<'a> GivenIds<'a> {
    /// Those of the fleet of `station`, whose folder is `folder`.
    ///
    /// # Errors
    /// The id map cannot be read.
    pub fn open(station: &'a Station, folder: &Path) -> Result<Self, Failure> {
        Ok(Self { station, map: IdMap::open(folder)? })
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
        let id = self.map.id_of(eui, || ids_of(self.station));
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

/// The ids that the fleet has.
fn ids_of(station: &Station) -> Vec<u32> {
    let mut ids = Vec::new();
    // Collecting does not fail.
    let _ = station.each_keys(|keys| {
        ids.extend(keys.iter().map(|key| key.key.device.0));
        Ok::<(), std::convert::Infallible>(())
    });
    ids
}
