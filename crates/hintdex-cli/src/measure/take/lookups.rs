//! Measuring lookups: from hints to confirmed devices, one at a time and in batches, on one
//! thread.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use hintdex::snapshot::{CandidateBatch, Encoding, ManifestKey, Snapshot};
use hintdex::wire::{DeviceId, Hint, HintKey, KeyId, KeySource, MasterKey, Slot};
use hintdex::{MIN_GROUP_LEN_SLOTS, Station, TableHints, confirm_candidates, snapshot};
use hintdex_scan::KeyTable;
use rayon::prelude::*;

use super::process::{
    Measurement, Stopwatch, master_key, memory_now, options, print_and_wait, snapshot_path,
};
use super::sample::{SAMPLE_LEN_HINTS, sample};
use crate::args::{RunArgs, TakeArgs};
use crate::failure::Failure;
use crate::measure::memory;

/// The lookups that count as first after opening.
const FIRST_LEN_HINTS: usize = 64;

/// Hints of a batch, as a station looks them up.
const BATCH_LEN_HINTS: usize = 256;

/// Hints that are scanned for together, as a station does.
const SCAN_LEN_HINTS: usize = 32;

/// With more tries than this, a lookup spends most of its time on trying keys.
const FEW_TRIES: u32 = 256;

/// About the number of keys that are tried between two readings of the clock.
const TRIES_AT_ONCE: usize = 1 << 22;

/// Measures lookups in the live index of the fleet in `--index`.
pub fn live(args: &TakeArgs, run: &RunArgs, before_bytes: u64) -> Result<(), Failure> {
    let read_before = memory::read_from_disk_bytes();
    let watch = Stopwatch::start();
    let station = Station::open(&args.index, &options(run))?;
    let open_ms = watch.wall().as_secs_f64() * 1e3;
    let table = station.key_table()?;
    let sample = sample(&table, args, 0..SAMPLE_LEN_HINTS)?;
    let single = |hint: &Hint| {
        let slots = station.live_candidates(hint).unwrap_or_default();
        slots.iter().any(|slot| table.confirm_slot(*slot, hint).is_some())
    };
    let batch = |hints: &[Hint]| {
        let slots = station.live_candidates_batch(hints).unwrap_or_default();
        let pairs = slots.iter().zip(hints);
        let pairs: Vec<(Slot, Hint)> =
            pairs.flat_map(|(slots, hint)| slots.iter().map(move |slot| (*slot, *hint))).collect();
        let mut found = 0;
        table.confirm_each(&pairs, |_, _| found += 1);
        found
    };
    let work = Work { sample: &sample, args, tries: 1 };
    let mut measured = work.measure(single, batch, BATCH_LEN_HINTS)?;
    let stats = station.stats()?;
    measured.memory = memory_now(before_bytes, None)?;
    measured.memory.block_cache_bytes = stats.cache_bytes;
    let sections = stats.sections.iter();
    print_and_wait(&Measurement {
        hints: stats.hints,
        bytes: stats.disk_bytes(),
        sections: sections.map(|section| (section.name.to_owned(), section.disk_bytes)).collect(),
        tries: 1,
        open_ms,
        read_bytes: memory::read_from_disk_bytes() - read_before,
        ..measured
    })
}

/// Measures lookups in `--snapshot` of the fleet in `--index`, without the live index.
pub fn snapshot(args: &TakeArgs, before_bytes: u64) -> Result<(), Failure> {
    let path = snapshot_path(args)?;
    let keys = master_key(&args.index)?;
    let table = table_of(&keys, args)?;
    let sample = sample(&table, args, 0..SAMPLE_LEN_HINTS)?;
    let read_before = memory::read_from_disk_bytes();
    let watch = Stopwatch::start();
    let snapshot = Snapshot::open(path, &ManifestKey::of_fleet(&keys));
    let snapshot = snapshot.map_err(|error| Failure::data(path, &error))?;
    let open_ms = watch.wall().as_secs_f64() * 1e3;
    if !args.cold {
        // Lookups check blocks until every block was checked once; later lookups skip that.
        snapshot.verify().map_err(|error| Failure::data(path, &error))?;
    }
    let stats = snapshot.stats();
    let mut candidates = CandidateBatch::default();
    let work = Work { sample: &sample, args, tries: stats.tries };
    let mut measured = if snapshot.params().encoding == Encoding::Chain {
        let single = |hint: &Hint| count_points(&snapshot, &table, std::slice::from_ref(hint)) == 1;
        let batch = |hints: &[Hint]| count_points(&snapshot, &table, hints);
        work.measure(single, batch, BATCH_LEN_HINTS)?
    } else {
        let single = |hint: &Hint| confirm_one(&snapshot, &table, hint);
        let batch = |hints: &[Hint]| confirm_many(&snapshot, &table, hints, &mut candidates);
        work.measure(single, batch, BATCH_LEN_HINTS)?
    };
    measured.memory = memory_now(before_bytes, Some(path))?;
    let section = |section: &snapshot::Section| (section.name.to_owned(), section.bytes);
    print_and_wait(&Measurement {
        hints: stats.hints,
        bytes: stats.bytes,
        sections: stats.sections.iter().map(section).collect(),
        tries: stats.tries,
        evaluations: stats.evaluations.unwrap_or(0),
        open_ms,
        read_bytes: memory::read_from_disk_bytes() - read_before,
        ..measured
    })
}

/// Measures scans without any index: every key of the fleet is tried, on this thread.
pub fn scan(args: &TakeArgs, before_bytes: u64) -> Result<(), Failure> {
    let table = table_of(&master_key(&args.index)?, args)?;
    let sample = sample(&table, args, 0..SAMPLE_LEN_HINTS)?;
    let all = Slot(0)..Slot(args.devices);
    let single = |hint: &Hint| !table.confirm(all.clone(), hint).is_empty();
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let one = one.map_err(|error| Failure::usage(format!("a thread: {error}")))?;
    let batch = |hints: &[Hint]| {
        let found = one.install(|| table.confirm_all(hints));
        found.iter().filter(|found| !found.is_empty()).count()
    };
    let work = Work { sample: &sample, args, tries: args.devices };
    let measured = work.measure(single, batch, SCAN_LEN_HINTS)?;
    let memory = memory_now(before_bytes, None)?;
    print_and_wait(&Measurement { tries: args.devices, memory, ..measured })
}

/// Whether a snapshot and the keys resolve a hint, looked up alone.
fn confirm_one(snapshot: &Snapshot, table: &KeyTable, hint: &Hint) -> bool {
    snapshot.candidates(hint).into_iter().flatten().any(|mut slots| {
        if slots.len() < MIN_GROUP_LEN_SLOTS {
            slots.any(|slot| table.confirm_slot(Slot(slot), hint).is_some())
        } else {
            !table.confirm(Slot(slots.start)..Slot(slots.end), hint).is_empty()
        }
    })
}

/// How many of `hints` a snapshot and the keys resolve, looked up as a station does.
fn confirm_many(
    snapshot: &Snapshot,
    table: &KeyTable,
    hints: &[Hint],
    candidates: &mut CandidateBatch,
) -> usize {
    if snapshot.candidates_batch(hints, candidates).is_err() {
        return 0;
    }
    let mut found = 0;
    let search = table.within(|_| 0..0);
    confirm_candidates(candidates, &search, hints, |_, _| found += 1);
    found
}

/// How many of `hints` a chain and the keys resolve.
fn count_points(chain: &Snapshot, table: &KeyTable, hints: &[Hint]) -> usize {
    let mut found = 0;
    let looked_up = chain.points(&TableHints(table), hints, |_, _, _| found += 1);
    looked_up.map_or(0, |()| found)
}

/// The hint keys of a fleet whose slot numbers are its ids.
fn table_of(keys: &MasterKey, args: &TakeArgs) -> Result<KeyTable, Failure> {
    let key = |id| keys.hint_key(KeyId::first(DeviceId(id)));
    let derived: Option<Vec<HintKey>> = (0..args.devices).into_par_iter().map(key).collect();
    let mut table = KeyTable::new(args.hint);
    table.extend(derived.ok_or_else(|| Failure::usage("a master key has every device's key"))?);
    Ok(table)
}

/// The hints to look up, and the settings of the measurement.
struct Work<'a> {
    sample: &'a [Hint],
    args: &'a TakeArgs,
    tries: u32,
}

impl Work<'_> {
    fn measure(
        &self,
        single: impl Fn(&Hint) -> bool,
        mut batch: impl FnMut(&[Hint]) -> usize,
        batch_len: usize,
    ) -> Result<Measurement, Failure> {
        let mut singles =
            |hints: &[Hint]| hints.iter().filter(|hint| single(black_box(hint))).count();
        let first = self.sample.get(..FIRST_LEN_HINTS).unwrap_or(self.sample);
        if self.args.cold {
            let watch = Stopwatch::start();
            all_found(singles(first), first.len())?;
            let first_lookup_us = watch.wall().as_secs_f64() * 1e6 / first.len() as f64;
            return Ok(Measurement { first_lookup_us, ..Measurement::default() });
        }
        let at_once = TRIES_AT_ONCE / usize::try_from(self.tries.max(1)).unwrap_or(usize::MAX);
        let (cpu_ns, wall_ns) = self.time(&mut singles, at_once.clamp(1, BATCH_LEN_HINTS))?;
        let at_once = if batch_len == SCAN_LEN_HINTS { batch_len } else { at_once };
        let (batch_cpu_ns, batch_wall_ns) = self.time(&mut batch, at_once.clamp(1, batch_len))?;
        Ok(Measurement { cpu_ns, wall_ns, batch_cpu_ns, batch_wall_ns, ..Measurement::default() })
    }

    /// The longest warm-up. An index is warm once all of it was read; a search of many keys
    /// is warm at once.
    const fn max_warm_up(&self) -> Duration {
        Duration::from_millis(if self.tries <= FEW_TRIES { 4000 } else { 200 })
    }

    /// Nanoseconds a hint, of processor time and of wall time. First looks up the whole sample
    /// for warm-up, or as much as the time allows.
    fn time(
        &self,
        look_up: &mut impl FnMut(&[Hint]) -> usize,
        at_once: usize,
    ) -> Result<(f64, f64), Failure> {
        let each = Duration::from_millis(self.args.each_ms);
        let warm = Stopwatch::start();
        for hints in self.sample.chunks(at_once) {
            all_found(look_up(hints), hints.len())?;
            if warm.wall() > self.max_warm_up() {
                break;
            }
        }
        let (watch, mut done) = (Stopwatch::start(), 0);
        for hints in self.sample.chunks(at_once).cycle() {
            look_up(hints);
            done += hints.len();
            if watch.wall() > each {
                break;
            }
        }
        let per_hint = |took: Duration| took.as_secs_f64() * 1e9 / done.max(1) as f64;
        Ok((per_hint(watch.cpu()), per_hint(watch.wall())))
    }
}

/// Rejects a form that does not find the hints it holds.
fn all_found(found: usize, hints: usize) -> Result<(), Failure> {
    if found >= hints {
        return Ok(());
    }
    let what = format!("{} of {hints} live hints were not found", hints - found);
    Err(Failure::data(Path::new("the measured fleet"), &what))
}
