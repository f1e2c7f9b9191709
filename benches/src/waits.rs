//! How long a lookup waits while windows are built, declared and dropped, and packets are
//! admitted meanwhile.
//!
//! A roll takes every core it can get, so some waiting is the system's: a thread that is
//! ready and not run. The kernel counts that for each thread (`/proc/thread-self/schedstat`),
//! so it is told apart from waiting for the index, and a phase in which the cores are as
//! busy with something else stands beside the rolls.
//!
//! The first phases look up in a live index alone. The last ones send packets to a whole station,
//! with a full index and in its usual form, whose roll builds a chain and a lean window.
mod station;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use hintdex::ManualClock;
use hintdex::wire::{
    DeviceId, Hint, HintKey, HintScheme, KeyId, KeySource, MasterKey, NonceKind, Slot, StepLen,
};
use hintdex::{DeviceRange, Durability, Params};
use hintdex_benches::fleet::Fleet;
use hintdex_benches::table::{self, Figures, Goal};
use hintdex_benches::{DEFAULT_SEED, Failure, Outcome};
use hintdex_core::{Arrival, LiveIndex, Options};
use hintdex_host::SplitMix64;

/// When it begins: the beginning of an hour.
const START_UNIX_S: u64 = 1_795_392_000;
const HOUR_S: u64 = 3600;
/// Lookups between two looks at the clock.
const LOOKUPS_AT_ONCE: usize = 16;
/// Packets that are admitted together.
const ADMITTED_AT_ONCE: usize = 256;

/// Measures what lookups wait for.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Small enough for a test
    #[arg(long)]
    pub quick: bool,
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    #[arg(long, default_value_t = 300_000)]
    devices: u32,
    /// Windows that come and go in a phase
    #[arg(long, default_value_t = 12)]
    rolls: u64,
}

/// What the lookups of a phase took, in runs of some.
#[derive(Default)]
struct Waits {
    /// By the wall.
    wall: Vec<Duration>,
    /// Less what the thread was ready for and not run.
    own: Vec<Duration>,
}

impl Waits {
    /// Does `work` once and notes how long it took. `not_run` holds the counter of this thread from
    /// before `work` and is replaced by the counter after it.
    fn measure(&mut self, not_run: &mut Duration, work: impl FnOnce() -> Outcome) -> Outcome {
        let started = Instant::now();
        work()?;
        let took = started.elapsed();
        let before = std::mem::replace(not_run, self::not_run()?);
        self.wall.push(took);
        self.own.push(took.saturating_sub(not_run.saturating_sub(before)));
        Ok(())
    }

    fn sort(&mut self) {
        self.wall.sort_unstable();
        self.own.sort_unstable();
    }

    /// The longest wait in milliseconds, less not being run.
    fn longest_ms(&self) -> f64 {
        self.own.last().copied().unwrap_or_default().as_secs_f64() * 1e3
    }

    /// Prints the row of a phase.
    fn print(&self, name: &str) {
        // All but one of so many are shorter.
        let but_one_of = |of: &[Duration], parts: usize| {
            let place = of.len().saturating_sub(1 + of.len() / parts);
            of.get(place).copied().unwrap_or_default()
        };
        let late = self.own.iter().filter(|own| **own > Duration::from_millis(10)).count();
        println!(
            "| {name} | {} | {:?} | {:?} | {:?} | {:?} | {late} |",
            table::thousands((self.wall.len() * LOOKUPS_AT_ONCE) as f64),
            but_one_of(&self.wall, 2),
            but_one_of(&self.wall, 10_000),
            but_one_of(&self.wall, usize::MAX),
            but_one_of(&self.own, usize::MAX),
        );
    }
}

pub fn run(args: &Args) -> Outcome {
    let devices = if args.quick { 5000 } else { args.devices };
    let rolls = if args.quick { 2 } else { args.rolls };
    let fleet = Fleet { devices, lookahead: 16, seed: args.seed };
    table::heading(
        "Lookups while windows change",
        &format!(
            "{} devices, {rolls} windows; one thread looks up, one admits packets, rolls take all cores",
            table::thousands(devices.into())
        ),
        args.seed,
    );
    println!(
        "| phase | lookups | median of {LOOKUPS_AT_ONCE} | 99.99 % | longest | longest, less not being run | above 10 ms, less not being run |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let step = NonceKind::Step(StepLen::new(60).ok_or("a minute is a step")?);
    let minutes = Params::clocked(HintScheme::Aes128, step, 1).ok_or("a block has room")?;
    let mut figures = Figures::default();
    for (name, params) in [("windows of time", minutes), ("counters", fleet.params())] {
        let scene = Scene::new(&fleet, params)?;
        let quiet = scene.watched(&format!("{name}: busy cores"), || busy(rolls))?;
        let rolling = scene.watched(&format!("{name}: rolls"), || scene.roll(rolls))?;
        add(&mut figures, name, &quiet, &rolling);
    }
    station::run(&fleet, rolls, &mut figures)?;
    println!();
    figures.print();
    Ok(())
}

/// Adds the longest waits of the two phases of a scene.
fn add(figures: &mut Figures, name: &str, quiet: &Waits, rolling: &Waits) {
    let goal = Goal::AtMost(10.0);
    figures.add(format!("{name}: longest wait at a roll"), rolling.longest_ms(), "ms", goal);
    figures.add(format!("{name}: beside other work"), quiet.longest_ms(), "ms", Goal::None);
}

/// Keeps two threads busy, about as long as so many rolls would.
fn busy(rolls: u64) -> Outcome {
    let until = Instant::now() + Duration::from_millis(400 * rolls);
    std::thread::scope(|scope| {
        for seed in 0..2 {
            scope.spawn(move || {
                let mut random = SplitMix64::new(seed);
                while Instant::now() < until {
                    std::hint::black_box((0..1 << 16).fold(0, |sum, _| sum ^ random.next_u64()));
                }
            });
        }
    });
    Ok(())
}

/// An index, its clock, and what comes in.
struct Scene {
    _folder: tempfile::TempDir,
    index: LiveIndex,
    clock: Arc<ManualClock>,
    keys: Vec<HintKey>,
    seed: u64,
}

impl Scene {
    fn new(fleet: &Fleet, params: Params) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let clock = Arc::new(ManualClock::new(START_UNIX_S));
        let master = Arc::new(MasterKey::new(&fleet.secret()));
        let key = |device| master.hint_key(KeyId::first(DeviceId(device)));
        let keys = (0..fleet.devices).filter_map(key).collect();
        let options = Options { durability: Durability::Sync, ..Options::default() };
        let path = folder.path().join("index");
        let index = LiveIndex::create_with(&path, master, params, &options, clock.clone())?;
        index.provision(&[DeviceRange::new(DeviceId(0), fleet.devices)], None)?;
        Ok(Self { _folder: folder, index, clock, keys, seed: fleet.seed })
    }

    /// What lookups wait for while `work` is done and packets are admitted.
    fn watched(&self, name: &str, work: impl FnOnce() -> Outcome) -> Result<Waits, Failure> {
        let is_over = AtomicBool::new(false);
        let mut waits = std::thread::scope(|scope| -> Result<Waits, Failure> {
            let looking = scope.spawn(|| self.look_up(&is_over));
            let admitting = scope.spawn(|| self.admit(&is_over));
            let done = work();
            is_over.store(true, Ordering::Relaxed);
            admitting.join().map_err(|_| "the admitting thread panicked")??;
            let waits = looking.join().map_err(|_| "the looking thread panicked")?;
            done.and(waits)
        })?;
        waits.sort();
        waits.print(name);
        Ok(waits)
    }

    fn look_up(&self, is_over: &AtomicBool) -> Result<Waits, Failure> {
        let mut waits = Waits::default();
        let mut random = SplitMix64::new(self.seed);
        let mut bytes = [0; 16];
        let mut not_run = not_run()?;
        while !is_over.load(Ordering::Relaxed) {
            let mut hints = Vec::with_capacity(LOOKUPS_AT_ONCE);
            for _ in 0..LOOKUPS_AT_ONCE {
                random.fill(&mut bytes);
                hints.extend(Hint::read(HintScheme::Aes128, &bytes));
            }
            waits.measure(&mut not_run, || {
                for hint in &hints {
                    std::hint::black_box(self.index.candidates(hint)?);
                }
                Ok(())
            })?;
        }
        Ok(waits)
    }

    /// Admits the next packet of one device after another.
    fn admit(&self, is_over: &AtomicBool) -> Outcome {
        let mut heard = 0usize;
        let rounds = |heard: usize| (heard / self.keys.len().max(1)) as u64;
        while !is_over.load(Ordering::Relaxed) {
            let now_s = self.index.now_s();
            let arrivals: Vec<Arrival<'_>> = (heard..heard + ADMITTED_AT_ONCE)
                .filter_map(|heard| {
                    let slot = u32::try_from(heard % self.keys.len().max(1)).ok()?;
                    let is_clocked = self.index.params().nonces.is_clocked();
                    let nonce = if is_clocked { now_s / 60 } else { rounds(heard) };
                    let hint_key = Some(self.keys.get(slot as usize)?);
                    let key = self.index.key(Slot(slot))?;
                    let slot = Slot(slot);
                    Some(Arrival { slot, key, nonce, hint_key, received_unix_s: now_s })
                })
                .collect();
            self.index.admit_batch(&arrivals)?;
            heard += ADMITTED_AT_ONCE;
        }
        Ok(())
    }

    /// Builds and drops windows: an hour each, or all live hints anew.
    fn roll(&self, rolls: u64) -> Outcome {
        for _ in 0..rolls {
            let hour_s = self.index.now_s() / HOUR_S * HOUR_S;
            self.clock.set(hour_s + HOUR_S - 60);
            self.index.roll(None)?;
            self.clock.set(hour_s + HOUR_S + 120);
            self.index.roll(None)?;
        }
        Ok(())
    }
}

/// How long this thread was ready and not run, so far.
fn not_run() -> Result<Duration, Failure> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split_whitespace().nth(1).and_then(|text| text.parse().ok());
    Ok(Duration::from_nanos(nanoseconds.ok_or("no such counter")?))
}
