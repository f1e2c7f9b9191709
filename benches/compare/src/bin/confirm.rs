//! From a hint to the device that made it, beside `hashbrown` and LMDB.
//!
//! ```text
//! cargo run --release --bin confirm -- [--devices 1000000] [--horizon 10] [--turns 11]
//! ```
//!
//! The peers keep whole hints and are done when they have found one; ours asks a
//! snapshot for candidates and confirms them with the table of keys, which the
//! peers do not. One thread, by processor time, in turns within one run.

use std::path::Path;

use hashbrown::HashMap;
use heed::types::{Bytes, U32};
use heed::{Database, Env, EnvOpenOptions, PutFlags, byteorder::LE};
use hintdex_compare::fleet::{Fleet, manifest_key, scramble};
use hintdex_compare::turns::{Turns, argument};
use hintdex_scan::KeyTable;
use hintdex_snapshot::{CandidateBatch, Dial, Encoding, Snapshot};
use hintdex_wire::{Hint, HintScheme, Slot};

/// Lookups a turn.
const LOOKUPS: usize = 1 << 18;

/// Lookups of a batch, as a station makes them.
const BATCH: usize = 256;

fn main() {
    let fleet = Fleet::new(argument("--devices", 1_000_000), argument("--horizon", 10));
    let hints = fleet.all();
    let dir = tempfile::tempdir().unwrap();
    let mut table = KeyTable::new(HintScheme::Aes128);
    table.extend(fleet.keys.clone());
    println!("scan back end: {:?}", table.backend());
    let map: HashMap<[u8; 16], u32> =
        hints.iter().map(|(hint, slot)| (*hint.as_bytes(), *slot)).collect();
    let lmdb = Lmdb::load(dir.path(), &hints);
    let snapshots = [Dial::Tries(1), Dial::Tries(32)].map(|dial| {
        let path = fleet.build(dir.path(), &fleet, Encoding::Ribbon, dial);
        let snapshot = Snapshot::open(&path, &manifest_key()).unwrap();
        snapshot.verify().unwrap();
        snapshot
    });
    let order: Vec<(Hint, u32)> =
        (0..LOOKUPS as u64).map(|at| hints[(scramble(at) % hints.len() as u64) as usize]).collect();
    drop(hints);

    let mut turns = Turns::default();
    for _ in 0..argument("--turns", 11) {
        turns.measure("hashbrown, dependent", LOOKUPS, || {
            chain(&order, |hint| map[hint.as_bytes()])
        });
        turns.measure("hashbrown", LOOKUPS, || each(&order, |hint| map[hint.as_bytes()]));
        lmdb.measure(&mut turns, &order);
        for snapshot in &snapshots {
            let tries = snapshot.params().tries();
            let single = |hint: &Hint| resolve(snapshot, &table, hint);
            turns.measure(&format!("{tries} tries, dependent"), LOOKUPS, || chain(&order, single));
            turns.measure(&format!("{tries} tries, one by one"), LOOKUPS, || each(&order, single));
            let mut batches = Batches::default();
            turns.measure(&format!("{tries} tries, batches"), LOOKUPS, || {
                batches.resolve_all(snapshot, &table, &order)
            });
        }
    }
    turns.print(&["hashbrown, dependent", "hashbrown", "lmdb"]);
}

/// Looks hints up so that each lookup waits for the one before.
fn chain(order: &[(Hint, u32)], look_up: impl Fn(&Hint) -> u32) -> u64 {
    // Always 0, but no processor knows before the answer is there.
    let mut wrong = 0;
    for at in 0..order.len() {
        let (hint, slot) = &order[at + wrong];
        wrong = (look_up(hint) ^ slot) as usize;
    }
    wrong as u64
}

/// Looks hints up that do not wait for each other.
fn each(order: &[(Hint, u32)], look_up: impl Fn(&Hint) -> u32) -> u64 {
    order.iter().map(|(hint, _)| u64::from(look_up(hint))).sum()
}

fn resolve(snapshot: &Snapshot, table: &KeyTable, hint: &Hint) -> u32 {
    for slots in snapshot.candidates(hint).unwrap() {
        let found = if slots.len() == 1 {
            table.confirm_slot(Slot(slots.start), hint)
        } else {
            table.confirm(Slot(slots.start)..Slot(slots.end), hint).first().copied()
        };
        if let Some(found) = found {
            return found.slot.0;
        }
    }
    unreachable!("every hint is in the snapshot")
}

/// The memory of batched lookups.
#[derive(Default)]
struct Batches {
    hints: Vec<Hint>,
    candidates: CandidateBatch,
    pairs: Vec<(Slot, Hint)>,
    ranges: Vec<(std::ops::Range<Slot>, Hint)>,
}

impl Batches {
    fn resolve_all(&mut self, snapshot: &Snapshot, table: &KeyTable, order: &[(Hint, u32)]) -> u64 {
        let (mut sum, mut found) = (0, 0);
        for batch in order.chunks(BATCH) {
            self.hints.clear();
            self.hints.extend(batch.iter().map(|(hint, _)| *hint));
            snapshot.candidates_batch(&self.hints, &mut self.candidates).unwrap();
            let named = self.candidates.iter().zip(&self.hints);
            let named =
                named.flat_map(|(ranges, hint)| ranges.iter().map(move |range| (range, hint)));
            let mut confirmed = |_, found_here: hintdex_scan::Match| {
                sum += u64::from(found_here.slot.0);
                found += 1;
            };
            if snapshot.params().tries() == 1 {
                self.pairs.clear();
                self.pairs.extend(named.map(|(slots, hint)| (Slot(slots.start), *hint)));
                table.confirm_each(&self.pairs, &mut confirmed);
            } else {
                self.ranges.clear();
                self.ranges
                    .extend(named.map(|(slots, hint)| (Slot(slots.start)..Slot(slots.end), *hint)));
                table.confirm_ranges(&self.ranges, &mut confirmed);
            }
        }
        assert_eq!(found, order.len(), "every hint is confirmed");
        sum
    }
}

/// The same hints in LMDB, sorted and appended.
struct Lmdb {
    env: Env,
    hints: Database<Bytes, U32<LE>>,
}

impl Lmdb {
    fn load(dir: &Path, hints: &[(Hint, u32)]) -> Self {
        let mut sorted: Vec<_> =
            hints.iter().map(|(hint, slot)| (*hint.as_bytes(), *slot)).collect();
        sorted.sort_unstable();
        let mut options = EnvOpenOptions::new();
        options.map_size(2 << 30);
        // SAFETY: the folder is this process's own, and opened once.
        let env = unsafe { options.open(dir) }.unwrap();
        let mut write = env.write_txn().unwrap();
        let hints = env.create_database(&mut write, None).unwrap();
        for (hint, slot) in &sorted {
            hints.put_with_flags(&mut write, PutFlags::APPEND, &hint[..], slot).unwrap();
        }
        write.commit().unwrap();
        Self { env, hints }
    }

    fn measure(&self, turns: &mut Turns, order: &[(Hint, u32)]) {
        let read = self.env.read_txn().unwrap();
        turns.measure("lmdb", order.len(), || {
            each(order, |hint| self.hints.get(&read, &hint.as_bytes()[..]).unwrap().unwrap())
        });
    }
}
