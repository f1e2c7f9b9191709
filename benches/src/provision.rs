//! Provisioning end to end beside a hash map that takes ready-made hints.
//!
//! Ours derives every key, makes the hints, sorts, packs and ingests them on two
//! threads, and leaves an index that survives a restart; the map on one thread is
//! given hints that exist already, and keeps them in memory only.
use std::path::Path;
use std::sync::Arc;

use clap::Args as ClapArgs;
use hashbrown::HashMap;
use hintdex_benches::fleet::Fleet;
use hintdex_benches::hash::fold;
use hintdex_benches::table::{self, Goal, Ratios};
use hintdex_benches::turns::{Clock, Stopwatch, Times, Took};
use hintdex_benches::{DEFAULT_SEED, Failure, Outcome};
use hintdex_core::{LiveIndex, Options};
use hintdex_wire::MasterKey;

const OURS: &str = "LiveIndex::provision, 2 threads";
const GROWING: &str = "hashbrown, growing";
const SIZED: &str = "hashbrown, with_capacity";

/// Measures what it costs to provision a fleet.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Small enough for a test
    #[arg(long)]
    pub quick: bool,
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Threads of ours
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// What ours may take for the block cache, the write buffers and the sorting, in MiB
    #[arg(long, default_value_t = 256)]
    memory_mib: usize,
}

pub fn run(args: &Args) -> Outcome {
    let devices = if args.quick { 20_000 } else { 1_000_000 };
    let fleet = Fleet { devices, lookahead: 10, seed: args.seed };
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
    let hints: Vec<[u8; 16]> = fleet.hints().iter().map(|hint| *hint.as_bytes()).collect();
    let folder = tempfile::tempdir()?;
    let options = Options { memory_bytes: args.memory_mib << 20, ..Options::default() };

    let mut times = Times::new(fleet.hint_count());
    for round in 0..=args.rounds {
        let path = folder.path().join(format!("index-{round}"));
        let (took, hash) = ours(&fleet, &path, &options)?;
        times.record(OURS, (round > 0).then_some(took), hash);
        std::fs::remove_dir_all(&path)?;
        for (name, capacity) in [(GROWING, 0), (SIZED, hints.len())] {
            let (took, hash) = map(&hints, capacity, fleet.lookahead);
            times.record(name, (round > 0).then_some(took), hash);
        }
    }
    table::heading(
        "Provisioning",
        &format!(
            "{devices} devices × {} hints; ours from the master key to a synced index, {} MiB; the map from hints in memory",
            fleet.lookahead, args.memory_mib
        ),
        args.seed,
    );
    table::times(&times, "hint");
    let mut ratios = Ratios::default();
    ratios.rate(Clock::Wall, &times, OURS, GROWING, Goal::AtLeast(1.0));
    ratios.rate(Clock::Wall, &times, OURS, SIZED, Goal::None);
    ratios.print();
    Ok(())
}

/// Provisions a fresh index; making the empty one is not timed, syncing the full one is.
fn ours(fleet: &Fleet, path: &Path, options: &Options) -> Result<(Took, u64), Failure> {
    let keys = Arc::new(MasterKey::new(&fleet.secret()));
    let index = LiveIndex::create(path, keys, fleet.params(), options)?;
    let started = Stopwatch::start();
    let slots = index.provision(&[fleet.range()], None)?;
    let took = started.took();
    Ok((took, fold(slots.end.0.into(), index.stats()?.entries)))
}

/// Inserts every hint; freeing the map is not timed.
fn map(hints: &[[u8; 16]], capacity: usize, lookahead: u32) -> (Took, u64) {
    let started = Stopwatch::start();
    let mut map: HashMap<[u8; 16], u32> = HashMap::with_capacity(capacity);
    for (hint, number) in hints.iter().zip(0u32..) {
        map.insert(*hint, number / lookahead);
    }
    let took = started.took();
    let probe = hints.last().and_then(|hint| map.get(hint)).copied();
    (took, fold(map.len() as u64, probe.unwrap_or(0).into()))
}
