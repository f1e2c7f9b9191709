//! Later keys of devices, case by case: ids that are not given away, fleets that rotate for ever,
//! old keys that come again, ends that are set under way, transfers, revocations.

use std::sync::Arc;

use hintdex::wire::{DeviceId, HintKey, HintScheme, KeyId, KeySource, MasterKey};
use hintdex::{DeviceRange, Error, IndexError, Params, Station, StationOptions, Verdict, WrapKey};
use hintdex_core::{Admission, Arrival, LiveIndex, Options};
use hintdex_tests::devices::{later_own_keys, packet_by};

use crate::fleet::SECRET;
use crate::life::{STARTED_UNIX_S, World};

#[test]
fn an_id_that_a_device_had_is_not_given_away_under_an_old_key() {
    let mut world = World::create(100, 1);
    let again = world.station().provision(&[DeviceRange::new(DeviceId(7), 1)], None);
    assert!(matches!(again, Err(Error::Index(IndexError::AlreadyProvisioned { .. }))));
    // All slots of first keys are free then.
    for generation in 1..4 {
        let all: Vec<DeviceId> = (0..100).map(DeviceId).collect();
        world.station().rotate(&all, 0, None).expect("they are there");
        let packets: Vec<_> = (0..100)
            .map(|device| {
                let id = KeyId { device: DeviceId(device), generation };
                world.air.packet_under(id, 0, b"")
            })
            .collect();
        let verdicts = world.station().decode_batch(&packets).expect("it can be written");
        let is_accepted = |verdict: &Verdict| matches!(verdict, Verdict::Accepted { .. });
        assert!(verdicts.iter().all(is_accepted), "{verdicts:?}");
        world.station().roll(None).expect("it rolls");
    }
    let stats = world.station().stats().expect("it can be asked");
    assert!(stats.slots <= 300, "{} slots of 100 devices", stats.slots);
    assert_eq!(world.station().keys_of(DeviceId(7)).len(), 1);
    for devices in [1, 10] {
        let range = [DeviceRange::new(DeviceId(95), devices)];
        let again = world.station().provision(&range, None);
        let is_refused = matches!(again, Err(Error::Index(IndexError::AlreadyProvisioned { .. })));
        assert!(is_refused, "{again:?}");
    }
    world.reopen();
    world.station().verify(None).expect("all holds");
    let twice = world.station().rotate(&[DeviceId(1), DeviceId(2), DeviceId(1)], 0, None);
    assert!(matches!(twice, Err(Error::DeviceTwice { device: DeviceId(1) })), "{twice:?}");
    let stranger = world.station().rotate(&[DeviceId(1), DeviceId(100)], 0, None);
    let is_named = matches!(stranger, Err(Error::Index(IndexError::UnknownDevice(DeviceId(100)))));
    assert!(is_named, "{stranger:?}");
}

/// Rotates all devices of a fleet again and again, and returns the length of the folder after the
/// first packets of all devices, and in the end.
fn rotated(devices: u32, rotations: u16) -> (u64, u64) {
    let mut world = World::create(devices, 1);
    let all: Vec<DeviceId> = (0..devices).map(DeviceId).collect();
    let send_all = |world: &World, generation: u16| {
        for ids in all.chunks(8192) {
            let packet =
                |id: &DeviceId| world.air.packet_under(KeyId { device: *id, generation }, 0, b"");
            let packets: Vec<_> = ids.iter().map(packet).collect();
            let verdicts = world.station().decode_batch(&packets).expect("it can be written");
            let is_accepted = |verdict: &Verdict| matches!(verdict, Verdict::Accepted { .. });
            assert!(verdicts.iter().all(is_accepted), "generation {generation}");
        }
    };
    // At rest: opened again, which ends the log.
    let len_at_rest = |world: &mut World| {
        world.station().roll(None).expect("it rolls");
        world.station = None;
        let options = StationOptions::default();
        let station = Station::open_with(&world.dir, &options, world.clock.clone());
        world.station = Some(station.expect("it opens"));
        let stats = world.station().stats().expect("it can be asked");
        let sections =
            stats.sections.iter().map(|part| format!("{} {}", part.name, part.disk_bytes));
        eprintln!("{} slots: {}", stats.slots, sections.collect::<Vec<_>>().join(", "));
        stats.disk_bytes()
    };
    send_all(&world, 0);
    let first = len_at_rest(&mut world);
    // No roll but those of rotations, so that rotations alone must free slots.
    for generation in 1..=rotations {
        world.station().rotate(&all, 0, None).expect("they are there");
        send_all(&world, generation);
    }
    let last = len_at_rest(&mut world);
    let stats = world.station().stats().expect("it can be asked");
    assert!(stats.slots <= 4 * u64::from(devices), "{} slots", stats.slots);
    assert_eq!(stats.devices, u64::from(devices));
    world.station().verify(None).expect("all holds");
    (first, last)
}

#[test]
fn a_fleet_that_rotates_for_ever_does_not_grow() {
    let (first, last) = rotated(4000, 9);
    eprintln!("4,000 devices, 9 rotations: {first} bytes, then {last}");
    assert!(last < first + first / 10, "{first} bytes grew to {last}");
}

#[test]
#[ignore = "takes minutes"]
fn a_hundred_thousand_devices_that_rotate_fifty_times_take_no_more_room() {
    let (first, last) = rotated(100_000, 50);
    eprintln!("100,000 devices, 50 rotations: {first} bytes, then {last}");
    assert!(last < first + first / 10, "{first} bytes grew to {last}");
}

/// Lets the devices of `ids` change to their own keys of a number.
fn rekey(station: &Station, ids: &[u32], number: u16) -> Result<(), Error> {
    let mut import = station.import_later_keys()?;
    for id in ids {
        let (hint_key, dev_key) = later_own_keys(*id, number);
        import.add(DeviceId(*id), &HintKey::from_bytes(hint_key), &dev_key)?;
    }
    import.rekey(0, None)
}

#[test]
fn a_key_that_a_device_had_long_ago_is_no_new_key() {
    let mut world = World::create(100, 1);
    let ids: Vec<u32> = (0..40).collect();
    for number in 1..6 {
        rekey(world.station(), &ids, number).expect("new keys");
        let packets: Vec<_> =
            ids.iter().map(|id| packet_by(later_own_keys(*id, number), 0, b"x")).collect();
        let verdicts = world.station().decode_batch(&packets).expect("it can be written");
        assert!(verdicts.iter().all(|verdict| verdict.name() == "accepted"), "{verdicts:?}");
        world.station().roll(None).expect("it rolls");
        if number % 2 == 0 {
            world.reopen();
        }
    }
    for number in 1..6 {
        let again = rekey(world.station(), &ids, number);
        assert!(matches!(again, Err(Error::SharedKey { .. })), "{number}: {again:?}");
    }
    world.station().verify(None).expect("all holds");
}

/// Packets are decoded while their devices are retired at a later time: no state is lost.
#[test]
fn an_end_that_is_set_while_packets_come_in_loses_none_of_them() {
    let mut world = World::create(64, 1);
    let packets: Vec<Vec<u8>> = (0..400)
        .map(|at| world.air.packet_under(KeyId::first(DeviceId(at % 64)), u64::from(at / 64), b"x"))
        .collect();
    let (station, all) = (world.station(), (0..64).map(DeviceId).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for end_s in (0..60).rev() {
                station
                    .retire_at(&all, STARTED_UNIX_S + 1_000_000 + end_s)
                    .expect("they are there");
            }
        });
        for packet in &packets {
            let verdict = station.decode(packet).expect("it can be written");
            assert_eq!(verdict.name(), "accepted");
        }
    });
    world.reopen();
    for packet in &packets {
        let verdict = world.station().decode(packet).expect("it can be written");
        assert_eq!(verdict.name(), "replay");
    }
}

/// A fleet that has one of the devices refuses an import, and keeps its own keys of that device.
#[test]
fn a_transfer_that_is_refused_leaves_the_keys_of_devices_alone() {
    let (mut here, there) = (World::create(10, 1), World::create(10, 2));
    let wrap = WrapKey::new(&[3; 32]);
    for (world, number) in [(&here, 1), (&there, 2)] {
        rekey(world.station(), &[4], number).expect("new keys");
    }
    let devices = there.station().export(Some(&wrap)).expect("all is sound");
    let refused = here.station().import(&devices, Some(&wrap), None);
    let is_named = matches!(refused, Err(Error::Index(IndexError::AlreadyProvisioned { .. })));
    assert!(is_named, "{refused:?}");
    here.reopen();
    let packet = packet_by(later_own_keys(4, 1), 0, b"x");
    let verdict = here.station().decode(&packet).expect("it can be written");
    assert_eq!(verdict.name(), "accepted");
}

/// A device whose next key is awaited loses its old one to a thief: the old key alone is revoked.
#[test]
fn a_generation_is_revoked_and_the_next_one_stays() {
    let world = World::create(10, 1);
    let station = world.station();
    station.rotate(&[DeviceId(4)], 3600, None).expect("it is there");
    station.revoke(&[DeviceId(4)], Some(0)).expect("it is there");
    let packet = |generation| {
        let id = KeyId { device: DeviceId(4), generation };
        let packet = world.air.packet_under(id, 0, b"x");
        station.decode(&packet).expect("it can be written").name()
    };
    assert_eq!((packet(0), packet(1)), ("unknown", "accepted"));
    let missing = station.revoke(&[DeviceId(5)], Some(1));
    let is_named = matches!(missing, Err(Error::NoSuchGeneration { generation: 1, .. }));
    assert!(is_named, "{missing:?}");
}

/// A key ends by its time, in a fleet without later keys: a damaged packet under it is unknown, as
/// a whole one is, before a reopening and after.
#[test]
fn a_damaged_packet_under_a_key_that_has_ended_is_unknown() {
    let mut world = World::create(10, 1);
    let mut packet = world.air.packet_under(KeyId::first(DeviceId(4)), 0, b"x");
    *packet.last_mut().expect("a tag") ^= 1;
    let name = |world: &World| world.station().decode(&packet).expect("it decodes").name();
    world.station().retire_at(&[DeviceId(4)], STARTED_UNIX_S + 60).expect("it is there");
    assert_eq!(name(&world), "forged");
    world.clock.set(STARTED_UNIX_S + 60);
    assert_eq!(name(&world), "unknown");
    world.reopen();
    assert_eq!(name(&world), "unknown");
}

/// A packet that was opened under the former key of a slot is not admitted under the present one,
/// and the slots that are used again count as retired no longer.
#[test]
fn an_arrival_under_the_former_key_of_a_slot_is_retired() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Arc::new(MasterKey::new(&SECRET));
    let params = Params::counters(HintScheme::Aes128, 4);
    let path = folder.path().join("index");
    let index = LiveIndex::create(&path, keys.clone(), params, &Options::default());
    let index = index.expect("it can be made");
    let range = |generation| DeviceRange { generation, ..DeviceRange::new(DeviceId(0), 100) };
    let id = |generation| KeyId { device: DeviceId(7), generation };
    let admit_all = |generation| {
        for device in (0..100).map(DeviceId) {
            let key = KeyId { device, generation };
            let slot = *index.slots(device).last().expect("it is there");
            let hint_key = keys.hint_key(key);
            let arrival =
                Arrival { slot, key, nonce: 0, hint_key: hint_key.as_ref(), received_unix_s: 0 };
            assert_eq!(index.admit(&arrival).expect("it can be written"), Admission::Accepted);
        }
    };
    index.provision(&[range(0)], None).expect("free ids");
    let slot = index.slots(DeviceId(7))[0];
    for generation in 1..7 {
        index.renew(&[range(generation)], 0, None).expect("newer keys");
        admit_all(generation);
        index.free_slots(|_| false).expect("it can be written");
        index.roll(None).expect("it rolls");
    }
    assert_eq!(index.slot_count(), 200);
    let present = index.key(slot).expect("it has a later key");
    assert!(present.generation > 1, "{present:?}");
    let hint_key = keys.hint_key(id(0));
    let former =
        Arrival { slot, key: id(0), nonce: 9, hint_key: hint_key.as_ref(), received_unix_s: 0 };
    assert_eq!(index.admit(&former).expect("it can be written"), Admission::Retired);
    assert!(!index.needs_roll(), "it was rolled");
}
