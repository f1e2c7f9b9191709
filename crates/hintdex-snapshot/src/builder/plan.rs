//! The sizes of a build: how many shards, and how many of them in a pass.

use crate::BuildError;
use crate::format::MAX_SHARD_BITS;

/// Shards have up to this many hints, and half as many at least.
const SHARD_LEN_HINTS: u64 = 1 << 20;

/// The most hints of a snapshot: 2²⁰ shards, and as many hints in each.
const MAX_HINTS: u64 = SHARD_LEN_HINTS << MAX_SHARD_BITS;

/// What a hint takes while it waits for its shard to be built.
const GATHERED_LEN_BYTES: u64 = 12;

/// What a hint takes while its shard is built.
const BUILDING_LEN_BYTES: u64 = 48;

/// Checks the number of hints against the most that a snapshot holds: then no shard
/// has room for more than [`SHARD_LEN_HINTS`] and a little, whatever a caller asks for.
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

/// How many shards' hints are gathered at once.
pub(crate) fn pass_len_shards(memory_bytes: u64, threads: usize, hints_a_shard: u64) -> usize {
    let building_bytes = hints_a_shard.saturating_mul(BUILDING_LEN_BYTES);
    let building = building_bytes.saturating_mul(threads as u64);
    let left = memory_bytes.saturating_sub(building);
    let shard_len = room_hints(hints_a_shard) as u64 * GATHERED_LEN_BYTES;
    usize::try_from(left / shard_len.max(1)).unwrap_or(usize::MAX).max(1)
}

/// The least number of shards of the right size.
pub(crate) fn shard_bits(hint_count: u64) -> u8 {
    let shards = hint_count.div_ceil(SHARD_LEN_HINTS).max(1).next_power_of_two();
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm")]
    let bits = shards.ilog2() as u8;
    bits.min(MAX_SHARD_BITS)
}

/// Room for the hints of a shard: the mean and six standard deviations, so that
/// hints from a cipher never make it grow.
pub(super) fn room_hints(hints_a_shard: u64) -> usize {
    let room = hints_a_shard + 6 * hints_a_shard.isqrt() + 64;
    usize::try_from(room).unwrap_or(usize::MAX)
}
