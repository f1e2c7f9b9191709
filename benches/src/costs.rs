//! `hintdex-costs DIR`: what an index costs, as a table.
//!
//! DIR is a fleet's folder. Bytes a hint on disk and in memory, lookups a second
//! one by one and in batches, packets a second on one thread and on two. The
//! packets are synthetic, sealed with the folder's own keys from nonce 0 on, and
//! they are accepted: afterwards the fleet has sent them. In a folder that heard
//! packets before, some are replays, which the table says.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use hintdex::{Durability, Station, StationOptions};
use hintdex_benches::fleet::{PACKETS_PER_BATCH, Traffic};
use hintdex_benches::table::thousands;
use hintdex_benches::{DEFAULT_SEED, Failure, Outcome, machine};
use hintdex_wire::{Hint, Packet};
use rayon::{ThreadPool, ThreadPoolBuilder};

const MIB: f64 = (1 << 20) as f64;
/// How long a row is measured.
const EACH: Duration = Duration::from_secs(3);
/// Packets made at a time.
const PACKETS_AT_ONCE: usize = 4 * PACKETS_PER_BATCH;

/// Says what an index costs.
#[derive(Debug, Parser)]
struct Args {
    /// The folder of a fleet whose devices have ids from 0 on
    dir: PathBuf,
    /// Measure for a moment only
    #[arg(long)]
    quick: bool,
    /// What the block cache and the write buffers may take, in MiB
    #[arg(long, default_value_t = 256)]
    memory_mib: usize,
}

fn main() -> Outcome {
    let args = Args::parse();
    let before = machine::resident_bytes();
    let started = Instant::now();
    let options = StationOptions {
        memory_bytes: args.memory_mib << 20,
        durability: Durability::ProcessCrash,
        ..StationOptions::default()
    };
    let station = Station::open(&args.dir, &options)?;
    let opening = started.elapsed();
    let stats = station.stats()?;
    let devices = u32::try_from(stats.slots)?;
    println!("{}", args.dir.display());
    println!("{devices} devices, {} live hints; {}\n", stats.hints, machine::describe());
    row("disk: the hints", per_hint(stats.hint_bytes(), stats.hints));
    let other = stats.disk_bytes() - stats.hint_bytes();
    row("disk: states, log and the rest", mebibytes(other));

    let each = if args.quick { EACH / 30 } else { EACH };
    let mut work = Work { station: &station, traffic: Traffic::new(devices, DEFAULT_SEED), each };
    let single = work.lookups(1)?;
    let batch = work.lookups(PACKETS_PER_BATCH)?;
    let one = work.packets(1)?;
    let two = work.packets(2)?;
    let resident = machine::resident_bytes();
    memory(&station, before, resident)?;
    row("opening", format!("{:.2} s", opening.as_secs_f64()));
    row("lookups, one by one, 1 thread, a second", single.rate());
    row("lookups, in batches, 1 thread, a second", batch.rate());
    row("packets decoded, 1 thread, a second", one.rate());
    row("packets decoded, 2 threads, a second", two.rate());
    Ok(())
}

fn row(name: &str, value: String) {
    println!("  {name:<42} {value:>16}");
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB)
}

fn per_hint(bytes: u64, hints: u64) -> String {
    format!("{:.2} bytes a hint", bytes as f64 / hints.max(1) as f64)
}

/// What the process took since it began, and where it says it is.
fn memory(station: &Station, before: u64, resident: u64) -> Outcome {
    let stats = station.stats()?;
    let all = resident.saturating_sub(before);
    row("memory: all, by the system's count", mebibytes(all));
    row("memory: the same", per_hint(all, stats.hints));
    row("  states", mebibytes(stats.states_memory_bytes));
    row("  hint keys", mebibytes(station.table_memory_bytes() as u64));
    row("  block cache and write buffers", mebibytes(stats.cache_bytes));
    row("  tables of blocks", mebibytes(stats.tables_memory_bytes));
    Ok(())
}

/// What is measured, and the packets that go in.
struct Work<'a> {
    station: &'a Station,
    traffic: Traffic,
    each: Duration,
}

impl Work<'_> {
    /// Hints resolved to confirmed devices a second, `at_once` in a call.
    fn lookups(&self, at_once: usize) -> Result<Tally, Failure> {
        let pool = pool(1)?;
        let scheme = self.station.params().scheme;
        let packets =
            self.traffic.clone().packets(PACKETS_AT_ONCE, self.station.key_source().as_ref());
        let hints: Vec<Hint> = packets
            .iter()
            .filter_map(|packet| Packet::parse(scheme, packet).ok())
            .map(|packet| *packet.hint())
            .collect();
        let mut tally = Tally::default();
        pool.install(|| -> Outcome {
            while tally.took < self.each {
                let started = Instant::now();
                for hints in hints.chunks(at_once) {
                    let found = self.station.resolve(hints)?;
                    tally.good += found.iter().filter(|devices| !devices.is_empty()).count();
                }
                tally.add(started.elapsed(), hints.len());
            }
            Ok(())
        })?;
        Ok(tally)
    }

    /// Packets decoded a second on so many threads.
    fn packets(&mut self, threads: usize) -> Result<Tally, Failure> {
        let pool = pool(threads)?;
        let mut tally = Tally::default();
        while tally.took < self.each {
            let keys = self.station.key_source().as_ref();
            let packets = self.traffic.packets(PACKETS_AT_ONCE, keys);
            let started = Instant::now();
            for packets in packets.chunks(PACKETS_PER_BATCH) {
                let verdicts = pool.install(|| self.station.decode_batch(packets))?;
                tally.good += verdicts.iter().filter(|one| one.name() == "accepted").count();
            }
            tally.add(started.elapsed(), packets.len());
        }
        Ok(tally)
    }
}

fn pool(threads: usize) -> Result<ThreadPool, Failure> {
    Ok(ThreadPoolBuilder::new().num_threads(threads).build()?)
}

/// How many were done, how many with the best outcome, and in what time.
#[derive(Default)]
struct Tally {
    took: Duration,
    done: usize,
    good: usize,
}

impl Tally {
    fn add(&mut self, took: Duration, done: usize) {
        self.took += took;
        self.done += done;
    }

    fn rate(&self) -> String {
        let rate = thousands(self.done as f64 / self.took.as_secs_f64().max(1e-9));
        let share = self.good as f64 * 100.0 / self.done.max(1) as f64;
        if self.good == self.done { rate } else { format!("{rate} ({share:.0} % fresh)") }
    }
}
