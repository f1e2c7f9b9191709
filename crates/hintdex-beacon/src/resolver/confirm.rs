//! Whether a beacon sends an identifier, by the clocks that it may have.

use std::ops::Range;

use hintdex_wire::Slot;

use super::{Hit, Resolver, time_of};
use crate::bounds::ClockBounds;
use crate::records::BeaconRecord;
use crate::steps::{self, Span};
use crate::{Sighting, Source};

impl Resolver {
    /// The clocks a beacon may have: the known one, the former one, those suspected.
    pub(crate) fn clocks(&self, slot: u32) -> impl Iterator<Item = &ClockBounds> {
        let learned = &self.learned;
        let served = learned.known(slot).into_iter().chain(learned.former(slot));
        served.chain(learned.suspected(slot))
    }

    /// Whether a beacon sends this now, by one of the clocks it may have.
    pub(crate) fn confirm(&self, slot: Slot, sighting: &Sighting) -> Option<Hit> {
        let Slot(slot) = slot;
        let row = self.maker.registry.get(slot)?;
        let by = |clock: &ClockBounds, source| {
            let step =
                steps::confirm(row, &sighting.identifier, self.expected(row, clock, sighting))?;
            Some(Hit { slot, step, source })
        };
        let known = self.learned.known(slot).and_then(|clock| by(clock, Source::Snapshot));
        known
            .or_else(|| by(self.learned.former(slot)?, Source::Snapshot))
            .or_else(|| self.learned.suspected(slot).find_map(|clock| by(clock, Source::Epoch)))
    }

    /// Whether a beacon sends this now in this step, by one of the clocks it may have. A window
    /// has computed the head of the identifier from the beacon and the step.
    pub(super) fn confirm_step(&self, slot: u32, step: u64, sighting: &Sighting) -> Option<Hit> {
        let row = self.maker.registry.get(slot)?;
        if !steps::is_of(row, &sighting.identifier, step) {
            return None;
        }
        let is_by = |clock: &ClockBounds| self.expected(row, clock, sighting).contains(&step);
        let served = self.learned.known(slot).into_iter().chain(self.learned.former(slot));
        if served.into_iter().any(is_by) {
            return Some(Hit { slot, step, source: Source::Snapshot });
        }
        let is_suspected = self.learned.suspected(slot).any(is_by);
        is_suspected.then_some(Hit { slot, step, source: Source::Epoch })
    }

    fn expected(&self, row: &BeaconRecord, clock: &ClockBounds, heard: &Sighting) -> Range<u64> {
        let allowed = self.maker.options.allowance();
        steps::expected(row, clock, Span::second(time_of(heard)), allowed)
    }
}
