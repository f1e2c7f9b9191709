//! What a beacon may send in a span of time.
//!
//! A *step* is the number of a run of seconds with one identifier: a rotation of
//! Eddystone-EID, an interval of exposure notification. What a beacon may send is a
//! range of steps; windows are made of them, and candidates confirmed by them.

use std::ops::Range;

use hintdex_wire::beacon::eddystone::{EidCipher, RotationExponent};
use hintdex_wire::beacon::gaen::{INTERVAL_S, RpiCipher, TOLERANCE_S, interval_of};

use crate::bounds::{Allowance, ClockBounds};
use crate::identifier::{Identifier, head_of};
use crate::records::BeaconRecord;
use crate::registration::Rule;

/// How many rotations a beacon's clock may be expected ahead or behind the middle of what
/// is known, however long it was silent. A window of an hour then holds at most 16,384
/// identifiers of it beside those of the hour, 2 bytes each, where the shortest rotation
/// costs 3,600 anyway. For k = 0 that is two years of silence at 150 ppm, for k = 4 more
/// than thirty; a clock that is further off is found by a search.
pub const MAX_UNCERTAINTY_ROTATIONS: u64 = 1 << 13;

/// A span of station time: its first and its last second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first_unix_s: u64,
    pub last_unix_s: u64,
}

impl Span {
    pub const fn second(unix_s: u64) -> Self {
        Self { first_unix_s: unix_s, last_unix_s: unix_s }
    }
}

/// The steps a beacon may be in at any moment of a span. Empty for one whose
/// identifiers are made from no clock.
pub fn expected(
    row: &BeaconRecord,
    clock: &ClockBounds,
    span: Span,
    allowed: Allowance,
) -> Range<u64> {
    match row.rule() {
        Some(Rule::EddystoneEid { k, is_randomized, .. }) => {
            let Span { first_unix_s, last_unix_s } = span;
            let max_uncertainty_s = MAX_UNCERTAINTY_ROTATIONS << k.get();
            let clocks_s = clock.clocks_s(first_unix_s, last_unix_s, allowed, max_uncertainty_s);
            sent(k, is_randomized, clocks_s)
        }
        Some(Rule::Gaen { start_interval, rolling_period }) => {
            // The specification's tolerance is between an identifier's own time and when
            // it was heard, whatever the reason. It is none of the key's: no identifier
            // past its rolling period is ever looked for.
            let first = span.first_unix_s.saturating_sub(allowed.before_s.max(TOLERANCE_S));
            let last = span.last_unix_s.saturating_add(allowed.after_s.max(TOLERANCE_S));
            let end = start_interval.saturating_add(rolling_period.get().into());
            let start = interval_of(first).max(start_interval);
            start.into()..interval_of(last).saturating_add(1).min(end).into()
        }
        Some(Rule::BleRpa) | None => 0..0,
    }
}

/// The rotations that a range of clock values is in.
pub fn rotations(k: RotationExponent, clocks_s: Range<u64>) -> Range<u64> {
    if clocks_s.is_empty() {
        return 0..0;
    }
    clocks_s.start >> k.get()..((clocks_s.end - 1) >> k.get()) + 1
}

/// The rotations whose identifiers may be sent while the clock is in a range: where they
/// begin at a random point, the one before may not have ended.
pub fn sent(k: RotationExponent, is_randomized: bool, clocks_s: Range<u64>) -> Range<u64> {
    let Range { start, end } = rotations(k, clocks_s);
    if start == end { start..end } else { start.saturating_sub(is_randomized.into())..end }
}

/// The steps of the clocks of one beacon, none of them twice: its known clock and its
/// former one, if there is one.
pub fn union(mut clocks: impl Iterator<Item = Range<u64>>) -> [Range<u64>; 2] {
    let (first, second) = (clocks.next().unwrap_or(0..0), clocks.next().unwrap_or(0..0));
    let is_apart = first.end < second.start || second.end < first.start;
    match (first.is_empty(), second.is_empty()) {
        (_, true) => [first, 0..0],
        (true, _) => [second, 0..0],
        _ if is_apart => [first, second],
        _ => [first.start.min(second.start)..first.end.max(second.end), 0..0],
    }
}

/// How many steps there are.
pub const fn count(steps: &Range<u64>) -> u64 {
    steps.end.saturating_sub(steps.start)
}

/// The seconds on the beacon's own clock in which the identifier of a step may be sent.
pub fn clocks_of(row: &BeaconRecord, step: u64) -> Range<u64> {
    match row.rule() {
        Some(Rule::EddystoneEid { k, is_randomized, .. }) => {
            step << k.get()..(step + 1 + u64::from(is_randomized)) << k.get()
        }
        _ => step * INTERVAL_S..(step + 1) * INTERVAL_S,
    }
}

/// Gives `each` every step and the head of its identifier.
pub fn each_head(row: &BeaconRecord, steps: Range<u64>, mut each: impl FnMut(u64, u64)) {
    if steps.is_empty() {
        return;
    }
    match row.rule() {
        Some(Rule::EddystoneEid { k, .. }) => EidCipher::new(&row.key(), k)
            .each_eid(steps, |rotation, eid| each(rotation, u64::from_be_bytes(eid))),
        Some(Rule::Gaen { .. }) => {
            let interval = |step: u64| u32::try_from(step).unwrap_or(u32::MAX);
            let intervals = interval(steps.start)..interval(steps.end);
            RpiCipher::new(&row.key())
                .each_rpi(intervals, |interval, rpi| each(interval.into(), head_of(&rpi)));
        }
        Some(Rule::BleRpa) | None => {}
    }
}

/// The step of `expected` in which the beacon sends `identifier`, if it does.
///
/// A wrong beacon passes once in 2⁶⁴ expected steps (Eddystone-EID) or 2⁹⁶ (GAEN).
pub fn confirm(row: &BeaconRecord, identifier: &Identifier, expected: Range<u64>) -> Option<u64> {
    if expected.is_empty() {
        return None;
    }
    match (row.rule()?, identifier) {
        (Rule::EddystoneEid { k, .. }, Identifier::Eid(eid)) => {
            EidCipher::new(&row.key(), k).find(eid, expected)
        }
        (Rule::Gaen { .. }, Identifier::Rpi(rpi)) => {
            let step = RpiCipher::new(&row.key()).interval(rpi)?.into();
            expected.contains(&step).then_some(step)
        }
        _ => None,
    }
}

/// Whether the beacon sends `identifier` in `step`, if the head of the identifier is that of the
/// step. The head is all there is of Eddystone-EID.
pub fn is_of(row: &BeaconRecord, identifier: &Identifier, step: u64) -> bool {
    match (row.rule(), identifier) {
        (Some(Rule::EddystoneEid { .. }), Identifier::Eid(_)) => true,
        (Some(Rule::Gaen { .. }), Identifier::Rpi(_)) => {
            confirm(row, identifier, step..step.saturating_add(1)).is_some()
        }
        _ => false,
    }
}

/// The steps of a beacon whose clock has begun less than `span_s` ago; none of one
/// whose identifiers are made from no clock of its own.
pub fn first(row: &BeaconRecord, span_s: u64) -> Range<u64> {
    match row.rule() {
        Some(Rule::EddystoneEid { k, .. }) => rotations(k, 0..span_s),
        _ => 0..0,
    }
}
