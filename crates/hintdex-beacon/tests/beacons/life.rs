//! The life of beacons: other keys, other units, corrections, ends, and other folders.

use std::collections::BTreeMap;
use std::fs;

use hintdex_beacon::wire::beacon::eddystone::RotationExponent;
use hintdex_beacon::wire::{DeviceId, HintKey};
use hintdex_beacon::{
    BeaconTransfer, Change, Changes, Inventory, Options, Refusal, Registration, Resolver, Rule,
    Scheme, Selection, Setting, Status,
};

use crate::support::{Beacon, NOW, Random, Station, ask, beacons, station_of, who};

fn changed(station: &Station, now: u64, change: impl FnOnce(&mut Changes)) {
    let mut changes = Changes::open_registered(&station.folder, now).expect("a folder");
    change(&mut changes);
    changes.publish().expect("the disk has room");
}

/// The device that is found behind what `beacon` sends at a time.
fn found(station: &Station, beacon: &Beacon, at: u64) -> Option<u32> {
    let mut resolver = station.open();
    let answer = ask(&mut resolver, beacon.sighting(at));
    resolver.close().expect("saved");
    who(&answer).map(|(device, _)| device)
}

fn all_of(device: u32) -> Selection {
    Selection::of(DeviceId(device))
}

/// Changes the battery of a beacon a day after now, and lets three of its rotations be heard, so
/// that the station knows the new clock. Returns the time of the change.
fn change_battery(station: &Station, beacon: &mut Beacon) -> u64 {
    let later = NOW + 86_400;
    beacon.zero_unix_s = i64::try_from(later).expect("a time");
    station.clock.set(later + 300_000);
    let mut resolver = station.open();
    for rotation in 1..4 {
        let answer = ask(&mut resolver, beacon.sighting(later + (rotation << beacon.k.get())));
        assert_eq!(who(&answer).map(|(device, _)| device), Some(beacon.device.0));
    }
    resolver.close().expect("saved");
    later
}

fn statuses(station: &Station) -> Vec<(u32, Status)> {
    let inventory = Inventory::open(&station.folder).expect("a folder");
    inventory.beacons().map(|beacon| (beacon.device.0, beacon.status)).collect()
}

#[test]
fn a_retired_beacon_is_nobody_and_its_key_stays_taken() {
    let all = beacons(3, 1);
    let station = station_of(&all);
    assert_eq!(found(&station, &all[1], NOW), Some(1));
    changed(&station, NOW, |changes| {
        assert_eq!(changes.retire(&all_of(1)), Ok(1));
        assert_eq!(changes.retire(&all_of(1)), Ok(0), "retired already");
        assert_eq!(changes.retire(&all_of(9)), Err(Refusal::UnknownId { device: DeviceId(9) }));
    });
    assert_eq!(found(&station, &all[1], NOW), None);
    assert_eq!(found(&station, &all[2], NOW), Some(2));
    let retired = Refusal::NotActive { device: DeviceId(1), status: Status::Retired };
    changed(&station, NOW, |changes| {
        let again = all[1].registration(NOW);
        assert_eq!(changes.put(&again), Err(retired));
        assert!(matches!(changes.add(&again), Err(Refusal::DuplicateId { .. })));
        let elsewhere = Registration { device: DeviceId(7), ..again.clone() };
        assert_eq!(changes.add(&elsewhere), Err(Refusal::DuplicateKey { of: DeviceId(1) }));
        assert_eq!(changes.rekey(DeviceId(1), Scheme::EddystoneEid, &all[1].key), Err(retired));
        let correction = Setting { clock_offset_s: Some(5), ..Setting::default() };
        assert_eq!(changes.set(&all_of(1), &correction), Err(retired));
        // It was a mistake.
        assert_eq!(changes.replace(&again), Ok(()));
    });
    assert_eq!(found(&station, &all[1], NOW), Some(1));
}

#[test]
fn a_revoked_key_is_in_no_file_and_never_comes_back() {
    let all = beacons(3, 2);
    let station = station_of(&all);
    assert_eq!(found(&station, &all[1], NOW), Some(1));
    let key = *all[1].key.expose();
    let holds_key = || {
        let files = fs::read_dir(&station.folder).expect("a folder");
        files
            .map(|file| fs::read(file.expect("an entry").path()).expect("a file"))
            .any(|bytes| bytes.windows(16).any(|window| window == key))
    };
    assert!(holds_key());
    changed(&station, NOW, |changes| {
        assert_eq!(changes.revoke(&all_of(1)), Ok(1));
        assert_eq!(changes.revoke(&all_of(1)), Ok(0), "revoked already");
    });
    assert!(!holds_key());
    assert_eq!(found(&station, &all[1], NOW), None);
    // Neither under its own id, nor after the id went to a new unit, nor under another id.
    let mut random = Random::new(3);
    let unit = Beacon { key: random.key(), ..all[1].clone() };
    let refused = Err(Refusal::RevokedKey { of: DeviceId(1) });
    changed(&station, NOW, |changes| {
        assert_eq!(changes.replace(&all[1].registration(NOW)), refused);
        assert_eq!(changes.replace(&unit.registration(NOW)), Ok(()));
    });
    changed(&station, NOW, |changes| {
        let old = all[1].registration(NOW);
        assert_eq!(changes.put(&old), Err(Refusal::RevokedKey { of: DeviceId(1) }));
        assert_eq!(changes.replace(&old), refused);
        assert_eq!(changes.rekey(DeviceId(1), Scheme::EddystoneEid, &old.key), refused);
        let elsewhere = Registration { device: DeviceId(7), ..old };
        assert_eq!(changes.add(&elsewhere), refused);
        assert_eq!(changes.put(&unit.registration(NOW)), Ok(Change::Unchanged));
    });
    assert_eq!(found(&station, &unit, NOW), Some(1));
    let active = |device| (device, Status::Active);
    let expected = [active(0), active(1), active(2), (1, Status::Revoked)];
    assert_eq!(statuses(&station), expected);
}

/// A new unit does not inherit what the old one's sightings said of the clock, whatever the slot.
#[test]
fn a_new_unit_has_a_clock_of_its_own_and_a_new_key_keeps_the_clock() {
    let mut all = beacons(3, 4);
    let station = station_of(&all);
    let later = change_battery(&station, &mut all[1]);
    let clock = |device: usize| {
        let inventory = Inventory::open(&station.folder).expect("a folder");
        let beacon = inventory.beacons().nth(device).expect("a beacon");
        beacon.clock.expect("a clock")
    };
    assert!(clock(1).heard_unix_s.is_some());
    assert!(clock(1).offset_s.0 > 1_760_000_000, "{:?}", clock(1));
    let now = later + 300_000;

    // The same unit with another key.
    let mut random = Random::new(5);
    all[1].key = random.key();
    changed(&station, now, |changes| {
        assert_eq!(changes.rekey(DeviceId(1), Scheme::EddystoneEid, &all[1].key), Ok(()));
        let same = Err(Refusal::SameKey { device: DeviceId(1) });
        assert_eq!(changes.rekey(DeviceId(1), Scheme::EddystoneEid, &all[1].key), same);
        let taken = Err(Refusal::DuplicateKey { of: DeviceId(2) });
        assert_eq!(changes.rekey(DeviceId(1), Scheme::EddystoneEid, &all[2].key), taken);
    });
    assert!(clock(1).offset_s.0 > 1_760_000_000, "{:?}", clock(1));
    assert_eq!(found(&station, &all[1], now), Some(1));

    // Another unit, whose clock is where the registration puts it.
    let unit = Beacon::new(1, all[1].k.get(), 1_755_000_000, &mut random);
    changed(&station, now, |changes| {
        assert_eq!(changes.replace(&unit.registration(now)), Ok(()));
    });
    assert_eq!(clock(1).heard_unix_s, None);
    assert!(clock(1).offset_s.0 < 1_755_000_001, "{:?}", clock(1));
    assert_eq!(found(&station, &unit, now), Some(1));
    assert_eq!(found(&station, &all[1], now), None);
}

#[test]
fn settings_are_corrected_and_the_wrong_ones_are_refused() {
    let all = beacons(8, 6);
    let station = station_of(&all);
    let daily = |start_interval, rolling_period| Registration {
        device: DeviceId(1),
        key: HintKey::from_bytes([u8::try_from(start_interval % 251).expect("a byte"); 16]),
        rule: Rule::Gaen { start_interval, rolling_period },
    };
    let period = hintdex_beacon::RollingPeriod::DAY;
    station.register(NOW, [daily(144, period), daily(288, period)]);
    // The beacon's clock was read wrongly, by a day.
    let wrong = Beacon { zero_unix_s: all[5].zero_unix_s + 86_400, ..all[5].clone() };
    assert_eq!(found(&station, &wrong, NOW), None);
    let correction = Setting { clock_offset_s: Some(wrong.zero_unix_s), ..Setting::default() };
    changed(&station, NOW, |changes| {
        assert_eq!(changes.set(&all_of(5), &correction), Ok(1));
        let refused = Err(Refusal::NoSuchSetting { device: DeviceId(1) });
        // Id 1 has a beacon with a clock and two daily keys without one.
        assert_eq!(changes.set(&all_of(1), &correction), refused);
        let future = Setting { clock_offset_s: Some(i64::MAX), ..Setting::default() };
        assert!(matches!(changes.set(&all_of(5), &future), Err(Refusal::FutureClock { .. })));
        let half = hintdex_beacon::RollingPeriod::new(72);
        let shorter = Setting { rolling_period: half, ..Setting::default() };
        assert_eq!(
            changes.set(&all_of(5), &shorter),
            Err(Refusal::NoSuchSetting { device: DeviceId(5) })
        );
        let one = Selection { start_interval: Some(288), ..all_of(1) };
        assert_eq!(changes.set(&one, &shorter), Ok(1));
        let by_scheme = Selection { scheme: Some(Scheme::Gaen), ..all_of(1) };
        assert_eq!(changes.retire(&by_scheme), Ok(2));
    });
    assert_eq!(found(&station, &wrong, NOW), Some(5));
    assert_eq!(found(&station, &all[1], NOW), Some(1), "the other scheme of the id");
    let inventory = Inventory::open(&station.folder).expect("a folder");
    let of_start = |start| {
        let is_it = move |rule: &Rule| matches!(rule, Rule::Gaen { start_interval, .. } if *start_interval == start);
        inventory.beacons().find(|beacon| is_it(&beacon.rule)).expect("a daily key")
    };
    assert!(
        matches!(of_start(288).rule, Rule::Gaen { rolling_period, .. } if rolling_period.get() == 72)
    );
    assert!(
        matches!(of_start(144).rule, Rule::Gaen { rolling_period, .. } if rolling_period.get() == 144)
    );
    assert_eq!(of_start(144).status, Status::Retired);
}

/// Beacons as a plain map would keep them.
#[derive(Default)]
struct Model {
    present: BTreeMap<u32, (Beacon, Status)>,
    /// What was registered of the revoked ones.
    revoked: Vec<Registration>,
}

impl Model {
    /// A random change of a random beacon, in the folder and in the map.
    fn change(&mut self, changes: &mut Changes, random: &mut Random) {
        let id = u32::try_from(random.below(40)).expect("small");
        let unit = Beacon::new(id, 8, 1_750_000_000, random);
        let registration = unit.registration(NOW);
        let known = self.present.get(&id).map(|(_, status)| *status);
        let is_known = known.is_some();
        let is_done = match random.below(6) {
            0 => {
                let is_added = changes.add(&registration).is_ok();
                assert_eq!(is_added, !is_known, "{id}");
                is_added
            }
            1 => {
                let expected = match known {
                    None => Ok(Change::Added),
                    Some(Status::Active) => Ok(Change::Changed),
                    Some(status) => Err(Refusal::NotActive { device: DeviceId(id), status }),
                };
                assert_eq!(changes.put(&registration), expected);
                expected.is_ok()
            }
            2 => {
                assert_eq!(changes.replace(&registration).is_ok(), is_known);
                is_known
            }
            3 => {
                assert_eq!(changes.retire(&all_of(id)).is_ok(), is_known);
                if let Some((_, status @ Status::Active)) = self.present.get_mut(&id) {
                    *status = Status::Retired;
                }
                false
            }
            4 => {
                assert_eq!(changes.revoke(&all_of(id)).is_ok(), is_known);
                if let Some((old, status)) = self.present.get_mut(&id) {
                    if *status != Status::Revoked {
                        self.revoked.push(old.registration(NOW));
                    }
                    *status = Status::Revoked;
                }
                false
            }
            _ => {
                let at = usize::try_from(random.below(64)).expect("small");
                if let Some(old) = self.revoked.get(at) {
                    assert!(changes.put(old).is_err() && changes.replace(old).is_err());
                }
                false
            }
        };
        if is_done {
            self.present.insert(id, (unit, Status::Active));
        }
    }
}

#[test]
fn a_thousand_changes_leave_what_a_plain_map_leaves() {
    let mut random = Random::new(8);
    let station = Station::new(NOW);
    station.register(NOW, [Beacon::new(1_000, 8, 1_750_000_000, &mut random).registration(NOW)]);
    let mut model = Model::default();
    for _ in 0..60 {
        changed(&station, NOW, |changes| {
            (0..20).for_each(|_| model.change(changes, &mut random));
        });
    }
    assert!(model.revoked.len() > 20, "{} revoked", model.revoked.len());
    let mut listed: BTreeMap<u32, Status> = BTreeMap::new();
    for (device, status) in statuses(&station) {
        // The present unit of an id comes before the revoked ones.
        listed.entry(device).or_insert(status);
    }
    listed.remove(&1_000);
    let present = model.present.iter();
    let expected: BTreeMap<u32, Status> =
        present.clone().map(|(id, (_, status))| (*id, *status)).collect();
    assert_eq!(listed, expected);
    let mut resolver = station.open();
    for (id, (beacon, status)) in present {
        let answer = who(&ask(&mut resolver, beacon.sighting(NOW))).map(|(device, _)| device);
        assert_eq!(answer, (*status == Status::Active).then_some(*id));
    }
    for old in &model.revoked {
        let k = RotationExponent::new(8).expect("0 to 15");
        let (device, key) = (old.device, old.key.clone());
        let old = Beacon { device, key, k, zero_unix_s: 1_750_000_000, drift_ppm: 0 };
        assert_eq!(who(&ask(&mut resolver, old.sighting(NOW))), None);
    }
}

/// A process that ends between the two files of a change leaves no clock of an old unit to a new
/// one: the clocks go first.
#[test]
fn a_change_that_is_cut_between_its_files_leaves_no_clock_to_another_unit() {
    let mut all = beacons(3, 9);
    let station = station_of(&all);
    let later = change_battery(&station, &mut all[1]);
    let [keys, clocks] = ["beacons.keys", "beacons.clocks"].map(|name| station.folder.join(name));
    let before = fs::read(&keys).expect("a file");
    let mut random = Random::new(10);
    let unit = Beacon::new(1, all[1].k.get(), 1_755_000_000, &mut random);
    changed(&station, later, |changes| changes.replace(&unit.registration(later)).expect("done"));
    let (after, cleared) = (fs::read(&keys).expect("a file"), fs::read(&clocks).expect("a file"));

    // The clocks were written, the keys were not: the old unit has to be heard again.
    fs::write(&keys, before).expect("a file");
    let clock = |device: usize| {
        let inventory = Inventory::open(&station.folder).expect("a folder");
        inventory.beacons().nth(device).expect("a beacon").clock.expect("a clock")
    };
    assert_eq!(clock(1).heard_unix_s, None);
    // Both were written.
    fs::write(&keys, after).expect("a file");
    fs::write(&clocks, cleared).expect("a file");
    assert_eq!((clock(1).heard_unix_s, clock(1).offset_s.1), (None, 1_755_000_001));
}

/// Keys are published after clocks: where the clocks cannot be read, the keys stay as they are.
#[test]
fn no_unit_takes_the_place_of_another_before_its_clock_has_left_the_file() {
    let all = beacons(3, 12);
    let station = station_of(&all);
    let [keys, clocks] = ["beacons.keys", "beacons.clocks"].map(|name| station.folder.join(name));
    let before = fs::read(&keys).expect("a file");
    fs::create_dir(&clocks).expect("a folder in the way");
    let mut changes = Changes::open_registered(&station.folder, NOW).expect("a folder");
    let unit = Beacon::new(1, 8, 1_755_000_000, &mut Random::new(13));
    changes.replace(&unit.registration(NOW)).expect("it is there");
    assert!(changes.publish().is_err());
    assert_eq!(fs::read(&keys).expect("a file"), before);
}

/// An import of learned clocks that is cut between its files leaves clocks of slots that no beacon
/// has. The next beacon there does not get one of them.
#[test]
fn a_beacon_in_the_place_of_an_interrupted_import_has_a_clock_of_its_own() {
    let mut all = beacons(3, 14);
    let here = station_of(&all);
    let later = change_battery(&here, &mut all[1]);
    let exported: Vec<BeaconTransfer> =
        Inventory::open(&here.folder).expect("a folder").transfers().collect();
    let there = Station::new(later);
    there.register(
        later,
        [Beacon::new(900, 8, 1_750_000_000, &mut Random::new(15)).registration(later)],
    );
    let keys = there.folder.join("beacons.keys");
    let before = fs::read(&keys).expect("a file");
    changed(&there, later, |changes| changes.add_transfer(&exported[1]).expect("it is new"));
    // The clocks were written, the keys were not.
    fs::write(&keys, before).expect("a file");
    there.register(
        later,
        [Beacon::new(901, 8, 1_755_000_000, &mut Random::new(16)).registration(later)],
    );
    let inventory = Inventory::open(&there.folder).expect("a folder");
    let clock = inventory.beacons().nth(1).expect("a beacon").clock.expect("a clock");
    assert_eq!((clock.heard_unix_s, clock.offset_s.1), (None, 1_755_000_001));
    assert!(!clock.has_former);
}

#[test]
fn beacons_move_to_another_folder_with_their_clocks() {
    let mut all = beacons(20, 11);
    let here = station_of(&all);
    let later = change_battery(&here, &mut all[3]);
    changed(&here, later, |changes| {
        changes.retire(&all_of(5)).expect("it is there");
        changes.revoke(&all_of(6)).expect("it is there");
    });
    let transfers = |station: &Station| -> Vec<BeaconTransfer> {
        Inventory::open(&station.folder).expect("a folder").transfers().collect()
    };
    let exported = transfers(&here);
    assert!(exported[3].clocks.len() >= 2, "a known clock and a former one: {exported:?}");
    assert!(exported[6].key.is_none() && exported[5].key.is_some());

    let there = Station::new(later + 300_000);
    let mut changes = Changes::open(&there.folder, later).expect("a folder");
    for beacon in &exported {
        changes.add_transfer(beacon).expect("it is new");
        assert!(matches!(changes.add_transfer(beacon), Err(Refusal::DuplicateId { .. })));
    }
    changes.publish().expect("the disk has room");
    assert_eq!(transfers(&there), exported);
    let mut moved =
        Resolver::open(&there.folder, Options::default(), Box::new(there.clock.clone()))
            .expect("a folder");
    for (id, beacon) in (0..).zip(&all) {
        let answer = who(&ask(&mut moved, beacon.sighting(later + 300_000)));
        let expected = (id != 5 && id != 6).then_some(id);
        assert_eq!(answer.map(|(device, _)| device), expected);
    }
    moved.close().expect("saved");

    let unsound = |change: fn(&mut BeaconTransfer)| {
        let mut beacon = exported[3].clone();
        beacon.device = DeviceId(99);
        change(&mut beacon);
        let mut changes = Changes::open(&there.folder, later).expect("a folder");
        changes.add_transfer(&beacon)
    };
    let refused = Err(Refusal::UnsoundTransfer { device: DeviceId(99) });
    assert_eq!(unsound(|beacon| beacon.key = None), refused);
    assert_eq!(unsound(|beacon| beacon.status = Status::Revoked), refused);
    assert_eq!(unsound(|beacon| beacon.clocks[0].kind = 4), refused);
    assert_eq!(unsound(|beacon| beacon.clocks[0].offset_us = (5, 4)), refused);
}
