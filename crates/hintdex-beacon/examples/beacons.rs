//! What a million beacons cost: building a window, resolving what is heard, memory.
//!
//! ```text
//! cargo run --release -p hintdex-beacon --example beacons
//! ```
//!
//! Needs no RocksDB. One thread resolves, and its CPU time is what counts. Beacons have
//! clocks that drift by up to 150 ppm since they were measured a day ago, rotation
//! exponents evenly from `--least-k` to 15; some of what is heard is of nobody.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hintdex_beacon::wire::beacon::eddystone::{EidCipher, RotationExponent};
use hintdex_beacon::wire::{DeviceId, HintKey};
use hintdex_beacon::{
    Changes, Identifier, ManualClock, Options, Registration, Resolver, Rule, Sighting,
};
use hintdex_host::SplitMix64;
use rustix::time::{ClockId, clock_gettime};

const NOW: u64 = 1_764_000_000;
const DAY_S: u64 = 86_400;
const BATCH: usize = 8192;
/// Beacons that are searched through.
const SEARCHED: u32 = 10_000;

/// What many beacons cost.
#[derive(Debug, Parser)]
struct Args {
    /// Registered beacons
    #[arg(long, default_value_t = 1_000_000)]
    beacons: u32,
    /// Sightings to resolve
    #[arg(long, default_value_t = 2_000_000)]
    sightings: usize,
    /// The shortest rotations: 2^k seconds
    #[arg(long, default_value_t = 4)]
    least_k: u8,
    /// Identifiers begin at a random point of their rotation
    #[arg(long)]
    randomized: bool,
    /// How many of a hundred sightings are of nobody
    #[arg(long, default_value_t = 20)]
    foreign_percent: u64,
    /// Identifiers computed a lookup
    #[arg(long, default_value_t = 9)]
    evaluations: u32,
    #[arg(long, default_value_t = 0x68_696e_7464_6578)]
    seed: u64,
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let args = Args::parse();
    // What is measured is one core's work.
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("beacons");
    println!(
        "{} beacons, k {} to 15, {} % foreign, evaluations {}, seed {:#x}; {}\n",
        args.beacons,
        args.least_k,
        args.foreign_percent,
        args.evaluations,
        args.seed,
        machine()
    );
    let is_randomized = args.randomized;
    let fleet = Fleet { seed: args.seed, least_k: args.least_k, is_randomized };

    let took = measure(|| fleet.register(&path, args.beacons))?;
    row("register, durably", &format!("{:.2} s CPU", took.as_secs_f64()));
    let options = Options { evaluations: args.evaluations, ..Options::default() };
    let clock = Arc::new(ManualClock::new(NOW));
    let mut opened = None;
    let took = measure(|| {
        opened = Some(Resolver::open(&path, options, Box::new(clock))?);
        Ok(())
    })?;
    row("open", &format!("{:.2} s CPU", took.as_secs_f64()));
    let mut resolver = opened.ok_or("not opened")?;
    let took = measure(|| Ok(resolver.advance()?))?;
    let stats = resolver.stats();
    let window = stats.windows.first().ok_or("no window")?;
    row(
        "build the window of an hour, and what is sent at first",
        &format!("{:.1} s CPU", took.as_secs_f64()),
    );
    let each = |bytes: u64| bytes as f64 / f64::from(args.beacons);
    row("identifiers in the window", &format!("{}", window.identifiers));
    row("bytes an identifier", &format!("{:.3}", window.bytes as f64 / window.identifiers as f64));
    row("bytes a beacon and window hour", &format!("{:.1}", each(window.bytes)));
    row("bytes a beacon of what is sent at first", &format!("{:.1}", each(stats.epoch_bytes)));
    row("bytes a beacon in memory beside these", &format!("{:.1}", each(stats.memory_bytes)));
    resolve(&mut resolver, &fleet, &args)?;
    search(&folder.path().join("searched"), &fleet)?;
    row("resident, MiB", &format!("{:.0}", resident_mib()));
    let took = measure(|| Ok(resolver.close()?))?;
    row("save what was learned", &format!("{:.2} s CPU", took.as_secs_f64()));
    Ok(())
}

/// Resolves sightings in batches, and checks every answer.
fn resolve(resolver: &mut Resolver, fleet: &Fleet, args: &Args) -> Outcome {
    let mut random = SplitMix64::new(args.seed ^ 1);
    // Once around, so that the first arm does not pay for touching the pages.
    let arms = [
        ("untimed", args.foreign_percent),
        ("mixed", args.foreign_percent),
        ("known beacons alone", 0),
        ("foreign ones alone", 100),
    ];
    for (name, percent) in &arms {
        let (mut took, mut slowest) = (Duration::ZERO, Duration::ZERO);
        let (mut done, mut right) = (0, 0);
        while done < args.sightings {
            let heard: Vec<_> = (0..BATCH)
                .map(|_| {
                    if random.next_u64() % 100 < *percent {
                        let identifier = Identifier::Eid(random.next_u64().to_be_bytes());
                        return (None, Sighting { identifier, time_unix_s: NOW });
                    }
                    let device = random.below_u32(args.beacons);
                    let at = NOW + u64::from(random.below_u32(3600));
                    (Some(DeviceId(device)), fleet.sighting(device, at))
                })
                .collect();
            let sightings: Vec<_> = heard.iter().map(|(_, sighting)| *sighting).collect();
            let mut answers = Vec::new();
            let batch = measure(|| {
                answers = resolver.resolve_batch(&sightings)?;
                Ok(())
            })?;
            (took, slowest) = (took + batch, slowest.max(batch));
            for ((device, _), answer) in heard.iter().zip(&answers) {
                right += usize::from(answer.identification().map(|found| found.device) == *device);
            }
            done += BATCH;
        }
        if *name != "untimed" {
            let rate = done as f64 / took.as_secs_f64();
            let each_us = took.as_secs_f64() * 1e6 / done as f64;
            let slowest = slowest.as_secs_f64() * 1e6 / BATCH as f64;
            row(
                &format!("{name}, {done} sightings, {right} answered rightly"),
                &format!(
                    "{rate:.0} a second and core, {each_us:.2} µs each, {slowest:.2} in the slowest batch"
                ),
            );
        }
        if right < done {
            return Err(format!("{} answers are wrong", done - right).into());
        }
    }
    Ok(())
}

/// Searches through all of a smaller fleet for one identifier of nobody.
fn search(path: &std::path::Path, fleet: &Fleet) -> Outcome {
    fleet.register(path, SEARCHED)?;
    let clock = Box::new(Arc::new(ManualClock::new(NOW)));
    let mut resolver = Resolver::open(path, Options::default(), clock)?;
    let foreign = Sighting { identifier: Identifier::Eid([1; 8]), time_unix_s: NOW };
    let took = measure(|| {
        let searched = resolver.search(&[foreign], Duration::from_secs(600));
        if searched.is_complete { Ok(()) } else { Err("the search took too long".into()) }
    })?;
    let rate = f64::from(SEARCHED) / took.as_secs_f64();
    row(
        "a search of a week either way and on from 0, for any number of identifiers",
        &format!("{rate:.0} beacons a second"),
    );
    Ok(())
}

/// Beacons that are made again when they are needed.
struct Fleet {
    seed: u64,
    least_k: u8,
    is_randomized: bool,
}

impl Fleet {
    /// Key, exponent, offset and drift of a beacon.
    fn beacon(&self, device: u32) -> (HintKey, RotationExponent, i64, i64) {
        let mut random = SplitMix64::at(self.seed, u64::from(device) << 8);
        let mut key = [0; 16];
        random.fill(&mut key);
        let exponents = u32::from(16 - self.least_k.min(15));
        let k = self.least_k.min(15) + u8::try_from(random.below_u32(exponents)).unwrap_or(0);
        let offset = 1_600_000_000 + i64::from(random.below_u32(150_000_000));
        let drift_ppm = i64::from(random.below_u32(301)) - 150;
        let k = RotationExponent::new(k).unwrap_or(RotationExponent::MAX);
        (HintKey::from_bytes(key), k, offset, drift_ppm)
    }

    fn register(&self, path: &std::path::Path, beacons: u32) -> Outcome {
        let mut changes = Changes::open(path, NOW)?;
        for device in 0..beacons {
            let (key, k, clock_offset_s, _) = self.beacon(device);
            let (measured_unix_s, is_randomized) = (NOW - DAY_S, self.is_randomized);
            let rule = Rule::EddystoneEid { k, clock_offset_s, measured_unix_s, is_randomized };
            changes.add(&Registration { device: DeviceId(device), key, rule })?;
        }
        changes.publish()?;
        Ok(())
    }

    /// What a beacon sends, its clock off by what it drifted since it was measured.
    fn sighting(&self, device: u32, at: u64) -> Sighting {
        let (key, k, offset, drift_ppm) = self.beacon(device);
        let since = i64::try_from(at - (NOW - DAY_S)).unwrap_or(0);
        let clock = i64::try_from(at).unwrap_or(0) - offset + since * drift_ppm / 1_000_000;
        let eid = EidCipher::new(&key, k).eid(u32::try_from(clock).unwrap_or(0));
        Sighting { identifier: Identifier::Eid(eid), time_unix_s: at }
    }
}

/// The CPU time of all threads that `work` takes.
fn measure(work: impl FnOnce() -> Outcome) -> Result<Duration, Box<dyn std::error::Error>> {
    let cpu = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
    let before = cpu();
    work()?;
    Ok(cpu() - before)
}

fn row(name: &str, value: &str) {
    println!("| {name} | {value} |");
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    name.trim_start_matches([' ', '\t', ':']).to_owned()
}
