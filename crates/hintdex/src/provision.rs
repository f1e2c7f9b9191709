//! Changes of the fleet: devices are added and retired.

use std::ops::Range;

use hintdex_core::{DeviceRange, Report};
use hintdex_wire::{DeviceId, Slot};

use crate::{Error, Station};

impl Station {
    /// Adds devices: all of them, or none. `report` counts slots.
    ///
    /// Many devices make the index roll, which in the usual form builds the station's own
    /// snapshot of the whole fleet.
    ///
    /// # Errors
    /// [`Error::Index`] if an id is already provisioned or past the last id,
    /// [`Error::KeysMissing`] if a range lacks the keys it needs, or [`Error::Rebuild`].
    /// [`take_maintenance_failure`](Self::take_maintenance_failure) returns what failed after
    /// the devices were added.
    pub fn provision(
        &self,
        ranges: &[DeviceRange],
        report: Option<Report<'_>>,
    ) -> Result<Range<Slot>, Error> {
        self.keys.check_imported(ranges)?;
        let (slots, finished) = self.maintenance_pass().provision(ranges, report)?;
        self.scans.invalidate_cache();
        // The devices are added. What failed afterwards is repeated by the next pass.
        if let Err(error) = finished {
            self.maintenance.record_failure(error);
        }
        Ok(slots)
    }

    /// Retires a device: from now on its packets are unknown.
    ///
    /// # Errors
    /// [`Error::Index`] if the fleet has no such device.
    pub fn retire(&self, device: DeviceId) -> Result<(), Error> {
        let slots = self.index.retire(device)?;
        self.hint_keys.retire(&slots);
        self.scans.invalidate_cache();
        Ok(())
    }
}
