//! Sightings and clocks that are far from where they are expected: times of months ago,
//! beacons silent for years, and the search.

use std::time::Duration;

use hintdex_beacon::{Answer, Options, Sighting, Source};

use crate::support::{Beacon, NOW, Random, Station, ask, ask_or_search, beacons, station_of, who};

const DAY_S: u64 = 86_400;

/// A sighting whose time is months away builds no window, one years away is not looked for.
#[test]
fn times_far_from_the_present_build_no_windows() {
    let beacons = beacons(200, 58);
    let station = station_of(&beacons);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    let before = (station.windows(), resolver.stats().windows);
    for away in [40 * DAY_S, 364 * DAY_S] {
        for at in [NOW + away, NOW - away] {
            for beacon in &beacons[..32] {
                let found = who(&ask(&mut resolver, beacon.sighting(at)));
                let is_begun = i64::try_from(at).expect("a time") >= beacon.zero_unix_s;
                assert_eq!(found, is_begun.then_some((beacon.device.0, Source::Snapshot)), "{at}");
            }
        }
    }
    for at in [NOW + 367 * DAY_S, NOW * 1000, u64::MAX] {
        let sighting = Sighting { time_unix_s: at, ..beacons[0].sighting(NOW) };
        assert_eq!(ask(&mut resolver, sighting), Answer::OutOfRange, "{at}");
        let searched = resolver.search(&[sighting], Duration::from_secs(60));
        assert_eq!((searched.answers, searched.beacons), (vec![Answer::OutOfRange], 0));
    }
    assert_eq!((station.windows(), resolver.stats().windows), before);
    // They have taught nothing that is ahead of the present.
    for beacon in &beacons {
        let found = who(&ask(&mut resolver, beacon.sighting(NOW)));
        assert_eq!(found, Some((beacon.device.0, Source::Snapshot)));
    }
}

/// Of years ago, in a folder whose beacons may each have drifted by thousands of rotations.
#[test]
fn a_time_that_needs_too_many_identifiers_is_refused() {
    let mut random = Random::new(63);
    let (old, many) = (NOW - 4 * 366 * DAY_S, 1_600_000_000);
    for (count, is_answered) in [(10, true), (200, false)] {
        let beacons: Vec<_> = (0..count).map(|at| Beacon::new(at, 0, many, &mut random)).collect();
        let station = station_of(&beacons);
        let mut resolver = station.open();
        let answer = ask(&mut resolver, beacons[0].sighting(old));
        let found = Some((0, Source::Snapshot));
        assert_eq!(who(&answer), if is_answered { found } else { None });
        assert_eq!(answer == Answer::OutOfRange, !is_answered);
        assert_eq!(station.windows(), [""; 0]);
    }
}

/// However long a beacon was silent, a window holds a bounded number of its identifiers.
#[test]
fn a_window_holds_a_bounded_number_of_identifiers_of_a_beacon() {
    let mut random = Random::new(59);
    let beacon = Beacon::new(1, 0, 1_400_000_000, &mut random);
    let station = Station::new(NOW);
    let measured = NOW - 19 * 366 * DAY_S;
    station.register(NOW, [beacon.registration(measured.max(1_400_000_000))]);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    let identifiers = resolver.stats().windows[0].identifiers;
    assert!((3600 + 2 * 8192..3800 + 2 * 8192).contains(&identifiers), "{identifiers}");
    // What is further off is found by a search.
    let far = Beacon { zero_unix_s: 1_400_000_000 + 30_000, ..beacon };
    assert_eq!(ask(&mut resolver, far.sighting(NOW)), Answer::Unknown);
    assert!(ask_or_search(&mut resolver, far.sighting(NOW)).identification().is_some());
}

/// Clocks that stood still for weeks, that begin anew at another value, that are fast, and
/// offsets that were registered ahead: a search finds them as far as it may reach.
#[test]
fn a_search_finds_what_is_off_either_way() {
    let mut random = Random::new(60);
    for (off_s, reach_s) in [
        (-86_400, 7 * DAY_S),
        (86_400, 7 * DAY_S),
        (6 * 86_400 + 80_000, 7 * DAY_S),
        (-30 * 86_400, 31 * DAY_S),
        (30 * 86_400_i64, 31 * DAY_S),
    ] {
        for k in 4..=15 {
            let beacon = Beacon::new(1, k, 1_600_000_000, &mut random);
            let mut station = station_of(std::slice::from_ref(&beacon));
            let off = Beacon { zero_unix_s: 1_600_000_000 + off_s, ..beacon.clone() };
            let heard = off.sighting(NOW);
            for (search_reach_s, is_found) in [(reach_s, true), (off_s.unsigned_abs() / 2, false)] {
                station.options = Options { search_reach_s, ..Options::default() };
                let searched = station.open().search(&[heard], Duration::from_secs(60));
                assert!(searched.is_complete);
                assert_eq!(
                    searched.answers[0].identification().is_some(),
                    is_found,
                    "{k}: {off_s}"
                );
            }
        }
    }
    // It began anew two days ago, at the value that the specification recommends.
    let beacon = Beacon::new(1, 9, 1_600_000_000, &mut random);
    let station = station_of(std::slice::from_ref(&beacon));
    let zero = i64::try_from(NOW - 2 * DAY_S - 65_280).expect("a time");
    let anew = Beacon { zero_unix_s: zero, ..beacon };
    let searched = station.open().search(&[anew.sighting(NOW)], Duration::from_secs(60));
    assert_eq!(who(&searched.answers[0]), Some((1, Source::Search)));
}

/// Each call goes on where the one before stopped, in pieces of far less than a beacon.
#[test]
#[cfg_attr(debug_assertions, ignore = "half a minute without optimisation")]
fn a_search_in_many_small_calls_reaches_every_beacon() {
    let mut random = Random::new(61);
    let beacons: Vec<_> =
        (0..16).map(|at| Beacon::new(at, 0, 1_750_000_000, &mut random)).collect();
    let station = station_of(&beacons);
    let mut resolver = station.open();
    let off = |beacon: &Beacon| Beacon { zero_unix_s: 1_750_000_000 - 400_000, ..beacon.clone() };
    let mut left: Vec<_> = beacons.iter().map(|beacon| off(beacon).sighting(NOW)).collect();
    let mut calls = 0;
    while !left.is_empty() {
        let answers = resolver.search(&left, Duration::from_millis(1)).answers;
        let mut answers = answers.iter();
        left.retain(|_| answers.next().is_some_and(|answer| answer.identification().is_none()));
        calls += 1;
        assert!(calls < 20_000, "{} are not found", left.len());
    }
    // Some 20 million identifiers are more than a few milliseconds on any machine.
    assert!(calls >= 5, "{calls}");
}
