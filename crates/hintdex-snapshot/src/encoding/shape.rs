//! The numbers that all shards of a snapshot share.

use core::ops::Range;

use crate::SnapshotParams;
use crate::format::Header;

/// The numbers every shard of a snapshot shares.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub slots: Range<u32>,
    pub hint_count: u64,
    pub tries: u32,
    pub group_len_slots: u32,
    pub group_count: u32,
    /// Bits of a value, 1 to 32.
    pub value_bits: u32,
    pub check_bits: u8,
    pub shard_bits: u8,
    pub seed: u64,
}

impl Shape {
    pub fn new(params: &SnapshotParams, header: &Header) -> Self {
        Self {
            slots: params.slots.clone(),
            hint_count: header.hint_count.get(),
            tries: params.tries(),
            group_len_slots: params.group_len_slots(),
            group_count: params.group_count(),
            value_bits: params.value_bits().into(),
            check_bits: params.check_bits,
            shard_bits: header.shard_bits,
            seed: header.seed.get(),
        }
    }

    /// The columns of a ribbon's rows: one for each bit of a value.
    #[inline(always)]
    pub const fn columns(&self) -> usize {
        self.value_bits as usize
    }

    /// The number of a slot's group.
    pub fn group(&self, slot: u32) -> u32 {
        slot.saturating_sub(self.slots.start) / self.group_len_slots.max(1)
    }

    /// The slots of a group. Empty for a number without a group, which only foreign hints
    /// yield.
    #[inline]
    pub fn slots_of(&self, group: u32) -> Range<u32> {
        if group >= self.group_count {
            return 0..0;
        }
        // No overflow: the first slot of the group is a slot of the snapshot.
        let start = self.slots.start + group * self.group_len_slots;
        start..start + self.group_len_slots.min(self.slots.end - start)
    }
}
