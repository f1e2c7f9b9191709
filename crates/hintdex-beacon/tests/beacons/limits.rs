//! The ranges of options, the distances at which windows are built, and the figures of a
//! resolver.

use hintdex_beacon::wire::{DeviceId, HintKey};
use hintdex_beacon::{
    Error, Event, Options, Registration, Resolver, RollingPeriod, Rule, Scheme, Source,
};

use crate::support::{Beacon, NOW, Random, Station, ask, beacons, station_of};

const DAY_S: u64 = 86_400;
const YEAR_S: u64 = 366 * DAY_S;

#[test]
fn options_are_checked_at_both_ends_of_their_ranges() {
    let default = Options::default();
    let accepted = [
        default,
        Options { span_s: 1, ..default },
        Options { span_s: YEAR_S, ..default },
        Options { before_s: YEAR_S, after_s: YEAR_S, ..default },
        Options { before_s: 0, after_s: 0, ..default },
        Options { max_drift_ppm: 100_000, ..default },
        Options { probe_span_s: YEAR_S, search_reach_s: YEAR_S, ..default },
        Options { evaluations: 1, ..default },
        Options { evaluations: 1024, ..default },
    ];
    for options in accepted {
        assert!(options.check().is_ok(), "{options:?}");
    }
    let refused = [
        (Options { span_s: 0, ..default }, "span of a window"),
        (Options { span_s: YEAR_S + 1, ..default }, "span of a window"),
        (Options { before_s: YEAR_S + 1, ..default }, "before or after"),
        (Options { after_s: YEAR_S + 1, ..default }, "before or after"),
        (Options { max_drift_ppm: 100_001, ..default }, "drift"),
        (Options { probe_span_s: YEAR_S + 1, ..default }, "probe or search"),
        (Options { search_reach_s: YEAR_S + 1, ..default }, "probe or search"),
        (Options { evaluations: 0, ..default }, "evaluations"),
        (Options { evaluations: 1025, ..default }, "evaluations"),
    ];
    for (options, expected) in refused {
        let error = options.check().expect_err("an option out of its range");
        assert!(error.is_usage() && error.to_string().contains(expected), "{error}");
        let Error::Option { option, .. } = error else { panic!("{error}") };
        assert!(option.contains(expected), "{option}");
    }
    let station = station_of(&beacons(1, 3));
    let wrong = Options { evaluations: 0, ..default };
    let opened = Resolver::open(&station.folder, wrong, Box::new(station.clock.clone()));
    assert!(matches!(opened, Err(Error::Option { .. })), "{opened:?}");
}

#[test]
fn names_are_those_of_the_command_line() {
    let sources = [Source::Snapshot, Source::Epoch, Source::Search, Source::Scan];
    assert_eq!(sources.map(Source::name), ["snapshot", "epoch", "search", "scan"]);
    assert_eq!(Scheme::ALL.map(Scheme::name), ["eddystone-eid", "gaen", "ble-rpa"]);
    for scheme in Scheme::ALL {
        assert_eq!(Scheme::from_name(scheme.name()), Some(scheme));
        assert_eq!(scheme.to_string(), scheme.name());
    }
    assert_eq!(Scheme::from_name("eddystone"), None);
    let periods = [0, 1, 144, 145].map(|periods| RollingPeriod::new(periods).is_some());
    assert_eq!(periods, [false, true, true, false]);
}

/// A window is built for sightings up to 30 days from the present, on either side.
#[test]
fn windows_are_built_up_to_thirty_days_from_the_present() {
    let beacons = beacons(3, 5);
    let station = station_of(&beacons);
    let now = NOW / 3600 * 3600;
    station.clock.set(now);
    let built = |at: u64| {
        let mut resolver = station.open();
        let found = ask(&mut resolver, beacons[2].sighting(at));
        assert!(found.identification().is_some(), "{at}");
        let windows = resolver.stats().windows;
        assert!(windows.len() <= 1, "{windows:?}");
        windows.first().map(|window| window.start_unix_s)
    };
    let month_s = 30 * DAY_S;
    for at in [now, now + month_s, now - month_s, now - month_s + 3600] {
        assert_eq!(built(at), Some(at), "{at}");
    }
    // Clocks were measured at `NOW`, and a time near that is near, too.
    for at in [now - month_s - 3600, now + month_s + 3600, now + month_s + 7200] {
        let is_near = at.abs_diff(NOW) <= month_s;
        assert_eq!(built(at), is_near.then_some(at), "{at}");
    }
}

/// The memory of a resolver is 88 bytes a beacon, 16 more for the key of an address, and
/// some 200 more for a clock that is suspected elsewhere.
#[test]
fn the_memory_of_beacons_is_counted() {
    let mut random = Random::new(8);
    let zero = 1_750_000_000;
    let beacons: Vec<_> = (0..100).map(|at| Beacon::new(at, 4, zero, &mut random)).collect();
    let station = station_of(&beacons);
    let mut resolver = station.open();
    let plain = resolver.stats();
    assert_eq!((plain.beacons, plain.memory_bytes, plain.epoch_bytes), (100, 8800, 0));
    assert_eq!((plain.windows.len(), plain.suspected), (0, 0));
    resolver.advance().expect("windows");
    let stats = resolver.stats();
    let [window] = stats.windows[..] else { panic!("{stats:?}") };
    assert_eq!(window.start_unix_s, NOW / 3600 * 3600);
    // The rotations of an hour and two minutes, and those that a second's error adds.
    assert!((100 * 232..=100 * 236).contains(&window.identifiers), "{window:?}");
    let file = |name: &str| std::fs::metadata(station.folder.join(name)).expect("a file").len();
    assert_eq!(window.bytes, file(&format!("window-{}.hdx", window.start_unix_s)));
    assert_eq!(stats.epoch_bytes, file("epoch.hdx"));
    // What ten beacons send when their clocks begin anew.
    let anew = i64::try_from(NOW).expect("a time");
    for beacon in &beacons[..10] {
        let beacon = Beacon { zero_unix_s: anew, ..beacon.clone() };
        assert!(ask(&mut resolver, beacon.sighting(NOW + 5)).identification().is_some());
    }
    let stats = resolver.stats();
    assert_eq!(stats.suspected, 10);
    let more = stats.memory_bytes - plain.memory_bytes;
    assert!((10 * 150..=10 * 250).contains(&more), "{more}");
    drop(resolver);

    let address = |device: u32| Registration {
        device: DeviceId(device),
        key: HintKey::from_bytes([7; 16].map(|byte: u8| byte ^ device.to_le_bytes()[0])),
        rule: Rule::BleRpa,
    };
    station.register(NOW, (0..20).map(address));
    let with_keys = station.open().stats();
    // A row, a clock that is never used, and a key and its slot.
    let more = with_keys.memory_bytes - plain.memory_bytes;
    assert_eq!(with_keys.beacons, 120);
    assert!((20 * (88 + 16)..=20 * (88 + 24)).contains(&more), "{more}");
}

/// A clock that one rotation made suspected is suspected by the next run, too, and moved by
/// the second rotation.
#[test]
fn a_suspected_clock_is_kept() {
    let mut random = Random::new(9);
    let mut beacon = Beacon::new(0, 4, 1_750_000_000, &mut random);
    let station = station_of(std::slice::from_ref(&beacon));
    beacon.zero_unix_s = i64::try_from(NOW).expect("a time");
    let mut resolver = station.open();
    assert!(ask(&mut resolver, beacon.sighting(NOW + 100)).identification().is_some());
    assert_eq!(resolver.stats().suspected, 1);
    resolver.close().expect("saved");
    let mut resolver = station.open();
    assert_eq!((resolver.stats().suspected, resolver.take_events().len()), (1, 0));
    assert!(ask(&mut resolver, beacon.sighting(NOW + 200)).identification().is_some());
    let events = resolver.take_events();
    assert!(matches!(events[..], [Event::ClockMoved { .. }]), "{events:?}");
    assert_eq!(resolver.stats().suspected, 0);
}

/// The memory of a folder of keys of addresses alone.
#[test]
fn a_folder_of_addresses_alone_builds_empty_windows() {
    let station = Station::new(NOW);
    let key = HintKey::from_bytes([3; 16]);
    station.register(NOW, [Registration { device: DeviceId(1), key, rule: Rule::BleRpa }]);
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    let stats = resolver.stats();
    assert_eq!(stats.windows.iter().map(|window| window.identifiers).sum::<u64>(), 0);
    assert_eq!((station.windows(), stats.epoch_bytes), (vec![], 0));
}
