//! Updates of the clocks of beacons: by sightings, and by the operator.

use hintdex_wire::DeviceId;

use crate::bounds::ClockBounds;
use crate::hypotheses::Outcome;
use crate::hypothesis::Evidence;
use crate::records::BeaconRecord;
use crate::registration::{Rule, Scheme};
use crate::resolver::Hit;
use crate::{Error, Event, Resolver, steps};

impl Resolver {
    /// Updates the clock of a beacon by a confirmed sighting, and reports a clock that moved.
    /// Only an Eddystone beacon has a clock of its own.
    pub(crate) fn update_clock(
        &mut self,
        row: &BeaconRecord,
        hit: &Hit,
        at_unix_s: u64,
        present_unix_s: u64,
    ) {
        if !matches!(row.rule(), Some(Rule::EddystoneEid { .. })) {
            return;
        }
        let allowed = self.maker.options.allowance();
        let bounds =
            ClockBounds::from_sighting(steps::clocks_of(row, hit.step), at_unix_s, allowed);
        let outcome = self.learned.hear(
            hit.slot,
            &Evidence { step: hit.step, bounds },
            present_unix_s,
            allowed,
        );
        match outcome {
            Outcome::Nothing | Outcome::Heard => {}
            Outcome::Suspected => self.add_to_all(hit.slot, &bounds),
            Outcome::Moved => {
                self.moved.push(hit.slot);
                let Some(clock) = self.learned.known(hit.slot).copied() else { return };
                self.add_to_all(hit.slot, &clock);
                let at_unix_s = clock.heard_unix_s;
                let clocks =
                    clock.clocks_s(at_unix_s, at_unix_s, allowed.without_slack(), u64::MAX);
                let (device, clock_s) = (row.device(), clocks.start);
                self.events.push(Event::ClockMoved { device, clock_s, at_unix_s });
            }
            Outcome::Restored => {
                self.events.push(Event::ClockRestored { device: row.device(), at_unix_s });
            }
        }
    }

    /// Resets the clock of a beacon to its registration, durably. The cure for a clock that
    /// recordings moved, or a receiver whose own clock was wrong for long.
    ///
    /// # Errors
    /// [`Error::NoClock`] when no beacon of this id has a clock of its own; [`Error::File`].
    pub fn forget_clock(&mut self, device: DeviceId) -> Result<(), Error> {
        let registry = self.maker.registry.clone();
        let slot = registry.find(device, Scheme::EddystoneEid);
        let found = slot.and_then(|slot| Some((slot, registry.get(slot)?)));
        let (slot, row) = found.ok_or(Error::NoClock { device })?;
        let clock = row.registered_clock();
        self.learned.forget(slot, clock);
        self.moved.push(slot);
        self.add_to_all(slot, &clock);
        self.save()
    }

    /// Adds the identifiers of a clock to all windows: they were built for other clocks.
    fn add_to_all(&mut self, slot: u32, clock: &ClockBounds) {
        for number in self.windows.numbers() {
            self.add_to(number, slot, clock);
        }
    }
}
