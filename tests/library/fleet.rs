//! A fleet's folder and the model of a station: SCHEME's words in plain
//! collections, with nothing in common with the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use hintdex::wire::HintScheme;
use hintdex::{DeviceRange, Durability, Params, Station, StationOptions};
use hintdex_tests::Random;
use tempfile::TempDir;

/// The master secret of every fleet here.
pub const SECRET: [u8; 32] = *b"a secret that all tests may know";

/// The last nonce a counter reaches.
pub const LAST_NONCE: u64 = 0xffff_ffff;

/// A folder with a fleet, opened.
pub struct Fleet {
    folder: TempDir,
    station: Option<Station>,
}

impl Fleet {
    /// Makes a fleet without devices.
    pub fn create(scheme: HintScheme, lookahead: u32, random: &mut Random) -> Self {
        Self::create_with(scheme, lookahead, &options(random))
    }

    /// The same, run in a given way.
    pub fn create_with(scheme: HintScheme, lookahead: u32, options: &StationOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("the.key");
        std::fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
        let params = Params::counters(scheme, lookahead);
        let dir = folder.path().join("fleet");
        let station = Station::create(&dir, Some(&key), params, options);
        Self { folder, station: Some(station.expect("it can be made")) }
    }

    /// The folder.
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("fleet")
    }

    /// The station.
    pub fn station(&self) -> &Station {
        self.station.as_ref().expect("it is open")
    }

    /// Closes it.
    pub fn close(&mut self) {
        self.station = None;
    }

    /// Closes it and opens it again, run differently, at times without the
    /// snapshot that it may have leaned on.
    pub fn reopen(&mut self, random: &mut Random) {
        self.close();
        let is_lost = random.chance(20);
        if is_lost {
            let _ = std::fs::remove_file(self.dir().join("snapshot.hdx"));
        }
        let station = Station::open(&self.dir(), &options(random)).expect("it opens");
        if is_lost {
            // Until the next snapshot is there, its hints are scanned for.
            station.roll(None).expect("it rolls");
        }
        self.station = Some(station);
    }
}

fn options(random: &mut Random) -> StationOptions {
    let durability = if random.chance(20) { Durability::Sync } else { Durability::ProcessCrash };
    StationOptions {
        memory_bytes: [1 << 20, 4 << 20, 64 << 20][random.place(3)],
        durability,
        roll_in_background: random.chance(50),
        snapshot_at_roll: random.chance(50),
        lean: random.chance(50),
        scan_core_share: f64::INFINITY,
        refill: true,
        ..StationOptions::default()
    }
}

/// What is to be said of a nonce.
pub enum Judge {
    Fresh,
    Replay,
    Stale,
}

#[derive(Clone, Default)]
struct Device {
    retired: bool,
    highest: Option<u64>,
    accepted: BTreeSet<u64>,
}

impl Device {
    fn next(&self) -> u64 {
        self.highest.map_or(0, |highest| highest + 1)
    }
}

/// What a station must do.
pub struct Model {
    lookahead: u64,
    devices: BTreeMap<u32, Device>,
    ids: Vec<u32>,
    /// The next nonces of devices that were heard in this batch, as they were before it.
    before_batch: BTreeMap<u32, u64>,
}

impl Model {
    pub fn new(lookahead: u32) -> Self {
        Self {
            lookahead: lookahead.into(),
            devices: BTreeMap::new(),
            ids: Vec::new(),
            before_batch: BTreeMap::new(),
        }
    }

    /// Adds all devices of the ranges, or none; whether it did.
    pub fn add(&mut self, ranges: &[DeviceRange]) -> bool {
        let mut new = BTreeSet::new();
        for range in ranges {
            for offset in 0..range.count {
                let Some(id) = range.first.0.checked_add(offset) else { return false };
                if self.devices.contains_key(&id) || !new.insert(id) {
                    return false;
                }
            }
        }
        self.ids.extend(&new);
        self.devices.extend(new.into_iter().map(|id| (id, Device::default())));
        true
    }

    pub fn retire(&mut self, id: u32) {
        self.devices.get_mut(&id).expect("it is there").retired = true;
    }

    /// One of its devices, retired ones included.
    pub fn any_id(&self, random: &mut Random) -> u32 {
        self.ids[random.place(self.ids.len())]
    }

    pub fn is_known(&self, id: u32) -> bool {
        self.devices.get(&id).is_some_and(|device| !device.retired)
    }

    /// The nonce above every accepted one.
    pub fn next(&self, id: u32) -> u64 {
        self.devices.get(&id).map_or(0, Device::next).min(LAST_NONCE)
    }

    pub fn begin_batch(&mut self) {
        self.before_batch.clear();
    }

    /// Whether the hint of this nonce was live when the batch began.
    pub fn was_live(&self, id: u32, nonce: u64) -> bool {
        let now = self.devices.get(&id).map_or(0, Device::next);
        let next = self.before_batch.get(&id).copied().unwrap_or(now);
        (next..next + self.lookahead).contains(&nonce)
    }

    /// Judges a nonce by SCHEME, section 5, and takes it if it is fresh.
    pub fn judge_and_take(&mut self, id: u32, nonce: u64) -> Judge {
        let device = self.devices.get_mut(&id).expect("it is known");
        let before = device.next();
        self.before_batch.entry(id).or_insert(before);
        if device.highest.is_some_and(|highest| nonce + 64 <= highest) {
            return Judge::Stale;
        }
        if !device.accepted.insert(nonce) {
            return Judge::Replay;
        }
        let highest = device.highest.map_or(nonce, |highest| highest.max(nonce));
        device.highest = Some(highest);
        device.accepted = device.accepted.split_off(&highest.saturating_sub(64));
        Judge::Fresh
    }

    pub fn slots(&self) -> u64 {
        self.devices.len() as u64
    }

    pub fn retired(&self) -> u64 {
        self.devices.values().filter(|device| device.retired).count() as u64
    }

    /// The hints of every device that is not retired: its next nonces, as far as there are any.
    pub fn live_hints(&self) -> u64 {
        let live = self.devices.values().filter(|device| !device.retired);
        live.map(|device| self.lookahead.min(LAST_NONCE + 1 - device.next())).sum()
    }
}
