//! Sightings of times far from the present.
//!
//! A window is worth building for sightings that come by the thousand. One whose time is
//! months away, because a log is old or a receiver's clock is wrong, is looked for under
//! every beacon instead: what each sends at that moment, a few identifiers, and no file.
//! One that is more than a year ahead is not looked for, nor one so far back that clocks
//! may have drifted anywhere since.

use std::ops::Range;

use hintdex_wire::Slot;
use rayon::prelude::*;

use crate::head_index::HeadIndex;
use crate::records::BeaconRecord;
use crate::resolver::{Hit, time_of};
use crate::steps::{self, Span};
use crate::{Resolver, Sighting};

/// How far from the present windows are built for sightings.
const MAX_WINDOW_DISTANCE_S: u64 = 30 * 86_400;

/// How far ahead of the present a sighting is looked for.
const MAX_AHEAD_S: u64 = 366 * 86_400;

/// Identifiers that are computed for the sightings of a window's time, for each beacon on
/// average: 2 µs of one core a beacon.
const MAX_STEPS_PER_BEACON: u64 = 1 << 10;

/// And in a small folder altogether: 2 ms.
const MIN_STEPS_BUDGET: u64 = 1 << 20;

/// Beacons that one task tries.
const SLOTS_PER_TASK: usize = 1024;

impl Resolver {
    /// The present, as far as anything tells it: a machine without a battery for its clock
    /// begins in 1970, but no beacon was measured after the present.
    pub(crate) fn latest_present_unix_s(&self) -> u64 {
        self.now_unix_s().max(self.newest_measured_unix_s)
    }

    /// How far a time is from the present.
    fn away_s(&self, unix_s: u64) -> u64 {
        unix_s.abs_diff(self.now_unix_s()).min(unix_s.abs_diff(self.newest_measured_unix_s))
    }

    /// The latest time at which a sighting is looked for.
    pub(crate) fn latest_sighting_unix_s(&self) -> u64 {
        self.latest_present_unix_s().saturating_add(MAX_AHEAD_S)
    }

    /// Whether sightings of a window's time are looked for without a window.
    pub(crate) fn is_distant(&self, number: u64) -> bool {
        let start_unix_s = self.maker.start_unix_s(number);
        self.windows.get(number).is_none()
            && !self.current().contains(&number)
            && self.away_s(start_unix_s) > MAX_WINDOW_DISTANCE_S.max(self.maker.options.span_s)
    }

    /// Looks sightings up under every beacon: about 0.3 µs for each beacon and call. `None`
    /// when the time is so far away that it would be much more.
    pub(crate) fn resolve_distant(
        &self,
        run: &[(u64, usize)],
        sightings: &[Sighting],
    ) -> Option<Vec<(usize, Hit)>> {
        let heard = |(_, at): &(u64, usize)| Some((*at, sightings.get(*at)?));
        let heard: Vec<_> = run.iter().filter_map(heard).collect();
        let times = heard.iter().map(|(_, sighting)| time_of(sighting));
        let span = Span { first_unix_s: times.clone().min()?, last_unix_s: times.max()? };
        let beacons = self.maker.registry.len();
        let rows = (0..beacons).into_par_iter().zip(self.maker.registry.rows());
        let steps = |slot: u32, row: &BeaconRecord| -> Vec<Range<u64>> {
            let allowed = self.maker.options.allowance();
            self.clocks(slot).map(|clock| steps::expected(row, clock, span, allowed)).collect()
        };
        let count = |(slot, row)| steps(slot, row).iter().map(steps::count).sum::<u64>();
        let most = (u64::from(beacons) * MAX_STEPS_PER_BEACON).max(MIN_STEPS_BUDGET);
        if rows.clone().map(count).sum::<u64>() > most {
            return None;
        }
        let heads =
            heard.iter().filter_map(|(at, sighting)| Some((*at, sighting.identifier.head()?)));
        let wanted = HeadIndex::new(heads);
        let tries = rows.with_min_len(SLOTS_PER_TASK).flat_map_iter(|(slot, row)| {
            let mut places = Vec::new();
            for steps in steps(slot, row) {
                steps::each_head(row, steps, |_, head| places.extend(wanted.places(head)));
            }
            let hit = move |at: usize| Some((at, self.confirm(Slot(slot), sightings.get(at)?)?));
            places.into_iter().filter_map(hit)
        });
        let mut hits: Vec<_> = tries.collect();
        hits.sort_unstable_by_key(|(at, hit)| (*at, hit.slot));
        hits.dedup_by_key(|(at, _)| *at);
        Some(hits)
    }
}
