//! A beacon's clock as a set of hypotheses: recordings that are sent again, receivers whose
//! clocks are wrong, new batteries, and the operator's cure.

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::{Answer, Error, Event, Rule, Source};

use crate::support::{
    Beacon, NOW, Random, Station, ask, ask_or_search, beacons, is_moved, sent_and_heard,
    station_of, who,
};

const HOUR_S: u64 = 3600;
const DAY_S: u64 = 86_400;

/// One identifier of a beacon's first hour, recorded once and sent again every few seconds
/// and days later, with searches. It says whose it is, and moves nothing.
#[test]
#[cfg_attr(debug_assertions, ignore = "half a minute without optimisation")]
fn one_recording_moves_no_clock() {
    let beacons = beacons(16, 51);
    let station = station_of(&beacons);
    let mut resolver = station.open();
    let born = |beacon: &Beacon| Beacon {
        zero_unix_s: i64::try_from(NOW).expect("a time"),
        ..beacon.clone()
    };
    for later in [0, 1, 2, 100, 5000, 5001, 86_400, 86_500, 300_000, 3_000_000] {
        let now = NOW + 9000 + later;
        station.clock.set(now);
        resolver.advance().expect("windows");
        for beacon in &beacons {
            for sent in [
                sent_and_heard(&born(beacon), NOW + 5, now),
                sent_and_heard(beacon, NOW - 9000, now),
            ] {
                ask_or_search(&mut resolver, sent);
            }
        }
        assert!(!is_moved(&resolver.take_events()), "{later}");
    }
    // What is suspected stays within its bound, and all are where they were.
    assert!(resolver.stats().suspected <= 8 * 16, "{}", resolver.stats().suspected);
    for beacon in &beacons {
        let now = resolver.now_unix_s();
        let found = who(&ask(&mut resolver, beacon.sighting(now)));
        assert_eq!(found, Some((beacon.device.0, Source::Snapshot)));
    }
}

/// After 400 days of silence the bounds of a clock are hours wide, and a replay lies within
/// them. In one batch with the beacon itself, in either order, it excludes nothing.
#[test]
fn a_replay_within_wide_bounds_does_not_exclude_the_truth() {
    for replay_is_first in [false, true] {
        let beacons = beacons(40, 52);
        let station = station_of(&beacons);
        let now = NOW + 400 * DAY_S;
        station.clock.set(now);
        let mut resolver = station.open();
        resolver.advance().expect("windows");
        for step in 0..8 {
            let at = now + step * 700;
            station.clock.set(at);
            let replays = beacons.iter().map(|beacon| sent_and_heard(beacon, now - 4000, at));
            let honest = beacons.iter().map(|beacon| beacon.sighting(at));
            let batch: Vec<_> = if replay_is_first {
                replays.chain(honest).collect()
            } else {
                honest.chain(replays).collect()
            };
            let answers = resolver.resolve_batch(&batch).expect("answers");
            let own = if replay_is_first { &answers[40..] } else { &answers[..40] };
            for (beacon, answer) in beacons.iter().zip(own) {
                assert_eq!(who(answer), Some((beacon.device.0, Source::Snapshot)), "{step}");
            }
            assert!(!is_moved(&resolver.take_events()), "{step}");
        }
    }
}

/// A receiver that is hours ahead or behind makes all clocks look moved. They move, and
/// are still found where they are, before and after a restart.
#[test]
#[cfg_attr(debug_assertions, ignore = "half a minute without optimisation")]
fn receivers_that_are_wrong_for_hours_lose_no_beacon() {
    for wrong_s in [2 * 3600, -2 * 3600, 26 * 3600, -26 * 3600_i64] {
        let beacons = beacons(13, 53);
        let station = station_of(&beacons);
        let mut moved = 0;
        for hour in 0..30 {
            let now = NOW + hour * HOUR_S;
            station.clock.set(now);
            // A process for each hour.
            let mut resolver = station.open();
            resolver.advance().expect("windows");
            let stamped = now.checked_add_signed(wrong_s).expect("a time");
            for beacon in &beacons {
                let answer = ask_or_search(&mut resolver, sent_and_heard(beacon, now, stamped));
                // More than a day ahead: it is found, and teaches nothing.
                assert_eq!(who(&answer).map(|(device, _)| device), Some(beacon.device.0));
            }
            moved += usize::from(is_moved(&resolver.take_events()));
            resolver.close().expect("saved");
        }
        assert_eq!(moved > 0, wrong_s <= 86_400, "{wrong_s}");
        let now = NOW + 40 * HOUR_S;
        station.clock.set(now);
        let mut resolver = station.open();
        resolver.advance().expect("windows");
        for beacon in &beacons {
            let found = who(&ask(&mut resolver, beacon.sighting(now)));
            assert_eq!(found, Some((beacon.device.0, Source::Snapshot)), "{wrong_s}");
        }
    }
}

/// Two recordings, sent in step, look like the beacon. The beacon itself is found all the
/// time, and has its clock back when it was heard in two rotations.
#[test]
fn the_former_clock_wins_back() {
    let beacons = beacons(12, 54);
    let station = station_of(&beacons);
    let mut resolver = station.open();
    let day = NOW + DAY_S;
    for later in [0, 4096] {
        station.clock.set(day + later);
        for beacon in &beacons {
            let replay = sent_and_heard(beacon, NOW + later, day + later);
            assert!(ask_or_search(&mut resolver, replay).identification().is_some());
        }
    }
    let events = resolver.take_events();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::ClockMoved { .. })).count(), 12);
    for (later, won) in [(8192, 0), (8193, 1), (12_288, 12), (16_384, 0)] {
        station.clock.set(day + later);
        for beacon in &beacons {
            let found = who(&ask(&mut resolver, beacon.sighting(day + later)));
            assert_eq!(found, Some((beacon.device.0, Source::Snapshot)), "{later}");
        }
        let events = resolver.take_events();
        // With k = 0 a second is a rotation.
        let count =
            events.iter().filter(|event| matches!(event, Event::ClockRestored { .. })).count();
        assert_eq!(count, if won == 12 { 11 } else { won }, "{later}: {events:?}");
    }
}

/// A beacon has a new battery, and two recordings of before are sent in step. Neither the
/// clock of before nor the new one, which has not held for long, is lost by that.
#[test]
fn a_clock_that_has_not_held_is_still_served_when_it_is_moved_from() {
    let old: Vec<_> = beacons(11, 64);
    let station = station_of(&old);
    let mut resolver = station.open();
    let zero = i64::try_from(NOW).expect("a time");
    let new: Vec<_> =
        old.iter().map(|beacon| Beacon { zero_unix_s: zero, ..beacon.clone() }).collect();
    let day = NOW + DAY_S;
    for (old, new) in old.iter().zip(&new) {
        // Recordings of an hour before the change, sent a day later.
        let replay = |later: u64| sent_and_heard(old, NOW - HOUR_S + later, day + later);
        let heard = [NOW + 10, NOW + 3000].map(|at| new.sighting(at));
        for sighting in heard.into_iter().chain([replay(0), replay(2048)]) {
            station.clock.set(sighting.time_unix_s);
            assert!(ask_or_search(&mut resolver, sighting).identification().is_some());
        }
        let moved = resolver.take_events();
        assert_eq!(moved.len(), 2, "{moved:?}");
        for beacon in [old, new] {
            let found = ask(&mut resolver, beacon.sighting(day + 2100));
            assert_eq!(who(&found).map(|(device, _)| device), Some(beacon.device.0));
        }
        resolver.take_events();
    }
}

/// The clock before is given up when the new one has held for three rotations and a month.
#[test]
fn a_former_clock_is_given_up_after_a_month() {
    let old = beacons(8, 55);
    let station = station_of(&old);
    let mut resolver = station.open();
    let zero = i64::try_from(NOW).expect("a time");
    let new: Vec<_> =
        old.iter().map(|beacon| Beacon { zero_unix_s: zero, ..beacon.clone() }).collect();
    let mut identifiers = Vec::new();
    for day in [0, 1, 29, 30, 31, 32] {
        let now = NOW + day * DAY_S + 60;
        station.clock.set(now);
        resolver.advance().expect("windows");
        for later in [0, 400] {
            for beacon in &new {
                assert!(
                    ask(&mut resolver, beacon.sighting(now + later)).identification().is_some()
                );
            }
        }
        identifiers.push(resolver.stats().windows.iter().map(|window| window.identifiers).max());
    }
    let (first, last) = (identifiers[1], identifiers[5]);
    assert!(first.expect("windows") * 2 > 3 * last.expect("windows"), "{identifiers:?}");
}

/// A suspicion and a former clock outlive the process: one call a sighting is as one call
/// for all.
#[test]
fn one_process_a_sighting_is_as_one_for_all() {
    let mut random = Random::new(56);
    let beacon = Beacon::new(7, 9, 1_750_000_000, &mut random);
    let zero = i64::try_from(NOW).expect("a time");
    let new = Beacon { zero_unix_s: zero, ..beacon.clone() };
    let heard: Vec<_> = [20, 300, 600, 900, 5000, 9000]
        .map(|later| new.sighting(NOW + later))
        .into_iter()
        .chain([10_000, 11_000, 12_000].map(|later| beacon.sighting(NOW + later)))
        .collect();
    let run = |is_one: bool| {
        let station = station_of(std::slice::from_ref(&beacon));
        let mut told = Vec::new();
        let mut resolver = Some(station.open());
        for sighting in &heard {
            station.clock.set(sighting.time_unix_s);
            let open = resolver.get_or_insert_with(|| station.open());
            open.advance().expect("windows");
            let answer = who(&ask(open, *sighting));
            told.push((answer, open.take_events()));
            if !is_one {
                resolver.take().expect("open").close().expect("saved");
            }
        }
        told
    };
    let (one, many) = (run(true), run(false));
    assert_eq!(one, many);
    assert!(matches!(one[2].1[..], [Event::ClockMoved { .. }]), "{one:?}");
    assert!(matches!(one[7].1[..], [Event::ClockRestored { .. }]), "{one:?}");
    let sources: Vec<_> = one.iter().filter_map(|(found, _)| Some(found.as_ref()?.1)).collect();
    assert_eq!(sources[..3], [Source::Epoch; 3]);
    assert_eq!(sources[3..], [Source::Snapshot; 6]);
}

/// A clock that was led astray is again what the registration says.
#[test]
fn forgetting_a_clock_goes_back_to_the_registration() {
    let beacons = beacons(6, 57);
    let station = station_of(&beacons);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    for later in [100, 200, 300] {
        let replay = sent_and_heard(&beacons[3], NOW - DAY_S + later, NOW + later);
        assert!(ask_or_search(&mut resolver, replay).identification().is_some());
    }
    assert!(is_moved(&resolver.take_events()));
    resolver.close().expect("saved");
    let mut resolver = station.open();
    resolver.forget_clock(DeviceId(3)).expect("a beacon");
    let unknown = resolver.forget_clock(DeviceId(99));
    assert!(matches!(unknown, Err(Error::NoClock { device: DeviceId(99) })), "{unknown:?}");
    drop(resolver);
    station.clock.set(NOW + 400);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    let replay = sent_and_heard(&beacons[3], NOW - DAY_S + 400, NOW + 400);
    assert_eq!(ask(&mut resolver, replay), Answer::Unknown);
    let found = who(&ask(&mut resolver, beacons[3].sighting(NOW + 400)));
    assert_eq!(found, Some((3, Source::Snapshot)));
}

/// Identifiers that begin at a random point of their rotation are as late as that.
#[test]
fn randomized_beacons_are_always_found_and_bound_no_clock_wrongly() {
    for k in 0..=15 {
        let mut random = Random::new(62 + u64::from(k));
        let beacons: Vec<_> = (0..20)
            .map(|at| Beacon::new(at, k, 1_600_000_000 + i64::from(at), &mut random))
            .collect();
        let station = Station::new(NOW);
        station.register(
            NOW,
            beacons.iter().map(|beacon| {
                let mut registration = beacon.registration(NOW);
                if let Rule::EddystoneEid { is_randomized, .. } = &mut registration.rule {
                    *is_randomized = true;
                }
                registration
            }),
        );
        let mut resolver = station.open();
        let period = u64::from(beacons[0].k.period_s());
        for step in 1..40 {
            let at = NOW + step * period * 2 / 3;
            station.clock.set(at);
            resolver.advance().expect("windows");
            for beacon in &beacons {
                // The point at which this rotation's identifier begins is drawn once.
                let rotation = u64::from(beacon.clock_s(at)) / period;
                let begins = Random::new(rotation ^ u64::from(beacon.device.0) << 40).below(period);
                let is_late = u64::from(beacon.clock_s(at)) % period < begins;
                let sent = if is_late { at - period } else { at };
                let found = who(&ask(&mut resolver, sent_and_heard(beacon, sent, at)));
                assert_eq!(found, Some((beacon.device.0, Source::Snapshot)), "{k}, {step}");
            }
        }
        assert_eq!(resolver.take_events(), [], "{k}");
        assert_eq!(resolver.stats().suspected, 0);
    }
}
