//! Each scheme, found and not found, alone and in one folder.

use hintdex_beacon::wire::beacon::gaen::{RpiCipher, identifier_key};
use hintdex_beacon::wire::{DeviceId, HintCipher, HintKey, HintScheme};
use hintdex_beacon::{
    Answer, Identifier, NotAnIdentifier, Options, Registration, RollingPeriod, Rule, Sighting,
    Source,
};

use crate::support::{Beacon, NOW, Random, Station, ask, who};

#[test]
fn beacons_of_every_exponent_are_found_for_a_day() {
    let mut random = Random::new(1);
    let beacons: Vec<_> = (0..=15)
        .map(|k| Beacon::new(1000 + u32::from(k), k, 1_700_000_000 + i64::from(k), &mut random))
        .collect();
    let station = Station::new(NOW);
    station.register(NOW, beacons.iter().map(|beacon| beacon.registration(NOW)));
    let mut resolver = station.open();
    for hour in 0..24 {
        let now = NOW + hour * 3600 + hour * 97;
        station.clock.set(now);
        resolver.advance().expect("windows");
        for beacon in &beacons {
            let answer = ask(&mut resolver, beacon.sighting(now));
            assert_eq!(who(&answer), Some((beacon.device.0, Source::Snapshot)), "{answer:?}");
            let clock = answer.identification().and_then(|found| found.clock_s).expect("a clock");
            assert_eq!(clock, u64::from(beacon.clock_s(now) >> beacon.k.get() << beacon.k.get()));
        }
    }
    for _ in 0..10_000 {
        let eid = random.next().to_be_bytes();
        let foreign = Sighting { identifier: Identifier::Eid(eid), time_unix_s: NOW };
        assert_eq!(ask(&mut resolver, foreign), Answer::Unknown);
    }
}

/// Two days of a phone's keys under one id, and one that is not registered.
#[test]
fn daily_keys_are_found_on_their_day() {
    let mut random = Random::new(2);
    let today = u32::try_from(NOW / 86_400 * 144).expect("an interval");
    let keys: Vec<_> =
        [today - 144, today, today].into_iter().map(|day| (day, random.key())).collect();
    let station = Station::new(NOW);
    let registration = |&(start_interval, ref key): &(u32, _)| Registration {
        device: DeviceId(7),
        key: Clone::clone(key),
        rule: Rule::Gaen { start_interval, rolling_period: RollingPeriod::DAY },
    };
    station.register(NOW, keys[..2].iter().map(registration));
    let mut resolver = station.open();
    let now_interval = u32::try_from(NOW / 600).expect("an interval");
    let heard = |key: usize, interval: u32, at: u64| {
        let rpi = RpiCipher::new(&identifier_key(&keys[key].1)).rpi(interval);
        Sighting { identifier: Identifier::Rpi(rpi), time_unix_s: at }
    };
    let found = ask(&mut resolver, heard(1, now_interval, NOW));
    assert_eq!(who(&found), Some((7, Source::Snapshot)));
    let began = u64::from(now_interval) * 600;
    assert_eq!(found.identification().and_then(|found| found.clock_s), Some(began));
    // Two hours off are allowed, three are an old recording.
    assert!(ask(&mut resolver, heard(1, now_interval - 12, NOW)).identification().is_some());
    assert_eq!(ask(&mut resolver, heard(1, now_interval - 18, NOW)), Answer::Unknown);
    // Yesterday's key yesterday, not today; today's key not yesterday.
    let yesterday = heard(0, now_interval - 144, NOW - 86_400);
    assert_eq!(who(&ask(&mut resolver, yesterday)), Some((7, Source::Snapshot)));
    assert_eq!(ask(&mut resolver, heard(0, now_interval, NOW)), Answer::Unknown);
    assert_eq!(ask(&mut resolver, heard(1, now_interval - 144, NOW - 86_400)), Answer::Unknown);
    assert_eq!(ask(&mut resolver, heard(2, now_interval, NOW)), Answer::Unknown);
}

/// A key is good for its rolling period and not an interval longer, whenever it is heard;
/// the two hours of the specification are between an identifier's time and its hearing.
#[test]
fn a_key_that_has_ended_matches_nobody() {
    let mut random = Random::new(7);
    let start = u32::try_from(NOW / 600).expect("an interval") - 9;
    for period in [1, 9, 143, 144] {
        let key = random.key();
        let station = Station::new(NOW);
        let rolling_period = RollingPeriod::new(period).expect("1 to 144");
        let rule = Rule::Gaen { start_interval: start, rolling_period };
        station.register(NOW, [Registration { device: DeviceId(1), key: key.clone(), rule }]);
        let mut resolver = station.open();
        let cipher = RpiCipher::new(&identifier_key(&key));
        let mut found = |interval: u32, at: u64| {
            let identifier = Identifier::Rpi(cipher.rpi(interval));
            ask(&mut resolver, Sighting { identifier, time_unix_s: at }).identification().is_some()
        };
        let end = start + period;
        let ended = u64::from(end) * 600;
        // Its last identifier is heard up to two hours late, as any is.
        assert!(found(end - 1, ended - 1) && found(end - 1, ended + 7199), "{period}");
        assert!(!found(end - 1, ended + 7200), "{period}: two hours after its end");
        // What the key would send if it had not ended, at its own time and near it.
        for past in [0, 1, 11, 12, 13] {
            for at in [ended - 1, ended, ended + u64::from(past) * 600, ended + 7199, ended + 8100]
            {
                assert!(!found(end + past, at), "{period}: {past} intervals after its end");
            }
        }
        assert!(found(start, u64::from(start) * 600) && !found(start - 1, NOW), "{period}");
    }
    assert_eq!((RollingPeriod::new(0), RollingPeriod::new(145)), (None, None));
}

#[test]
fn random_addresses_are_found_by_trying_keys() {
    let mut random = Random::new(3);
    let keys: Vec<_> = (0..500).map(|_| random.key()).collect();
    let station = Station::new(NOW);
    let device = |at: usize| DeviceId(u32::try_from(at).expect("small") * 3);
    station.register(
        NOW,
        keys.iter().enumerate().map(|(at, key)| Registration {
            device: device(at),
            key: key.clone(),
            rule: Rule::BleRpa,
        }),
    );
    let mut resolver = station.open();
    resolver.advance().expect("no windows");
    assert_eq!(station.windows(), [""; 0], "nobody here has identifiers of a window");
    for (at, key) in keys.iter().enumerate().step_by(17) {
        let prand = 0x40_0000 | (random.next() & 0x3f_ffff);
        let made = HintCipher::new(HintScheme::Aes128, key).hint(prand).expect("a counter");
        let [.., a, b, c] = prand.to_be_bytes();
        let address = [&[a, b, c], &made.as_bytes()[13..]].concat();
        let identifier = Identifier::from_bytes(&address).expect("a resolvable address");
        let answer = ask(&mut resolver, Sighting { identifier, time_unix_s: NOW });
        assert_eq!(who(&answer), Some((device(at).0, Source::Scan)));
        assert_eq!(answer.identification().and_then(|found| found.clock_s), None);
    }
}

/// A wrong key fits an address once in 2²⁴, so with many keys two fit by chance: then
/// neither is named alone.
#[test]
#[cfg_attr(debug_assertions, ignore = "minutes without optimisation")]
fn an_address_that_two_keys_fit_is_nobodys_alone() {
    let key = Random::new(4).key();
    let prand = 0x40_1234_u64;
    let made =
        |key: &HintKey| HintCipher::new(HintScheme::Aes128, key).hint(prand).expect("a counter");
    let hash = made(&key).as_bytes()[13..].to_vec();
    let mut random = Random::new(5);
    let twin = std::iter::repeat_with(|| random.key())
        .find(|other| made(other).as_bytes()[13..] == hash)
        .expect("one in 2^24");
    let station = Station::new(NOW);
    let registration =
        |device, key| Registration { device: DeviceId(device), key, rule: Rule::BleRpa };
    station.register(NOW, [registration(9, twin), registration(4, key)]);
    let [.., a, b, c] = prand.to_be_bytes();
    let identifier = Identifier::from_bytes(&[&[a, b, c], &hash[..]].concat()).expect("resolvable");
    let answer = ask(&mut station.open(), Sighting { identifier, time_unix_s: NOW });
    assert_eq!(answer, Answer::Ambiguous(vec![DeviceId(4), DeviceId(9)]));
}

#[test]
fn one_folder_holds_all_schemes_and_one_id_may_have_each() {
    let mut random = Random::new(6);
    let mut station = Station::new(NOW);
    station.options = Options { evaluations: 1, ..Options::default() };
    let beacon = Beacon::new(5, 4, 1_750_000_000, &mut random);
    let start_interval = u32::try_from(NOW / 600).expect("an interval") - 3;
    let (daily, irk) = (random.key(), random.key());
    let of_5 = |key, rule| Registration { device: DeviceId(5), key, rule };
    station.register(
        NOW,
        [
            beacon.registration(NOW),
            of_5(daily.clone(), Rule::Gaen { start_interval, rolling_period: RollingPeriod::DAY }),
            of_5(irk, Rule::BleRpa),
        ],
    );
    let mut resolver = station.open();
    let rpi = RpiCipher::new(&identifier_key(&daily)).rpi(start_interval + 3);
    let rpi = Sighting { identifier: Identifier::Rpi(rpi), time_unix_s: NOW };
    let slots: Vec<_> = resolver
        .resolve_batch(&[rpi, beacon.sighting(NOW)])
        .expect("answers")
        .iter()
        .map(|answer| answer.identification().expect("known").slot.0)
        .collect();
    assert_eq!(slots, [1, 0]);
}

#[test]
fn other_lengths_and_addresses_are_no_identifiers() {
    for len in (0..40).filter(|len| ![6, 8, 16].contains(len)) {
        let got = Identifier::from_bytes(&vec![0x40; len]);
        assert_eq!(got, Err(NotAnIdentifier::Length { got_bytes: len }));
    }
    for first in [0x00, 0x80, 0xc0] {
        let got = Identifier::from_bytes(&[first, 1, 2, 3, 4, 5]);
        assert_eq!(got, Err(NotAnIdentifier::OtherAddress));
    }
}
