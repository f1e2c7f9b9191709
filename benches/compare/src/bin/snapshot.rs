//! Snapshot lookups and builds beside sux `VFunc` and `hashbrown`.
//!
//! ```text
//! cargo run --release --bin snapshot -- [lookup|build] [--devices 1000000] [--horizon 10]
//!                                       [--turns 15] [--dials 3]
//! ```
//!
//! Everything is measured in turns within one run, by processor time, and the
//! ratios are medians over the turns.

use std::path::Path;

use hintdex_compare::fleet::{Fleet, Ready, manifest_key, scramble};
use hintdex_compare::turns::{Turns, argument, has_argument};
use hintdex_snapshot::{CandidateBatch, Dial, Encoding, Kernel, Snapshot};
use hintdex_wire::Hint;
use sux::bits::BitFieldVec;
use sux::func::{VBuilder, VFunc};
use sux::traits::TryIntoUnaligned;

const LOOKUPS: usize = 1 << 20;

type Peer = VFunc<u64, BitFieldVec<Box<[usize]>>>;

fn main() {
    let fleet = Fleet::new(argument("--devices", 1_000_000), argument("--horizon", 10));
    let hints = fleet.all();
    println!("kernels: {:?}", Kernel::all().collect::<Vec<_>>());
    let dir = tempfile::tempdir().unwrap();
    if !has_argument("lookup") {
        builds(dir.path(), &fleet, &hints);
    }
    if !has_argument("build") {
        lookups(dir.path(), &fleet, &hints);
    }
}

fn build_vfunc(hints: &[(Hint, u32)]) -> Peer {
    let heads: Vec<u64> = hints.iter().map(|(hint, _)| hint.head()).collect();
    let slots: Vec<usize> = hints.iter().map(|&(_, slot)| slot as usize).collect();
    build_vfunc_of(&heads, &slots)
}

fn build_vfunc_of(heads: &[u64], slots: &[usize]) -> Peer {
    <Peer>::try_par_new_with_builder(
        heads,
        slots,
        VBuilder::default().max_num_threads(2),
        dsi_progress_logger::no_logging![],
    )
    .unwrap()
}

fn builds(dir: &Path, fleet: &Fleet, hints: &[(Hint, u32)]) {
    let heads: Vec<u64> = hints.iter().map(|(hint, _)| hint.head()).collect();
    let slots: Vec<usize> = hints.iter().map(|&(_, slot)| slot as usize).collect();
    let mut turns = Turns::default();
    for _ in 0..argument("--turns", 5) {
        turns.measure("vfunc", hints.len(), || build_vfunc_of(&heads, &slots).len() as u64);
        turns.measure("ribbon r=20, ready hints, to file", hints.len(), || {
            fleet.build(dir, &Ready(hints, fleet.horizon), Encoding::Ribbon, Dial::Bits(20));
            0
        });
        turns.measure("ribbon r=20, hint keys, to file", hints.len(), || {
            fleet.build(dir, fleet, Encoding::Ribbon, Dial::Bits(20));
            0
        });
    }
    turns.print(&["vfunc"]);
}

fn lookups(dir: &Path, fleet: &Fleet, hints: &[(Hint, u32)]) {
    let vfunc = build_vfunc(hints).try_into_unaligned().unwrap();
    let mut map = hashbrown::HashMap::with_capacity(hints.len());
    for (hint, slot) in hints {
        map.insert(*hint.as_bytes(), *slot);
    }
    let only: Vec<Hint> = (0..LOOKUPS as u64)
        .map(|at| hints[(scramble(at) % hints.len() as u64) as usize].0)
        .collect();
    for bits in [20_u8, 15, 10].into_iter().take(argument("--dials", 3) as usize) {
        let path = fleet.build(dir, fleet, Encoding::Ribbon, Dial::Bits(bits));
        let open = || {
            let mapped = ("mapped", Snapshot::open(&path, &manifest_key()).unwrap());
            let copied = ("copied", Snapshot::open_in_memory(&path, &manifest_key()).unwrap());
            [mapped, copied]
        };
        let mut snapshots: Vec<(String, Snapshot)> = Vec::new();
        for kernel in Kernel::all() {
            for (place, snapshot) in open() {
                snapshot.verify().unwrap();
                snapshots
                    .push((format!("{}, {place}", kernel.name()), snapshot.with_kernel(kernel)));
            }
        }
        println!("r = {bits}, {} tries", snapshots[0].1.params().tries());
        let mut batch = CandidateBatch::default();
        let mut turns = Turns::default();
        for _ in 0..argument("--turns", 15) {
            turns.measure("vfunc", LOOKUPS, || {
                only.iter().map(|hint| vfunc.get(hint.head()) as u64).sum()
            });
            turns.measure("hashbrown", LOOKUPS, || {
                only.iter().map(|hint| u64::from(map[hint.as_bytes()])).sum()
            });
            for (name, snapshot) in &snapshots {
                turns.measure(&format!("candidates, {name}"), LOOKUPS, || {
                    let first = |hint| snapshot.candidates(hint).unwrap().next().unwrap().start;
                    only.iter().map(|hint| u64::from(first(hint))).sum()
                });
                turns.measure(&format!("candidates_batch, {name}"), LOOKUPS, || {
                    snapshot.candidates_batch(&only, &mut batch).unwrap();
                    batch.iter().map(|ranges| u64::from(ranges[0].start)).sum()
                });
            }
        }
        turns.print(&["vfunc"]);
    }
}
