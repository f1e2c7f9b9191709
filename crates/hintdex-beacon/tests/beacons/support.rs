//! Beacons whose true clocks are known, and a folder that resolves them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hintdex_beacon::wire::beacon::eddystone::{EidCipher, RotationExponent};
use hintdex_beacon::wire::{DeviceId, HintKey};
use hintdex_beacon::{
    Answer, Changes, Event, Identification, Identifier, ManualClock, Options, Registration,
    Resolver, Rule, Sighting, Source,
};
use hintdex_host::SplitMix64;
use tempfile::TempDir;

/// A time at which nothing in particular begins.
pub const NOW: u64 = 1_764_000_123;

/// Pseudo-random beacons and times.
pub struct Random(SplitMix64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    pub const fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn key(&mut self) -> HintKey {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next().to_le_bytes());
        bytes[8..].copy_from_slice(&self.next().to_le_bytes());
        HintKey::from_bytes(bytes)
    }
}

/// A beacon in the field.
#[derive(Clone)]
pub struct Beacon {
    pub device: DeviceId,
    pub key: HintKey,
    pub k: RotationExponent,
    /// When its clock read 0, in unix time.
    pub zero_unix_s: i64,
    /// How much faster its clock is than time.
    pub drift_ppm: i64,
}

impl Beacon {
    pub fn new(device: u32, k: u8, zero_unix_s: i64, random: &mut Random) -> Self {
        let k = RotationExponent::new(k).expect("0 to 15");
        Self { device: DeviceId(device), key: random.key(), k, zero_unix_s, drift_ppm: 0 }
    }

    /// What its clock shows, its 32 bits.
    pub fn clock_s(&self, unix_s: u64) -> u32 {
        let age_s = i64::try_from(unix_s).expect("a time") - self.zero_unix_s;
        let shown = age_s + age_s * self.drift_ppm / 1_000_000;
        u32::try_from(shown & 0xffff_ffff).expect("32 bits")
    }

    /// What is heard of it.
    pub fn sighting(&self, unix_s: u64) -> Sighting {
        let eid = EidCipher::new(&self.key, self.k).eid(self.clock_s(unix_s));
        Sighting { identifier: Identifier::Eid(eid), time_unix_s: unix_s }
    }

    pub fn registration(&self, measured_unix_s: u64) -> Registration {
        let clock_offset_s = self.zero_unix_s;
        let (k, is_randomized) = (self.k, false);
        let rule = Rule::EddystoneEid { k, clock_offset_s, measured_unix_s, is_randomized };
        Registration { device: self.device, key: self.key.clone(), rule }
    }
}

/// A folder that is removed when this goes, and its clock.
pub struct Station {
    pub folder: PathBuf,
    pub clock: Arc<ManualClock>,
    pub options: Options,
    _kept: TempDir,
}

impl Station {
    pub fn new(now_unix_s: u64) -> Self {
        let kept = tempfile::tempdir().expect("a folder");
        let folder = kept.path().join("beacons");
        let clock = Arc::new(ManualClock::new(now_unix_s));
        Self { folder, clock, options: Options::default(), _kept: kept }
    }

    pub fn register(&self, now_unix_s: u64, all: impl IntoIterator<Item = Registration>) {
        let mut changes = Changes::open(&self.folder, now_unix_s).expect("a folder");
        for registration in all {
            changes.add(&registration).expect("a beacon that can be registered");
        }
        changes.publish().expect("the disk has room");
    }

    pub fn open(&self) -> Resolver {
        let clock = Box::new(self.clock.clone());
        Resolver::open(&self.folder, self.options, clock).expect("a folder of beacons")
    }

    pub fn windows(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| name.starts_with("window-"))
            .collect();
        names.sort();
        names
    }
}

/// The answer to one sighting.
pub fn ask(resolver: &mut Resolver, sighting: Sighting) -> Answer {
    let mut answers = resolver.resolve_batch(&[sighting]).expect("answers");
    answers.pop().expect("one")
}

/// Who was found, and how.
pub fn who(answer: &Answer) -> Option<(u32, Source)> {
    answer.identification().map(|Identification { device, source, .. }| (device.0, *source))
}

pub fn flip_byte(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("a file");
    bytes[at] ^= 0x40;
    std::fs::write(path, bytes).expect("a file");
}

/// What was sent at one time, heard at another.
pub fn sent_and_heard(beacon: &Beacon, sent: u64, heard: u64) -> Sighting {
    Sighting { time_unix_s: heard, ..beacon.sighting(sent) }
}

/// The answer to a sighting, by a search if there is no other way.
pub fn ask_or_search(resolver: &mut Resolver, sighting: Sighting) -> Answer {
    match ask(resolver, sighting) {
        Answer::Unknown => resolver.search(&[sighting], Duration::from_secs(60)).answers.remove(0),
        answer => answer,
    }
}

/// Whether a clock moved, there or back.
pub fn is_moved(events: &[Event]) -> bool {
    events
        .iter()
        .any(|event| matches!(event, Event::ClockMoved { .. } | Event::ClockRestored { .. }))
}

/// Beacons of every exponent.
pub fn beacons(count: u32, seed: u64) -> Vec<Beacon> {
    let mut random = Random::new(seed);
    let k = |at: u32| u8::try_from(at % 16).expect("small");
    (0..count)
        .map(|at| Beacon::new(at, k(at), 1_750_000_000 + i64::from(at), &mut random))
        .collect()
}

/// A station where they are registered as they are.
pub fn station_of(beacons: &[Beacon]) -> Station {
    let station = Station::new(NOW);
    station.register(NOW, beacons.iter().map(|beacon| beacon.registration(NOW)));
    station
}
