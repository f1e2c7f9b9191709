//! A flood: as much garbage as a station takes, mixed with what devices send.
//!
//! One thread makes packets, another decodes them on a pool of one thread, so that
//! each has a core where there are two. Between them is a queue of a few batches:
//! when it is full the maker waits, so that garbage comes as fast as it is decoded
//! and nothing is lost on the way. A real packet's time counts from when its device
//! was to send it, so waiting to get into the queue counts, too. The station runs
//! in a fresh process, so that its memory is not that of the provisioning.
mod maker;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use hintdex::{ScanStats, Source, Station, StationOptions, Ticket, Unknown, Verdict};
use hintdex_benches::fleet::{Fleet, station_options};
use hintdex_benches::table::{self, Figures, Goal};
use hintdex_benches::turns::{Stopwatch, Took};
use hintdex_benches::{DEFAULT_SEED, Failure, Outcome, machine};
use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::time::{ClockId, clock_gettime};

use maker::{BATCH_PACKETS, Batch, LEAP_NONCES, LEAPERS_ONE_OF, Maker};

const MIB: f64 = (1 << 20) as f64;
/// Batches that may lie between maker and station: some milliseconds of work.
const QUEUE_BATCHES: usize = 2;
/// A real packet that took longer is late.
const LATE: Duration = Duration::from_millis(100);
/// How long the queue is empty before the station looks at what waits.
const IDLE: Duration = Duration::from_millis(2);
/// How often it does when the queue is never empty.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest that the station is watched before and after the flood.
const CALM_AT_MOST: Duration = Duration::from_secs(10);
/// How often the resident size is read.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// Seconds of its share that the station's budget holds when it is full.
const BURST_S: f64 = 5.0;
/// How long it lets a pass take.
const PASS_MS: f64 = 10.0;

/// Measures what a flood of garbage does to real packets.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Small enough for a test
    #[arg(long)]
    pub quick: bool,
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// The share of one core that scans may take; `inf` for no bound
    #[arg(long, default_value_t = 0.1)]
    scan_core_share: f64,
    /// How long the flood lasts, in seconds
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// What the block cache and the write buffers may take, in MiB
    #[arg(long, default_value_t = 256)]
    memory_mib: usize,
    /// Flood the fleet in this folder and say how it went
    #[arg(long, hide = true)]
    serve: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let fleet = Fleet {
        devices: if args.quick { 20_000 } else { 1_000_000 },
        lookahead: 10,
        seed: args.seed,
    };
    if let Some(folder) = &args.serve {
        return serve(&fleet, folder, args);
    }
    let seconds = if args.quick { 2.0 } else { args.seconds };
    table::heading(
        "A flood",
        &format!(
            "{} devices × {} hints, a thread that makes packets and one that decodes them in batches of up to \
             {BATCH_PACKETS}, between them a queue of {QUEUE_BATCHES} batches that packets wait to get into; \
             1,000 real packets a second of random devices, one device of {LEAPERS_ONE_OF} leaps by {LEAP_NONCES} \
             nonces each time; safe through a crash of the process",
            fleet.devices, fleet.lookahead
        ),
        args.seed,
    );
    serve_elsewhere(&fleet, args, args.scan_core_share, seconds)?;
    if args.scan_core_share.is_finite() {
        println!("The same without a budget, which is what it is there to prevent:\n");
        serve_elsewhere(&fleet, args, f64::INFINITY, if args.quick { 1.0 } else { 5.0 })?;
    }
    Ok(())
}

/// Provisions the fleet and runs this program again for the flood alone.
fn serve_elsewhere(fleet: &Fleet, args: &Args, core_share: f64, seconds: f64) -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("fleet");
    drop(fleet.provision(&path, args.memory_mib << 20)?);
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("flood").arg("--serve").arg(&path);
    command.args(["--seed", &args.seed.to_string(), "--seconds", &seconds.to_string()]);
    command.args(["--scan-core-share", &core_share.to_string()]);
    command.args(["--memory-mib", &args.memory_mib.to_string()]);
    if args.quick {
        command.arg("--quick");
    }
    if command.status()?.success() { Ok(()) } else { Err("the flood failed".into()) }
}

fn serve(fleet: &Fleet, path: &Path, args: &Args) -> Outcome {
    let options = StationOptions {
        scan_core_share: args.scan_core_share,
        ..station_options(args.memory_mib << 20)
    };
    let station = Station::open(path, &options)?;
    station.warm_up()?;
    let pool = ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut maker = Maker::new(fleet, station.key_source().as_ref());
    let mut decoder = Decoder::new(&station, &pool);
    let flood = Duration::from_secs_f64(args.seconds);
    let calm = flood.min(CALM_AT_MOST);
    let mut phases = Vec::new();
    for (lasts, garbage) in [(calm, false), (flood, true), (calm, false)] {
        phases.push(phase(&mut maker, &mut decoder, lasts, garbage)?);
        decoder.phase += 1;
    }
    println!("Scans may take {} of a core:\n", args.scan_core_share);
    print_phases(&phases);
    if let [quiet, flood, _] = phases.as_slice() {
        print_goals(quiet, flood, args.scan_core_share);
    }
    let rate = maker.garbage_rate();
    println!("A thread that only makes garbage makes {} a second.\n", table::thousands(rate));
    Ok(())
}

/// What a stretch of time brought and cost.
struct Phase {
    heard: Heard,
    took: Took,
    /// Before and after.
    scans: [ScanStats; 2],
    peak_bytes: u64,
    end_bytes: u64,
    cache_bytes: u64,
}

/// Makes packets for so long, decodes all of them, and watches the memory.
fn phase(
    maker: &mut Maker<'_>,
    decoder: &mut Decoder<'_>,
    lasts: Duration,
    garbage: bool,
) -> Result<Phase, Failure> {
    let station = decoder.station;
    let before = station.scan_stats();
    let (sender, receiver) = sync_channel(QUEUE_BATCHES);
    let mut peak_bytes = machine::resident_bytes();
    let watch = Stopwatch::start();
    let until = Instant::now() + lasts;
    let (heard, took) = std::thread::scope(|scope| -> Result<_, Failure> {
        // Each end of the queue goes with its thread: who stops, stops the other.
        let making = scope.spawn(move || maker.make(&sender, until, garbage));
        let decoding = scope.spawn(move || decoder.decode_all(&receiver));
        while !decoding.is_finished() {
            std::thread::sleep(SAMPLE_EVERY);
            peak_bytes = peak_bytes.max(machine::resident_bytes());
        }
        making.join().map_err(|_| "the maker panicked")?;
        Ok((decoding.join().map_err(|_| "the decoder panicked")??, watch.took()))
    })?;
    Ok(Phase {
        heard,
        took,
        scans: [before, station.scan_stats()],
        peak_bytes,
        end_bytes: machine::resident_bytes(),
        cache_bytes: station.stats()?.cache_bytes,
    })
}

impl Phase {
    fn seconds(&self) -> f64 {
        self.took.wall.as_secs_f64()
    }

    /// Core time of scans, as the station counts it.
    fn scanned_s(&self) -> f64 {
        let [before, after] = &self.scans;
        after.core_time.saturating_sub(before.core_time).as_secs_f64()
    }

    /// How much a counter of the scans grew.
    fn grown(&self, counter: impl Fn(&ScanStats) -> u64) -> f64 {
        let [before, after] = &self.scans;
        counter(after).saturating_sub(counter(before)) as f64
    }
}

/// Prints the phases beside one another.
fn print_phases(phases: &[Phase]) {
    println!("| figure | quiet | flood | afterwards |");
    println!("| --- | ---: | ---: | ---: |");
    let row = |name: &str, value: &dyn Fn(&Phase) -> f64| {
        let cells = phases.iter().map(|phase| match value(phase) {
            value if value >= 1000.0 || value.fract() == 0.0 => table::thousands(value),
            value => format!("{value:.2}"),
        });
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    };
    row("seconds, the rest of the queue included", &Phase::seconds);
    row("cores this process had", &|phase| phase.took.cpu.as_secs_f64() / phase.seconds());
    row("garbage packets a second", &|phase| phase.heard.garbage as f64 / phase.seconds());
    row("garbage packets not said to be unknown", &|phase| phase.heard.believed as f64);
    row("real packets within the lookahead", &|phase| phase.heard.sent() as f64);
    row("of them accepted", &|phase| phase.heard.indexed.len() as f64);
    row("of them accepted late", &|phase| phase.heard.late() as f64);
    row("of these, sent in the first second", &|phase| phase.heard.late_at_first as f64);
    row("ms until verdict, p50", &|phase| phase.heard.quantile_ms(0.5));
    row("ms, p99", &|phase| phase.heard.quantile_ms(0.99));
    row("ms, p99.9", &|phase| phase.heard.quantile_ms(0.999));
    row("ms, most", &|phase| phase.heard.quantile_ms(1.0));
    row("ms of the longest batch", &|phase| phase.heard.longest_batch.as_secs_f64() * 1e3);
    row("wall time of batches / CPU time of their thread", &|phase| {
        let Took { wall, cpu } = phase.heard.batches;
        wall.as_secs_f64() / cpu.as_secs_f64().max(1e-9)
    });
    row("real packets that leapt", &|phase| phase.heard.leapt as f64);
    row("of them accepted with their batch", &|phase| phase.heard.leapt_at_once as f64);
    row("of them accepted by scan_waiting", &|phase| phase.heard.leapt_later.len() as f64);
    row("s these waited, the longest", &|phase| phase.heard.longest_wait_s());
    row("leapt in an earlier phase, accepted now", &|phase| phase.heard.leapt_before as f64);
    row("passes over all devices", &|phase| phase.grown(|scans| scans.passes));
    row("hints scanned for", &|phase| phase.grown(|scans| scans.hints));
    row("times a hint was refused a scan", &|phase| phase.grown(|scans| scans.refused));
    row("times its packet found no room to wait", &|phase| phase.grown(|scans| scans.dropped));
    row("packets that wait at the end", &|phase| {
        phase.scans.last().map_or(0.0, |scans| scans.waiting as f64)
    });
    row("core time of scans, ms", &|phase| phase.scanned_s() * 1e3);
    row("resident, peak, MiB", &|phase| phase.peak_bytes as f64 / MIB);
    row("resident at the end, MiB", &|phase| phase.end_bytes as f64 / MIB);
    row("of it block cache and write buffers, MiB", &|phase| phase.cache_bytes as f64 / MIB);
    println!();
}

/// Prints what the flood has to hold to.
fn print_goals(quiet: &Phase, flood: &Phase, core_share: f64) {
    let heard = &flood.heard;
    let lost = heard.sent() - heard.indexed.len();
    let share = (lost + heard.late()) as f64 * 100.0 / heard.sent().max(1) as f64;
    let goal = if core_share.is_finite() { Goal::AtMost } else { |_| Goal::None };
    let mut figures = Figures::default();
    figures.add("real ones lost or late by over 100 ms", share, "%", goal(1.0));
    // A pass may begin while there is anything left, so one may end beyond it.
    let allowed_ms = core_share * (flood.seconds() + BURST_S) * 1e3 + PASS_MS;
    figures.add(
        "core time of scans; at most share, burst and one pass",
        flood.scanned_s() * 1e3,
        "ms",
        goal(allowed_ms.round()),
    );
    let grown = flood.peak_bytes.saturating_sub(quiet.end_bytes) as f64;
    figures.add("peak of the flood above the quiet size", grown / MIB, "MiB", goal(64.0));
    figures.print();
}

/// What was said of the packets of a phase.
#[derive(Default)]
struct Heard {
    garbage: u64,
    /// Garbage that is not unknown.
    believed: u64,
    /// Times of the real ones within the lookahead that were accepted.
    indexed: Vec<Duration>,
    /// How many of them were not.
    lost: usize,
    /// How many are late that were sent in the first second.
    late_at_first: usize,
    /// What `decode_batch` took, all of it and at most.
    batches: Took,
    longest_batch: Duration,
    leapt: u64,
    leapt_at_once: u64,
    leapt_later: Vec<Duration>,
    /// Of those that leapt in an earlier phase, accepted in this one.
    leapt_before: u64,
}

impl Heard {
    fn sent(&self) -> usize {
        self.indexed.len() + self.lost
    }

    fn late(&self) -> usize {
        self.indexed.iter().filter(|took| **took > LATE).count()
    }

    fn quantile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.indexed.clone();
        sorted.sort_unstable();
        let below = sorted
            .iter()
            .zip(1u32..)
            .take_while(|(_, count)| f64::from(*count) <= (share * sorted.len() as f64).max(1.0));
        below.last().map_or(0.0, |(took, _)| took.as_secs_f64() * 1e3)
    }

    fn longest_wait_s(&self) -> f64 {
        self.leapt_later.iter().max().map_or(0.0, Duration::as_secs_f64)
    }
}

/// Decodes what comes, and in between what waits.
struct Decoder<'a> {
    station: &'a Station,
    pool: &'a ThreadPool,
    /// Packets that leapt and were refused a scan: since when, in which phase.
    waiting: HashMap<Ticket, (Instant, u32)>,
    phase: u32,
}

impl<'a> Decoder<'a> {
    fn new(station: &'a Station, pool: &'a ThreadPool) -> Self {
        Self { station, pool, waiting: HashMap::new(), phase: 0 }
    }

    fn decode_all(&mut self, queue: &Receiver<Batch>) -> Result<Heard, Failure> {
        let mut heard = Heard::default();
        let mut looked = Instant::now();
        let first_second = looked + Duration::from_secs(1);
        loop {
            let mut idle = false;
            match queue.recv_timeout(IDLE) {
                Ok(batch) => self.decode(&batch, first_second, &mut heard)?,
                Err(RecvTimeoutError::Disconnected) => return Ok(heard),
                Err(RecvTimeoutError::Timeout) => idle = true,
            }
            if idle || looked.elapsed() >= LOOK_EVERY {
                self.look_at_waiting(&mut heard)?;
                looked = Instant::now();
            }
        }
    }

    fn decode(&mut self, batch: &Batch, first_second: Instant, heard: &mut Heard) -> Outcome {
        let packets = batch.packets();
        let started = Instant::now();
        let (verdicts, cpu) = self.pool.install(|| {
            let before = thread_cpu();
            (self.station.decode_batch(&packets), thread_cpu().saturating_sub(before))
        });
        let (verdicts, done) = (verdicts?, Instant::now());
        heard.longest_batch = heard.longest_batch.max(done - started);
        heard.batches.wall += done - started;
        heard.batches.cpu += cpu;
        let mut real = batch.real.iter().peekable();
        for (at, verdict) in verdicts.iter().enumerate() {
            let Some(real) = real.next_if(|real| real.at == at) else {
                heard.garbage += 1;
                heard.believed += u64::from(!matches!(verdict, Verdict::Unknown(_)));
                continue;
            };
            match verdict {
                _ if real.leapt => {
                    heard.leapt += 1;
                    heard.leapt_at_once += u64::from(accepted_by(verdict, Source::Scan));
                    if let Verdict::Unknown(Unknown::ScanBudget { ticket }) = verdict {
                        self.waiting.insert(*ticket, (real.due, self.phase));
                    }
                }
                Verdict::Accepted { .. } => {
                    let took = done - real.due;
                    heard.indexed.push(took);
                    heard.late_at_first += usize::from(took > LATE && real.due < first_second);
                }
                _ => heard.lost += 1,
            }
        }
        Ok(())
    }

    fn look_at_waiting(&mut self, heard: &mut Heard) -> Outcome {
        for (ticket, verdict) in self.pool.install(|| self.station.scan_waiting())? {
            let Some((due, phase)) = self.waiting.remove(&ticket) else { continue };
            match accepted_by(&verdict, Source::Scan) {
                true if phase == self.phase => heard.leapt_later.push(due.elapsed()),
                true => heard.leapt_before += 1,
                false => {}
            }
        }
        Ok(())
    }
}

/// CPU time of this thread so far.
fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn accepted_by(verdict: &Verdict, by: Source) -> bool {
    matches!(verdict, Verdict::Accepted { source, .. } if *source == by)
}
