//! The life of a fleet against a plain model: keys are rotated, replaced, imported anew, retired
//! and revoked, graces pass, stations roll and are opened again.

use std::collections::BTreeMap;
use std::sync::Arc;

use hintdex::wire::{DeviceId, HintKey, HintScheme, KeyId};
use hintdex::{
    Clock, DeviceRange, Error, IndexError, KeyStatus, ManualClock, Params, Station, StationOptions,
    Verdict, WrapKey,
};
use hintdex_tests::devices::{later_own_keys, packet_by};
use hintdex_tests::{Devices, Random};
use tempfile::TempDir;

use crate::fleet::{Judge, SECRET};

const STARTED_UNIX_S: u64 = 1_764_000_000;

/// A key of the model.
#[derive(Clone, Debug)]
struct Key {
    /// Derived, or the number of an imported key.
    own: Option<u16>,
    grace_s: u64,
    state: State,
    highest: Option<u64>,
    accepted: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InService,
    /// Until this time.
    Ending(u64),
    Retired,
    Revoked,
}

impl Key {
    const fn new(own: Option<u16>, grace_s: u64) -> Self {
        let state = State::InService;
        Self { own, grace_s, state, highest: None, accepted: Vec::new() }
    }

    fn is_in_service(&self, now_s: u64) -> bool {
        match self.state {
            State::InService => true,
            State::Ending(end_s) => now_s < end_s,
            State::Retired | State::Revoked => false,
        }
    }

    fn retire(&mut self, as_what: State) {
        if self.state != State::Revoked {
            self.state = as_what;
        }
    }

    fn judge(&mut self, nonce: u64) -> Judge {
        if self.highest.is_some_and(|highest| nonce + 64 <= highest) {
            return Judge::Stale;
        }
        if self.accepted.contains(&nonce) {
            return Judge::Replay;
        }
        self.accepted.push(nonce);
        self.highest = Some(self.highest.map_or(nonce, |highest| highest.max(nonce)));
        Judge::Fresh
    }

    fn next(&self) -> u64 {
        self.highest.map_or(0, |highest| highest + 1)
    }
}

struct World {
    _folder: TempDir,
    dir: std::path::PathBuf,
    station: Option<Station>,
    clock: Arc<ManualClock>,
    air: Devices,
    /// By device, its keys by generation.
    model: BTreeMap<u32, Vec<Key>>,
    random: Random,
    accepted: u64,
    dropped: u64,
}

impl World {
    fn create(devices: u32, seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("the.key");
        std::fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
        let dir = folder.path().join("fleet");
        let clock = Arc::new(ManualClock::new(STARTED_UNIX_S));
        let params = Params::counters(HintScheme::Aes128, 4);
        let options = StationOptions::default();
        let station = Station::create_with(&dir, Some(&key), params, &options, clock.clone());
        let station = station.expect("it can be made");
        station.provision(&[DeviceRange::new(DeviceId(0), devices)], None).expect("free ids");
        Self {
            _folder: folder,
            dir,
            station: Some(station),
            clock,
            air: Devices::new(&SECRET),
            model: (0..devices).map(|device| (device, vec![Key::new(None, 0)])).collect(),
            random: Random::new(seed),
            accepted: 0,
            dropped: 0,
        }
    }

    fn station(&self) -> &Station {
        self.station.as_ref().expect("it is open")
    }

    /// Some devices, each once.
    fn some(&mut self, most: u32) -> Vec<DeviceId> {
        let all = u32::try_from(self.model.len()).expect("few");
        let mut ids: Vec<u32> = match self.random.chance(50) {
            true => {
                (0..=self.random.below(most.into())).map(|_| self.random.below_u32(all)).collect()
            }
            false => {
                let first = self.random.below_u32(all);
                (first..all.min(first + 1 + self.random.below_u32(most))).collect()
            }
        };
        ids.sort_unstable();
        ids.dedup();
        self.random.shuffle(&mut ids);
        ids.into_iter().map(DeviceId).collect()
    }

    fn add_keys(&mut self, devices: &[DeviceId], own: bool, grace_s: u64, drops: bool) {
        for device in devices {
            let keys = self.model.get_mut(&device.0).expect("it is there");
            let number = u16::try_from(keys.len()).expect("few");
            if drops {
                keys.iter_mut().for_each(|key| key.retire(State::Retired));
            }
            keys.push(Key::new(own.then_some(number), grace_s));
        }
    }

    fn rotate(&mut self, most: u32) {
        let (devices, grace_s) = (self.some(most), [0, 0, 600, 7200][self.random.place(4)]);
        self.station().rotate(&devices, grace_s, None).expect("they are there");
        self.add_keys(&devices, false, grace_s.into(), false);
    }

    fn replace(&mut self, most: u32) {
        let devices = self.some(most);
        self.station().replace(&devices, None).expect("they are there");
        self.add_keys(&devices, false, 0, true);
    }

    /// Later keys that devices bring.
    fn import(&mut self, most: u32) {
        let (devices, drops) = (self.some(most), self.random.chance(30));
        let mut import = self.station().import_later_keys().expect("no other import");
        for device in &devices {
            let number = u16::try_from(self.model[&device.0].len()).expect("few");
            let (hint_key, dev_key) = later_own_keys(device.0, number);
            import.add(*device, &HintKey::from_bytes(hint_key), &dev_key).expect("a new key");
        }
        let done = if drops { import.replace(None) } else { import.rekey(60, None) };
        done.expect("they are there");
        self.add_keys(&devices, true, if drops { 0 } else { 60 }, drops);
    }

    fn retire(&mut self, revokes: bool) {
        let devices = self.some(3);
        let (station, state) =
            (self.station(), if revokes { State::Revoked } else { State::Retired });
        let done =
            if revokes { station.revoke(&devices, None) } else { station.retire_all(&devices) };
        done.expect("they are there");
        for device in devices {
            // A key that was retired long ago may be forgotten, and is not revoked then.
            for known in self.station().keys_of(device) {
                let keys = self.model.get_mut(&device.0).expect("it is there");
                keys[usize::from(known.key.generation)].retire(state);
            }
        }
    }

    /// Any key that a device has or had, the newest ones most often.
    fn any_key(&mut self) -> (u32, usize) {
        let all = u32::try_from(self.model.len()).expect("few");
        let device = self.random.below_u32(all);
        let count = self.model[&device].len();
        let newest = count - 1;
        let generation = match self.random.below(10) {
            0..6 => newest,
            6..9 => newest.saturating_sub(1),
            _ => self.random.place(count),
        };
        (device, generation)
    }

    fn send(&mut self, count: usize) {
        let now_s = self.clock.now_unix_s();
        let mut packets = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..count {
            let (device, generation) = self.any_key();
            let key = &self.model[&device][generation];
            let next = key.next();
            let nonce = match self.random.below(10) {
                0..7 => next,
                7 => next.saturating_sub(1 + self.random.below(3)),
                8 => next.saturating_sub(60 + self.random.below(10)),
                _ => next + self.random.below(40),
            };
            let payload = device.to_be_bytes();
            let mut packet = match key.own {
                Some(number) => packet_by(later_own_keys(device, number), nonce, &payload),
                None => {
                    let generation = u16::try_from(generation).expect("few");
                    let id = KeyId { device: DeviceId(device), generation };
                    self.air.packet_under(id, nonce, &payload)
                }
            };
            let is_damaged = self.random.chance(3);
            if is_damaged {
                *packet.last_mut().expect("a tag") ^= 1;
            }
            packets.push(packet);
            expected.push(self.judge(device, generation, nonce, is_damaged, now_s));
        }
        let mut verdicts = Vec::new();
        let mut rest = packets.as_slice();
        while !rest.is_empty() {
            let at_once = (1 + self.random.place(rest.len())).min(rest.len());
            let (batch, later) = rest.split_at(at_once);
            verdicts.extend(self.station().decode_batch(batch).expect("it can be written"));
            rest = later;
        }
        for (at, (verdict, expected)) in verdicts.iter().zip(&expected).enumerate() {
            let told = match verdict {
                Verdict::Accepted { device, nonce, payload, .. } => {
                    assert_eq!(payload, &device.0.to_be_bytes());
                    format!("accepted {} {nonce}", device.0)
                }
                Verdict::Replay { device, nonce, .. } => format!("replay {} {nonce}", device.0),
                Verdict::Stale { device, nonce, .. } => format!("stale {} {nonce}", device.0),
                other => other.name().to_owned(),
            };
            assert_eq!(told, *expected, "packet {at} of {count}");
        }
    }

    fn judge(
        &mut self,
        device: u32,
        generation: usize,
        nonce: u64,
        is_damaged: bool,
        now_s: u64,
    ) -> String {
        let keys = self.model.get_mut(&device).expect("it is there");
        let (older, rest) = keys.split_at_mut(generation);
        let key = &mut rest[0];
        if !key.is_in_service(now_s) {
            self.dropped += 1;
            return "unknown".to_owned();
        }
        if is_damaged {
            return "forged".to_owned();
        }
        let is_first = key.highest.is_none();
        match key.judge(nonce) {
            Judge::Replay => format!("replay {device} {nonce}"),
            Judge::Stale => format!("stale {device} {nonce}"),
            Judge::Fresh => {
                self.accepted += 1;
                let grace_s = key.grace_s;
                if is_first {
                    for older in older.iter_mut().filter(|older| older.is_in_service(now_s)) {
                        older.state = match (grace_s, older.state) {
                            (0, _) => State::Retired,
                            (_, State::Ending(end_s)) => State::Ending(end_s.min(now_s + grace_s)),
                            _ => State::Ending(now_s + grace_s),
                        };
                    }
                }
                format!("accepted {device} {nonce}")
            }
        }
    }

    fn reopen(&mut self) {
        self.station = None;
        let options = StationOptions { lean: self.random.chance(80), ..StationOptions::default() };
        let station = Station::open_with(&self.dir, &options, self.clock.clone());
        self.station = Some(station.expect("it opens"));
    }

    /// What the station says of the keys of every device.
    fn check_list(&self) {
        let now_s = self.clock.now_unix_s();
        let mut in_service = 0;
        for (device, keys) in &self.model {
            for info in self.station().keys_of(DeviceId(*device)) {
                let key = &keys[usize::from(info.key.generation)];
                let is_right = match (info.status, key.state) {
                    (KeyStatus::Active | KeyStatus::Awaited, State::InService)
                    | (KeyStatus::Retired, State::Retired)
                    | (KeyStatus::Revoked, State::Revoked) => true,
                    (KeyStatus::Ending(at), State::Ending(end_s)) => at == end_s,
                    (KeyStatus::Retired, State::Ending(end_s)) => end_s <= now_s,
                    _ => false,
                };
                assert!(is_right, "device {device}: {info:?}, {key:?}");
                assert_eq!(info.next_nonce, key.next(), "device {device}");
            }
            in_service += u64::from(keys.iter().any(|key| key.is_in_service(now_s)));
            // A newest key is never forgotten, nor one that is in service.
            let known = self.station().keys_of(DeviceId(*device));
            let has = |generation: usize| {
                known.iter().any(|info| usize::from(info.key.generation) == generation)
            };
            assert!(has(keys.len() - 1), "device {device}");
            for (generation, key) in keys.iter().enumerate() {
                let must = key.is_in_service(now_s) || key.state == State::Revoked;
                assert!(!must || has(generation), "device {device}, generation {generation}");
            }
        }
        // A key whose time has come counts until a packet or a roll meets it.
        let devices = self.station().stats().expect("it can be asked").devices;
        assert!(devices >= in_service && devices <= self.model.len() as u64, "{devices} devices");
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..8 => self.rotate(40),
            8 => self.rotate(1500),
            9..13 => self.replace(6),
            13..17 => self.import(6),
            17 => self.retire(false),
            18 => self.retire(true),
            19..30 => self.clock.set(self.clock.now_unix_s() + self.random.below(900)),
            30 => self.reopen(),
            31 => self.station().roll(None).expect("it rolls"),
            _ => self.send(60),
        }
    }
}

fn run(devices: u32, steps: u32, seed: u64) {
    let mut world = World::create(devices, seed);
    for step in 0..steps {
        world.step();
        if step % 100 == 99 {
            world.check_list();
        }
    }
    world.check_list();
    world.station().verify(None).expect("all holds");
    assert!(world.accepted > u64::from(steps) * 5, "{} were accepted", world.accepted);
    assert!(world.dropped > u64::from(steps), "{} were under dropped keys", world.dropped);
}

#[test]
fn a_fleet_that_changes_equals_the_model() {
    for seed in 0..3 {
        run(300, 400, seed);
    }
}

#[test]
#[ignore = "takes minutes"]
fn ten_thousand_devices_that_change_equal_the_model() {
    run(10_000, 1000, 16);
}

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

/// The length of all files of a folder.
fn folder_len_bytes(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a folder");
    let len = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("its metadata");
        if metadata.is_dir() { folder_len_bytes(&entry.path()) } else { metadata.len() }
    };
    entries.map(len).sum()
}

/// Rotates all devices of a fleet again and again, and returns the length of its folder after
/// the first packets of all devices, and in the end.
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
        folder_len_bytes(&world.dir)
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
    assert!(last < first + first / 4, "{first} bytes grew to {last}");
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
