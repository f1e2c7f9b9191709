//! Changes of the fleet: devices are added and retired.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use hintdex_core::{DeviceRange, Report};
use hintdex_wire::{DeviceId, Slot};

use crate::{Error, Station};

impl Station {
    /// Adds devices: all of them, or none. `report` counts slots.
    ///
    /// # Errors
    /// [`Error::Index`] if an id is already provisioned or past the last id,
    /// [`Error::KeysMissing`] if a range lacks the keys it needs.
    pub fn provision(
        &self,
        ranges: &[DeviceRange],
        report: Option<Report<'_>>,
    ) -> Result<Range<Slot>, Error> {
        self.keys.check_imported(ranges)?;
        let slots = self.index.provision(ranges, report)?;
        self.extend_table()?;
        self.scans.invalidate_cache();
        Ok(slots)
    }

    /// Retires a device: from now on its packets are unknown.
    ///
    /// # Errors
    /// [`Error::Index`] if the fleet has no such device.
    pub fn retire(&self, device: DeviceId) -> Result<(), Error> {
        let slots = self.index.retire(device)?;
        if let Some(table) = &mut *self.table.write().unwrap_or_else(PoisonError::into_inner) {
            slots.into_iter().for_each(|slot| Arc::make_mut(table).retire(slot));
        }
        self.scans.invalidate_cache();
        Ok(())
    }
}
