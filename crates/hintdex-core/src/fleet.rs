//! The slots of a fleet: which key stands at which number.

use std::collections::BTreeMap;
use std::ops::Range;

use hintdex_wire::{DeviceId, KeyId, Slot};

use crate::Error;

/// Devices with consecutive ids and the same key generation.
///
/// A fleet is a list of these, each taking the next slots: one for ids 0…N−1,
/// one an id when they are scattered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRange {
    /// The first id.
    pub first: DeviceId,
    /// How many ids, at least one.
    pub count: u32,
    /// Which of the devices' keys; 0 is the one they left the factory with.
    pub generation: u16,
}

impl DeviceRange {
    /// The factory keys of `count` devices from `first` on.
    pub const fn new(first: DeviceId, count: u32) -> Self {
        Self { first, count, generation: 0 }
    }

    /// The fewest ranges that hold the factory keys of `ids`, which are sorted and distinct.
    pub fn covering(ids: impl IntoIterator<Item = DeviceId>) -> Vec<Self> {
        let mut ranges: Vec<Self> = Vec::new();
        for id in ids {
            match ranges.last_mut() {
                Some(last) if last.last().0.checked_add(1) == Some(id.0) => last.count += 1,
                _ => ranges.push(Self::new(id, 1)),
            }
        }
        ranges
    }

    /// The last id.
    pub const fn last(&self) -> DeviceId {
        DeviceId(self.first.0.saturating_add(self.count.saturating_sub(1)))
    }

    /// The ids two ranges of one generation have in common.
    fn overlap(&self, other: &Self) -> Option<(DeviceId, DeviceId)> {
        let (first, last) = (self.first.max(other.first), self.last().min(other.last()));
        (self.generation == other.generation && first <= last).then_some((first, last))
    }

    /// Checks that the range is not empty and ends with the last id there is.
    fn check(&self) -> Result<(), Error> {
        match self.count.checked_sub(1) {
            None => Err(Error::NoDevices),
            Some(more) if self.first.0.checked_add(more).is_none() => {
                Err(Error::IdsPastTheLast { first: self.first, count: self.count.into() })
            }
            Some(_) => Ok(()),
        }
    }
}

/// A range and the slot its first device stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first_slot: Slot,
    pub(crate) range: DeviceRange,
    pub(crate) provisioned_unix_s: u64,
}

impl Extent {
    pub(crate) const fn end_slot(&self) -> u32 {
        self.first_slot.0.saturating_add(self.range.count)
    }

    /// The key at `slot`, if it lies in this extent.
    pub(crate) fn key(&self, slot: Slot) -> Option<KeyId> {
        let offset = slot.0.checked_sub(self.first_slot.0)?;
        let device = DeviceId(self.range.first.0.checked_add(offset)?);
        (offset < self.range.count).then_some(KeyId { device, generation: self.range.generation })
    }
}

/// Every extent of a fleet, findable by slot and by id.
///
/// 48 bytes an extent and binary searches; a fleet of consecutive ids is one extent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fleet {
    by_slot: Vec<Extent>,
    /// The extents of each generation in the order of their ids; they do not overlap.
    by_id: BTreeMap<u16, Vec<Extent>>,
}

impl Fleet {
    /// How many slots there are; the next one's number.
    pub(crate) fn slot_count(&self) -> u32 {
        self.by_slot.last().map_or(0, Extent::end_slot)
    }

    /// Gives `range` the next slots.
    pub(crate) fn add(
        &mut self,
        range: DeviceRange,
        provisioned_unix_s: u64,
    ) -> Result<Extent, Error> {
        range.check()?;
        let first_slot = Slot(self.slot_count());
        first_slot.0.checked_add(range.count).ok_or(Error::SlotsUsedUp)?;

        let peers = self.by_id.entry(range.generation).or_default();
        let at = peers.partition_point(|peer| peer.range.first < range.first);
        let neighbours =
            peers.get(at.saturating_sub(1)..peers.len().min(at + 1)).unwrap_or_default();
        if let Some((first, last)) = neighbours.iter().find_map(|peer| peer.range.overlap(&range)) {
            return Err(Error::AlreadyProvisioned { first, last });
        }
        let extent = Extent { first_slot, range, provisioned_unix_s };
        peers.insert(at, extent);
        self.by_slot.push(extent);
        Ok(extent)
    }

    /// The key at `slot`.
    pub(crate) fn key(&self, slot: Slot) -> Option<KeyId> {
        let behind = self.by_slot.partition_point(|extent| extent.first_slot <= slot);
        self.by_slot.get(behind.checked_sub(1)?)?.key(slot)
    }

    /// The keys at `slots`, as far as there are any, in order.
    pub(crate) fn keys(&self, slots: Range<u32>) -> impl Iterator<Item = (Slot, KeyId)> {
        let behind = self.by_slot.partition_point(|extent| extent.end_slot() <= slots.start);
        let extents = self.by_slot.get(behind..).unwrap_or_default().iter();
        extents.take_while(move |extent| extent.first_slot.0 < slots.end).flat_map(move |extent| {
            let both = slots.start.max(extent.first_slot.0)..slots.end.min(extent.end_slot());
            both.map(Slot).filter_map(|slot| Some((slot, extent.key(slot)?)))
        })
    }

    /// Each run of slots with the time it was provisioned at, in order.
    pub(crate) fn provisioned(&self) -> impl Iterator<Item = (Range<u32>, u64)> {
        let extents = self.by_slot.iter();
        extents.map(|extent| (extent.first_slot.0..extent.end_slot(), extent.provisioned_unix_s))
    }

    /// The slots of every generation of `device`, the oldest first.
    pub(crate) fn slots(&self, device: DeviceId) -> Vec<Slot> {
        self.by_id
            .values()
            .filter_map(|peers| {
                let behind = peers.partition_point(|peer| peer.range.first <= device);
                let extent = peers.get(behind.checked_sub(1)?)?;
                let offset = device.0 - extent.range.first.0;
                (offset < extent.range.count).then_some(Slot(extent.first_slot.0 + offset))
            })
            .collect()
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn range(first: u32, count: u32, generation: u16) -> DeviceRange {
        DeviceRange { first: DeviceId(first), count, generation }
    }

    #[test]
    fn bad_ranges_are_refused_and_named() {
        let mut fleet = Fleet::default();
        fleet.add(range(100, 50, 0), 0).expect("free");
        assert!(matches!(fleet.add(range(0, 0, 0), 0), Err(Error::NoDevices)));
        assert!(matches!(fleet.add(range(u32::MAX, 2, 0), 0), Err(Error::IdsPastTheLast { .. })));
        let clash = fleet.add(range(0, 103, 0), 0).expect_err("three ids are there");
        assert!(matches!(
            clash,
            Error::AlreadyProvisioned { first: DeviceId(100), last: DeviceId(102) }
        ));
        let clash = fleet.add(range(149, 9, 0), 0).expect_err("one id is there");
        assert!(matches!(
            clash,
            Error::AlreadyProvisioned { first: DeviceId(149), last: DeviceId(149) }
        ));
        assert_eq!(fleet.slot_count(), 50);
        fleet.add(range(149, 9, 1), 0).expect("another generation");
        assert_eq!(fleet.slots(DeviceId(149)), [Slot(49), Slot(50)]);
        fleet.add(range(u32::MAX, 1, 0), 0).expect("the last id");
    }

    #[test]
    fn scattered_ids_become_the_fewest_ranges() {
        let ids = [3, 4, 5, 9, 11, 12, u32::MAX].map(DeviceId);
        let expected = [range(3, 3, 0), range(9, 1, 0), range(11, 2, 0), range(u32::MAX, 1, 0)];
        assert_eq!(DeviceRange::covering(ids), expected);
    }

    proptest! {
        #[test]
        fn a_fleet_is_a_plain_list_of_keys(
            ranges in prop::collection::vec((0u32..500, 1u32..40, 0u16..3), 1..30)
        ) {
            let (mut fleet, mut plain) = (Fleet::default(), Vec::<KeyId>::new());
            for (first, count, generation) in ranges {
                let keys: Vec<_> = (first..first + count).map(|id| KeyId { device: DeviceId(id), generation }).collect();
                let free = keys.iter().all(|key| !plain.contains(key));
                prop_assert_eq!(fleet.add(range(first, count, generation), 0).is_ok(), free);
                if free { plain.extend(keys); }
            }
            let mut slots: BTreeMap<DeviceId, Vec<(u16, Slot)>> = BTreeMap::new();
            for (slot, key) in (0..).map(Slot).zip(&plain) {
                prop_assert_eq!(fleet.key(slot), Some(*key));
                slots.entry(key.device).or_default().push((key.generation, slot));
            }
            prop_assert_eq!(fleet.key(Slot(fleet.slot_count())), None);
            for id in (0..600).map(DeviceId) {
                let mut expected = slots.remove(&id).unwrap_or_default();
                expected.sort_unstable();
                let expected: Vec<_> = expected.into_iter().map(|(_, slot)| slot).collect();
                prop_assert_eq!(fleet.slots(id), expected);
            }
        }
    }
}
