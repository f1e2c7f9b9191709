//! The shard directory: one fixed record for each shard, in the order of hints.

use core::mem::size_of;
use core::ops::Range;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{DATA_OFFSET_BYTES, SHARD_ALIGN_BYTES, SHARD_RECORD_LEN_BYTES};

/// Where a shard lies and the numbers its encoding needs to read it.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct ShardRecord {
    /// From the beginning of the data.
    pub offset_bytes: U64,
    /// Without the zeros up to the next shard.
    pub len_bytes: U64,
    /// Hints the shard was built from, duplicates included.
    pub hint_count: U32,
    /// Entries of the shard's list of duplicate hints.
    pub duplicate_count: U32,
    /// Five numbers whose meaning belongs to the encoding.
    pub parts: [U64; 5],
}

impl ShardRecord {
    /// Where in the file the zeros behind the shard are. The record must be one whose
    /// place has been checked.
    pub fn padding(&self) -> Range<usize> {
        let number = |number: U64| usize::try_from(number.get()).unwrap_or_default();
        let end = DATA_OFFSET_BYTES + number(self.offset_bytes) + number(self.len_bytes);
        // The data begin on a multiple of this themselves.
        end..end.next_multiple_of(SHARD_ALIGN_BYTES)
    }
}

const _: () = assert!(size_of::<ShardRecord>() == SHARD_RECORD_LEN_BYTES, "no padding, no drift");

/// The shard a hint belongs to: the upper `shard_bits` of its head.
#[inline]
pub(crate) const fn shard_of(head: u64, shard_bits: u8) -> usize {
    // Two shifts, so that no bits at all is a shift by 64 and gives 0.
    (head >> 1 >> (63 - shard_bits)) as usize
}

/// The shard directory of `file`.
pub(crate) fn shard_records<'f>(
    file: &'f [u8],
    directory: &Range<usize>,
) -> Option<&'f [ShardRecord]> {
    <[ShardRecord]>::ref_from_bytes(file.get(directory.clone())?).ok()
}

/// Whether the shards fill the data, one after the other.
pub(crate) fn check_places(records: &[ShardRecord], data_len_bytes: u64) -> Result<(), usize> {
    let mut end = 0_u64;
    for (at, record) in records.iter().enumerate() {
        if record.offset_bytes.get() != end {
            return Err(at);
        }
        let len = record.len_bytes.get();
        end = len
            .checked_next_multiple_of(SHARD_ALIGN_BYTES as u64)
            .and_then(|len| len.checked_add(end))
            .ok_or(at)?;
    }
    if end == data_len_bytes { Ok(()) } else { Err(0) }
}

/// Every field of a record: what the format's table is held against.
#[cfg(test)]
pub(crate) const SHARD_RECORD_FIELDS: &[(&str, usize)] =
    super::fields!(ShardRecord: offset_bytes, len_bytes, hint_count, duplicate_count, parts);
