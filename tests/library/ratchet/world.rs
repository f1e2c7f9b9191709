//! A fleet whose keys move on with the nonces, its devices, and a plain model of what the station
//! must say of each packet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use hintdex::wire::{Chain, DeviceId, HintScheme, KeyId, MasterKey, Nonce, RatchetBits, Sealer};
use hintdex::{DeviceRange, Durability, Params, Station, StationOptions, Verdict, WrapKey};
use hintdex_tests::Random;
use hintdex_tests::devices::payload;
use tempfile::TempDir;

use crate::fleet::SECRET;

/// How many epochs ahead of a device's next nonce a scan reaches (docs/guide/ratchet.md).
const EPOCHS_AHEAD: u64 = 256;

/// The replay window, in nonces.
const WINDOW: u64 = 64;

/// The kind of a fleet.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub scheme: HintScheme,
    pub bits: u8,
    pub lookahead: u32,
    /// Whether the devices bring chains of their own.
    pub is_given: bool,
    pub devices: u32,
    /// Distinguishes the given chains of a fleet from those of other tests.
    pub salt: u64,
}

/// What a device does, in percent of its packets.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    pub lost: u64,
    /// A packet that was received before, or one that was lost, comes.
    pub repeated: u64,
    /// Of a thousand packets, those before which the device was away for many epochs.
    pub leaps_per_mille: u64,
    pub leap_epochs: u64,
}

/// What is to be said of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Accepted,
    Replay,
    Stale,
    Unknown,
}

struct Device {
    /// Boxed: a map that moves its values leaves copies of them behind.
    sealer: Box<Sealer>,
    /// What it has sent, lost packets included.
    sent: VecDeque<(Nonce, Vec<u8>)>,
    /// What the station knows.
    next: Nonce,
    accepted: BTreeSet<Nonce>,
}

/// A fleet, its devices and the model.
pub struct World {
    pub kind: Kind,
    folder: TempDir,
    station: Option<Station>,
    devices: BTreeMap<u32, Device>,
    /// Packets of accepted nonces, and of all verdicts.
    pub counts: BTreeMap<&'static str, u64>,
}

/// The first chain of a device that brings its own.
pub fn own_chain(kind: &Kind, device: u32) -> [u8; 32] {
    let bytes = Random::new(u64::from(device) | kind.salt << 32).bytes(32);
    bytes.try_into().expect("32 bytes")
}

pub fn first_chain(kind: &Kind, device: u32) -> Chain {
    match kind.is_given {
        true => Chain::copy_of(0, &own_chain(kind, device)),
        false => MasterKey::new(&SECRET).first_chain(KeyId::first(DeviceId(device))),
    }
}

pub fn options() -> StationOptions {
    let (durability, scan_core_share) = (Durability::ProcessCrash, f64::INFINITY);
    StationOptions { durability, scan_core_share, ..StationOptions::default() }
}

pub fn params(kind: &Kind) -> Params {
    let ratchet = RatchetBits::new(kind.bits);
    Params { ratchet, ..Params::counters(kind.scheme, kind.lookahead) }
}

impl World {
    pub fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("the.key");
        std::fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
        let dir = folder.path().join("fleet");
        let station = Station::create(&dir, Some(&key), params(&kind), &options());
        let station = station.expect("it can be created");
        std::fs::remove_file(&key).expect("it was written");
        if kind.is_given {
            let mut import = station.import_keys().expect("no other import");
            for device in 0..kind.devices {
                import
                    .add_chain(DeviceId(device), &own_chain(&kind, device))
                    .expect("a new device");
            }
            import.provision(None).expect("new devices");
        } else {
            let range = DeviceRange::new(DeviceId(0), kind.devices);
            station.provision(&[range], None).expect("new devices");
        }
        let bits = RatchetBits::new(kind.bits).expect("1 to 24");
        let device = |id| {
            let sealer = Sealer::ratcheted(kind.scheme, bits, first_chain(&kind, id), 0);
            let sealer = Box::new(sealer.expect("for counters"));
            let (sent, accepted) = (VecDeque::new(), BTreeSet::new());
            (id, Device { sealer, sent, next: 0, accepted })
        };
        let devices = (0..kind.devices).map(device).collect();
        Self { kind, folder, station: Some(station), devices, counts: BTreeMap::new() }
    }

    /// A fleet whose devices have sent so many packets each, all of them accepted: their states
    /// come from another fleet.
    pub fn starting_at(kind: Kind, next_of: impl Fn(u32) -> Nonce) -> Self {
        let mut world = Self::new(kind);
        let wrap = WrapKey::new(&[3; 32]);
        let mut states = world.station().export(Some(&wrap)).expect("it is sound");
        for state in &mut states {
            state.state.next_nonce = next_of(state.state.key.device.0);
            state.state.seen = u64::MAX;
        }
        world.close();
        let dir = world.dir();
        let key = world.folder.path().join("the.key");
        std::fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
        std::fs::remove_dir_all(&dir).expect("it is closed");
        let station = Station::create(&dir, Some(&key), params(&kind), &options());
        let station = station.expect("it can be created");
        station.import(&states, Some(&wrap), None).expect("sound states");
        world.station = Some(station);
        let bits = RatchetBits::new(kind.bits).expect("1 to 24");
        for (id, device) in &mut world.devices {
            let next = next_of(*id);
            let sealer = Sealer::ratcheted(kind.scheme, bits, first_chain(&kind, *id), next);
            *device.sealer = sealer.expect("for counters");
            device.next = next;
            device.accepted = (next.saturating_sub(WINDOW)..next).collect();
        }
        world
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("fleet")
    }

    pub fn station(&self) -> &Station {
        self.station.as_ref().expect("it is open")
    }

    pub fn close(&mut self) {
        self.station = None;
    }

    /// Replaces the fleet by one that is restored from a backup of it.
    pub fn restore(&mut self) {
        let [dir, backup] = ["fleet", "backup"].map(|name| self.folder.path().join(name));
        let key = Some(hintdex::Protection::File);
        let options_of_backup = hintdex::BackupOptions { base: None, key };
        self.station().backup(&backup, &options_of_backup, None).expect("it is written");
        self.station = None;
        std::fs::remove_dir_all(&dir).expect("it is there");
        Station::restore(&backup, &dir, None).expect("it restores");
        std::fs::remove_dir_all(&backup).expect("it is there");
        let station = Station::open(&dir, &options()).expect("it opens");
        assert_eq!(station.out_of_service(), []);
        self.station = Some(station);
    }

    pub fn reopen(&mut self) {
        self.close();
        self.station = Some(Station::open(&self.dir(), &options()).expect("it opens"));
    }

    /// The next packet that reaches the station of some device, with the device and its nonce.
    pub fn packet(
        &mut self,
        device: u32,
        traffic: &Traffic,
        random: &mut Random,
    ) -> Option<(u32, Nonce, Vec<u8>)> {
        let bits = self.kind.bits;
        let state = self.devices.get_mut(&device).expect("a device");
        if random.chance(traffic.repeated) && !state.sent.is_empty() {
            let (nonce, packet) = state.sent[random.place(state.sent.len())].clone();
            return Some((device, nonce, packet));
        }
        let mut nonce = state.sealer.next_nonce();
        if random.below(1000) < traffic.leaps_per_mille {
            nonce += (1 + random.below(traffic.leap_epochs)) << bits;
            if random.chance(30) {
                // To the edge of the last epoch that a scan reaches, or of the one behind it.
                let edge = (state.next + (EPOCHS_AHEAD << bits) - 1) >> bits << bits;
                let of_edge = [0, (1 << bits) - 1, 1 << bits][random.place(3)];
                nonce = state.sealer.next_nonce().max(edge + of_edge);
            }
        }
        let text = payload(device, nonce);
        let mut packet = vec![0; state.sealer.packet_len_bytes(text.len())];
        state.sealer.seal_at(nonce, &text, &mut packet).expect("counters do not end");
        state.sent.push_back((nonce, packet.clone()));
        if state.sent.len() > 100 {
            state.sent.pop_front();
        }
        (!random.chance(traffic.lost)).then_some((device, nonce, packet))
    }

    /// The packet of a device after it was away for so many epochs.
    pub fn packet_after_leap(&mut self, device: u32, epochs: u64) -> Vec<u8> {
        let state = self.devices.get_mut(&device).expect("a device");
        let nonce = state.sealer.next_nonce() + (epochs << self.kind.bits);
        let text = payload(device, nonce);
        let mut packet = vec![0; state.sealer.packet_len_bytes(text.len())];
        state.sealer.seal_at(nonce, &text, &mut packet).expect("counters do not end");
        packet
    }

    /// What the station must say of a packet at its turn.
    pub fn judge(&mut self, device: u32, nonce: Nonce) -> Expected {
        let bits = self.kind.bits;
        let state = self.devices.get_mut(&device).expect("a device");
        let oldest = state.next.saturating_sub(WINDOW);
        let first = oldest >> bits;
        let reach = (EPOCHS_AHEAD << bits).max(self.kind.lookahead.into());
        let last = (state.next + reach - 1) >> bits;
        if !(first..=last).contains(&(nonce >> bits)) {
            return Expected::Unknown;
        }
        if nonce < oldest {
            return Expected::Stale;
        }
        if !state.accepted.insert(nonce) {
            return Expected::Replay;
        }
        state.next = state.next.max(nonce + 1);
        state.accepted = state.accepted.split_off(&state.next.saturating_sub(WINDOW));
        Expected::Accepted
    }

    /// Decodes packets as one batch and compares each verdict with the model.
    pub fn decode(&mut self, batch: &[(u32, Nonce, Vec<u8>)]) {
        let packets: Vec<&[u8]> = batch.iter().map(|(_, _, packet)| packet.as_slice()).collect();
        let verdicts = self.station().decode_batch(&packets).expect("it decodes");
        for (at, ((device, nonce, _), verdict)) in batch.iter().zip(verdicts).enumerate() {
            let expected = self.judge(*device, *nonce);
            let is_right = match (&verdict, expected) {
                (
                    Verdict::Accepted { device: id, nonce: at, payload: text, .. },
                    Expected::Accepted,
                ) => (id.0, at) == (*device, nonce) && *text == payload(*device, *nonce),
                (Verdict::Replay { device: id, nonce: at, .. }, Expected::Replay)
                | (Verdict::Stale { device: id, nonce: at, .. }, Expected::Stale) => {
                    (id.0, at) == (*device, nonce)
                }
                (Verdict::Unknown(_), Expected::Unknown) => true,
                _ => false,
            };
            assert!(
                is_right,
                "packet {at} of {device} #{nonce}: {verdict:?}, not {expected:?} ({:?})",
                self.kind
            );
            *self.counts.entry(verdict.name()).or_default() += 1;
        }
    }

    /// Decodes so many packets of random devices in batches.
    pub fn run(
        &mut self,
        packets: usize,
        most_in_batch: usize,
        traffic: &Traffic,
        random: &mut Random,
    ) {
        let mut left = packets;
        while left > 0 {
            let size = (1 + random.place(most_in_batch)).min(left);
            left -= size;
            let mut batch = Vec::with_capacity(size);
            while batch.len() < size {
                let device = random.below_u32(self.kind.devices);
                // A device often sends several packets of a batch.
                for _ in 0..1 + random.place(4) {
                    batch.extend(self.packet(device, traffic, random));
                }
            }
            self.decode(&batch);
        }
    }
}
