//! Building a shard: duplicates are set aside, then each layer is solved.

use super::band::Band;
use super::layer::{MAX_LAYERS, Size, WIDTH_ROWS, pack};
use super::place;
use crate::BuildError;
use crate::encoding::duplicates::{self, Duplicate};
use crate::encoding::shape::Shape;
use crate::encoding::shard::{Entry, hint_count};
use crate::format::ShardRecord;
use crate::hash;
use crate::spread::{self, Keyed};

/// How many hints of a thousand have no row: enough that hardly a row stays empty, few enough
/// that the first layer holds most hints. With narrow rows, thresholds are a larger share of
/// the bytes, and a higher overload is best.
const fn overload_per_mille(columns: usize) -> u64 {
    if columns < 14 { 50 } else { 40 }
}

/// The most hints of a layer that bumps no hint, except for the third layer.
const LAST_LAYER_HINTS: usize = 2048;

/// The most seeds that are tried for a last layer. A seed works in about three of four cases.
const MAX_ATTEMPTS: u32 = 64;

pub(super) fn build(
    shape: &Shape,
    shard: usize,
    entries: &[Entry],
    out: &mut Vec<u8>,
) -> Result<ShardRecord, BuildError> {
    let hint_count = hint_count(shard, entries)?;
    let base = out.len();
    let multiplier = |layer| place::multiplier(shape.seed, shard, layer, 0);
    let (mut keys, duplicates) = keys_of(shape, entries, multiplier(0));
    let (mut parts, mut thresholds) = ([0; 5], Vec::new());
    for (layer, part) in parts.iter_mut().take(MAX_LAYERS).enumerate() {
        if keys.is_empty() {
            break;
        }
        if keys.len() <= LAST_LAYER_HINTS || layer + 1 == MAX_LAYERS {
            *part = build_last(shape, shard, layer, keys, out)?;
            break;
        }
        let rows = keys.len() as u64 * (1000 - overload_per_mille(shape.columns())) / 1000;
        let size = Size::of_rows(rows).ok_or(too_large(shard, hint_count))?;
        let (mut band, mut bumped) = (Band::new(size), Vec::new());
        let bucket_thresholds = band.fill(&keys, &mut bumped);
        band.solve(shape.columns(), out);
        *part = pack(size, 0);
        if !bumped.is_empty() {
            thresholds.extend(bucket_thresholds);
            thresholds.resize(thresholds.len().next_multiple_of(8), 0);
        }
        keys = rehashed(&bumped, multiplier(layer), multiplier(layer + 1));
    }
    out.extend(&thresholds);
    out.extend(duplicates.as_flattened());
    let duplicate_count =
        u32::try_from(duplicates.len()).map_err(|_| too_large(shard, hint_count))?;
    Ok(ShardRecord {
        len_bytes: ((out.len() - base) as u64).into(),
        hint_count: hint_count.into(),
        duplicate_count: duplicate_count.into(),
        parts: parts.map(Into::into),
        ..ShardRecord::default()
    })
}

const fn too_large(shard: usize, hints: u32) -> BuildError {
    BuildError::ShardTooLarge { shard, hints: hints as u64 }
}

/// The keys of a shard in the order of their hashes, without duplicates, and the list of
/// duplicate hints.
fn keys_of(shape: &Shape, entries: &[Entry], multiplier: u64) -> (Vec<Keyed>, Vec<Duplicate>) {
    let inverse = hash::inverse(multiplier);
    let mut keys = spread::sorted(entries.iter().map(|entry| Keyed {
        hash: hash::hash(entry.head(), multiplier),
        value: shape.group(entry.slot),
    }));
    keys.dedup();
    let mut several: Vec<(u64, u32)> = keys
        .chunk_by(|one, other| one.hash == other.hash)
        .filter(|same| same.len() > 1)
        .flatten()
        .map(|key| (hash::hash(key.hash, inverse), key.value))
        .collect();
    if !several.is_empty() {
        several.sort_unstable();
        // A lookup reads the list first, so the rows need no listed hint.
        let listed = |hash| {
            let head = hash::hash(hash, inverse);
            several.binary_search_by_key(&head, |&(head, _)| head).is_ok()
        };
        keys.retain(|key| !listed(key.hash));
    }
    (keys, several.iter().map(|&(head, group)| duplicates::encode(head, group)).collect())
}

/// The same keys with the hashes of another multiplier, in the order of these hashes.
fn rehashed(keys: &[Keyed], from: u64, to: u64) -> Vec<Keyed> {
    let across = hash::inverse(from).wrapping_mul(to);
    spread::sorted(keys.iter().map(|key| Keyed { hash: hash::hash(key.hash, across), ..*key }))
}

/// Builds a layer that bumps no hint, and returns its number for the record.
fn build_last(
    shape: &Shape,
    shard: usize,
    layer: usize,
    mut keys: Vec<Keyed>,
    out: &mut Vec<u8>,
) -> Result<u64, BuildError> {
    let hint_count = keys.len() as u64;
    let multiplier = |attempt| place::multiplier(shape.seed, shard, layer, attempt);
    for attempt in 0..MAX_ATTEMPTS {
        if let Some(before) = attempt.checked_sub(1) {
            keys = rehashed(&keys, multiplier(before), multiplier(attempt));
        }
        // Rows for all hints, and more rows after every fourth seed that failed.
        let spare = hint_count / 12 * u64::from(1 + attempt / 4);
        let size = Size::of_rows(hint_count + spare + u64::from(WIDTH_ROWS));
        let size = size.ok_or(BuildError::ShardTooLarge { shard, hints: hint_count })?;
        let (mut band, mut bumped) = (Band::new(size), Vec::new());
        band.fill(&keys, &mut bumped);
        if bumped.is_empty() {
            band.solve(shape.columns(), out);
            return Ok(pack(size, attempt));
        }
    }
    Err(BuildError::SeedsUsedUp { shard, attempts: MAX_ATTEMPTS })
}
