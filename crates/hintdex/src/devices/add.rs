//! Adding devices.

use std::ops::Range;

use hintdex_core::{DeviceRange, Report};
use hintdex_wire::Slot;

use crate::maintenance::{Added, Addition};
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
        let slots = self.add_keys(Addition::Devices(ranges), report)?;
        Ok(slots.into_iter().next().unwrap_or(Slot(0)..Slot(0)))
    }

    /// Adds keys.
    pub(super) fn add_keys(
        &self,
        addition: Addition<'_>,
        report: Option<Report<'_>>,
    ) -> Result<Vec<Range<Slot>>, Error> {
        self.keys.check_imported(addition.ranges())?;
        let Added { slots, finished } = self.maintenance_pass().add(addition, report)?;
        self.scans.invalidate_cache();
        // The keys are added. What failed afterwards is repeated by the next pass.
        if let Err(error) = finished {
            self.maintenance.record_failure(error);
        }
        Ok(slots)
    }
}
