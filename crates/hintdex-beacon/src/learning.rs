//! What sightings tell of clocks.

use crate::bounds::ClockBounds;
use crate::registration::Rule;
use crate::registry::BeaconRecord;
use crate::resolver::Hit;
use crate::{Event, Resolver, Source, steps};

impl Resolver {
    /// Takes in what a sighting tells of its beacon's clock. When it was looked up,
    /// `moved` clocks had moved.
    pub(crate) fn learn(&mut self, hit: &Hit, at_unix_s: u64, moved: usize) {
        let registry = self.maker.registry.clone();
        let (Some(row), Some(known)) = (registry.get(hit.slot), self.learned.get(hit.slot)) else {
            return;
        };
        if !matches!(row.rule(), Some(Rule::EddystoneEid { .. })) {
            return;
        }
        let allowed = self.maker.options.allowance();
        let seen = ClockBounds::seen(steps::clocks_of(row, hit.step), at_unix_s, allowed);
        let agrees = known.agree(&seen, allowed);
        let moved_since = || self.moved.get(moved..).is_some_and(|since| since.contains(&hit.slot));
        if hit.source == Source::Snapshot && !agrees && moved_since() {
            // It is of the clock before, and between the two lies all that they are apart.
        } else if hit.source == Source::Snapshot || agrees {
            self.learned.meet(hit.slot, &seen, allowed);
            // Heard where it is known to be, it is not anywhere else.
            if self.suspected.get(&hit.slot).is_some_and(|clock| clock.heard_unix_s <= at_unix_s) {
                self.suspected.remove(&hit.slot);
            }
        } else if at_unix_s.saturating_add(allowed.before_s) >= known.heard_unix_s {
            // Older than what is known, it would only be an echo.
            self.suspect(hit.slot, row, seen);
        }
    }

    /// A beacon was heard where nobody expected it: the first time that is a
    /// suspicion, which its windows are told; the second, if it agrees, a fact.
    fn suspect(&mut self, slot: u32, row: &BeaconRecord, seen: ClockBounds) {
        let allowed = self.maker.options.allowance();
        let earlier = self.suspected.get(&slot).copied();
        match earlier.filter(|earlier| earlier.agree(&seen, allowed)) {
            // Two receivers heard the same packet.
            Some(earlier) if seen.heard_unix_s <= earlier.heard_unix_s => {}
            Some(earlier) => {
                let clock = earlier.meet(&seen, allowed);
                self.suspected.remove(&slot);
                self.learned.move_to(slot, clock);
                self.moved.push(slot);
                let at_unix_s = clock.heard_unix_s;
                let clocks = clock.clocks_s(at_unix_s, at_unix_s, allowed.without_slack());
                self.events.push(Event::Moved {
                    device: row.device(),
                    clock_s: clocks.start,
                    at_unix_s,
                });
            }
            None => {
                self.suspected.insert(slot, seen);
                for number in self.windows.numbers() {
                    self.add_to(number, slot, &seen);
                }
            }
        }
    }
}
