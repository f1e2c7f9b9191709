//! The life of a fleet against a plain model: keys are rotated, replaced, imported anew, retired
//! and revoked, graces pass, stations roll and are opened again.

use std::collections::BTreeMap;
use std::sync::Arc;

use hintdex::wire::{DeviceId, HintKey, HintScheme, KeyId};
use hintdex::{
    Clock, DeviceRange, KeyStatus, ManualClock, Params, Station, StationOptions, Verdict,
};
use hintdex_tests::devices::{later_own_keys, packet_by};
use hintdex_tests::{Devices, Random};
use tempfile::TempDir;

use crate::fleet::{Judge, SECRET};

pub const STARTED_UNIX_S: u64 = 1_764_000_000;

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

pub struct World {
    _folder: TempDir,
    pub dir: std::path::PathBuf,
    pub station: Option<Station>,
    pub clock: Arc<ManualClock>,
    pub air: Devices,
    /// By device, its keys by generation.
    model: BTreeMap<u32, Vec<Key>>,
    random: Random,
    accepted: u64,
    dropped: u64,
}

impl World {
    pub fn create(devices: u32, seed: u64) -> Self {
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

    pub fn station(&self) -> &Station {
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

    pub fn reopen(&mut self) {
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
