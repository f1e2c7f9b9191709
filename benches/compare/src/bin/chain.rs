//! Chains beside `hashbrown`, sux `VFunc`, PtrHash with an array and our own ribbon, to the confirmed
//! slot.
//!
//! ```text
//! cargo run --release --no-default-features --bin chain -- [--devices 1000000] [--horizon 10]
//!                                                          [--turns 40] [--lookups 16384]
//! ```
//!
//! Everything is measured in turns within one run, by processor time, and the ratios are
//! medians over the turns. A lookup that waits for the one before is measured alike of the map:
//! the place of the next hint depends on the value of this one.

use std::path::{Path, PathBuf};

use hintdex_compare::fleet::{Fleet, manifest_key, scramble};
use hintdex_compare::table_hints::TableHints;
use hintdex_compare::turns::{Turns, argument, now};
use hintdex_scan::{Backend, KeyTable};
use hintdex_snapshot::{Builder, CandidateBatch, Dial, Encoding, Snapshot};
use hintdex_wire::{Hint, HintScheme, Slot};
use ptr_hash::{DefaultPtrHash, PtrHashParams, hash::NoHash};
use sux::bits::BitFieldVec;
use sux::func::{VBuilder, VFunc};
use sux::traits::TryIntoUnaligned;
use sux::traits::value_traits::slices::{SliceByValue, SliceByValueMut};

const EVALUATIONS: [u32; 5] = [3, 5, 9, 16, 50];

/// Hashes whose places PtrHash waits for together; what its documentation advises.
const AHEAD: usize = 32;

/// How many hints are confirmed together.
const CONFIRMED_TOGETHER: usize = 512;

fn table(fleet: &Fleet, backend: Backend) -> KeyTable {
    let mut table = KeyTable::with_backend(HintScheme::Aes128, backend).unwrap();
    table.extend(fleet.keys.clone());
    table
}

fn main() {
    let fleet = Fleet::new(argument("--devices", 1_000_000), argument("--horizon", 10));
    let lookups = argument("--lookups", 16_384) as usize;
    let fast = table(&fleet, Backend::best(HintScheme::Aes128));
    let portable = table(&fleet, Backend::Portable);
    println!("back end: {}", fast.backend());

    let all = fleet.all();
    let mut map = hashbrown::HashMap::with_capacity(all.len());
    map.extend(all.iter().map(|(hint, slot)| (*hint.as_bytes(), *slot)));
    let at = |n: u64| all[(scramble(n) % all.len() as u64) as usize].0;
    let known: Vec<Hint> = (0..lookups as u64).map(at).collect();
    let foreign =
        |n: u64| [scramble(n ^ 77).to_le_bytes(), scramble(n ^ 99).to_le_bytes()].concat();
    let foreign: Vec<Hint> =
        (0..lookups as u64).map(|n| Hint::read(HintScheme::Aes128, &foreign(n)).unwrap()).collect();

    let dir = tempfile::tempdir().unwrap();
    let hints = all.len();
    let vfunc = built("sux VFunc", hints, || vfunc(&all));
    let ptrhash = built("PtrHash and array", hints, || ptrhash(&all));
    let ribbon = built("ribbon, 32 tries", hints, || {
        fleet.build(dir.path(), &fleet, Encoding::Ribbon, Dial::Tries(32))
    });
    let ribbon = open(&ribbon);
    let chains = EVALUATIONS.map(|evaluations| {
        let name = format!("chain, {evaluations} evaluations");
        let path = built(&name, hints, || build(&fleet, dir.path(), &fast, evaluations));
        let chain = open(&path);
        println!("{name}: {:.4} bytes a hint", chain.stats().bytes as f64 / hints as f64);
        (name, chain)
    });

    let mut turns = Turns::default();
    let mut batch = CandidateBatch::default();
    for _ in 0..argument("--turns", 40) {
        turns.measure("hashbrown", lookups, || {
            known.iter().map(|hint| u64::from(map[hint.as_bytes()])).sum()
        });
        turns.measure("hashbrown, each waits", lookups, || {
            (0..lookups).fold(0, |at, _| {
                let slot = map[known[at as usize].as_bytes()];
                // Always the next one, but not before the value is known.
                (at + 1 + u64::from(slot >> 31)) % lookups as u64
            })
        });
        turns.measure("ribbon, 32 tries, confirmed", lookups, || {
            confirmed(&ribbon, &fast, &known, &mut batch)
        });
        turns.measure("sux VFunc, confirmed", lookups, || of_slots(&fast, &known, &vfunc(&known)));
        turns.measure("PtrHash and array, confirmed", lookups, || {
            of_slots(&fast, &known, &ptrhash(&known))
        });
        for (name, chain) in &chains {
            let name = |what: &str| format!("{name}{what}");
            turns.measure(&name(""), lookups, || points(chain, &fast, &known));
            turns.measure(&name(", foreign"), lookups, || points(chain, &fast, &foreign));
            let few = &known[..lookups / 8];
            turns.measure(&name(", portable"), few.len(), || points(chain, &portable, few));
            turns.measure(&name(", each waits"), few.len(), || {
                (0..few.len()).fold(0, |at, _| {
                    let slot = points(chain, &fast, &few[at as usize..][..1]);
                    (at + 1 + (slot >> 31)) % few.len() as u64
                })
            });
        }
    }
    turns.print(&["hashbrown", "ribbon, 32 tries, confirmed", "hashbrown, each waits"]);
}

/// Builds something and prints the processor time.
fn built<T>(name: &str, hints: usize, build: impl FnOnce() -> T) -> T {
    let before = now();
    let built = build();
    println!("{name}: built in {:.0} ns a hint", (now() - before).as_nanos() as f64 / hints as f64);
    built
}

/// The slots that a static function names.
fn vfunc(all: &[(Hint, u32)]) -> impl Fn(&[Hint]) -> Vec<u32> {
    let heads: Vec<u64> = all.iter().map(|(hint, _)| hint.head()).collect();
    let slots: Vec<usize> = all.iter().map(|(_, slot)| *slot as usize).collect();
    let vfunc = VFunc::<u64, BitFieldVec<Box<[usize]>>>::try_par_new_with_builder(
        &heads,
        &slots,
        VBuilder::default().max_num_threads(2),
        dsi_progress_logger::no_logging![],
    );
    let vfunc = vfunc.unwrap().try_into_unaligned().unwrap();
    move |hints| hints.iter().map(|hint| vfunc.get(hint.head()) as u32).collect()
}

/// The slots that lie in the order of a minimal perfect hash function.
fn ptrhash(all: &[(Hint, u32)]) -> impl Fn(&[Hint]) -> Vec<u32> {
    let heads: Vec<u64> = all.iter().map(|(hint, _)| hint.head()).collect();
    let ptrhash = DefaultPtrHash::<NoHash>::new(&heads, PtrHashParams::default_fast());
    let most = all.iter().map(|(_, slot)| *slot).max().unwrap_or(0);
    let slot_bits = (u32::BITS - most.leading_zeros()).max(1) as usize;
    let mut array = BitFieldVec::<Box<[usize]>>::new_padded(slot_bits, all.len());
    for (head, (_, slot)) in heads.iter().zip(all) {
        array.set_value(ptrhash.index(head), *slot as usize);
    }
    let array = array.try_into_unaligned().unwrap();
    move |hints| {
        let mut slots = Vec::with_capacity(hints.len());
        ptrhash
            .index_stream::<AHEAD, u64>(hints.iter().map(Hint::head))
            .for_each(|place| slots.push(array.index_value(place) as u32));
        slots
    }
}

fn open(path: &Path) -> Snapshot {
    let snapshot = Snapshot::open_in_memory(path, &manifest_key()).unwrap();
    snapshot.verify().unwrap();
    snapshot
}

fn build(fleet: &Fleet, dir: &Path, table: &KeyTable, evaluations: u32) -> PathBuf {
    let path = dir.join(format!("chain-{evaluations}.hdx"));
    let runs: Vec<_> = fleet.slots().map(|slot| (Slot(slot), 0..fleet.horizon.into())).collect();
    let params = fleet.params(Encoding::Chain, Dial::Evaluations(evaluations));
    let key = manifest_key();
    let builder = Builder::new(params, &key).threads(2);
    builder.build_chain(&runs, &TableHints(table), &path).unwrap();
    path
}

/// Looks all hints up in a chain; a sum of what was found.
fn points(chain: &Snapshot, table: &KeyTable, hints: &[Hint]) -> u64 {
    let mut sum = 0;
    chain.points(&TableHints(table), hints, |_, slot, _| sum += u64::from(slot.0)).unwrap();
    sum
}

/// Looks all hints up in a snapshot and confirms the candidates by key.
fn confirmed(
    snapshot: &Snapshot,
    table: &KeyTable,
    hints: &[Hint],
    batch: &mut CandidateBatch,
) -> u64 {
    let mut sum = 0;
    for hints in hints.chunks(CONFIRMED_TOGETHER) {
        snapshot.candidates_batch(hints, batch).unwrap();
        let ranges: Vec<_> = hints
            .iter()
            .zip(batch.iter())
            .flat_map(|(hint, ranges)| ranges.iter().map(|range| (range.clone(), *hint)))
            .map(|(range, hint)| (Slot(range.start)..Slot(range.end), hint))
            .collect();
        table.confirm_ranges(&ranges, |_, matched| sum += u64::from(matched.slot.0));
    }
    sum
}

/// Confirms the one slot that a peer names for each hint.
fn of_slots(table: &KeyTable, hints: &[Hint], slots: &[u32]) -> u64 {
    let mut sum = 0;
    for (hints, slots) in hints.chunks(CONFIRMED_TOGETHER).zip(slots.chunks(CONFIRMED_TOGETHER)) {
        let ranges =
            hints.iter().zip(slots).map(|(hint, slot)| (Slot(*slot)..Slot(slot + 1), *hint));
        let ranges: Vec<_> = ranges.collect();
        table.confirm_ranges(&ranges, |_, matched| sum += u64::from(matched.slot.0));
    }
    sum
}
