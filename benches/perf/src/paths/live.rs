//! The live index: a bucket searched and merged, a lookup, an admission.

use std::sync::Arc;

use hintdex_core::format::{encode_bucket, encode_operand, find_in_bucket, union_of_buckets};
use hintdex_core::{Arrival, DeviceRange, Durability, LiveIndex, Options, Params};
use hintdex_host::SplitMix64;
use hintdex_wire::{DeviceId, Hint, HintKey, HintScheme, KeyId, Slot};

use super::{Path, fold, input};
use crate::{Failure, counted};

pub const PATHS: &[Path] = &[
    Path { name: "core: find in a bucket", work: find },
    Path { name: "core: union of buckets", work: union },
    Path { name: "core: candidates", work: candidates },
    Path { name: "core: candidates_batch", work: candidates_batch },
    Path { name: "core: admit", work: admit },
];

const SUFFIX_BITS: u8 = 15;
/// Entries of a bucket, as many as most have.
const ENTRIES: usize = 190;
/// Devices of an index, and how many hints of each are live.
const DEVICES: u32 = 4000;
const LOOKAHEAD: u32 = 8;

/// Sorted entries of a bucket.
fn entries(count: usize, seed: u64) -> Vec<(u32, u32)> {
    let mut random = SplitMix64::new(seed);
    let mut entry = || (random.below_u32(1 << SUFFIX_BITS), random.below_u32(1 << 20));
    let mut entries: Vec<_> = (0..count).map(|_| entry()).collect();
    entries.sort_unstable();
    entries.dedup();
    entries
}

fn find() -> Result<u64, Failure> {
    let entries = entries(ENTRIES, 5);
    let bucket = encode_bucket(SUFFIX_BITS, &entries);
    Ok(counted(&mut || {
        let mut hash = 0;
        for _ in 0..20 {
            for (suffix, _) in &entries {
                find_in_bucket(&bucket, *suffix, |slot| hash = fold(hash, u64::from(slot)));
            }
        }
        hash
    }))
}

/// A bucket, and what a window's life adds to it one by one.
fn union() -> Result<u64, Failure> {
    let mut parts = vec![encode_bucket(SUFFIX_BITS, &entries(ENTRIES, 6))];
    let added = entries(ENTRIES, 7);
    parts.extend(added.iter().map(|entry| encode_operand(SUFFIX_BITS, &[*entry])));
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Ok(counted(&mut || {
        (0..20).fold(0, |hash, _| {
            let merged = union_of_buckets(&parts).unwrap_or_default();
            merged.iter().fold(hash, |hash, byte| fold(hash, u64::from(*byte)))
        })
    }))
}

/// An index in a folder that goes with it, and what each device sends next.
struct Fleet {
    index: LiveIndex,
    keys: Vec<HintKey>,
    hints: Vec<Hint>,
    _folder: tempfile::TempDir,
}

fn fleet() -> Result<Fleet, Failure> {
    let folder = tempfile::tempdir()?;
    let params = Params::counters(HintScheme::Aes128, LOOKAHEAD);
    let options = Options {
        memory_bytes: 64 << 20,
        durability: Durability::ProcessCrash,
        ..Options::default()
    };
    let path = folder.path().join("index");
    let index = LiveIndex::create(&path, Arc::new(input::keys()), params, &options)?;
    index.provision(&[DeviceRange::new(DeviceId(0), DEVICES)], None)?;
    let keys = (0..DEVICES).map(input::hint_key).collect::<Result<Vec<_>, _>>()?;
    let first = |key| input::hint(HintScheme::Aes128, key, 0);
    let hints = keys.iter().map(first).collect::<Result<Vec<_>, _>>()?;
    // Every block is in the cache before anything is counted.
    index.candidates_batch(&hints)?;
    Ok(Fleet { index, keys, hints, _folder: folder })
}

fn candidates() -> Result<u64, Failure> {
    let Fleet { index, hints, _folder, .. } = &fleet()?;
    Ok(counted(&mut || {
        let found = hints.iter().filter_map(|hint| index.candidates(hint).ok()).flatten();
        found.fold(0, |hash, slot| fold(hash, u64::from(slot.0)))
    }))
}

fn candidates_batch() -> Result<u64, Failure> {
    let Fleet { index, hints, _folder, .. } = &fleet()?;
    Ok(counted(&mut || {
        let found = hints.chunks(256).filter_map(|hints| index.candidates_batch(hints).ok());
        found.flatten().flatten().fold(0, |hash, slot| fold(hash, u64::from(slot.0)))
    }))
}

fn admit() -> Result<u64, Failure> {
    let Fleet { index, keys, _folder, .. } = &fleet()?;
    Ok(counted(&mut || {
        keys.iter().zip(0..).fold(0, |hash, (hint_key, slot)| {
            let (slot, key) = (Slot(slot), KeyId::first(DeviceId(slot)));
            let arrival =
                Arrival { slot, key, nonce: 0, hint_key: Some(hint_key), received_unix_s: 0 };
            let admission = index.admit(&arrival);
            fold(hash, u64::from(admission.is_ok()))
        })
    }))
}
