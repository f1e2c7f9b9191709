//! The slots of a fleet: the key at each slot.

use std::collections::BTreeMap;
use std::ops::Range;

use hintdex_wire::{DeviceId, KeyId, Slot};

use crate::Error;

/// The origin of a device's keys.
///
/// See the example of [`DeviceRange::covering`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyOrigin {
    /// Derived from the fleet's master key.
    #[default]
    Derived,
    /// Imported with the device, and stored by the caller of the index.
    Imported,
}

/// Devices with consecutive ids and the same key generation.
///
/// A fleet is a list of these ranges, and each takes the next slots. Consecutive ids are one
/// range; scattered ids need one range each.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRange {
    /// The first id.
    pub first: DeviceId,
    /// The number of ids, at least one.
    pub count: u32,
    /// The generation of the keys; devices left the factory with generation 0.
    pub generation: u16,
    /// The origin of the keys. It is stored, so that a lost imported key is never derived instead.
    pub origin: KeyOrigin,
}

impl DeviceRange {
    /// The derived factory keys of `count` devices from `first` on.
    pub const fn new(first: DeviceId, count: u32) -> Self {
        Self { first, count, generation: 0, origin: KeyOrigin::Derived }
    }

    /// The fewest ranges that hold the factory keys of `ids`, which must be sorted and distinct.
    ///
    /// ```
    /// use hintdex_core::{DeviceRange, KeyOrigin};
    /// use hintdex_wire::DeviceId;
    ///
    /// let ids = [7, 8, 9, 500].map(DeviceId);
    /// let ranges = DeviceRange::covering(ids, KeyOrigin::Imported);
    /// assert_eq!(ranges.iter().map(|range| range.count).collect::<Vec<_>>(), [3, 1]);
    /// assert_eq!(ranges[0].last(), DeviceId(9));
    /// ```
    pub fn covering(ids: impl IntoIterator<Item = DeviceId>, origin: KeyOrigin) -> Vec<Self> {
        let mut ranges: Vec<Self> = Vec::new();
        for id in ids {
            match ranges.last_mut() {
                Some(last) if last.last().0.checked_add(1) == Some(id.0) => last.count += 1,
                _ => ranges.push(Self { origin, ..Self::new(id, 1) }),
            }
        }
        ranges
    }

    /// The last id.
    pub const fn last(&self) -> DeviceId {
        DeviceId(self.first.0.saturating_add(self.count.saturating_sub(1)))
    }

    /// The ids that two ranges of one generation share.
    fn overlap(&self, other: &Self) -> Option<(DeviceId, DeviceId)> {
        let (first, last) = (self.first.max(other.first), self.last().min(other.last()));
        (self.generation == other.generation && first <= last).then_some((first, last))
    }

    /// Checks that the range is not empty and does not pass the last id.
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

/// A range and the slot of its first device.
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

    /// The key at `slot`, if the extent has that slot.
    pub(crate) fn key(&self, slot: Slot) -> Option<KeyId> {
        let offset = slot.0.checked_sub(self.first_slot.0)?;
        let device = DeviceId(self.range.first.0.checked_add(offset)?);
        (offset < self.range.count).then_some(KeyId { device, generation: self.range.generation })
    }
}

/// Every extent of a fleet, with searches by slot and by id.
///
/// Takes 28 bytes an extent. A search is binary; a fleet of consecutive ids is one extent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fleet {
    by_slot: Vec<Extent>,
    /// For each generation, the indices of its extents by id; the extents do not overlap.
    by_id: BTreeMap<u16, Vec<u32>>,
}

impl Fleet {
    /// The number of slots, which is the number of the next one.
    pub(crate) fn slot_count(&self) -> u32 {
        self.by_slot.last().map_or(0, Extent::end_slot)
    }

    /// Assigns the next slots to ranges, each with the time at which it was provisioned;
    /// returns their extents. After an error the fleet must not be used.
    ///
    /// Costs a walk over all extents, however many ranges are added.
    pub(crate) fn add(
        &mut self,
        ranges: impl IntoIterator<Item = (DeviceRange, u64)>,
    ) -> Result<&[Extent], Error> {
        let known = self.by_slot.len();
        for (range, provisioned_unix_s) in ranges {
            range.check()?;
            let first_slot = Slot(self.slot_count());
            first_slot.0.checked_add(range.count).ok_or(Error::SlotsUsedUp)?;
            let place = u32::try_from(self.by_slot.len()).map_err(|_| Error::SlotsUsedUp)?;
            self.by_slot.push(Extent { first_slot, range, provisioned_unix_s });
            self.by_id.entry(range.generation).or_default().push(place);
        }
        for places in self.by_id.values_mut() {
            // Ranges usually come in order. Then there are two sorted runs, which the sort merges.
            places.sort_by_key(|place| range_at(&self.by_slot, *place).map(|range| range.first));
            let mut ranges = places.iter().filter_map(|place| range_at(&self.by_slot, *place));
            let Some(mut before) = ranges.next() else { continue };
            for range in ranges {
                if let Some((first, last)) = before.overlap(range) {
                    return Err(Error::AlreadyProvisioned { first, last });
                }
                before = range;
            }
        }
        Ok(self.by_slot.get(known..).unwrap_or_default())
    }

    /// The key at `slot`.
    pub(crate) fn key(&self, slot: Slot) -> Option<KeyId> {
        let behind = self.by_slot.partition_point(|extent| extent.first_slot <= slot);
        self.by_slot.get(behind.checked_sub(1)?)?.key(slot)
    }

    /// The keys at those of `slots` that exist, in order.
    pub(crate) fn keys(&self, slots: Range<u32>) -> impl Iterator<Item = (Slot, KeyId)> {
        let behind = self.by_slot.partition_point(|extent| extent.end_slot() <= slots.start);
        let extents = self.by_slot.get(behind..).unwrap_or_default().iter();
        extents.take_while(move |extent| extent.first_slot.0 < slots.end).flat_map(move |extent| {
            let both = slots.start.max(extent.first_slot.0)..slots.end.min(extent.end_slot());
            both.map(Slot).filter_map(|slot| Some((slot, extent.key(slot)?)))
        })
    }

    /// Each extent's slots and the time at which they were provisioned, in order.
    pub(crate) fn provisioned(&self) -> impl Iterator<Item = (Range<u32>, u64)> {
        let extents = self.by_slot.iter();
        extents.map(|extent| (extent.first_slot.0..extent.end_slot(), extent.provisioned_unix_s))
    }

    /// The ranges with imported keys, in the order of slots.
    pub(crate) fn imported_ranges(&self) -> impl Iterator<Item = DeviceRange> {
        let ranges = self.by_slot.iter().map(|extent| extent.range);
        ranges.filter(|range| range.origin == KeyOrigin::Imported)
    }

    /// The slots of every generation of `device`, the oldest first.
    pub(crate) fn slots(&self, device: DeviceId) -> Vec<Slot> {
        self.by_id
            .values()
            .filter_map(|peers| {
                let range_at = |place: &u32| range_at(&self.by_slot, *place);
                let is_before =
                    |place: &u32| range_at(place).is_some_and(|range| range.first <= device);
                let behind = peers.partition_point(is_before);
                let extent = self.by_slot.get(*peers.get(behind.checked_sub(1)?)? as usize)?;
                let offset = device.0 - extent.range.first.0;
                (offset < extent.range.count).then_some(Slot(extent.first_slot.0 + offset))
            })
            .collect()
    }
}

fn range_at(extents: &[Extent], place: u32) -> Option<&DeviceRange> {
    extents.get(place as usize).map(|extent| &extent.range)
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn range(first: u32, count: u32, generation: u16) -> DeviceRange {
        DeviceRange { generation, ..DeviceRange::new(DeviceId(first), count) }
    }

    #[test]
    fn an_invalid_range_is_rejected_and_named() {
        let mut fleet = Fleet::default();
        fleet.add([(range(100, 50, 0), 0)]).expect("free");
        let refused = |ranges: &[DeviceRange]| {
            let ranges = ranges.iter().map(|range| (*range, 0));
            fleet.clone().add(ranges).expect_err("an invalid range")
        };
        let is_there = |error: Error, ids: (u32, u32)| {
            let Error::AlreadyProvisioned { first, last } = error else { return false };
            (first.0, last.0) == ids
        };
        assert!(matches!(refused(&[range(0, 0, 0)]), Error::NoDevices));
        assert!(matches!(refused(&[range(u32::MAX, 2, 0)]), Error::IdsPastTheLast { .. }));
        assert!(is_there(refused(&[range(0, 103, 0)]), (100, 102)));
        assert!(is_there(refused(&[range(149, 9, 0)]), (149, 149)));
        assert!(is_there(refused(&[range(7, 9, 0), range(0, 9, 0)]), (7, 8)));
        assert_eq!(fleet.slot_count(), 50);
        fleet.add([(range(149, 9, 1), 0)]).expect("another generation");
        assert_eq!(fleet.slots(DeviceId(149)), [Slot(49), Slot(50)]);
        fleet.add([(range(u32::MAX, 1, 0), 0)]).expect("the last id");
    }

    #[test]
    fn scattered_ids_become_the_fewest_ranges() {
        let ids = [3, 4, 5, 9, 11, 12, u32::MAX].map(DeviceId);
        let expected = [range(3, 3, 0), range(9, 1, 0), range(11, 2, 0), range(u32::MAX, 1, 0)];
        assert_eq!(DeviceRange::covering(ids, KeyOrigin::Derived), expected);
    }

    proptest! {
        #[test]
        fn a_fleet_equals_a_plain_list_of_keys(
            calls in prop::collection::vec(
                prop::collection::vec((0u32..500, 1u32..40, 0u16..3), 1..4), 1..20,
            )
        ) {
            let (mut fleet, mut plain) = (Fleet::default(), Vec::<KeyId>::new());
            for call in calls {
                let mut all = plain.clone();
                let mut is_free = true;
                for (first, count, generation) in &call {
                    for id in *first..first + count {
                        let key = KeyId { device: DeviceId(id), generation: *generation };
                        is_free &= !all.contains(&key);
                        all.push(key);
                    }
                }
                let mut next = fleet.clone();
                let ranges = call.iter().map(|(first, count, generation)| (range(*first, *count, *generation), 0));
                prop_assert_eq!(next.add(ranges).is_ok(), is_free);
                if is_free { (fleet, plain) = (next, all); }
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
