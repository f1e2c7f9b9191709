//! A fleet of which every run has a fresh copy, and what is said of a capture in one run.

use std::sync::{Arc, OnceLock};

use hintdex::ManualClock;
use hintdex::snapshot::Dial;
use hintdex::wire::{DeviceId, HintScheme, NonceKind, Suite};
use hintdex::{
    DeviceRange, Durability, Params, RebuildOptions, Received, Station, StationOptions, Verdict,
};
use hintdex_tests::{Random, files};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tempfile::TempDir;

use crate::fleet::SECRET;

/// When captures begin, where nonces tell time: at midnight, 2026-11-23.
pub const START: u64 = 1_795_392_000;
/// How long before that the fleet was made.
const MADE_BEFORE_S: u64 = 7200;

/// What a fleet is like.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub scheme: HintScheme,
    pub suite: Suite,
    pub nonces: NonceKind,
    pub lookahead: u32,
    pub devices: u32,
    /// The tries of a snapshot that is attached, if one is.
    pub tries: Option<u32>,
}

/// A packet of a capture.
#[derive(Clone, Debug)]
pub struct Packet {
    pub bytes: Vec<u8>,
    pub at_unix_s: u64,
    pub what: What,
}

/// What a packet is, for the eyes of whoever reads a failure, and for what may never be
/// said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// As a device of the fleet sent it, however often and late.
    Authentic { device: u32, nonce: u64 },
    /// A bit of it was turned.
    Damaged { device: u32, nonce: u64, bit: usize },
    /// Nobody of the fleet sent it.
    Foreign(&'static str),
}

/// A verdict without the one thing that a split may change: who knew.
pub type Said = (&'static str, Option<(u32, u64)>, Vec<u8>);

/// How a capture is cut into batches, and on how many threads they are decoded.
#[derive(Clone, Debug)]
pub struct Split {
    /// By packet, the number of its batch.
    pub batches: Vec<usize>,
    pub threads: usize,
}

impl Split {
    /// Each packet alone.
    pub fn singly(packets: usize) -> Self {
        Self { batches: (0..packets).collect(), threads: 1 }
    }

    /// All packets together.
    pub fn together(packets: usize, threads: usize) -> Self {
        Self { batches: vec![0; packets], threads }
    }

    /// Batches of up to `most` packets.
    pub fn random(packets: usize, most: usize, threads: usize, random: &mut Random) -> Self {
        let mut batches = Vec::new();
        for batch in 0.. {
            if batches.len() >= packets {
                break;
            }
            let len = (1 + random.place(most)).min(packets - batches.len());
            batches.extend(std::iter::repeat_n(batch, len));
        }
        Self { batches, threads }
    }
}

/// A closed fleet that was provisioned and has heard nothing.
pub struct Fleet {
    folder: TempDir,
    pub setting: Setting,
}

pub fn options(rolls: bool) -> StationOptions {
    StationOptions {
        memory_bytes: 8 << 20,
        durability: Durability::ProcessCrash,
        roll_in_background: rolls,
        scan_core_share: f64::INFINITY,
        ..StationOptions::default()
    }
}

impl Fleet {
    pub fn new(setting: Setting) -> Self {
        let key = hex::encode(SECRET);
        Self::under(&key, setting)
    }

    /// A fleet under a master key of 64 hex digits.
    pub fn under(master_key: &str, setting: Setting) -> Self {
        let Setting { scheme, suite, nonces, lookahead, devices, tries } = setting;
        let folder = files::folder_in_memory();
        let key = folder.path().join("the.key");
        std::fs::write(&key, master_key).expect("a file can be written");
        let params = Params { nonces, suite, ..Params::counters(scheme, lookahead) };
        let clock = Arc::new(ManualClock::new(START - MADE_BEFORE_S));
        let dir = folder.path().join("fleet");
        // A chain of four such lookaheads takes more memory than a fleet of a test may.
        let options = StationOptions { lean: lookahead < 1 << 12, ..options(false) };
        let station = Station::create_with(&dir, Some(&key), params, &options, clock.clone());
        let station = station.expect("it can be made");
        station.provision(&[DeviceRange::new(DeviceId(0), devices)], None).expect("ids are free");
        if let Some(tries) = tries {
            clock.set(START);
            let options = RebuildOptions { dial: Dial::Tries(tries), ..RebuildOptions::default() };
            let path = folder.path().join("attached.hdx");
            station.rebuild(&path, &options, None).expect("it can be built");
        }
        Self { folder, setting }
    }

    /// A station of a fresh copy of the fleet, and the copy. It opens before the capture begins.
    pub fn copy(&self, options: &StationOptions, clock: &Arc<ManualClock>) -> (Station, TempDir) {
        let copy = files::folder_in_memory();
        let dir = copy.path().join("fleet");
        files::copy_folder(&self.folder.path().join("fleet"), &dir);
        clock.set(START - MADE_BEFORE_S);
        let station = Station::open_with(&dir, options, clock.clone()).expect("it opens");
        if self.setting.tries.is_some() {
            clock.set(START);
            let attached = station.attach(&self.folder.path().join("attached.hdx"));
            attached.expect("it is this fleet's");
        }
        (station, copy)
    }

    /// What is said of each packet by a fresh copy of the fleet.
    pub fn said(&self, packets: &[Packet], split: &Split) -> Vec<Said> {
        let rolls = split.threads == 2 && !self.setting.nonces.is_clocked();
        let clock = Arc::new(ManualClock::new(START - MADE_BEFORE_S));
        let (station, _copy) = self.copy(&options(rolls), &clock);
        let mut said = Vec::new();
        let mut rolled_s = 0;
        let mut now_s = 0;
        for batch in split.batches.chunk_by(|a, b| a == b) {
            let packets = &packets[said.len()..said.len() + batch.len()];
            let last_s = packets.iter().map(|packet| packet.at_unix_s).max().unwrap_or(0);
            now_s = last_s.max(now_s);
            clock.set(now_s);
            // What a thread of the station does else, at the same moments in every run.
            if self.setting.nonces.is_clocked() && now_s / 600 != rolled_s {
                station.roll(None).expect("windows can be built");
                rolled_s = now_s / 600;
            }
            let received: Vec<Received<'_>> = packets
                .iter()
                .map(|packet| Received {
                    packet: &packet.bytes,
                    at_unix_s: packet.at_unix_s,
                    at_ms: 0,
                    associated_data: None,
                    context: &[],
                })
                .collect();
            let decode = || station.decode_received(&received).expect("it decodes");
            let verdicts = pool(split.threads).install(decode);
            assert_eq!(verdicts.len(), packets.len());
            said.extend(verdicts.into_iter().map(judgement));
        }
        said
    }
}

pub fn judgement(verdict: Verdict) -> Said {
    let name = verdict.name();
    match verdict {
        Verdict::Accepted { device, nonce, payload, .. } => {
            (name, Some((device.0, nonce)), payload)
        }
        Verdict::Replay { device, nonce, .. }
        | Verdict::Stale { device, nonce, .. }
        | Verdict::Early { device, nonce, .. } => (name, Some((device.0, nonce)), Vec::new()),
        _ => (name, None, Vec::new()),
    }
}

/// Threads of rayon's, few and many, made once.
pub fn pool(threads: usize) -> &'static ThreadPool {
    static POOLS: OnceLock<Vec<ThreadPool>> = OnceLock::new();
    let make = |threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let pools = POOLS.get_or_init(|| (0..=5).map(|threads| make(threads.max(1))).collect());
    &pools[threads]
}

/// What may never be said of a packet: that one which a device sent is forged, that one
/// which was damaged is authentic, or that it is of somebody else.
pub fn absurd(packet: &Packet, said: &Said) -> bool {
    match packet.what {
        What::Authentic { device, nonce } => {
            said.0 == "forged"
                || said.0 == "malformed"
                || said.1.is_some_and(|of| of != (device, nonce))
        }
        What::Damaged { .. } | What::Foreign(_) => said.1.is_some(),
    }
}

/// The place of the first packet of which something else is said in a split.
pub fn differs(fleet: &Fleet, packets: &[Packet], split: &Split) -> Option<(usize, Said, Said)> {
    let singly = fleet.said(packets, &Split::singly(packets.len()));
    let now = fleet.said(packets, split);
    let place = singly.iter().zip(&now).position(|(singly, now)| singly != now)?;
    Some((place, singly[place].clone(), now[place].clone()))
}

/// How often a capture is tried with fewer packets, to show what is wrong with it.
const MOST_TRIALS: usize = 120;

/// A part of a capture, with its split, for which something is wrong still.
pub fn smallest(
    packets: &[Packet],
    split: &Split,
    is_wrong: impl Fn(&[Packet], &Split) -> bool,
) -> (Vec<Packet>, Split) {
    let mut kept: Vec<usize> = (0..packets.len()).collect();
    let part = |kept: &[usize]| {
        let packets = kept.iter().map(|place| packets[*place].clone()).collect::<Vec<_>>();
        let batches = kept.iter().map(|place| split.batches[*place]).collect();
        (packets, Split { batches, threads: split.threads })
    };
    let (mut trials, mut len) = (0, kept.len().div_ceil(2));
    while len > 0 && trials < MOST_TRIALS {
        let (mut first, before) = (0, kept.len());
        while first < kept.len() && trials < MOST_TRIALS {
            let mut fewer = kept.clone();
            fewer.drain(first..kept.len().min(first + len));
            let (packets, split) = part(&fewer);
            trials += 1;
            if is_wrong(&packets, &split) { kept = fewer } else { first += len }
        }
        if len > 1 || kept.len() == before {
            len /= 2;
        }
    }
    part(&kept)
}
