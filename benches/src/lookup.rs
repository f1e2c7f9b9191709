//! `candidates` beside a bare RocksDB get of the same bucket, and beside the
//! layout RocksDB's users would take: a row a hint.
use std::path::Path;
use std::sync::Arc;

use clap::Args as ClapArgs;
use hintdex_benches::fleet::Fleet;
use hintdex_benches::hash::fold;
use hintdex_benches::table::{self, Goal, Ratios};
use hintdex_benches::turns::{Arm, Clock, Turns, measure};
use hintdex_benches::{DEFAULT_SEED, Failure, Outcome};
use hintdex_core::{LiveIndex, Options};
use hintdex_host::SplitMix64;
use hintdex_wire::{Hint, MasterKey};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DEFAULT_COLUMN_FAMILY_NAME,
    IngestExternalFileOptions, Options as RocksOptions, ReadOptions, SstFileWriter,
};

/// Runs of hints that rounds look up in turn: together more than a cache holds.
const RUNS: usize = 12;
/// Hints of a batch, as a station looks them up.
const HINTS_PER_BATCH: usize = 256;

const OURS: &str = "candidates";
const OURS_BATCH: &str = "candidates_batch";
const BARE: &str = "bare get of the bucket";
const BARE_BATCH: &str = "bare MultiGet of the buckets";
const ROWS: &str = "a row a hint: get";
const ROWS_BATCH: &str = "a row a hint: MultiGet";

/// Measures what a lookup costs.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Small enough for a test
    #[arg(long)]
    pub quick: bool,
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// Block cache of each store, in MiB; the rows take 320 of them
    #[arg(long, default_value_t = 1024)]
    cache_mib: usize,
    /// Only the arms whose name contains this, for a profiler
    #[arg(long, default_value = "")]
    only: String,
}

pub fn run(args: &Args) -> Outcome {
    let devices = if args.quick { 20_000 } else { 1_000_000 };
    let fleet = Fleet { devices, lookahead: 10, seed: args.seed };
    let lookups = if args.quick { 5_000 } else { 25_000 };
    let folder = tempfile::tempdir()?;
    let cache_bytes = args.cache_mib << 20;
    let options = Options { memory_bytes: cache_bytes, ..Options::default() };
    let keys = Arc::new(MasterKey::new(&fleet.secret()));
    let path = folder.path().join("index");
    let index = LiveIndex::create(&path, keys, fleet.params(), &options)?;
    index.provision(&[fleet.range()], None)?;

    let hints = fleet.hints();
    let bare = Bare::open(&path, &folder.path().join("copy"), &index, cache_bytes)?;
    let rows = Rows::build(&folder.path().join("rows"), &hints, fleet.lookahead, cache_bytes)?;
    let samples = samples(&hints, RUNS * lookups, args.seed);

    table::heading(
        "A lookup",
        &format!(
            "{} hints of {devices} devices, all warm; {lookups} random hits a round on one thread",
            hints.len()
        ),
        args.seed,
    );
    let turns = Turns { rounds: if args.quick { 5 } else { 60 }, work: lookups as u64 };
    let of_round = |round: u64| {
        let run = usize::try_from(round).unwrap_or(0) % RUNS;
        samples.get(run * lookups..(run + 1) * lookups).unwrap_or_default()
    };
    let mut arms: Vec<Arm<'_>> = vec![
        (OURS, Box::new(|round| ours(&index, of_round(round)))),
        (BARE, Box::new(|round| bare.get_each(of_round(round)))),
        (ROWS, Box::new(|round| rows.get_each(of_round(round)))),
        (OURS_BATCH, Box::new(|round| ours_batch(&index, of_round(round)))),
        (BARE_BATCH, Box::new(|round| bare.get_batches(of_round(round)))),
        (ROWS_BATCH, Box::new(|round| rows.get_batches(of_round(round)))),
    ];
    arms.retain(|(name, _)| name.contains(&args.only));
    // Every block that will be asked for, once.
    for (_, arm) in &mut arms {
        (0..RUNS as u64).fold(0, |hash, run| fold(hash, arm(run)));
    }
    let times = measure(&turns, &mut arms);
    drop(arms);
    table::times(&times, "lookup");
    let mut ratios = Ratios::default();
    for (clock, to_bare, to_rows) in
        [(Clock::Cpu, Goal::AtMost(1.15), Goal::AtMost(0.8)), (Clock::Wall, Goal::None, Goal::None)]
    {
        ratios.cost(clock, &times, OURS, BARE, to_bare);
        ratios.cost(clock, &times, OURS, ROWS, to_rows);
    }
    ratios.cost(Clock::Cpu, &times, OURS_BATCH, BARE_BATCH, Goal::None);
    ratios.cost(Clock::Cpu, &times, OURS_BATCH, ROWS_BATCH, Goal::None);
    ratios.cost(Clock::Cpu, &times, OURS_BATCH, OURS, Goal::None);
    ratios.print();
    let answers = [OURS, ROWS, OURS_BATCH, ROWS_BATCH].map(|name| times.hash(name));
    if args.only.is_empty() && answers.iter().any(|answer| Some(answer) != answers.first()) {
        return Err("ours and the rows name different devices".into());
    }
    Ok(())
}

/// Random hints to look up.
fn samples(hints: &[Hint], count: usize, seed: u64) -> Vec<Hint> {
    let mut random = SplitMix64::new(seed);
    let end = u32::try_from(hints.len()).unwrap_or(u32::MAX);
    (0..count).filter_map(|_| hints.get(random.below_u32(end) as usize).copied()).collect()
}

/// Foreign candidates are a matter of the layout, so only whether there was one
/// at all goes into the hash.
fn ours(index: &LiveIndex, hints: &[Hint]) -> u64 {
    hints.iter().fold(0, |hash, hint| {
        let found = index.candidates(hint).unwrap_or_default();
        fold(hash, u64::from(!found.is_empty()))
    })
}

fn ours_batch(index: &LiveIndex, hints: &[Hint]) -> u64 {
    hints.chunks(HINTS_PER_BATCH).fold(0, |hash, hints| {
        let found = index.candidates_batch(hints).unwrap_or_default();
        found.iter().fold(hash, |hash, found| fold(hash, u64::from(!found.is_empty())))
    })
}

/// A copy of the index's own files, opened by RocksDB alone as the index opens
/// them: for writing, too. (Opened for reading only, a get skips the memtables and
/// the version that a live store has to pin.)
struct Bare {
    db: DB,
    family: String,
    prefix_bits: u32,
    read: ReadOptions,
}

impl Bare {
    fn open(
        path: &Path,
        copy: &Path,
        index: &LiveIndex,
        cache_bytes: usize,
    ) -> Result<Self, Failure> {
        let stats = index.stats()?;
        copy_folder(path, copy)?;
        let names = DB::list_cf(&RocksOptions::default(), copy)?;
        let family = names.iter().find(|name| name.starts_with("hints-"));
        let family = family.ok_or("the index has no window")?.clone();
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&Cache::new_hyper_clock_cache(cache_bytes, 0));
        let mut options = RocksOptions::default();
        options.set_block_based_table_factory(&blocks);
        let families = names.iter().map(|name| {
            let of_window = *name == family;
            (name, if of_window { options.clone() } else { counting_options() })
        });
        let db = DB::open_cf_with_opts(&RocksOptions::default(), copy, families)?;
        let prefix_bits = stats.prefix_bits.into();
        Ok(Self { db, family, prefix_bits, read: ReadOptions::default() })
    }

    fn key(&self, hint: &Hint) -> [u8; 4] {
        let prefix = hint.head().checked_shr(u64::BITS - self.prefix_bits).unwrap_or(0);
        u32::try_from(prefix).unwrap_or(0).to_be_bytes()
    }

    fn get_each(&self, hints: &[Hint]) -> u64 {
        let Some(family) = self.db.cf_handle(&self.family) else { return 0 };
        hints.iter().fold(0, |hash, hint| {
            let row = self.db.get_pinned_cf_opt(&family, self.key(hint), &self.read);
            fold(hash, row.ok().flatten().map_or(0, |row| row.len() as u64))
        })
    }

    fn get_batches(&self, hints: &[Hint]) -> u64 {
        let Some(family) = self.db.cf_handle(&self.family) else { return 0 };
        hints.chunks(HINTS_PER_BATCH).fold(0, |hash, hints| {
            let mut keys: Vec<_> = hints.iter().map(|hint| self.key(hint)).collect();
            keys.sort_unstable();
            let rows = self.db.batched_multi_get_cf_opt(&family, &keys, true, &self.read);
            rows.iter().fold(hash, |hash, row| {
                fold(
                    hash,
                    row.as_ref().ok().and_then(Option::as_ref).map_or(0, |row| row.len() as u64),
                )
            })
        })
    }
}

/// Options under which RocksDB opens the index's small families.
fn counting_options() -> RocksOptions {
    let mut options = RocksOptions::default();
    options.set_merge_operator_associative("hintdex.add", |_, base, _| base.map(<[u8]>::to_vec));
    options
}

/// Copies the files of a folder.
fn copy_folder(from: &Path, to: &Path) -> Outcome {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// A database with a row a hint: `hint(16)` → `device id(4)`.
struct Rows {
    db: DB,
    read: ReadOptions,
}

impl Rows {
    /// Sorted once and ingested: the best case of this layout, one level, no log.
    fn build(
        path: &Path,
        hints: &[Hint],
        lookahead: u32,
        cache_bytes: usize,
    ) -> Result<Self, Failure> {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&Cache::new_hyper_clock_cache(cache_bytes, 0));
        let mut options = RocksOptions::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&blocks);
        let family = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone());
        let db = DB::open_cf_descriptors(&options, path, [family])?;
        let mut rows: Vec<(Hint, u32)> = hints.iter().copied().zip(0..).collect();
        rows.sort_unstable();
        let file = path.join("rows.sst");
        let mut writer = SstFileWriter::create(&options);
        writer.open(&file)?;
        for (hint, number) in rows {
            writer.put(hint.as_bytes(), (number / lookahead).to_be_bytes())?;
        }
        writer.finish()?;
        let mut ingest = IngestExternalFileOptions::default();
        ingest.set_move_files(true);
        db.ingest_external_file_opts(&ingest, vec![file])?;
        Ok(Self { db, read: ReadOptions::default() })
    }

    fn get_each(&self, hints: &[Hint]) -> u64 {
        hints.iter().fold(0, |hash, hint| {
            let row = self.db.get_pinned_opt(hint.as_bytes(), &self.read);
            fold(hash, u64::from(row.is_ok_and(|row| row.is_some())))
        })
    }

    fn get_batches(&self, hints: &[Hint]) -> u64 {
        let Some(family) = self.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME) else { return 0 };
        hints.chunks(HINTS_PER_BATCH).fold(0, |hash, hints| {
            let mut keys: Vec<_> = hints.iter().map(Hint::as_bytes).collect();
            keys.sort_unstable();
            let rows = self.db.batched_multi_get_cf_opt(&family, keys, true, &self.read);
            rows.iter().fold(hash, |hash, row| {
                fold(hash, u64::from(row.as_ref().is_ok_and(Option::is_some)))
            })
        })
    }
}
