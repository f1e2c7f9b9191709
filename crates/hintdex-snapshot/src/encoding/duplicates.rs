//! Duplicate hints: hints that several groups share, because short hints collide.
//!
//! A ribbon has one value for a hint. So duplicates are stored in a sorted list of (head,
//! group) at the end of the shard. Hints of eight bytes or more practically never collide, and
//! a shard without duplicates never reads the list.

use core::ops::Range;

use super::shard::View;
use crate::Damage;
use crate::format::{BLOCK_LEN_BYTES, ShardRecord};

/// The length of an entry in bytes: the head and the group, little-endian.
pub(super) const DUPLICATE_LEN_BYTES: usize = 12;

/// An entry of the list.
pub(super) type Duplicate = [u8; DUPLICATE_LEN_BYTES];

pub(super) fn encode(head: u64, group: u32) -> Duplicate {
    let mut entry = [0; DUPLICATE_LEN_BYTES];
    let (head_bytes, group_bytes) = entry.split_at_mut(8);
    head_bytes.copy_from_slice(&head.to_le_bytes());
    group_bytes.copy_from_slice(&group.to_le_bytes());
    entry
}

pub(super) fn group(entry: &Duplicate) -> u32 {
    let [.., a, b, c, d] = *entry;
    u32::from_le_bytes([a, b, c, d])
}

/// The list of a shard, of which some blocks may be damaged.
///
/// A lookup fails only if a damaged block holds the entries of its hint, or the place where
/// they would be.
pub(super) struct List<'v, 'f> {
    view: &'v View<'f>,
    place: Range<usize>,
}

impl<'v, 'f> List<'v, 'f> {
    /// The list at `place` in the file.
    pub const fn new(view: &'v View<'f>, place: Range<usize>) -> Self {
        Self { view, place }
    }

    /// The entries of a hint.
    ///
    /// # Errors
    /// [`Damage`] of the block that holds the entries or their place.
    pub fn of(&self, wanted: u64) -> Result<&'f [Duplicate], Damage> {
        let len = self.place.len() / DUPLICATE_LEN_BYTES;
        let start = self.first_at_least(wanted, len)?;
        let mut end = start;
        while end < len && self.head(end)? == wanted {
            end += 1;
        }
        Ok(self.view.bytes.touch(self.at(start)..self.at(end))?.as_chunks().0)
    }

    /// The first of `len` entries whose head is at least `wanted`.
    fn first_at_least(&self, wanted: u64, len: usize) -> Result<usize, Damage> {
        let (mut start, mut end) = (0, len);
        while start < end {
            let middle = start.midpoint(end);
            match self.head(middle) {
                Ok(head) if head < wanted => start = middle + 1,
                Ok(_) => end = middle,
                // The readable entries on either side may exclude the damaged ones.
                Err(damage) => {
                    let lost = self.lost(damage, start..end);
                    if lost.end < end && self.head(lost.end)? < wanted {
                        start = lost.end + 1;
                    } else if start < lost.start && self.head(lost.start - 1)? >= wanted {
                        end = lost.start - 1;
                    } else {
                        return Err(damage);
                    }
                }
            }
        }
        Ok(start)
    }

    /// The run of unreadable entries of `within` that contains the entries of `damage`.
    fn lost(&self, damage: Damage, within: Range<usize>) -> Range<usize> {
        let mut lost = self.entries_in(damage);
        while within.start < lost.start
            && let Err(damage) = self.head(lost.start - 1)
        {
            lost.start = self.entries_in(damage).start;
        }
        while lost.end < within.end
            && let Err(damage) = self.head(lost.end)
        {
            lost.end = self.entries_in(damage).end;
        }
        lost
    }

    /// The entries of which a damaged block holds at least a part.
    fn entries_in(&self, damage: Damage) -> Range<usize> {
        let block_at = usize::try_from(damage.offset_bytes).unwrap_or(usize::MAX);
        let block_end = block_at.saturating_add(BLOCK_LEN_BYTES).min(self.place.end);
        block_at.saturating_sub(self.place.start) / DUPLICATE_LEN_BYTES
            ..block_end.saturating_sub(self.place.start).div_ceil(DUPLICATE_LEN_BYTES)
    }

    fn head(&self, index: usize) -> Result<u64, Damage> {
        let entry = self.view.bytes.touch(self.at(index)..self.at(index + 1))?;
        Ok(entry.first_chunk().map_or(0, |head| u64::from_le_bytes(*head)))
    }

    /// The offset of an entry in the file.
    const fn at(&self, index: usize) -> usize {
        self.place.start + index * DUPLICATE_LEN_BYTES
    }
}

/// The place of a shard's list, at the end of the shard; `None` if the list is longer than the
/// shard.
pub(super) fn place(record: &ShardRecord, shard: &Range<usize>) -> Option<Range<usize>> {
    let len =
        usize::try_from(record.duplicate_count.get()).ok()?.checked_mul(DUPLICATE_LEN_BYTES)?;
    let start = shard.end.checked_sub(len).filter(|&start| start >= shard.start)?;
    Some(start..shard.end)
}
