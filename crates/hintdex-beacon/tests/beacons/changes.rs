//! Registering: what is refused, and that it is all or nothing.

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::wire::beacon::eddystone::RotationExponent;
use hintdex_beacon::{
    Changes, MAX_MEASURED_AGE_S, Refusal, Registration, RollingPeriod, Rule, Source,
};

use crate::support::{Beacon, NOW, Random, Station, ask, who};

fn eddystone(device: u32, clock_offset_s: i64, random: &mut Random) -> Registration {
    let k = RotationExponent::MAX;
    let (measured_unix_s, is_randomized) = (NOW, false);
    let rule = Rule::EddystoneEid { k, clock_offset_s, measured_unix_s, is_randomized };
    Registration { device: DeviceId(device), key: random.key(), rule }
}

#[test]
fn an_id_is_registered_once_in_a_scheme() {
    let mut random = Random::new(21);
    let station = Station::new(NOW);
    let registered = eddystone(1, 1_000_000, &mut random);
    station.register(NOW, [registered.clone()]);
    let mut changes = Changes::open(&station.folder, NOW).expect("a folder");
    let refused = |device, start_interval| {
        Err(Refusal::DuplicateId { device: DeviceId(device), start_interval })
    };
    // Against what is registered, and against what is on its way.
    assert_eq!(changes.add(&eddystone(1, 5, &mut random)), refused(1, None));
    assert_eq!(changes.add(&registered), refused(1, None));
    assert_eq!(changes.add(&eddystone(2, 5, &mut random)), Ok(()));
    assert_eq!(changes.add(&eddystone(2, 6, &mut random)), refused(2, None));
    let same_key = Registration { device: DeviceId(3), ..registered };
    assert_eq!(changes.add(&same_key), Err(Refusal::DuplicateKey { of: DeviceId(1) }));
    let mut daily = |start_interval| Registration {
        device: DeviceId(1),
        key: random.key(),
        rule: Rule::Gaen { start_interval, rolling_period: RollingPeriod::DAY },
    };
    assert_eq!(changes.add(&daily(144)), Ok(()));
    assert_eq!(changes.add(&daily(288)), Ok(()));
    assert_eq!(changes.add(&daily(144)), refused(1, Some(144)));
    assert_eq!(changes.added(), 3);
    assert_eq!(changes.publish().expect("the disk has room"), 4);
}

#[test]
fn clocks_of_the_future_and_of_long_ago_are_refused() {
    let mut random = Random::new(22);
    let station = Station::new(NOW);
    let now = i64::try_from(NOW).expect("a time");
    let mut changes = Changes::open(&station.folder, NOW).expect("a folder");
    let mut add = |device, offset| changes.add(&eddystone(device, offset, &mut random));
    assert_eq!(add(1, now + 86_400), Ok(()));
    assert_eq!(add(2, now + 86_401), Err(Refusal::FutureClock { ahead_s: 86_401 }));
    assert_eq!(add(3, now - (1 << 33)), Ok(()));
    for offset in [now - (1 << 33) - 1, i64::MIN] {
        assert_eq!(add(4, offset), Err(Refusal::PastClock { clock_offset_s: offset }));
    }
    assert!(matches!(add(5, i64::MAX), Err(Refusal::FutureClock { .. })));
}

#[test]
fn an_import_that_is_dropped_leaves_nothing() {
    let mut random = Random::new(23);
    let station = Station::new(NOW);
    let first = Beacon::new(1, 3, 1_700_000_000, &mut random);
    let second = Beacon::new(2, 3, 1_700_000_000, &mut random);
    station.register(NOW, [first.registration(NOW)]);
    let keys = station.folder.join("beacons.keys");
    let before = std::fs::read(&keys).expect("a file");
    let mut changes = Changes::open(&station.folder, NOW).expect("a folder");
    changes.add(&second.registration(NOW)).expect("a new id");
    drop(changes);
    assert_eq!(std::fs::read(&keys).expect("a file"), before);

    // What is added later gets the next slot, and windows know it.
    let mut resolver = station.open();
    resolver.advance().expect("windows");
    assert!(ask(&mut resolver, second.sighting(NOW)).identification().is_none());
    resolver.close().expect("saved");
    station.register(NOW, [second.registration(NOW)]);
    let mut resolver = station.open();
    let answers: Vec<_> =
        [&first, &second].map(|beacon| ask(&mut resolver, beacon.sighting(NOW))).into();
    assert_eq!(
        answers.iter().map(who).collect::<Vec<_>>(),
        [Some((1, Source::Snapshot)), Some((2, Source::Snapshot))]
    );
    assert_eq!(answers[1].identification().map(|found| found.slot.0), Some(1));
}

/// As when milliseconds are given for seconds, or 0 for what is not known: the allowance
/// would be that of ages, in every window.
#[test]
fn clocks_measured_in_the_future_or_ages_ago_are_refused() {
    let mut random = Random::new(24);
    let station = Station::new(NOW);
    let mut changes = Changes::open(&station.folder, NOW).expect("a folder");
    let mut add = |device, measured_unix_s| {
        let beacon = Beacon::new(device, 3, 1_700_000_000, &mut random);
        changes.add(&beacon.registration(measured_unix_s))
    };
    assert_eq!(add(1, NOW + 86_400), Ok(()));
    for measured in [NOW + 86_401, NOW * 1000, u64::MAX] {
        assert_eq!(add(2, measured), Err(Refusal::FutureMeasurement { ahead_s: measured - NOW }));
    }
    for measured in [0, NOW / 1000, NOW - MAX_MEASURED_AGE_S - 1] {
        let age_s = NOW - measured;
        assert_eq!(add(2, measured), Err(Refusal::PastMeasurement { age_s }));
    }
    assert_eq!(add(2, NOW - MAX_MEASURED_AGE_S), Ok(()));
}

/// Their identifiers differ in length, so they are told apart; under one scheme they are not.
#[test]
fn one_key_is_registered_once_in_each_scheme() {
    let mut random = Random::new(25);
    let station = Station::new(NOW);
    let first = eddystone(1, 1_000_000, &mut random);
    let mut changes = Changes::open(&station.folder, NOW).expect("a folder");
    changes.add(&first).expect("a beacon");
    let start_interval = 144;
    let daily = Rule::Gaen { start_interval, rolling_period: RollingPeriod::DAY };
    for rule in [Rule::BleRpa, daily] {
        let second = Registration { rule, ..first.clone() };
        assert_eq!(changes.add(&second), Ok(()));
        let third = Registration { device: DeviceId(2), ..second };
        assert_eq!(changes.add(&third), Err(Refusal::DuplicateKey { of: DeviceId(1) }));
    }
    let third = Registration { device: DeviceId(3), ..first };
    assert_eq!(changes.add(&third), Err(Refusal::DuplicateKey { of: DeviceId(1) }));
}
