//! The wide search: beacons whose clock is not where it is expected.
//!
//! A search goes outward in rings (`rings.rs`), through all beacons in each ring.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::bounds::{Allowance, ClockBounds, LAST_UNIX_S};
use crate::head_index::HeadIndex;
use crate::records::BeaconRecord;
use crate::registration::Rule;
use crate::resolver::{Hit, time_of};
use crate::rings::{SearchCursor, ring_count, ring_of};
use crate::steps::{self, MAX_UNCERTAINTY_ROTATIONS, Span};
use crate::{Answer, Identifier, Resolver, Sighting, Source};

/// Identifiers that are computed in one piece: about 50 µs.
const STEPS_AT_ONCE: u64 = 1 << 14;

/// Identifiers that are computed between two looks at the time.
const STEPS_BETWEEN_LOOKS: u64 = 1 << 13;

/// What a piece costs beside its identifiers, in identifiers: the schedules of keys.
const STEPS_OF_A_PIECE: u64 = 64;

/// What a search found, and whether it went through all beacons.
///
/// See the example of [`Resolver`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchResult {
    /// An answer for each sighting.
    pub answers: Vec<Answer>,
    /// Beacons that were tried; of a search that ended early, as many as would have been if
    /// it went through one after the other.
    pub beacons: u32,
    /// Whether all were tried, or all sightings found.
    pub is_complete: bool,
}

/// What a search looks for, and what it found.
struct Search<'s> {
    sightings: &'s [Sighting],
    wanted: HeadIndex,
    /// The times of the sightings, in spans that lie apart.
    spans: Vec<Span>,
    hits: Vec<(usize, Hit)>,
    /// Sightings that are not found yet.
    left: usize,
    is_found: Vec<bool>,
}

impl<'s> Search<'s> {
    fn new(sightings: &'s [Sighting], is_wanted: impl Fn(&Sighting) -> bool, reach_s: u64) -> Self {
        let is_searched = |(_, sighting): &(usize, &Sighting)| {
            matches!(sighting.identifier, Identifier::Eid(_)) && is_wanted(sighting)
        };
        let all: Vec<_> = sightings.iter().enumerate().filter(is_searched).collect();
        let heads =
            all.iter().filter_map(|(at, sighting)| Some((*at, sighting.identifier.head()?)));
        let mut times: Vec<_> = all.iter().map(|(_, sighting)| time_of(sighting)).collect();
        times.sort_unstable();
        // What lies between two times that are far apart is not looked through.
        let spans = times.chunk_by(|a, b| b - a <= reach_s).filter_map(|times| {
            Some(Span { first_unix_s: *times.first()?, last_unix_s: *times.last()? })
        });
        Self {
            sightings,
            wanted: HeadIndex::new(heads),
            spans: spans.collect(),
            hits: Vec::new(),
            left: all.len(),
            is_found: vec![false; sightings.len()],
        }
    }

    fn found(&mut self, at: usize, hit: Hit) {
        if let Some(is_found @ false) = self.is_found.get_mut(at) {
            *is_found = true;
            self.left -= 1;
            self.hits.push((at, hit));
        }
    }
}

impl Resolver {
    /// Looks for the beacons behind identifiers that nobody was expected to send, on
    /// at most `budget` of one core's time, and about 0.1 ms more.
    ///
    /// An identifier cannot be reversed, so those of plausible clocks are computed, once
    /// for all sightings: up to [`search_reach_s`](crate::Options::search_reach_s) to
    /// either side of where a clock is expected (it stood still, it is fast, a receiver's
    /// time is wrong), and as far on from 0 (it began anew). A beacon costs about 2 ns for
    /// each of its rotations within reach. The search goes outward, through all beacons
    /// with each ring; one that ends early is taken up by the next call where it stopped.
    ///
    /// What it finds moves a clock when an identifier of another rotation agrees. Sightings
    /// more than a year ahead of the station's time are not looked for.
    pub fn search(&mut self, sightings: &[Sighting], budget: Duration) -> SearchResult {
        let began = Instant::now();
        let reach_s = self.maker.options.search_reach_s;
        let mut answers = vec![Answer::Unknown; sightings.len()];
        let latest_unix_s = self.latest_sighting_unix_s();
        for (answer, sighting) in answers.iter_mut().zip(sightings) {
            if time_of(sighting) > latest_unix_s {
                *answer = Answer::OutOfRange;
            }
        }
        let is_wanted = |sighting: &Sighting| time_of(sighting) <= latest_unix_s;
        let mut search = Search::new(sightings, is_wanted, reach_s);
        let (beacons, rings) = (self.maker.registry.len(), ring_count(reach_s));
        let all_pieces = u64::from(beacons) * u64::from(rings);
        // A piece that was begun by the search before is looked through from its beginning
        // once more at the end.
        let end = all_pieces + u64::from(self.search_cursor.done > 0);
        let (mut pieces, mut since_look) = (0, STEPS_BETWEEN_LOOKS);
        while pieces < end && search.left > 0 {
            if since_look >= STEPS_BETWEEN_LOOKS {
                if began.elapsed() >= budget {
                    break;
                }
                since_look = 0;
            }
            let done = self.search_piece(&mut search);
            since_look += done + STEPS_OF_A_PIECE;
            if done >= STEPS_AT_ONCE {
                self.search_cursor.done += done;
            } else {
                self.search_cursor = self.search_cursor.next(beacons, rings);
                pieces += 1;
            }
        }
        let is_complete = pieces >= end || search.left == 0;
        self.take_in(search.hits, sightings, &mut answers);
        let tried = pieces.min(all_pieces) / u64::from(rings);
        SearchResult { answers, beacons: u32::try_from(tried).unwrap_or(beacons), is_complete }
    }

    /// Looks through what is next, and returns how many steps that were.
    fn search_piece(&self, search: &mut Search<'_>) -> u64 {
        let SearchCursor { ring, slot, done } = self.search_cursor;
        let Some(row) = self.maker.registry.get(slot) else { return 0 };
        let options = &self.maker.options;
        let (reach_s, allowed) = (options.search_reach_s, options.allowance());
        let away = |span: Span, away_s: Range<u64>| {
            let clocks = self.learned.known(slot).into_iter().chain(self.learned.former(slot));
            clocks.flat_map(move |clock| plausible(row, clock, span, allowed, &away_s))
        };
        let ranges = search.spans.iter().flat_map(|span| away(*span, ring_of(ring, reach_s)));
        let (mut skip, mut left) = (done, STEPS_AT_ONCE);
        for range in merged(ranges.collect()) {
            let skipped = skip.min(steps::count(&range));
            skip -= skipped;
            let start = range.start + skipped;
            let piece = start..range.end.min(start + left);
            left -= steps::count(&piece);
            let mut found = Vec::new();
            steps::each_head(row, piece, |step, head| {
                found.extend(search.wanted.places(head).iter().map(|at| (*at, step)));
            });
            for (at, step) in found {
                // What is plausible at some time of the span may not be at its own.
                let then = search.sightings.get(at).map(|sighting| Span::second(time_of(sighting)));
                let at_its_time = then
                    .is_some_and(|then| away(then, 0..reach_s).any(|steps| steps.contains(&step)));
                if at_its_time {
                    search.found(at, Hit { slot, step, source: Source::Search });
                }
            }
        }
        STEPS_AT_ONCE - left
    }
}

/// The steps in which a beacon may be that is so far from where it is expected.
fn plausible(
    row: &BeaconRecord,
    clock: &ClockBounds,
    span: Span,
    allowed: Allowance,
    away_s: &Range<u64>,
) -> [Range<u64>; 3] {
    let Some(Rule::EddystoneEid { k, is_randomized, .. }) = row.rule() else {
        return [0..0, 0..0, 0..0];
    };
    let max_uncertainty_s = MAX_UNCERTAINTY_ROTATIONS << k.get();
    let expected = clock.clocks_s(span.first_unix_s, span.last_unix_s, allowed, max_uncertainty_s);
    let expected = expected.start..expected.end.max(expected.start).min(2 * LAST_UNIX_S);
    // The innermost ring has what lies between its two sides.
    let inner_end =
        if away_s.start == 0 { expected.end } else { expected.start.saturating_sub(away_s.start) };
    let behind = expected.start.saturating_sub(away_s.end)..inner_end;
    let ahead = expected.end.saturating_add(away_s.start)..expected.end.saturating_add(away_s.end);
    let anew = away_s.start..away_s.end.min(expected.start);
    [behind, ahead, anew].map(|clocks_s| steps::sent(k, is_randomized, clocks_s))
}

/// The ranges without what they have twice, in rising order.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_merged() {
        let got = merged(vec![5..9, 0..2, 2..3, 7..12, 20..20, 30..31]);
        assert_eq!(got, [0..3, 5..12, 30..31]);
    }
}
