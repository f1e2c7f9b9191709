//! Hints that more than one group has: short hints collide.
//!
//! A function has one value for a key, so such hints are kept apart: a sorted
//! list of (head, group) at the end of the shard. Hints of eight bytes and more
//! have none to speak of, and a shard without any never looks.

use core::ops::Range;

use crate::format::ShardRecord;

/// The length of an entry in bytes: the head and the group, little-endian.
pub(crate) const DUPLICATE_LEN_BYTES: usize = 12;

/// One entry of the list.
pub(crate) type Duplicate = [u8; DUPLICATE_LEN_BYTES];

pub(super) fn encode(head: u64, group: u32) -> Duplicate {
    let mut entry = [0; DUPLICATE_LEN_BYTES];
    let (head_bytes, group_bytes) = entry.split_at_mut(8);
    head_bytes.copy_from_slice(&head.to_le_bytes());
    group_bytes.copy_from_slice(&group.to_le_bytes());
    entry
}

pub(super) fn head(entry: &Duplicate) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *entry;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

pub(crate) fn group(entry: &Duplicate) -> u32 {
    let [.., a, b, c, d] = *entry;
    u32::from_le_bytes([a, b, c, d])
}

/// The entries of `head` in a sorted list.
pub(super) fn of(list: &[Duplicate], of: u64) -> &[Duplicate] {
    let start = list.partition_point(|entry| head(entry) < of);
    let rest = list.get(start..).unwrap_or_default();
    rest.get(..rest.partition_point(|entry| head(entry) == of)).unwrap_or_default()
}

/// Where the list of a shard lies, which ends with it; `None` if it is longer
/// than the shard.
pub(super) fn place(record: &ShardRecord, shard: &Range<usize>) -> Option<Range<usize>> {
    let len =
        usize::try_from(record.duplicate_count.get()).ok()?.checked_mul(DUPLICATE_LEN_BYTES)?;
    let start = shard.end.checked_sub(len).filter(|&start| start >= shard.start)?;
    Some(start..shard.end)
}
