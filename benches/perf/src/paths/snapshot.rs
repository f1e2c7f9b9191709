//! Static files: a shard built, hints looked up one by one and in batches.

use std::ops::Range;

use hintdex_host::SplitMix64;
use hintdex_snapshot::{
    Builder, CandidateBatch, Dial, Encoding, HintSource, Kernel, ManifestKey, SampleShard,
    Snapshot, SnapshotParams,
};
use hintdex_wire::{Hint, HintScheme, Slot};

use super::{Path, fold};
use crate::{Failure, counted};

pub const PATHS: &[Path] = &[
    Path { name: "snapshot: candidates, portable", work: || single("portable", Encoding::Ribbon) },
    Path { name: "snapshot: candidates, avx2", work: || single("avx2", Encoding::Ribbon) },
    Path { name: "snapshot: candidates_batch, avx2", work: || batch("avx2", Encoding::Ribbon) },
    Path { name: "snapshot: candidates, dense", work: || single("avx2", Encoding::Dense) },
    Path { name: "snapshot: candidates, sorted", work: || single("avx2", Encoding::Sorted) },
    Path { name: "snapshot: build a shard, ribbon", work: || build(Encoding::Ribbon) },
    Path { name: "snapshot: build a shard, dense", work: || build(Encoding::Dense) },
    Path { name: "snapshot: build a shard, sorted", work: || build(Encoding::Sorted) },
];

/// Slots of a snapshot, and how many hints each has.
const SLOTS: u32 = 8192;
const PER_SLOT: u32 = 4;
/// Lookups that are counted.
const LOOKUPS: u32 = 4096;

/// Hints that look like a cipher's and cost nothing to make.
struct Fleet;

impl Fleet {
    fn hint(slot: u32, number: u32) -> Option<Hint> {
        let mut random = SplitMix64::new(u64::from(slot) << 32 | u64::from(number));
        let mut bytes = [0; 16];
        bytes.split_at_mut(8).0.copy_from_slice(&random.next_u64().to_be_bytes());
        Hint::read(HintScheme::Aes128, &bytes)
    }
}

impl HintSource for Fleet {
    fn hint_count(&self) -> u64 {
        u64::from(SLOTS * PER_SLOT)
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        for slot in slots {
            let hints = (0..PER_SLOT).filter_map(|number| Self::hint(slot, number));
            hints.for_each(|hint| each(hint.head(), Slot(slot)));
        }
    }
}

fn params(encoding: Encoding) -> SnapshotParams {
    SnapshotParams {
        encoding,
        dial: Dial::Tries(if encoding == Encoding::Dense { 32 } else { 4 }),
        check_bits: 8,
        hint_scheme: HintScheme::Aes128,
        nonce_kind: 1,
        horizon_nonces: PER_SLOT.into(),
        slots: 0..SLOTS,
        fleet_id: [1; 16],
        origin: [2; 16],
        built_at_unix_s: 0,
        time_unix_s: 0..0,
    }
}

/// A snapshot whose blocks have all been checked, and hints of it.
fn open(kernel: &str, encoding: Encoding) -> Result<(Snapshot, Vec<Hint>), Failure> {
    let key = ManifestKey::from_bytes([3; 32]);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("perf.hdx");
    Builder::new(params(encoding), &key).threads(1).build(&Fleet, &path)?;
    let kernel = Kernel::all().find(|known| known.name() == kernel).ok_or("no such kernel")?;
    let snapshot = Snapshot::open_in_memory(&path, &key)?.with_kernel(kernel);
    snapshot.verify()?;
    let mut random = SplitMix64::new(4);
    let mut hint = || Fleet::hint(random.below_u32(SLOTS), random.below_u32(PER_SLOT));
    Ok((snapshot, (0..LOOKUPS).filter_map(|_| hint()).collect()))
}

fn single(kernel: &str, encoding: Encoding) -> Result<u64, Failure> {
    let (snapshot, hints) = open(kernel, encoding)?;
    Ok(counted(&mut || {
        let candidates = hints.iter().filter_map(|hint| snapshot.candidates(hint).ok()).flatten();
        candidates.fold(0, |hash, slots| fold(hash, u64::from(slots.start)))
    }))
}

fn batch(kernel: &str, encoding: Encoding) -> Result<u64, Failure> {
    let (snapshot, hints) = open(kernel, encoding)?;
    let mut batch = CandidateBatch::default();
    Ok(counted(&mut || {
        let mut hash = 0;
        for hints in hints.chunks(256) {
            if snapshot.candidates_batch(hints, &mut batch).is_ok() {
                let slots = batch.iter().flatten();
                hash = slots.fold(hash, |hash, slots| fold(hash, u64::from(slots.start)));
            }
        }
        hash
    }))
}

fn build(encoding: Encoding) -> Result<u64, Failure> {
    let mut sample = Some(SampleShard::new(&params(encoding), 50_000)?);
    Ok(counted(&mut || {
        let built = sample.take().and_then(|sample| sample.build().ok());
        built.map_or(0, |built| u64::from(built.sample_crc32) ^ built.bytes << 32)
    }))
}
