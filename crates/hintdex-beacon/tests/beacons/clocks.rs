//! Clocks that go wrong: the station's, and the beacons'.

use std::time::Duration;

use hintdex_beacon::{Answer, Event, Options, Source};

use crate::support::{Beacon, NOW, Random, ask, beacons, station_of, who};

const HOUR_S: u64 = 3600;

#[test]
fn a_station_whose_clock_steps_back_goes_on() {
    let beacons = beacons(32, 1);
    let station = station_of(&beacons);
    let mut resolver = station.open();
    let start = NOW / HOUR_S * HOUR_S + HOUR_S;
    for (now, told) in [
        (start + 5, false),
        (start - 40, false),
        (start + 9, false),
        (start - 9000, true),
        (start, false),
    ] {
        station.clock.set(now);
        resolver.advance().expect("windows");
        for beacon in &beacons {
            assert_eq!(
                who(&ask(&mut resolver, beacon.sighting(now))),
                Some((beacon.device.0, Source::Snapshot)),
                "{now}"
            );
        }
        let events = resolver.take_events();
        assert_eq!(matches!(events[..], [Event::StationClockWentBack { .. }]), told, "{events:?}");
        assert!(station.windows().len() <= 3, "{:?}", station.windows());
    }
}

/// A machine without a battery for its clock begins in 1970 and leaps to the present.
#[test]
fn a_station_that_begins_in_1970_learns_nothing_there() {
    let beacons = beacons(32, 2);
    let station = station_of(&beacons);
    station.clock.set(17);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    assert_eq!(resolver.stats().windows[0].identifiers, 0);
    // New batteries are heard while it is 1970: twice, so that clocks would be moved.
    let reborn = Beacon { zero_unix_s: 0, ..beacons[3].clone() };
    for now in [100, 200, 300] {
        station.clock.set(now);
        resolver.advance().expect("windows");
        assert_eq!(who(&ask(&mut resolver, reborn.sighting(now))), Some((3, Source::Epoch)));
        for beacon in &beacons {
            let heard = beacon.sighting(NOW);
            let heard = hintdex_beacon::Sighting { time_unix_s: now, ..heard };
            assert_eq!(ask(&mut resolver, heard), Answer::Unknown);
        }
    }
    station.clock.set(NOW);
    resolver.advance().expect("windows");
    for beacon in &beacons {
        assert!(
            ask(&mut resolver, beacon.sighting(NOW)).identification().is_some(),
            "{}",
            beacon.device
        );
    }
    assert_eq!(resolver.take_events(), []);
}

#[test]
fn a_beacon_whose_clock_wraps_is_found_before_and_after() {
    let mut random = Random::new(3);
    // Its clock reaches 2^32 half an hour from now.
    let zero = i64::try_from(NOW + 1800).expect("a time") - (1 << 32);
    let beacons: Vec<_> =
        (0..16).map(|k| Beacon::new(k.into(), k, zero + i64::from(k), &mut random)).collect();
    let station = station_of(&beacons);
    let mut resolver = station.open();
    let mut wrapped = 0;
    for at in (0..40).map(|step| NOW + step * 173) {
        station.clock.set(at);
        resolver.advance().expect("windows");
        for beacon in &beacons {
            let answer = ask(&mut resolver, beacon.sighting(at));
            assert_eq!(who(&answer), Some((beacon.device.0, Source::Snapshot)), "{at}");
            let clock = answer.identification().and_then(|found| found.clock_s).expect("a clock");
            assert_eq!(clock, u64::from(beacon.clock_s(at)) >> beacon.k.get() << beacon.k.get());
            wrapped += u32::from(beacon.clock_s(at) < 100_000);
        }
    }
    assert!(wrapped > 100, "the clocks have not wrapped: {wrapped}");
}

/// Identifiers count as two where they are of two rotations, however often each is heard.
#[test]
fn a_new_battery_moves_a_clock_by_two_rotations_that_agree() {
    let mut beacons = beacons(16, 4);
    let station = station_of(&beacons);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    let changed = NOW + 500;
    let zero = i64::try_from(changed).expect("a time");
    beacons.iter_mut().for_each(|beacon| beacon.zero_unix_s = zero);
    let mut heard = vec![Vec::new(); beacons.len()];
    // Most are long after the span of the probe, in later windows.
    for later in [600, 603, 700, 3 * HOUR_S, 4 * HOUR_S, 10 * HOUR_S, 11 * HOUR_S] {
        let now = changed + later;
        station.clock.set(now);
        resolver.advance().expect("windows");
        for (beacon, rotations) in beacons.iter().zip(&mut heard) {
            let found = who(&ask(&mut resolver, beacon.sighting(now)));
            let source = if rotations.len() < 2 { Source::Epoch } else { Source::Snapshot };
            assert_eq!(found, Some((beacon.device.0, source)), "{later}");
            let rotation = later >> beacon.k.get();
            let is_second = rotations.len() == 1 && !rotations.contains(&rotation);
            let moved = resolver.take_events();
            assert_eq!(moved.len(), usize::from(is_second), "{later}: {moved:?}");
            assert!(moved.iter().all(|event| matches!(event, Event::ClockMoved { .. })));
            if !rotations.contains(&rotation) {
                rotations.push(rotation);
            }
        }
    }
    resolver.close().expect("saved");
    // It is known to the next run, whose windows are not those of before.
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    for beacon in &beacons {
        let found = who(&ask(&mut resolver, beacon.sighting(changed + 11 * HOUR_S)));
        assert_eq!(found, Some((beacon.device.0, Source::Snapshot)));
    }
}

/// Who sends a recording of a beacon's first minutes cannot move the clock of one
/// that is heard, too; and one packet at two receivers is one sighting.
#[test]
fn recordings_and_echoes_move_nothing() {
    let beacons = beacons(1, 5);
    let station = station_of(&beacons);
    let mut resolver = station.open();
    let recorded =
        Beacon { zero_unix_s: i64::try_from(NOW).expect("a time"), ..beacons[0].clone() };
    for minute in 1..20 {
        let now = NOW + minute * 60;
        station.clock.set(now);
        resolver.advance().expect("windows");
        let echo = recorded.sighting(now);
        for answer in resolver.resolve_batch(&[echo, echo]).expect("answers") {
            assert_eq!(who(&answer), Some((0, Source::Epoch)));
        }
        let alive = who(&ask(&mut resolver, beacons[0].sighting(now)));
        assert_eq!(alive, Some((0, Source::Snapshot)), "minute {minute}");
    }
    assert_eq!(resolver.take_events(), []);
    assert_eq!(resolver.stats().suspected, 0);
}

/// Packets that come late, by as much as is allowed, say nothing wrong of a clock.
#[test]
fn late_packets_do_not_drag_a_clock() {
    let beacons = beacons(4, 8);
    let station = station_of(&beacons);
    let mut resolver = station.open();
    for step in 1..60 {
        let now = NOW + step * 400;
        station.clock.set(now);
        resolver.advance().expect("windows");
        for beacon in &beacons {
            let late = hintdex_beacon::Sighting { time_unix_s: now, ..beacon.sighting(now - 60) };
            let found = who(&ask(&mut resolver, late));
            assert_eq!(found, Some((beacon.device.0, Source::Snapshot)), "step {step}");
        }
    }
    let early = NOW + 24_100;
    station.clock.set(early);
    for beacon in &beacons {
        let early = hintdex_beacon::Sighting { time_unix_s: early, ..beacon.sighting(early + 60) };
        let found = who(&ask(&mut resolver, early));
        assert_eq!(found, Some((beacon.device.0, Source::Snapshot)));
    }
}

#[test]
fn a_search_finds_clocks_that_stood_still_or_began_unheard() {
    let mut beacons = beacons(64, 6);
    let station = station_of(&beacons);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    let now = NOW + 5 * 86_400;
    for (at, beacon) in (0..).zip(&mut beacons) {
        // Half were without power for a day, half got a new battery two days ago.
        let stood = beacon.zero_unix_s + 86_400;
        let begun = i64::try_from(now).expect("a time") - 2 * 86_400 - at;
        beacon.zero_unix_s = if at % 2 == 0 { stood } else { begun };
    }
    station.clock.set(now);
    resolver.advance().expect("windows");
    let heard: Vec<_> = beacons.iter().map(|beacon| beacon.sighting(now)).collect();
    let answers = resolver.resolve_batch(&heard).expect("answers");
    assert!(answers.iter().filter(|answer| answer.identification().is_some()).count() < 8);
    // With no time it goes nowhere, bit by bit it goes round.
    let nothing = resolver.search(&heard, Duration::ZERO);
    assert_eq!((nothing.beacons, nothing.is_complete), (0, false));
    let searched = resolver.search(&heard, Duration::from_secs(60));
    assert!(searched.is_complete);
    for (beacon, answer) in beacons.iter().zip(&searched.answers) {
        assert_eq!(who(answer).map(|(device, _)| device), Some(beacon.device.0));
    }
    // The next rotation is found without a search, and moves the clock.
    for (later, source) in [(4096, Source::Epoch), (8192, Source::Snapshot)] {
        for beacon in beacons.iter().filter(|beacon| beacon.k.get() <= 12) {
            let found = who(&ask(&mut resolver, beacon.sighting(now + later)));
            assert_eq!(found, Some((beacon.device.0, source)), "k {}", beacon.k.get());
        }
    }
    let foreign = hintdex_beacon::Sighting {
        identifier: hintdex_beacon::Identifier::Eid([9; 8]),
        time_unix_s: now,
    };
    assert_eq!(resolver.search(&[foreign], Duration::from_secs(60)).answers, [Answer::Unknown]);
    assert!(resolver.search(&[], Duration::ZERO).is_complete);
}

/// What was not heard for long may have drifted: its allowance grows with the time.
#[test]
fn the_allowance_grows_with_the_time_since_a_beacon_was_heard() {
    for ppm in [-150, 150] {
        let mut beacons = beacons(16, 7);
        // It was right when it was measured.
        for beacon in &mut beacons {
            beacon.zero_unix_s = i64::try_from(NOW).expect("a time");
            beacon.drift_ppm = ppm;
        }
        let mut station = station_of(&beacons);
        station.options = Options { before_s: 0, after_s: 0, ..Options::default() };
        let mut resolver = station.open();
        for days in [1, 30, 400] {
            let now = NOW + days * 86_400;
            station.clock.set(now);
            resolver.advance().expect("windows");
            for beacon in &beacons {
                let found = who(&ask(&mut resolver, beacon.sighting(now)));
                assert_eq!(found, Some((beacon.device.0, Source::Snapshot)), "{days} days");
            }
        }
        // Three times as fast it is past its allowance, if its rotations are short.
        let fast = Beacon { drift_ppm: 3 * ppm, ..beacons[0].clone() };
        let now = NOW + 800 * 86_400;
        station.clock.set(now);
        assert_eq!(ask(&mut resolver, fast.sighting(now)), Answer::Unknown);
    }
}

/// Cheap crystals drift more than the specification allows. The window that the first
/// run has left is of its drift and no other.
#[test]
fn a_beacon_is_lost_or_kept_by_the_drift_that_is_allowed() {
    for ppm in [-300, 300] {
        let mut beacons: Vec<_> = beacons(6, 9);
        for beacon in &mut beacons {
            beacon.zero_unix_s = i64::try_from(NOW).expect("a time");
            beacon.drift_ppm = ppm;
        }
        let mut station = station_of(&beacons);
        let now = NOW + 10 * 86_400;
        station.clock.set(now);
        for (max_drift_ppm, kept) in [(150, false), (400, true), (150, false)] {
            station.options =
                Options { before_s: 0, after_s: 0, max_drift_ppm, ..Options::default() };
            let mut resolver = station.open();
            resolver.advance().expect("windows");
            for beacon in &beacons {
                let found = who(&ask(&mut resolver, beacon.sighting(now)));
                let expected = kept.then_some((beacon.device.0, Source::Snapshot));
                assert_eq!(found, expected, "{ppm} ppm of {max_drift_ppm}");
            }
            // What is learned is not saved: each run begins at the same bounds.
            drop(resolver);
        }
    }
}

/// Without a reach a search goes as far as the drift that is allowed; with one it finds
/// clocks that are faster or slower than that.
#[test]
fn a_search_goes_as_far_as_the_drift_that_is_allowed_and_its_reach_either_way() {
    for ppm in [-300, 300] {
        let mut beacons = beacons(6, 10);
        for beacon in &mut beacons {
            beacon.zero_unix_s = i64::try_from(NOW).expect("a time");
            beacon.drift_ppm = ppm;
        }
        let mut station = station_of(&beacons);
        let now = NOW + 5 * 86_400;
        station.clock.set(now);
        let heard: Vec<_> = beacons.iter().map(|beacon| beacon.sighting(now)).collect();
        for (max_drift_ppm, search_reach_s, count) in
            [(150, 0, 0), (400, 0, 6), (150, 30, 0), (150, 66, 6)]
        {
            let base = Options { before_s: 0, after_s: 0, ..Options::default() };
            station.options = Options { max_drift_ppm, search_reach_s, ..base };
            let searched = station.open().search(&heard, Duration::from_secs(60));
            let found = searched.answers.iter().filter(|answer| answer.identification().is_some());
            assert_eq!(found.count(), count, "{ppm}: {max_drift_ppm}, {search_reach_s}");
        }
    }
}

/// Sightings of two times are searched for together, and each found at its own.
#[test]
fn a_search_of_two_times_answers_each_by_its_own() {
    let beacons = beacons(6, 11);
    let station = station_of(&beacons);
    let later = NOW + 3 * 86_400;
    // What all send in nine days, heard now, out of reach; and in three days, by one that
    // stood still.
    let early = beacons.iter().map(|beacon| beacon.sighting(NOW + 9 * 86_400));
    let early = early.map(|heard| hintdex_beacon::Sighting { time_unix_s: NOW, ..heard });
    let stood = beacons.iter().map(|beacon| beacon.sighting(NOW));
    let stood = stood.map(|heard| hintdex_beacon::Sighting { time_unix_s: later, ..heard });
    let heard: Vec<_> = early.chain(stood).collect();
    let answers = station.open().search(&heard, Duration::from_secs(60)).answers;
    for (at, answer) in answers.iter().enumerate() {
        let found = who(answer).map(|(device, _)| device as usize);
        assert_eq!(found, (at >= 6).then_some(at % 6), "{at}");
    }
}

/// Within a batch, what was heard of a clock before it began anew may come behind what
/// tells that it has: it says nothing of the new one.
#[test]
fn a_late_line_of_the_clock_before_does_not_blur_a_new_one() {
    let beacons = beacons(16, 12);
    let station = station_of(&beacons);
    station.clock.set(NOW + 300);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    let before = resolver.stats().windows[0].identifiers;
    let zero = i64::try_from(NOW).expect("a time");
    let anew = |beacon: &Beacon| Beacon { zero_unix_s: zero, ..beacon.clone() };
    let mut heard: Vec<_> = beacons.iter().map(|beacon| anew(beacon).sighting(NOW + 100)).collect();
    heard.extend(beacons.iter().map(|beacon| anew(beacon).sighting(NOW + 200)));
    heard.extend(beacons.iter().map(|beacon| beacon.sighting(NOW - 10)));
    let answers = resolver.resolve_batch(&heard).expect("answers");
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(who(answer).map(|(device, _)| device as usize), Some(at % 16));
    }
    // Those of which both sightings are of one rotation are only suspected to have moved.
    let is_moved = |beacon: &Beacon| 100 >> beacon.k.get() != 200 >> beacon.k.get();
    let moved = beacons.iter().filter(|beacon| is_moved(beacon)).count();
    assert_eq!((moved, resolver.take_events().len()), (8, 8));
    resolver.close().expect("saved");
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    // Both clocks are served, and nothing between them.
    let after = resolver.stats().windows[0].identifiers;
    let most = 2 * before + before / 20 + 4 * 16;
    assert!(after <= most, "{after} identifiers instead of {before}");
    for beacon in &beacons {
        let found = who(&ask(&mut resolver, anew(beacon).sighting(NOW + 300)));
        let source = if is_moved(beacon) { Source::Snapshot } else { Source::Epoch };
        assert_eq!(found, Some((beacon.device.0, source)));
        let found = who(&ask(&mut resolver, beacon.sighting(NOW + 300)));
        assert_eq!(found, Some((beacon.device.0, Source::Snapshot)));
    }
}
