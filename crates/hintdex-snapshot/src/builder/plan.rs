//! The plan of a build: the number of shards, and how many of them a pass builds.

use crate::format::MAX_SHARD_BITS;
use crate::{BuildError, SnapshotParams, chain};

/// The most hints of a shard on average. If there is more than one shard, the average is at
/// least half as many.
const SHARD_LEN_HINTS: u64 = 1 << 20;

/// The most hints of a snapshot: 2²⁰ shards of 2²⁰ hints.
const MAX_HINTS: u64 = SHARD_LEN_HINTS << MAX_SHARD_BITS;

/// The memory of a hint that waits for the build of its shard.
const GATHERED_LEN_BYTES: u64 = 12;

/// The memory of a hint during the build of its shard.
const BUILDING_LEN_BYTES: u64 = 48;

/// Checks the number of hints against the most that a snapshot holds. So a shard never
/// reserves room for much more than [`SHARD_LEN_HINTS`].
pub(crate) fn check_hint_count(hint_count: u64) -> Result<(), BuildError> {
    if hint_count > MAX_HINTS {
        return Err(BuildError::Params {
            param: "the number of hints",
            got: hint_count,
            allowed: "0 to 1099511627776 (2^40), for instance by a shorter horizon",
        });
    }
    Ok(())
}

/// The number of shards whose hints a pass gathers, at least 1.
pub(crate) fn pass_len_shards(memory_bytes: u64, threads: usize, hints_a_shard: u64) -> usize {
    let building_bytes = hints_a_shard.saturating_mul(BUILDING_LEN_BYTES);
    let building = building_bytes.saturating_mul(threads as u64);
    let left = memory_bytes.saturating_sub(building);
    let shard_len = room_hints(hints_a_shard) as u64 * GATHERED_LEN_BYTES;
    usize::try_from(left / shard_len.max(1)).unwrap_or(usize::MAX).max(1)
}

/// The memory that a build of these parameters leaves to its passes: a chain keeps the shards that
/// are built.
pub(crate) fn pass_memory_bytes(
    memory_bytes: u64,
    params: &SnapshotParams,
    hint_count: u64,
) -> u64 {
    match params.evaluations() {
        Some(_) => memory_bytes.saturating_sub(chain::image_len_bytes(hint_count)),
        None => memory_bytes,
    }
}

/// The number of bits that select a shard: as few as keep shards within [`SHARD_LEN_HINTS`].
pub(crate) fn shard_bits(hint_count: u64) -> u8 {
    let shards = hint_count.div_ceil(SHARD_LEN_HINTS).max(1).next_power_of_two();
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm")]
    let bits = shards.ilog2() as u8;
    bits.min(MAX_SHARD_BITS)
}

/// Room for the hints of a shard: the mean and six standard deviations. Hints from a cipher
/// never exceed it in practice, so the shard does not grow.
pub(super) fn room_hints(hints_a_shard: u64) -> usize {
    let room = hints_a_shard + 6 * hints_a_shard.isqrt() + 64;
    usize::try_from(room).unwrap_or(usize::MAX)
}
