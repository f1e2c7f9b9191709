//! Snapshot lookups and builds beside sux `VFunc`, `hashbrown` and LMDB.
//!
//! ```text
//! cargo run --release --bin snapshot -- [--devices 1000000] [--horizon 10] [--turns 7]
//! ```
//!
//! Everything is measured in turns within one run, and the ratios are medians
//! over the turns: the machine's moods hit ours and the peers' alike.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Range;
use std::time::Instant;

use hintdex_snapshot::{
    Builder, CandidateBatch, Dial, Encoding, HintSource, Kernel, ManifestKey, Snapshot,
    SnapshotParams,
};
use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Slot};
use sux::bits::BitFieldVec;
use sux::func::{VBuilder, VFunc};
use sux::traits::TryIntoUnaligned;

const SEED: u64 = 22;
const LOOKUPS: usize = 1 << 20;

/// Devices with random hint keys, and their hints.
struct Fleet {
    keys: Vec<HintKey>,
    horizon: u32,
}

impl Fleet {
    fn new(devices: u32, horizon: u32) -> Self {
        let key = |device: u32| {
            let mut bytes = [0; 16];
            let (first, last) = bytes.split_at_mut(8);
            first.copy_from_slice(&scramble(SEED ^ u64::from(device)).to_le_bytes());
            last.copy_from_slice(&scramble(!SEED ^ u64::from(device)).to_le_bytes());
            HintKey::from_bytes(bytes)
        };
        Self { keys: (0..devices).map(key).collect(), horizon }
    }

    fn cipher(&self, slot: u32) -> HintCipher {
        HintCipher::new(HintScheme::Aes128, &self.keys[slot as usize])
    }

    fn slots(&self) -> Range<u32> {
        0..self.keys.len() as u32
    }
}

impl HintSource for Fleet {
    fn hint_count(&self) -> u64 {
        self.keys.len() as u64 * u64::from(self.horizon)
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        for slot in slots {
            let cipher = self.cipher(slot);
            for nonce in 0..self.horizon {
                each(cipher.hint(nonce.into()).unwrap().head(), Slot(slot));
            }
        }
    }
}

/// Hints that are ready: what a peer's builder is given.
struct Ready<'h>(&'h [(Hint, u32)], u32);

impl HintSource for Ready<'_> {
    fn hint_count(&self) -> u64 {
        self.0.len() as u64
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        let (start, end) = (slots.start * self.1, slots.end * self.1);
        for (hint, slot) in &self.0[start as usize..end as usize] {
            each(hint.head(), Slot(*slot));
        }
    }
}

fn scramble(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

fn params(encoding: Encoding, dial: Dial, fleet: &Fleet) -> SnapshotParams {
    SnapshotParams {
        encoding,
        dial,
        check_bits: 8,
        hint_scheme: HintScheme::Aes128,
        nonce_kind: 0,
        horizon_nonces: fleet.horizon.into(),
        slots: fleet.slots(),
        fleet_id: [0; 16],
        origin: [0; 16],
        built_at_unix_s: 0,
    }
}

/// Times by name, one for each turn.
#[derive(Default)]
struct Times(BTreeMap<&'static str, Vec<f64>>);

impl Times {
    fn measure(&mut self, name: &'static str, per: usize, mut work: impl FnMut() -> u64) {
        let start = Instant::now();
        black_box(work());
        let ns = start.elapsed().as_secs_f64() * 1e9 / per as f64;
        self.0.entry(name).or_default().push(ns);
    }

    fn print(&self, against: &str) {
        for (name, times) in &self.0 {
            let mut ratios: Vec<f64> =
                times.iter().zip(&self.0[against]).map(|(a, b)| a / b).collect();
            let mut times = times.clone();
            times.sort_by(f64::total_cmp);
            ratios.sort_by(f64::total_cmp);
            println!(
                "{name:44} {:8.1} ns (least {:.1}) {:6.2} x {against}",
                times[times.len() / 2],
                times[0],
                ratios[ratios.len() / 2]
            );
        }
    }
}

fn argument(name: &str, default: u32) -> u32 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).map_or(default, |value| value.parse().expect("a number"))
}

fn main() {
    let fleet = Fleet::new(argument("--devices", 1_000_000), argument("--horizon", 10));
    let turns = argument("--turns", 7);
    let mut hints = Vec::with_capacity(fleet.hint_count() as usize);
    for slot in fleet.slots() {
        let cipher = fleet.cipher(slot);
        hints.extend((0..fleet.horizon).map(|nonce| (cipher.hint(nonce.into()).unwrap(), slot)));
    }
    println!("kernels: {:?}", Kernel::all().collect::<Vec<_>>());
    let dir = tempfile::tempdir().unwrap();
    let key = ManifestKey::from_bytes([7; 32]);
    let wants = |part: &str| {
        std::env::args().nth(1).is_none_or(|first| first.starts_with("--") || first == part)
    };

    let heads: Vec<u64> = hints.iter().map(|(hint, _)| hint.head()).collect();
    let slots: Vec<usize> = hints.iter().map(|&(_, slot)| slot as usize).collect();
    let build_vfunc = || {
        <VFunc<u64, BitFieldVec<Box<[usize]>>>>::try_par_new_with_builder(
            &heads,
            &slots,
            VBuilder::default().max_num_threads(2),
            dsi_progress_logger::no_logging![],
        )
        .unwrap()
    };
    let build = |encoding, dial, source: &dyn HintSource| {
        let path = dir.path().join(format!("{encoding}.hdx"));
        Builder::new(params(encoding, dial, &fleet), &key).threads(2).build(source, &path).unwrap();
        path
    };

    if wants("build") {
        let mut times = Times::default();
        for _ in 0..3 {
            times.measure("vfunc, ready hints", hints.len(), || build_vfunc().len() as u64);
            times.measure("ribbon r=20, ready hints, to file", hints.len(), || {
                build(Encoding::Ribbon, Dial::Bits(20), &Ready(&hints, fleet.horizon));
                0
            });
            times.measure("ribbon r=20, hint keys, to file", hints.len(), || {
                build(Encoding::Ribbon, Dial::Bits(20), &fleet);
                0
            });
        }
        times.print("vfunc, ready hints");
    }
    if wants("lookup") {
        lookups(&hints, turns, build_vfunc(), |bits| {
            Snapshot::open(build(Encoding::Ribbon, Dial::Bits(bits), &fleet), &key).unwrap()
        });
    }
}

fn lookups(
    hints: &[(Hint, u32)],
    turns: u32,
    vfunc: VFunc<u64, BitFieldVec<Box<[usize]>>>,
    snapshot: impl Fn(u8) -> Snapshot,
) {
    let vfunc = vfunc.try_into_unaligned().unwrap();
    let mut map = hashbrown::HashMap::with_capacity(hints.len());
    for (hint, slot) in hints {
        map.insert(*hint.as_bytes(), *slot);
    }
    let order: Vec<(Hint, u32)> =
        (0..LOOKUPS as u64).map(|at| hints[(scramble(at) % hints.len() as u64) as usize]).collect();
    let only: Vec<Hint> = order.iter().map(|(hint, _)| *hint).collect();
    for bits in [20_u8, 15, 10].into_iter().take(argument("--dials", 3) as usize) {
        let mut snapshot = snapshot(bits);
        snapshot.verify().unwrap();
        println!("r = {bits}, {} tries", snapshot.params().tries());
        let mut batch = CandidateBatch::default();
        let mut times = Times::default();
        let kernels: Vec<Kernel> = Kernel::all().collect();
        for _ in 0..turns {
            times.measure("vfunc", LOOKUPS, || {
                only.iter().map(|hint| vfunc.get(hint.head()) as u64).sum()
            });
            times.measure("hashbrown", LOOKUPS, || {
                only.iter().map(|hint| u64::from(map[hint.as_bytes()])).sum()
            });
            for &kernel in &kernels {
                snapshot = snapshot.with_kernel(kernel);
                let (one, many) = match kernel.name() {
                    "portable" => ("candidates, portable", "candidates_batch, portable"),

                    "avx2" => ("candidates, avx2", "candidates_batch, avx2"),
                    _ => ("candidates, other", "candidates_batch, other"),
                };
                times.measure(one, LOOKUPS, || {
                    only.iter()
                        .map(|hint| {
                            snapshot
                                .candidates(hint)
                                .unwrap()
                                .map(|slots| u64::from(slots.start))
                                .sum::<u64>()
                        })
                        .sum()
                });
                times.measure(many, LOOKUPS, || {
                    snapshot.candidates_batch(&only, &mut batch).unwrap();
                    batch.iter().map(|ranges| u64::from(ranges[0].start)).sum()
                });
            }
        }
        times.print("vfunc");
    }
}
