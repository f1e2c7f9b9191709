//! The edges of spans, tolerances and clocks: the last second that counts, and the next.

use hintdex_wire::{NonceKind, StepLen};

use super::units::narrowed;
use super::*;

const DAY_S: u64 = 86_400;

fn steps(seconds: u32) -> NonceKind {
    NonceKind::Step(StepLen::new(seconds).expect("1 to 86,400"))
}

fn timing(span_s: u32, lead_s: u32, tolerance_s: u32) -> Timing {
    let (before_s, after_s) = (tolerance_s, tolerance_s);
    Timing { span_s, lead_s, before_s, after_s, max_drift_ppm: 150 }
}

#[test]
fn the_timing_of_an_index_suits_its_nonces() {
    let cases = [
        (NonceKind::Counter, timing(3600, 600, 0)),
        (steps(1), timing(3600, 600, 1)),
        (steps(60), timing(3600, 600, 60)),
        (steps(3600), timing(216_000, 36_000, 3600)),
        (steps(86_400), timing(604_800, 100_800, 86_400)),
        (NonceKind::DayCounter, timing(86_400, 14_400, 3600)),
    ];
    for (kind, expected) in cases {
        assert_eq!(Timing::of(kind), expected, "{kind}");
    }
    // A lead is no shorter than the tolerance.
    let long = Timing::of(steps(700));
    assert_eq!((long.span_s, long.lead_s, long.after_s), (42_000, 7000, 700));
}

#[test]
fn what_is_not_chosen_of_a_timing_stays() {
    let other = Timing { span_s: 3600, lead_s: 600, before_s: 50, after_s: 70, max_drift_ppm: 90 };
    let none = TimingOptions::default();
    assert_eq!(none.over(&other), other);
    let span = |span_s: u32| TimingOptions { span_s: Some(span_s), ..none }.over(&other);
    assert_eq!(span(7200), Timing { span_s: 7200, lead_s: 1200, ..other });
    assert_eq!(span(60), Timing { span_s: 60, lead_s: 70, ..other });
    assert_eq!(span(0), Timing { span_s: 1, lead_s: 70, ..other });
    let lead = |lead_s: u32| TimingOptions { lead_s: Some(lead_s), ..none }.over(&other).lead_s;
    assert_eq!([lead(1000), lead(71), lead(70), lead(69)], [1000, 71, 70, 70]);
    let after = TimingOptions { after_s: Some(900), ..none }.over(&other);
    assert_eq!(after, Timing { after_s: 900, lead_s: 900, ..other });
    let before = TimingOptions { before_s: Some(7), ..none }.over(&other);
    assert_eq!(before, Timing { before_s: 7, ..other });
    let drift = TimingOptions { max_drift_ppm: Some(7), ..none }.over(&other);
    assert_eq!(drift, Timing { max_drift_ppm: 7, ..other });
}

#[test]
fn spans_begin_at_multiples_of_their_length() {
    let hour = timing(3600, 600, 60);
    assert_eq!(hour.span_at(7199), 3600..7200);
    assert_eq!(hour.span_at(7200), 7200..10_800);
    assert_eq!(timing(0, 0, 0).span_at(9), 9..10);
    assert_eq!(timing(1, 0, 0).span_at(9), 9..10);
    // The tolerance reaches further than a lead that a record holds.
    assert_eq!(timing(3600, 0, 60).needed_at(10_740), [7200..10_800, 10_800..14_400]);
    assert_eq!(timing(3600, 0, 60).needed_at(10_739), vec![hour.span_at(7200)]);
    // Packets of a while ask every window from the first moment to the last.
    assert!(hour.may_hold(&(7200..10_800), &(0..=7140)));
    assert!(!hour.may_hold(&(7200..10_800), &(0..=7139)));
    assert!(hour.may_hold(&(7200..10_800), &(10_859..=20_000)));
    assert!(!hour.may_hold(&(7200..10_800), &(10_860..=20_000)));
    // The next window is kept from its lead on.
    assert!(hour.is_kept(&(10_800..14_400), 10_200) && !hour.is_kept(&(10_800..14_400), 10_199));
}

#[test]
fn a_clock_is_in_step_up_to_the_tolerance() {
    let timing = Timing { before_s: 50, after_s: 70, ..timing(3600, 600, 0) };
    assert!(in_step((-50, 70), &timing) && in_step((0, 0), &timing));
    assert!(!in_step((-51, 0), &timing) && !in_step((0, 71), &timing));
    assert!(may_be_in_step((70, 900), &timing) && !may_be_in_step((71, 900), &timing));
    assert!(may_be_in_step((-900, -50), &timing) && !may_be_in_step((-900, -51), &timing));
    assert!(may_be_in_step((-900, 900), &timing));
}

#[test]
fn units_are_those_that_a_clock_may_show() {
    let minutes = steps(60);
    let units = |span: Span, offsets_s: (i64, i64), widen_s: (u32, u32)| {
        units_in(minutes, &span, offsets_s, widen_s)
    };
    assert_eq!(units(600..660, (0, 0), (0, 0)), 10..11);
    assert_eq!(units(600..661, (0, 0), (0, 0)), 10..12);
    assert_eq!(units(600..660, (0, 0), (1, 0)), 9..11);
    assert_eq!(units(600..660, (0, 0), (0, 1)), 10..12);
    assert_eq!(units(600..660, (-1, 1), (0, 0)), 9..12);
    assert_eq!(units(600..660, (120, 180), (0, 0)), 12..14);
    assert_eq!(units(600..660, (-9000, -9000), (0, 0)), 0..0);
    let last = u64::from(u32::MAX);
    assert_eq!(units(last * 60..last * 60 + 60, (0, 0), (0, 60)), last..last + 1);
    assert_eq!(units(last * 60 + 60..last * 60 + 120, (0, 0), (0, 0)), last + 1..last + 1);
    assert_eq!(nonces_of(minutes, &(3..7)), 3..7);
    assert_eq!(nonces_of(NonceKind::DayCounter, &(3..7)), 3 << 32..7 << 32);
    // A kind without units counts seconds.
    assert_eq!(units_in(NonceKind::Counter, &(5..7), (0, 0), (0, 0)), 5..7);
}

#[test]
fn an_interval_is_narrowed_to_four_spans_on_each_side_of_its_middle() {
    let span = 0..100;
    assert_eq!(narrowed((-400, 400), &span), (-400, 400));
    assert_eq!(narrowed((-401, 401), &span), (-400, 400));
    assert_eq!(narrowed((1000, 3000), &span), (1600, 2400));
    assert_eq!(narrowed((-10, 30), &span), (-10, 30));
}

fn clock(heard_s: u64, bounds_s: (i64, i64), anchor: Option<(u64, i64, i64)>) -> DeviceClock {
    let anchor = anchor.map(|(at_s, low_s, high_s)| Anchor { at_s, low_s, high_s });
    DeviceClock { heard_s, low_s: bounds_s.0, high_s: bounds_s.1, anchor }
}

#[test]
fn a_drift_is_learned_from_a_day_on_and_within_what_is_allowed() {
    let drift = |heard_s: u64, bounds_s: (i64, i64), anchor: (u64, i64, i64)| {
        clock(heard_s, bounds_s, Some(anchor)).drift_ppm(150)
    };
    // 8 s in a day are 92 ppm, and 20 ppm either way.
    assert_eq!(drift(DAY_S, (8, 8), (0, 0, 0)), (72, 112));
    assert_eq!(drift(DAY_S - 1, (8, 8), (0, 0, 0)), (-150, 150));
    // 7 s to 9 s, and an anchor that is as wide: 5 s to 11 s.
    assert_eq!(drift(1_000_000 + DAY_S, (7, 9), (1_000_000, -2, 2)), (57 - 20, 127 + 20));
    assert_eq!(drift(DAY_S, (12, 12), (0, 0, 0)), (118, 150));
    assert_eq!(drift(DAY_S, (-12, -12), (0, 0, 0)), (-150, -118));
    // Faster than any crystal: nothing was learned.
    assert_eq!(drift(DAY_S, (15, 15), (0, 0, 0)), (-150, 150));
    assert_eq!(drift(DAY_S, (8, 8), (DAY_S + 1, 0, 0)), (-150, 150));
    assert_eq!(clock(DAY_S, (8, 8), None).drift_ppm(150), (-150, 150));
}

#[test]
fn an_interval_grows_by_the_drift_that_was_learned_and_backwards_by_the_most() {
    let learned = clock(DAY_S, (8, 8), Some((0, 0, 0)));
    assert_eq!(learned.offsets_at(DAY_S + 1_000_000, 150), (8 + 72, 8 + 112));
    assert_eq!(learned.offsets_at(DAY_S, 150), (8, 8));
    assert_eq!(learned.offsets_at(DAY_S - 10_000, 150), (8 - 2, 8 + 2));
    // Ten years of silence at most.
    let ten_years_s = 10 * 365 * DAY_S;
    let fresh = DeviceClock::new(0);
    assert_eq!(fresh.offsets_at(ten_years_s, 100), (-31_536, 31_536));
    assert_eq!(fresh.offsets_at(ten_years_s + 1_000_000, 100), (-31_536, 31_536));
    assert_eq!(fresh.offsets_at(ten_years_s - 1_000_000, 100), (-31_436, 31_436));
}

#[test]
fn an_observation_out_of_order_by_an_hour_tells_nothing() {
    let heard = 1_000_000;
    let observe = |at: u64| {
        let mut clock = clock(heard, (0, 10), None);
        let contradicts = clock.observe(at, &(at..at + 60), 150);
        (contradicts, clock.heard_s)
    };
    assert_eq!(observe(heard - 1), (false, heard));
    assert_eq!(observe(heard - 3600), (false, heard));
    assert_eq!(observe(heard - 3601), (true, heard - 3601));
    assert_eq!(observe(heard), (false, heard));
    // Bounds that meet in one second agree; a second further they do not.
    let meet = |start: u64| {
        let mut clock = clock(heard, (0, 10), None);
        let contradicts = clock.observe(heard, &(start..start + 60), 150);
        (contradicts, clock.low_s, clock.high_s)
    };
    assert_eq!(meet(heard + 11), (false, 10, 10));
    assert_eq!(meet(heard + 12), (true, 11, 75));
}

#[test]
fn an_older_observation_is_kept_for_ninety_days() {
    let at = 1_000_000;
    let observe = |later_s: u64| {
        let mut clock = clock(at, (0, 0), Some((at, 0, 0)));
        let now = at + later_s;
        assert!(!clock.observe(now, &(now..now + 60), 150));
        clock.anchor.map(|anchor| anchor.at_s)
    };
    assert_eq!(observe(90 * DAY_S), Some(at));
    assert_eq!(observe(90 * DAY_S + 1), Some(at + 90 * DAY_S + 1));
    let mut first = clock(at, (0, 0), None);
    assert!(!first.observe(at + 5, &(at + 5..at + 65), 150));
    assert_eq!(first.anchor, Some(Anchor { at_s: at + 5, low_s: -1, high_s: 1 }));
}
