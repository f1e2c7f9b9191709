//! Settings of devices at the library: what is refused, what they outlive, and where they move.

use std::sync::Arc;

use hintdex::wire::{DeviceId, HintScheme, KeyId, MasterKey, NonceKind, StepLen, TruncatedLen};
use hintdex::{IndexError, Station, StationOptions, Verdict};
use hintdex_core::{DeviceRange, DeviceSettings, LiveIndex, MaxGap, Options, Params, Rate};
use hintdex_tests::Devices;

use crate::fleet::SECRET;

#[test]
fn settings_that_a_fleet_cannot_have_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Arc::new(MasterKey::new(&SECRET));
    let create = |name: &str, params| {
        let index =
            LiveIndex::create(&folder.path().join(name), keys.clone(), params, &Options::default());
        let index = index.expect("it can be made");
        index.provision(&[DeviceRange::new(DeviceId(0), 10)], None).expect("free ids");
        index
    };
    let late = |late| DeviceSettings { late_nonces: Some(late), ..DeviceSettings::default() };
    let gap = |accepted, confirmed| DeviceSettings {
        max_gap: Some(MaxGap::Nonces { accepted, confirmed }),
        ..DeviceSettings::default()
    };
    let plain = create("plain", Params::counters(HintScheme::Aes128, 4));
    let no_rate = Rate { packets: 1, per_s: 0 };
    let bad = DeviceSettings { rate: Some(no_rate), ..DeviceSettings::default() };
    for bad in [late(63), late(0), late(65_537), gap(2, 1), bad] {
        let refused = plain.set_devices(&[DeviceId(3)], &bad);
        assert!(
            matches!(refused, Err(IndexError::SettingOutOfRange { .. })),
            "{bad:?}: {refused:?}"
        );
        assert!(plain.set_fleet_settings(&bad).is_err());
    }
    let stranger = plain.set_devices(&[DeviceId(3), DeviceId(10)], &late(100));
    assert!(matches!(stranger, Err(IndexError::UnknownDevice(DeviceId(10)))), "{stranger:?}");
    assert_eq!(plain.own_settings(DeviceId(3)), DeviceSettings::default());

    let steps = NonceKind::Step(StepLen::new(60).expect("a length"));
    let clocked = Params::clocked(HintScheme::Aes128, steps, 4).expect("room");
    let refused = create("clocked", clocked).set_fleet_settings(&gap(1, 2)).expect_err("a clock");
    assert!(refused.to_string().contains("clock"), "{refused}");
    let scheme = HintScheme::Aes128Truncated(TruncatedLen::new(6).expect("a length"));
    let truncated = create("truncated", Params::counters(scheme, 4));
    let refused = truncated.set_fleet_settings(&late(65)).expect_err("it is truncated");
    assert!(refused.to_string().contains("truncated"), "{refused}");
    truncated.set_fleet_settings(&gap(1, 2)).expect("gaps are for all counters");
    truncated.set_fleet_settings(&late(64)).expect("it is the usual one");
}

/// Settings are of the device: they apply to its later keys, and go with it to another fleet.
#[test]
fn settings_outlive_keys_and_move_with_their_device() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("the.key");
    std::fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
    let create = |name: &str| {
        let params = Params::counters(HintScheme::Aes128, 4);
        let dir = folder.path().join(name);
        let options = StationOptions::default();
        Station::create(&dir, Some(&key), params, &options).expect("it can be made")
    };
    let (here, there) = (create("here"), create("there"));
    here.provision(&[DeviceRange::new(DeviceId(0), 20)], None).expect("free ids");
    let air = Devices::new(&SECRET);
    let packet =
        |generation, nonce| air.packet_under(KeyId { device: DeviceId(7), generation }, nonce, b"");
    let fleet = DeviceSettings { late_nonces: Some(500), ..DeviceSettings::default() };
    here.set_fleet_settings(&fleet).expect("it can be written");
    let own = DeviceSettings {
        max_gap: Some(MaxGap::Nonces { accepted: 100, confirmed: 10_000 }),
        ..DeviceSettings::default()
    };
    here.set_devices(&[DeviceId(7)], &own).expect("it is there");
    let told = |station: &Station, packet: &[u8]| {
        let verdict = station.decode(packet).expect("it can be written");
        if let Verdict::Early { why, .. } = &verdict {
            format!("{why:?}")
        } else {
            verdict.name().into()
        }
    };
    for nonce in (0..800).step_by(2) {
        assert_eq!(told(&here, &packet(0, nonce)), "accepted");
    }
    here.rotate(&[DeviceId(7)], 86_400, None).expect("it is there");
    assert_eq!(told(&here, &packet(1, 300)), "AwaitsSecond");
    assert_eq!(here.keys_of(DeviceId(7)).len(), 2);
    // The first key is in service as long as no packet under the second was accepted.
    assert_eq!(told(&here, &packet(0, 401)), "accepted");

    there.import(&here.export(None).expect("all keys"), None, None).expect("new devices");
    assert_eq!(there.settings_in_use(DeviceId(7)), fleet.over(&own));
    assert_eq!(there.own_settings(DeviceId(8)), fleet);
    assert_eq!(there.fleet_settings(), DeviceSettings::default());
    for station in [here, there] {
        let expected = [
            (0, 401, "replay"),
            (0, 403, "accepted"),
            (0, 402, "replay"),
            (0, 297, "stale"),
            (0, 299, "accepted"),
            (0, 20_000, "PastMaxGap"),
            (0, 1000, "AwaitsSecond"),
            (1, 301, "accepted"),
            (1, 10_401, "PastMaxGap"),
            (1, 402, "accepted"),
        ];
        for (generation, nonce, what) in expected {
            let said = told(&station, &packet(generation, nonce));
            assert_eq!(said, what, "generation {generation}, nonce {nonce}");
        }
    }
}

/// Slots that later keys take over have nothing of the late windows of the keys before.
#[test]
fn a_slot_that_is_used_again_begins_a_late_window_of_its_own() {
    const FLEET: u32 = 64;
    let folder = tempfile::tempdir().expect("a folder");
    let (key, dir) = (folder.path().join("the.key"), folder.path().join("fleet"));
    std::fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
    let (params, options) = (
        Params::counters(HintScheme::Aes128, 16),
        StationOptions { scan_core_share: f64::INFINITY, ..StationOptions::default() },
    );
    let mut station = Station::create(&dir, Some(&key), params, &options).expect("it can be made");
    station.provision(&[DeviceRange::new(DeviceId(0), FLEET)], None).expect("free ids");
    let late = DeviceSettings { late_nonces: Some(1000), ..DeviceSettings::default() };
    station.set_fleet_settings(&late).expect("it can be written");
    let air = Devices::new(&SECRET);
    let all: Vec<DeviceId> = (0..FLEET).map(DeviceId).collect();
    let decode = |station: &Station, generation: u16, nonces: &[u64]| -> Vec<&'static str> {
        let packet = |device: u32, nonce: u64| {
            air.packet_under(KeyId { device: DeviceId(device), generation }, nonce, b"")
        };
        let of = |nonce: &u64| (0..FLEET).map(|device| packet(device, *nonce)).collect::<Vec<_>>();
        let packets: Vec<_> = nonces.iter().flat_map(of).collect();
        let verdicts = station.decode_batch(&packets).expect("it can be written");
        let mut names: Vec<_> = verdicts.iter().map(Verdict::name).collect();
        // All devices are alike.
        for (of, nonce) in names.chunks(FLEET as usize).zip(nonces) {
            let are_alike = of.iter().all(|name| *name == of[0]);
            assert!(are_alike, "generation {generation}, nonce {nonce}: {of:?}");
        }
        names.dedup();
        names
    };
    let evens: Vec<u64> = (0..150).map(|number| 2 * number).collect();
    let odds: Vec<u64> = evens.iter().map(|nonce| nonce + 1).collect();
    for generation in 0..7 {
        // The slot's former key has used the other half.
        let half = if generation % 2 == 0 { &evens } else { &odds };
        // The last keys use fewer blocks than those before.
        let half = &half[..if generation < 4 { 150 } else { 40 }];
        assert_eq!(decode(&station, generation, half), ["accepted"], "generation {generation}");
        drop(station);
        station = Station::open(&dir, &options).expect("it opens");
        assert_eq!(station.out_of_service(), []);
        assert_eq!(decode(&station, generation, half), ["replay"]);
        station.rotate(&all, 0, None).expect("they are there");
        station.roll(None).expect("it rolls");
    }
    let stats = station.stats().expect("it can be asked");
    assert!(stats.slots <= 3 * u64::from(FLEET), "{} slots", stats.slots);
    station.verify(None).expect("all holds");
}
