//! Lookups: from hints of random devices to confirmed ones, one at a time and in
//! batches, on one thread.

use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use hintdex::snapshot::{CandidateBatch, ManifestKey, Snapshot};
use hintdex::wire::{
    DeviceId, Hint, HintCipher, HintKey, HintScheme, KeyId, KeySource, MasterKey, Slot,
};
use hintdex::{Station, snapshot};
use hintdex_scan::KeyTable;
use rayon::prelude::*;

use super::{Stopwatch, Taken, master_key, memory_now, options, snapshot_path, tell};
use crate::args::{RunArgs, TakeArgs};
use crate::failure::Failure;
use crate::measure::memory;

/// Hints that are looked up again and again: together their rows are more than
/// most caches hold.
pub const SAMPLE_LEN_HINTS: usize = 1 << 17;

/// Lookups that are called first, after opening.
const FIRST_LEN_HINTS: usize = 64;

/// Hints of a batch, as a station looks them up.
const BATCH_LEN_HINTS: usize = 256;

/// Hints that are scanned for together, as a station does.
const SCAN_LEN_HINTS: usize = 32;

/// Slots from which on a run of keys is tried faster than one by one.
const LEAST_GROUP_LEN_SLOTS: usize = 8;

/// With more tries than this most of a lookup is trying keys.
const FEW_TRIES: u32 = 256;

/// Keys tried between two looks at the clock, about.
const TRIES_AT_ONCE: usize = 1 << 22;

/// The live index of the fleet in `--index`.
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
    let mut taken = work.measure(single, batch, BATCH_LEN_HINTS)?;
    let stats = station.stats()?;
    taken.memory = memory_now(before_bytes, None)?;
    taken.memory.block_cache_bytes = stats.cache_bytes;
    let sections = stats.sections.iter();
    tell(&Taken {
        hints: stats.hints,
        bytes: stats.disk_bytes(),
        sections: sections.map(|section| (section.name.to_owned(), section.disk_bytes)).collect(),
        tries: 1,
        open_ms,
        read_bytes: memory::read_from_disk_bytes() - read_before,
        ..taken
    })
}

/// The snapshot `--snapshot` of the fleet in `--index`, without its live index.
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
        // When no block is left to check, lookups stop looking.
        snapshot.verify().map_err(|error| Failure::data(path, &error))?;
    }
    let stats = snapshot.stats();
    let mut candidates = CandidateBatch::default();
    let single = |hint: &Hint| confirm_one(&snapshot, &table, hint);
    let batch = |hints: &[Hint]| confirm_many(&snapshot, &table, hints, &mut candidates);
    let work = Work { sample: &sample, args, tries: stats.tries };
    let mut taken = work.measure(single, batch, BATCH_LEN_HINTS)?;
    taken.memory = memory_now(before_bytes, Some(path))?;
    let section = |section: &snapshot::Section| (section.name.to_owned(), section.bytes);
    tell(&Taken {
        hints: stats.hints,
        bytes: stats.bytes,
        sections: stats.sections.iter().map(section).collect(),
        tries: stats.tries,
        open_ms,
        read_bytes: memory::read_from_disk_bytes() - read_before,
        ..taken
    })
}

/// No index at all: every key of the fleet is tried, on this thread.
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
    let taken = work.measure(single, batch, SCAN_LEN_HINTS)?;
    let memory = memory_now(before_bytes, None)?;
    tell(&Taken { tries: args.devices, memory, ..taken })
}

/// Whether a snapshot and the keys find the device of a hint.
fn confirm_one(snapshot: &Snapshot, table: &KeyTable, hint: &Hint) -> bool {
    snapshot.candidates(hint).into_iter().flatten().any(|mut slots| {
        if slots.len() < LEAST_GROUP_LEN_SLOTS {
            slots.any(|slot| table.confirm_slot(Slot(slot), hint).is_some())
        } else {
            !table.confirm(Slot(slots.start)..Slot(slots.end), hint).is_empty()
        }
    })
}

/// How many of `hints` they find the device of, as a station asks them.
fn confirm_many(
    snapshot: &Snapshot,
    table: &KeyTable,
    hints: &[Hint],
    candidates: &mut CandidateBatch,
) -> usize {
    if snapshot.candidates_batch(hints, candidates).is_err() {
        return 0;
    }
    let (mut singles, mut groups) = (Vec::new(), Vec::new());
    for (hint, ranges) in hints.iter().zip(candidates.iter()) {
        for slots in ranges {
            if slots.len() < LEAST_GROUP_LEN_SLOTS {
                singles.extend(slots.clone().map(|slot| (Slot(slot), *hint)));
            } else {
                groups.push((Slot(slots.start)..Slot(slots.end), *hint));
            }
        }
    }
    let mut found = 0;
    table.confirm_each(&singles, |_, _| found += 1);
    table.confirm_ranges(&groups, |_, _| found += 1);
    found
}

/// The hint keys of a fleet whose slots are its ids.
fn table_of(keys: &MasterKey, args: &TakeArgs) -> Result<KeyTable, Failure> {
    let key = |id| keys.hint_key(KeyId::first(DeviceId(id)));
    let derived: Option<Vec<HintKey>> = (0..args.devices).into_par_iter().map(key).collect();
    let mut table = KeyTable::new(args.hint);
    table.extend(derived.ok_or_else(|| Failure::usage("a master key has every device's key"))?);
    Ok(table)
}

/// Live hints of random devices, always the same for a fleet.
pub fn sample(
    table: &KeyTable,
    args: &TakeArgs,
    places: Range<usize>,
) -> Result<Vec<Hint>, Failure> {
    let slots = u64::try_from(table.len()).unwrap_or(u64::MAX);
    let draw = |number: usize| {
        let (slot, nonce) =
            (below(2 * number, slots), below(2 * number + 1, args.lookahead.into()));
        let key = table.key(Slot(u32::try_from(slot).ok()?))?;
        hint_of(args.hint, &key, nonce)
    };
    let hints: Option<Vec<Hint>> = places.into_par_iter().map(draw).collect();
    hints.filter(|hints| !hints.is_empty()).ok_or_else(|| Failure::usage("a fleet has devices"))
}

fn hint_of(scheme: HintScheme, key: &HintKey, nonce: u64) -> Option<Hint> {
    HintCipher::new(scheme, key).hint(nonce)
}

/// The random number at `place` below `end`: SplitMix64 (Steele, Lea and Flood,
/// "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
pub fn below(place: usize, end: u64) -> u64 {
    let x = (place as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let wide = u128::from(x ^ x >> 31) * u128::from(end);
    u64::try_from(wide >> 64).unwrap_or(0)
}

/// What is looked up, and for how long.
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
    ) -> Result<Taken, Failure> {
        let mut singles =
            |hints: &[Hint]| hints.iter().filter(|hint| single(black_box(hint))).count();
        let first = self.sample.get(..FIRST_LEN_HINTS).unwrap_or(self.sample);
        if self.args.cold {
            let watch = Stopwatch::start();
            all_found(singles(first), first.len())?;
            let first_lookup_us = watch.wall().as_secs_f64() * 1e6 / first.len() as f64;
            return Ok(Taken { first_lookup_us, ..Taken::default() });
        }
        let at_once = TRIES_AT_ONCE / usize::try_from(self.tries.max(1)).unwrap_or(usize::MAX);
        let (cpu_ns, wall_ns) = self.time(&mut singles, at_once.clamp(1, BATCH_LEN_HINTS))?;
        let at_once = if batch_len == SCAN_LEN_HINTS { batch_len } else { at_once };
        let (batch_cpu_ns, batch_wall_ns) = self.time(&mut batch, at_once.clamp(1, batch_len))?;
        Ok(Taken { cpu_ns, wall_ns, batch_cpu_ns, batch_wall_ns, ..Taken::default() })
    }

    /// How long to warm up: an index until all of it was touched, as a rule; a search
    /// of many keys is warm at once.
    const fn warming_at_most(&self) -> Duration {
        Duration::from_millis(if self.tries <= FEW_TRIES { 4000 } else { 200 })
    }

    /// Nanoseconds a hint by both clocks, once every hint of the sample was looked up,
    /// or as many as there is time for.
    fn time(
        &self,
        look_up: &mut impl FnMut(&[Hint]) -> usize,
        at_once: usize,
    ) -> Result<(f64, f64), Failure> {
        let each = Duration::from_millis(self.args.each_ms);
        let warm = Stopwatch::start();
        for hints in self.sample.chunks(at_once) {
            all_found(look_up(hints), hints.len())?;
            if warm.wall() > self.warming_at_most() {
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

/// A form that does not find what is in it is not worth measuring.
fn all_found(found: usize, hints: usize) -> Result<(), Failure> {
    if found >= hints {
        return Ok(());
    }
    let what = format!("{} of {hints} live hints were not found", hints - found);
    Err(Failure::data(Path::new("the fleet that is measured"), &what))
}
