//! The wide search: beacons whose clock is not where it is expected.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::bounds::{Allowance, ClockBounds, LAST_UNIX_S};
use crate::registration::Rule;
use crate::registry::BeaconRecord;
use crate::resolver::{Hit, time_of};
use crate::steps::{self, Span};
use crate::{Answer, Resolver, Sighting, Source};

/// Beacons between two looks at the time.
const BEACONS_AT_ONCE: u32 = 16;

/// Bits of the filter for each head that is wanted: one head in 64 passes by chance.
const FILTER_BITS_PER_HEAD: usize = 64;

/// What a search found, and whether it went through all beacons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Searched {
    /// An answer for each sighting.
    pub answers: Vec<Answer>,
    /// Beacons that were tried.
    pub beacons: u32,
    /// Whether all were.
    pub is_complete: bool,
}

/// The heads that are looked for: a filter that nearly all others fail, and a map.
struct Wanted {
    filter: Vec<u64>,
    places: HashMap<u64, Vec<usize>>,
}

impl Wanted {
    fn new(sightings: &[Sighting]) -> Self {
        let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
        for (at, sighting) in sightings.iter().enumerate() {
            if let (crate::Identifier::Eid(_), Some(head)) =
                (sighting.identifier, sighting.identifier.head())
            {
                places.entry(head).or_default().push(at);
            }
        }
        let words = (places.len() * FILTER_BITS_PER_HEAD / 64).next_power_of_two();
        let mut wanted = Self { filter: vec![0; words], places };
        let heads: Vec<_> = wanted.places.keys().copied().collect();
        for head in heads {
            let (word, bit) = wanted.bit_of(head);
            if let Some(word) = wanted.filter.get_mut(word) {
                *word |= bit;
            }
        }
        wanted
    }

    /// Identifiers are uniform, so their bits are as good as a hash.
    fn bit_of(&self, head: u64) -> (usize, u64) {
        let mask = self.filter.len() as u64 - 1;
        let word = usize::try_from((head >> 6) & mask).unwrap_or(0);
        (word, 1 << (head & 63))
    }

    fn places(&self, head: u64) -> &[usize] {
        let (word, bit) = self.bit_of(head);
        if self.filter.get(word).is_none_or(|word| word & bit == 0) {
            return &[];
        }
        self.places.get(&head).map_or(&[], Vec::as_slice)
    }
}

impl Resolver {
    /// Looks for the beacons behind identifiers that nobody was expected to send, on
    /// at most `budget` of one core's time (and one beacon's more).
    ///
    /// An identifier cannot be reversed, so those of plausible clocks are computed,
    /// once for all sightings: of a clock that began anew since, up to
    /// [`search_reach_s`](crate::Options::search_reach_s) after 0, and of one that
    /// stood still for a while, up to as much behind where it was expected. A beacon
    /// costs about 2 ns for each of its rotations within reach. A search that ends
    /// early is taken up by the next one, beacon after beacon.
    ///
    /// What it finds moves a clock when a second sighting agrees.
    pub fn search(&mut self, sightings: &[Sighting], budget: Duration) -> Searched {
        let began = Instant::now();
        let wanted = Wanted::new(sightings);
        let mut answers = vec![Answer::Nobody; sightings.len()];
        let beacons = self.maker.registry.len();
        let times = sightings.iter().map(time_of);
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
            return Searched { answers, beacons: 0, is_complete: true };
        };
        let span = Span { first_unix_s: first, last_unix_s: last };
        let mut hits = Vec::new();
        let mut tried = 0;
        while tried < beacons && !wanted.places.is_empty() {
            if tried % BEACONS_AT_ONCE == 0 && began.elapsed() >= budget {
                break;
            }
            self.search_beacon(self.search_cursor, span, sightings, &wanted, &mut hits);
            self.search_cursor = (self.search_cursor + 1) % beacons;
            tried += 1;
        }
        hits.sort_unstable_by_key(|(at, _)| *at);
        let moved = self.moved.len();
        for (at, hit) in hits {
            if let (Some(answer), Some(sighting)) = (answers.get_mut(at), sightings.get(at)) {
                *answer = self.answer(&hit);
                self.learn(&hit, time_of(sighting), moved);
            }
        }
        let is_complete = tried == beacons || wanted.places.is_empty();
        Searched { answers, beacons: tried, is_complete }
    }

    fn search_beacon(
        &self,
        slot: u32,
        span: Span,
        sightings: &[Sighting],
        wanted: &Wanted,
        hits: &mut Vec<(usize, Hit)>,
    ) {
        let (Some(row), Some(clock)) = (self.maker.registry.get(slot), self.learned.get(slot))
        else {
            return;
        };
        let (reach_s, allowed) =
            (self.maker.options.search_reach_s, self.maker.options.allowance());
        for steps in plausible(row, clock, span, allowed, reach_s) {
            steps::each_head(row, steps, |step, head| {
                let hit = Hit { slot, step, source: Source::Search };
                // What is plausible at some time of the span may not be at its own.
                let at_its_time = |at: &&usize| {
                    sightings.get(**at).is_some_and(|sighting| {
                        let then = Span::second(time_of(sighting));
                        let mut plausible =
                            plausible(row, clock, then, allowed, reach_s).into_iter();
                        plausible.any(|steps| steps.contains(&step))
                    })
                };
                let places = wanted.places(head).iter().filter(at_its_time);
                hits.extend(places.map(|at| (*at, hit)));
            });
        }
    }
}

/// The steps in which a beacon may be that is not where it is expected.
fn plausible(
    row: &BeaconRecord,
    clock: &ClockBounds,
    span: Span,
    allowed: Allowance,
    reach_s: u64,
) -> Vec<Range<u64>> {
    let Some(Rule::EddystoneEid { k, .. }) = row.rule() else { return Vec::new() };
    let expected = clock.clocks_s(span.first_unix_s, span.last_unix_s, allowed);
    let behind = expected.start.saturating_sub(reach_s)..expected.end.min(2 * LAST_UNIX_S);
    // One that began anew since it was last heard has not come further than this.
    let since_s = span.last_unix_s.saturating_sub(clock.heard_unix_s);
    let since_s = since_s.saturating_add(allowed.after_s);
    let drift_s = allowed.drift_us(since_s).unsigned_abs() / 1_000_000 + 1;
    let begun = 0..reach_s.min(since_s.saturating_add(drift_s)).min(behind.start);
    vec![steps::rotations(k, behind), steps::rotations(k, begun)]
}
