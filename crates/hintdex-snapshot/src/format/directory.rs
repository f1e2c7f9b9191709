//! The shard directory: a record of fixed length for each shard, in the order of hints.

use core::mem::size_of;
use core::ops::Range;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{DATA_OFFSET_BYTES, SHARD_ALIGN_BYTES, SHARD_RECORD_LEN_BYTES};

/// The place of a shard, and the numbers with which its encoding reads it.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct ShardRecord {
    /// The offset of the shard in the data.
    pub offset_bytes: U64,
    /// The length of the shard without the padding behind it.
    pub len_bytes: U64,
    /// The hints of the shard, including duplicates.
    pub hint_count: U32,
    /// The entries of the shard's list of duplicate hints.
    pub duplicate_count: U32,
    /// Five numbers that the encoding defines.
    pub parts: [U64; 5],
}

impl ShardRecord {
    /// Where in the file the bytes are; `None` past the end of all memory.
    pub fn place(&self) -> Option<Range<usize>> {
        let start =
            usize::try_from(self.offset_bytes.get()).ok()?.checked_add(DATA_OFFSET_BYTES)?;
        Some(start..start.checked_add(usize::try_from(self.len_bytes.get()).ok()?)?)
    }

    /// The place in the file of the padding behind the shard. The record must have passed
    /// [`check_places`].
    pub fn padding(&self) -> Range<usize> {
        let number = |number: U64| usize::try_from(number.get()).unwrap_or_default();
        let end = DATA_OFFSET_BYTES + number(self.offset_bytes) + number(self.len_bytes);
        // The data begin at a multiple of the alignment.
        end..end.next_multiple_of(SHARD_ALIGN_BYTES)
    }
}

const _: () = assert!(size_of::<ShardRecord>() == SHARD_RECORD_LEN_BYTES, "no padding, no drift");

/// The number of a hint's shard: the upper `shard_bits` of its head.
#[inline]
pub(crate) const fn shard_of(head: u64, shard_bits: u8) -> usize {
    // Two shifts: one shift by 64, for no bits, would overflow.
    (head >> 1 >> (63 - shard_bits)) as usize
}

/// The shard directory of `file`.
pub(crate) fn shard_records<'f>(
    file: &'f [u8],
    directory: &Range<usize>,
) -> Option<&'f [ShardRecord]> {
    <[ShardRecord]>::ref_from_bytes(file.get(directory.clone())?).ok()
}

/// Checks that the shards fill the data, one after the other.
///
/// # Errors
/// The number of the first record with a wrong place.
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

/// Every field of a record, for comparison with the table of the format.
#[cfg(test)]
pub(crate) const SHARD_RECORD_FIELDS: &[(&str, usize)] =
    super::fields!(ShardRecord: offset_bytes, len_bytes, hint_count, duplicate_count, parts);
