//! Late windows and largest gaps against a plain model: which nonces of each device were accepted,
//! whatever the batches, the reopenings and the changes of settings between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use hintdex::ManualClock;
use hintdex::wire::{DeviceId, HintKey, HintScheme, KeyId, KeySource, MasterKey, Slot};
use hintdex_core::{
    Admission, Arrival, DeviceRange, DeviceSettings, Durability, LiveIndex, MaxGap, Options,
    Params, Rate,
};
use hintdex_tests::Random;
use tempfile::TempDir;

use crate::fleet::SECRET;

const STARTED_UNIX_S: u64 = 1_764_000_000;
const LOOKAHEAD: u32 = 6;
const DEVICES: u32 = 24;
/// The most packets of a device that wait for a second one.
const MAX_PENDING: usize = 4;

/// A device of the model.
#[derive(Clone, Debug, Default)]
struct Device {
    next: u64,
    accepted: BTreeSet<u64>,
    /// Nonces below were forgotten at some time, and may not be accepted any more.
    forgotten: u64,
    /// The late window at the last accepted packet.
    late: u64,
    pending: Vec<u64>,
    heard_s: u64,
}

impl Device {
    fn judge(&mut self, nonce: u64, set: &DeviceSettings, now_s: u64) -> Admission {
        let late = u64::from(set.late_nonces.unwrap_or(64));
        if nonce < self.next {
            let known = self.forgotten.max(self.next.saturating_sub(late.min(self.late)));
            if nonce < known {
                return Admission::Stale;
            }
            if self.accepted.contains(&nonce) {
                return Admission::Replay;
            }
        } else if let Some(MaxGap::Nonces { accepted, confirmed }) = set.max_gap {
            let sent = set.rate.map_or(0, |rate| {
                now_s.saturating_sub(self.heard_s) * u64::from(rate.packets) / u64::from(rate.per_s)
            });
            let gap = nonce - self.next;
            let agrees = |first: &u64| *first < nonce && nonce - *first <= u64::from(LOOKAHEAD);
            if gap > u64::from(confirmed) + sent {
                return Admission::PastMaxGap;
            }
            if gap > u64::from(accepted) + sent && !self.pending.iter().any(agrees) {
                if !self.pending.contains(&nonce) {
                    self.pending.push(nonce);
                    let surplus = self.pending.len().saturating_sub(MAX_PENDING);
                    self.pending.drain(..surplus);
                }
                return Admission::AwaitsSecond;
            }
        }
        self.forgotten = self.forgotten.max(self.next.saturating_sub(self.late));
        self.accepted.insert(nonce);
        self.next = self.next.max(nonce + 1);
        self.late = late;
        self.pending.retain(|waiting| *waiting >= self.next);
        self.heard_s = self.heard_s.max(now_s / 60 * 60);
        Admission::Accepted
    }
}

struct World {
    _folder: TempDir,
    path: PathBuf,
    index: Option<LiveIndex>,
    keys: Arc<MasterKey>,
    hint_keys: Vec<HintKey>,
    clock: Arc<ManualClock>,
    devices: Vec<Device>,
    fleet: DeviceSettings,
    own: BTreeMap<u32, DeviceSettings>,
    lates: Vec<u32>,
    memory_bytes: usize,
    now_s: u64,
    random: Random,
    counts: BTreeMap<String, u64>,
}

fn options(memory_bytes: usize) -> Options {
    Options { memory_bytes, durability: Durability::ProcessCrash, ..Options::default() }
}

impl World {
    fn create(lates: &[u32], memory_bytes: usize, seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("index");
        let keys = Arc::new(MasterKey::new(&SECRET));
        let clock = Arc::new(ManualClock::new(STARTED_UNIX_S));
        let params = Params::counters(HintScheme::Aes128, LOOKAHEAD);
        let index = LiveIndex::create_with(
            &path,
            keys.clone(),
            params,
            &options(memory_bytes),
            clock.clone(),
        );
        let index = index.expect("it can be made");
        index.provision(&[DeviceRange::new(DeviceId(0), DEVICES)], None).expect("free ids");
        let key = |device| keys.hint_key(KeyId::first(DeviceId(device))).expect("a key");
        let device = Device { heard_s: STARTED_UNIX_S, late: 64, ..Device::default() };
        Self {
            _folder: folder,
            path,
            index: Some(index),
            hint_keys: (0..DEVICES).map(key).collect(),
            keys,
            clock,
            devices: vec![device; DEVICES as usize],
            fleet: DeviceSettings::default(),
            own: BTreeMap::new(),
            lates: lates.to_vec(),
            memory_bytes,
            now_s: STARTED_UNIX_S,
            random: Random::new(seed),
            counts: BTreeMap::new(),
        }
    }

    fn index(&self) -> &LiveIndex {
        self.index.as_ref().expect("it is open")
    }

    fn reopen(&mut self) {
        self.index = None;
        let (keys, memory_bytes) = (self.keys.clone(), self.memory_bytes);
        let index =
            LiveIndex::open_with(&self.path, keys, &options(memory_bytes), self.clock.clone());
        self.index = Some(index.expect("it opens"));
        assert_eq!(self.index().fleet_settings(), self.fleet);
        for device in 0..DEVICES {
            let own = self.own.get(&device).copied().unwrap_or_default();
            assert_eq!(self.index().own_settings(DeviceId(device)), own);
        }
        assert_eq!(self.index().out_of_service(), []);
    }

    fn some_settings(&mut self) -> DeviceSettings {
        let late = self.lates[self.random.place(self.lates.len())];
        let accepted = self.random.below_u32(40);
        let limit = MaxGap::Nonces { accepted, confirmed: accepted + self.random.below_u32(400) };
        let gap = if self.random.chance(30) { MaxGap::Unlimited } else { limit };
        let rate =
            Rate { packets: self.random.below_u32(3), per_s: 100 + self.random.below_u32(900) };
        DeviceSettings {
            late_nonces: self.random.chance(60).then_some(late),
            max_gap: self.random.chance(60).then_some(gap),
            rate: self.random.chance(60).then_some(rate),
        }
    }

    fn set(&mut self) {
        let (settings, resets) = (self.some_settings(), self.random.chance(15));
        if self.random.chance(20) {
            if resets {
                self.index().reset_fleet_settings().expect("it can be written");
                self.fleet = DeviceSettings::default();
            } else {
                self.index().set_fleet_settings(&settings).expect("it can be written");
                self.fleet = self.fleet.over(&settings);
            }
            return;
        }
        let first = self.random.below_u32(DEVICES);
        let ids: Vec<u32> = (first..DEVICES.min(first + 5)).collect();
        let devices: Vec<DeviceId> = ids.iter().copied().map(DeviceId).collect();
        if resets {
            self.index().reset_devices(&devices).expect("they are there");
            self.own.retain(|id, _| !ids.contains(id));
        } else {
            self.index().set_devices(&devices, &settings).expect("they are there");
            for id in ids {
                let own = self.own.entry(id).or_default();
                *own = own.over(&settings);
            }
        }
    }

    /// A nonce that a device may send now: the next one, one that is late, or one ahead.
    fn some_nonce(&mut self, device: u32) -> u64 {
        let Device { next, pending, .. } = &self.devices[device as usize];
        let (next, waiting) = (*next, pending.last().copied());
        let late = u64::from(self.lates[self.random.place(self.lates.len())]);
        match self.random.below(20) {
            0..9 => next,
            9 => next.saturating_sub(1 + self.random.below(4)),
            10..13 => next.saturating_sub(1 + self.random.below(late + 100)),
            13 => next.saturating_sub(late).saturating_sub(1) + self.random.below(3),
            14 => next + self.random.below(70),
            15 | 16 => next + self.random.below(500),
            17 if self.random.chance(20) => next + self.random.below(late + 100),
            _ => waiting.map_or(next, |waiting| waiting + self.random.below(10)),
        }
    }

    fn send(&mut self, count: usize) {
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..count {
            self.now_s += self.random.below(20);
            let device = self.random.below_u32(DEVICES);
            let nonce = self.some_nonce(device);
            let own = self.own.get(&device).copied().unwrap_or_default();
            let settings = self.fleet.over(&own);
            let now_s = self.now_s;
            expected.push(self.devices[device as usize].judge(nonce, &settings, now_s));
            sent.push((device, nonce, now_s));
        }
        let arrivals: Vec<Arrival<'_>> = sent
            .iter()
            .map(|(device, nonce, now_s)| Arrival {
                slot: Slot(*device),
                key: KeyId::first(DeviceId(*device)),
                nonce: *nonce,
                hint_key: Some(&self.hint_keys[*device as usize]),
                received_unix_s: *now_s,
            })
            .collect();
        let mut admissions = Vec::new();
        let mut rest = arrivals.as_slice();
        while !rest.is_empty() {
            let at_once = (1 + self.random.place(rest.len())).min(rest.len());
            let (batch, later) = rest.split_at(at_once);
            admissions.extend(self.index().admit_batch(batch).expect("it can be written"));
            rest = later;
        }
        for (at, (got, expected)) in admissions.iter().zip(&expected).enumerate() {
            let (device, nonce, _) = sent[at];
            let known = &self.devices[device as usize];
            assert_eq!(got, expected, "packet {at}: device {device}, nonce {nonce}: {known:?}");
            *self.counts.entry(format!("{got:?}")).or_default() += 1;
        }
    }
}

fn run(lates: &[u32], steps: u32, seed: u64) {
    let mut world = World::create(lates, 1 << 20, seed);
    (0..12).for_each(|_| world.set());
    for step in 0..steps {
        match world.random.below(40) {
            0..6 => world.set(),
            6 => world.reopen(),
            7 if step % 7 == 0 => world.index().roll(None).expect("it rolls"),
            _ => world.send(400),
        }
    }
    world.reopen();
    world.send(2000);
    world.index().verify(None).expect("all holds");
    let least = u64::from(steps);
    for name in ["Accepted", "Replay", "Stale", "AwaitsSecond", "PastMaxGap"] {
        let count = world.counts.get(name).copied().unwrap_or(0);
        assert!(count > least, "{count} are {name}: {:?}", world.counts);
    }
}

#[test]
fn late_windows_and_gaps_equal_the_model() {
    for (seed, lates) in (0..).zip([&[64][..], &[128], &[1000], &[65_536], &[64, 128, 1000]]) {
        run(lates, 120, seed);
    }
}

#[test]
#[ignore = "takes minutes"]
fn long_lives_of_late_windows_equal_the_model() {
    for seed in 0..20 {
        run(&[64, 65, 128, 129, 1000, 65_536], 2000, 100 + seed);
    }
}

/// What a packet writes, in bytes of the log: with a late window about as much as without.
#[test]
fn a_late_window_costs_a_packet_few_bytes_and_other_devices_nothing() {
    let mut figures = Vec::new();
    for late in [64, 128, 65_536] {
        // Nothing is flushed, so the log has all that was written since the opening.
        let mut world = World::create(&[late], 64 << 20, 9);
        let plain = world.index().stats().expect("it can be asked").states_memory_bytes;
        let late_nonces = Some(late);
        let settings = DeviceSettings { late_nonces, ..DeviceSettings::default() };
        world.index().set_devices(&[DeviceId(0)], &settings).expect("it is there");
        world.own.insert(0, settings);
        let memory = |world: &World| {
            world.index().stats().expect("it can be asked").states_memory_bytes - plain
        };
        // A device that was not heard, or without the setting, takes nothing more.
        assert_eq!(memory(&world), 0);
        let log_bytes = |world: &World| {
            let stats = world.index().stats().expect("it can be asked");
            stats.section_bytes("log")
        };
        let admit = |world: &World, device: u32, nonces: &mut dyn Iterator<Item = u64>| {
            for nonce in nonces {
                let arrival = Arrival {
                    slot: Slot(device),
                    key: KeyId::first(DeviceId(device)),
                    nonce,
                    hint_key: Some(&world.hint_keys[device as usize]),
                    received_unix_s: STARTED_UNIX_S,
                };
                let admission = world.index().admit(&arrival).expect("it can be written");
                assert_eq!(admission, Admission::Accepted, "nonce {nonce}");
            }
        };
        admit(&world, 1, &mut (0..200));
        assert_eq!(memory(&world), 0);
        let first = log_bytes(&world);
        admit(&world, 1, &mut (200..2200));
        let without = log_bytes(&world) - first;
        admit(&world, 0, &mut (0..200));
        let first = log_bytes(&world);
        admit(&world, 0, &mut (200..2200));
        let in_order = log_bytes(&world) - first;
        let blocks = if late == 64 { 0 } else { u64::from(late).div_ceil(64) + 1 };
        assert!(memory(&world) >= 8 * blocks && memory(&world) <= 8 * blocks + 64);
        assert_eq!(memory(&world) == 0, late == 64);
        let mut late_ones = 0;
        if late == 65_536 {
            admit(&world, 0, &mut (2200..6300).step_by(2));
            let first = log_bytes(&world);
            admit(&world, 0, &mut (2201..6201).step_by(2));
            late_ones = log_bytes(&world) - first;
        }
        world.reopen();
        assert_eq!(memory(&world) == 0, late == 64);
        figures.push((late, without, in_order, late_ones));
        // 2,000 packets each; a late one writes its state and its block.
        assert!(in_order < without + 2000 * 4, "{figures:?}");
        assert!(late_ones < 2000 * 130, "{figures:?}");
    }
    println!("late window, bytes of the log in 2,000 packets without, in order, late: {figures:?}");
}
