//! Chains: a shard built, hints looked up in batches and each alone.
//!
//! A whole chain is built on threads of its own, which are not counted; its shards are most of
//! the work.

use std::ops::Range;
use std::path::Path as File;

use hintdex_host::SplitMix64;
use hintdex_scan::{Backend, KeyTable};
use hintdex_snapshot::{
    Builder, Dial, Encoding, ManifestKey, PointHints, SampleShard, Snapshot, SnapshotParams,
};
use hintdex_wire::{Hint, HintScheme, Nonce, Slot};

use super::{Path, fold, input};
use crate::{Failure, counted};

pub const PATHS: &[Path] = &[
    Path { name: "snapshot: build a shard, chain", work: build_shard },
    Path { name: "snapshot: points, chain, aes-ni", work: || look_up(256) },
    Path { name: "snapshot: points, each alone", work: || look_up(1) },
];

/// Slots of the chain, and how many hints each has.
const SLOTS: u32 = 8192;
const PER_SLOT: Nonce = 4;
/// The dial of the chain.
const EVALUATIONS: u32 = 9;
/// Lookups that are counted.
const LOOKUPS: u32 = 4096;

/// The hints of points, by a table of keys.
struct TableHints(KeyTable);

impl TableHints {
    fn new() -> Result<Self, Failure> {
        let mut table = KeyTable::with_backend(HintScheme::Aes128, Backend::AesNi)?;
        table.extend(input::quick_hint_keys(SLOTS));
        Ok(Self(table))
    }
}

impl PointHints for TableHints {
    fn prefetch(&self, slot: Slot) {
        self.0.prefetch(slot);
    }

    fn hints(&self, points: &[(Slot, Nonce)], hints: &mut [Hint]) {
        self.0.hints(points, hints);
    }
}

fn key() -> ManifestKey {
    ManifestKey::from_bytes([3; 32])
}

fn params() -> SnapshotParams {
    SnapshotParams {
        encoding: Encoding::Chain,
        dial: Dial::Evaluations(EVALUATIONS),
        check_bits: 0,
        hint_scheme: HintScheme::Aes128,
        nonce_kind: 1,
        horizon_nonces: PER_SLOT,
        slots: 0..SLOTS,
        fleet_id: [1; 16],
        origin: [2; 16],
        built_at_unix_s: 0,
        time_unix_s: 0..0,
    }
}

/// The points of the chain.
fn runs() -> Vec<(Slot, Range<Nonce>)> {
    (0..SLOTS).map(|slot| (Slot(slot), 0..PER_SLOT)).collect()
}

fn build(hints: &TableHints, path: &File) -> Result<(), Failure> {
    Builder::new(params(), &key()).threads(1).build_chain(&runs(), hints, path)?;
    Ok(())
}

fn build_shard() -> Result<u64, Failure> {
    let mut sample = Some(SampleShard::new(&params(), 50_000)?);
    Ok(counted(&mut || {
        let built = sample.take().and_then(|sample| sample.build().ok());
        built.map_or(0, |built| u64::from(built.sample_crc32) ^ built.bytes << 32)
    }))
}

fn look_up(at_once: usize) -> Result<u64, Failure> {
    let (source, folder) = (TableHints::new()?, tempfile::tempdir()?);
    let path = folder.path().join("perf.hdx");
    build(&source, &path)?;
    let chain = Snapshot::open_in_memory(&path, &key())?;
    chain.verify()?;
    let mut random = SplitMix64::new(4);
    let points: Vec<_> = (0..LOOKUPS)
        .map(|_| {
            let slot = Slot(random.below_u32(SLOTS));
            (slot, random.below(PER_SLOT))
        })
        .collect();
    let mut hints = vec![Hint::ZERO; points.len()];
    source.0.hints(&points, &mut hints);
    Ok(counted(&mut || {
        let mut hash = 0;
        for hints in hints.chunks(at_once) {
            let mut sum = 0;
            let found = chain.points(&source, hints, |at, slot, nonce| {
                // In any order.
                sum ^= fold(fold(at as u64, slot.0.into()), nonce);
            });
            hash = fold(hash, if found.is_ok() { sum } else { 0 });
        }
        hash
    }))
}
