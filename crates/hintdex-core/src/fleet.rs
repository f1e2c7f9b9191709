//! The slots of a fleet: the key at each slot, and the slots that are free.

use std::collections::BTreeMap;
use std::ops::Range;

use hintdex_wire::{DeviceId, KeyId, Slot};
use smallvec::SmallVec;

use crate::Error;
use crate::device_range::{DeviceRange, KeyOrigin};

/// A range and the slot of its first device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first_slot: Slot,
    pub(crate) range: DeviceRange,
    pub(crate) provisioned_unix_s: u64,
    /// How long older keys of a device stay valid once it has used this one.
    pub(crate) grace_s: u32,
}

/// Slots in a row without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreeRun {
    pub(crate) first_slot: Slot,
    pub(crate) count: u32,
}

/// New keys that a fleet assigns slots to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewKeys {
    pub(crate) range: DeviceRange,
    pub(crate) provisioned_unix_s: u64,
    pub(crate) grace_s: u32,
}

impl Extent {
    pub(crate) const fn end_slot(&self) -> u32 {
        self.first_slot.0.saturating_add(self.range.count)
    }

    /// The slots.
    pub(crate) const fn slots(&self) -> Range<u32> {
        self.first_slot.0..self.end_slot()
    }

    /// The key at `slot`, if the extent has that slot.
    pub(crate) fn key(&self, slot: Slot) -> Option<KeyId> {
        let offset = slot.0.checked_sub(self.first_slot.0)?;
        let device = DeviceId(self.range.first.0.checked_add(offset)?);
        (offset < self.range.count).then_some(KeyId { device, generation: self.range.generation })
    }

    /// Whether `next` is the next key of the same kind in the next slot.
    pub(crate) fn is_continued_by(&self, next: &Self) -> bool {
        let DeviceRange { first, count, .. } = self.range;
        let range = DeviceRange { first, count, ..next.range };
        let of_next = first.0.checked_add(count) == Some(next.range.first.0);
        let same = Self { first_slot: self.first_slot, range, ..*next } == *self;
        same && of_next && self.end_slot() == next.first_slot.0
    }

    /// The part of the extent with these slots, which the extent has.
    fn part(&self, slots: Range<u32>) -> Self {
        let first = DeviceId(self.range.first.0 + (slots.start - self.first_slot.0));
        let range = DeviceRange { first, count: slots.end - slots.start, ..self.range };
        Self { first_slot: Slot(slots.start), range, ..*self }
    }
}

/// Every extent of a fleet, with searches by slot and by id.
///
/// Takes 32 bytes an extent. A search is binary; a fleet of consecutive ids is one extent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fleet {
    /// In the order of slots. Slots between two extents are free.
    by_slot: Vec<Extent>,
    slot_count: u32,
    /// For each generation, the indices of its extents by id; the extents do not overlap.
    by_id: BTreeMap<u16, Vec<u32>>,
}

impl Fleet {
    /// The fleet with these extents, in the order of slots, and with free slots between them and
    /// up to `slot_count`.
    ///
    /// # Errors
    /// [`Error::AlreadyProvisioned`] if two extents have a key in common, or the errors of
    /// [`DeviceRange`].
    pub(crate) fn of(by_slot: Vec<Extent>, slot_count: u32) -> Result<Self, Error> {
        by_slot.iter().try_for_each(|extent| extent.range.check())?;
        u32::try_from(by_slot.len()).map_err(|_| Error::SlotsUsedUp)?;
        let mut by_id: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
        for (place, extent) in (0..).zip(&by_slot) {
            by_id.entry(extent.range.generation).or_default().push(place);
        }
        for places in by_id.values_mut() {
            // Ranges usually come in order. Then the sort has one run to find.
            places.sort_by_key(|place| range_at(&by_slot, *place).map(|range| range.first));
            let mut ranges = places.iter().filter_map(|place| range_at(&by_slot, *place));
            let Some(mut before) = ranges.next() else { continue };
            for range in ranges {
                if let Some((first, last)) = before.shared_ids(range) {
                    return Err(Error::AlreadyProvisioned { first, last });
                }
                before = range;
            }
        }
        Ok(Self { by_slot, slot_count, by_id })
    }

    /// The number of slots, free ones included, which is the number of the next one.
    pub(crate) const fn slot_count(&self) -> u32 {
        self.slot_count
    }

    /// The number of keys.
    pub(crate) fn key_count(&self) -> u64 {
        self.by_slot.iter().map(|extent| u64::from(extent.range.count)).sum()
    }

    /// The fleet with more keys, in the slots that follow the last one.
    ///
    /// Costs a walk over all extents, however many keys are added.
    ///
    /// # Errors
    /// Those of [`of`](Self::of), and [`Error::SlotsUsedUp`].
    pub(crate) fn with_appended(&self, new: &[NewKeys]) -> Result<Self, Error> {
        let (mut by_slot, mut next) = (self.by_slot.clone(), self.slot_count);
        for keys in new {
            keys.range.check()?;
            let end = next.checked_add(keys.range.count).ok_or(Error::SlotsUsedUp)?;
            by_slot.push(keys.at(Slot(next)));
            next = end;
        }
        Self::of(by_slot, next)
    }

    /// The fleet with more keys, in its free slots as far as there are any, and then in the
    /// slots that follow the last one.
    ///
    /// # Errors
    /// Those of [`with_appended`](Self::with_appended).
    pub(crate) fn with_renewed(&self, new: &[NewKeys]) -> Result<Self, Error> {
        let mut by_slot = self.by_slot.clone();
        let mut free = self.free_runs().into_iter();
        let mut run = free.next();
        let mut left = Vec::new();
        for keys in new {
            keys.range.check()?;
            let mut rest = Some(*keys);
            while let (Some(keys), Some(FreeRun { first_slot, count })) = (rest, run) {
                let (taken, after) = keys.split(count);
                by_slot.push(taken.at(first_slot));
                let more = count - taken.range.count;
                let next = Slot(first_slot.0 + taken.range.count);
                run = if more > 0 {
                    Some(FreeRun { first_slot: next, count: more })
                } else {
                    free.next()
                };
                rest = after;
            }
            left.extend(rest);
        }
        by_slot.sort_unstable_by_key(|extent| extent.first_slot);
        Self { by_slot, ..self.clone() }.with_appended(&left)
    }

    /// The fleet without the keys of `slots`, which are in order.
    ///
    /// # Errors
    /// [`Error::SlotsUsedUp`] if there are too many extents.
    pub(crate) fn without(&self, slots: &[Slot]) -> Result<Self, Error> {
        let (mut by_slot, mut slots) = (Vec::with_capacity(self.by_slot.len()), slots);
        for extent in &self.by_slot {
            let end = slots.partition_point(|slot| slot.0 < extent.end_slot());
            let (freed, rest) = slots.split_at(end);
            slots = rest;
            let mut first = extent.first_slot.0;
            for slot in freed.iter().filter(|slot| extent.first_slot <= **slot) {
                if first < slot.0 {
                    by_slot.push(extent.part(first..slot.0));
                }
                first = slot.0 + 1;
            }
            if first < extent.end_slot() {
                by_slot.push(extent.part(first..extent.end_slot()));
            }
        }
        Self::of(by_slot, self.slot_count)
    }

    /// The extents, in the order of slots.
    pub(crate) fn extents(&self) -> &[Extent] {
        &self.by_slot
    }

    /// The free slots, in order.
    pub(crate) fn free_runs(&self) -> Vec<FreeRun> {
        let ends = std::iter::once(0).chain(self.by_slot.iter().map(Extent::end_slot));
        let firsts = self.by_slot.iter().map(|extent| extent.first_slot.0);
        let gaps = ends.zip(firsts.chain(std::iter::once(self.slot_count)));
        gaps.filter(|(first, end)| first < end)
            .map(|(first, end)| FreeRun { first_slot: Slot(first), count: end - first })
            .collect()
    }

    /// The extent with `slot`; `None` for a free slot.
    pub(crate) fn extent_of(&self, slot: Slot) -> Option<&Extent> {
        let behind = self.by_slot.partition_point(|extent| extent.first_slot <= slot);
        let extent = self.by_slot.get(behind.checked_sub(1)?)?;
        (slot.0 < extent.end_slot()).then_some(extent)
    }

    /// The key at `slot`; `None` for a free slot.
    pub(crate) fn key(&self, slot: Slot) -> Option<KeyId> {
        self.extent_of(slot)?.key(slot)
    }

    /// The keys at those of `slots` that have one, in order.
    pub(crate) fn keys(&self, slots: Range<u32>) -> impl Iterator<Item = (Slot, KeyId)> {
        let behind = self.by_slot.partition_point(|extent| extent.end_slot() <= slots.start);
        let extents = self.by_slot.get(behind..).unwrap_or_default().iter();
        extents.take_while(move |extent| extent.first_slot.0 < slots.end).flat_map(move |extent| {
            let both = slots.start.max(extent.first_slot.0)..slots.end.min(extent.end_slot());
            both.map(Slot).filter_map(|slot| Some((slot, extent.key(slot)?)))
        })
    }

    /// The ranges with imported keys, in the order of slots.
    pub(crate) fn imported_ranges(&self) -> impl Iterator<Item = DeviceRange> {
        let ranges = self.by_slot.iter().map(|extent| extent.range);
        ranges.filter(|range| range.origin == KeyOrigin::Imported)
    }

    /// Whether devices may have keys of several generations.
    pub(crate) fn has_generations(&self) -> bool {
        self.by_id.len() > 1
    }

    /// The first and the last id, in one extent, that `range` shares with keys of later
    /// generations.
    pub(crate) fn newer_than(&self, range: &DeviceRange) -> Option<(DeviceId, DeviceId)> {
        let later = range.generation.checked_add(1)?;
        self.by_id.range(later..).find_map(|(_, places)| {
            let ends_before = |place: &u32| {
                range_at(&self.by_slot, *place).is_some_and(|newer| newer.last() < range.first)
            };
            let place = places.get(places.partition_point(ends_before))?;
            range_at(&self.by_slot, *place)?.shared_ids(range)
        })
    }

    /// The slots of every generation of `device`, the oldest first.
    pub(crate) fn slots(&self, device: DeviceId) -> SmallVec<[Slot; 4]> {
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

impl NewKeys {
    /// The extent of the keys, from this slot on.
    const fn at(&self, first_slot: Slot) -> Extent {
        let Self { range, provisioned_unix_s, grace_s } = *self;
        Extent { first_slot, range, provisioned_unix_s, grace_s }
    }

    /// The first `count` keys at most, and the others.
    fn split(self, count: u32) -> (Self, Option<Self>) {
        let taken = self.range.count.min(count);
        let rest = self.range.count - taken;
        let first = DeviceId(self.range.first.0.saturating_add(taken));
        let of = |range| Self { range, ..self };
        (
            of(DeviceRange { count: taken, ..self.range }),
            (rest > 0).then(|| of(DeviceRange { first, count: rest, ..self.range })),
        )
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
        let fleet = Fleet::default().with_appended(&new(&[range(100, 50, 0)])).expect("free");
        let refused = |ranges: &[DeviceRange]| {
            fleet.with_appended(&new(ranges)).expect_err("an invalid range")
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
        let fleet = fleet.with_appended(&new(&[range(149, 9, 1)])).expect("another generation");
        assert_eq!(fleet.slots(DeviceId(149)).as_slice(), [Slot(49), Slot(50)]);
        fleet.with_appended(&new(&[range(u32::MAX, 1, 0)])).expect("the last id");
    }

    proptest! {
        /// Keys are added, dropped, and added to free slots.
        #[test]
        fn a_fleet_equals_a_plain_list_of_keys(
            calls in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec((0u32..500, 1u32..40, 0u16..3), 1..4).prop_map(Call::Append),
                    prop::collection::vec((0u32..500, 1u32..40, 0u16..3), 1..4).prop_map(Call::Renew),
                    prop::collection::vec(0u32..200, 1..60).prop_map(Call::Drop),
                ],
                1..20,
            )
        ) {
            let (mut fleet, mut plain) = (Fleet::default(), Vec::<Option<KeyId>>::new());
            for call in calls {
                let (ranges, reuses) = match call {
                    Call::Drop(mut slots) => {
                        slots.sort_unstable();
                        slots.dedup();
                        for slot in &slots {
                            plain.get_mut(*slot as usize).into_iter().for_each(|at| *at = None);
                        }
                        let slots: Vec<Slot> = slots.into_iter().map(Slot).collect();
                        fleet = fleet.without(&slots).expect("few extents");
                        continue;
                    }
                    Call::Append(ranges) => (ranges, false),
                    Call::Renew(ranges) => (ranges, true),
                };
                let (all, is_free) = with_keys(&plain, &ranges, reuses);
                let ranges: Vec<_> =
                    ranges.iter().map(|(first, count, generation)| range(*first, *count, *generation)).collect();
                let next = match reuses {
                    true => fleet.with_renewed(&new(&ranges)),
                    false => fleet.with_appended(&new(&ranges)),
                };
                prop_assert_eq!(next.is_ok(), is_free);
                if let Ok(next) = next { (fleet, plain) = (next, all); }
            }
            assert_same(&fleet, &plain);
        }
    }

    /// `plain` with more keys, in free places first if `reuses`; and whether all are new.
    fn with_keys(
        plain: &[Option<KeyId>],
        ranges: &[(u32, u32, u16)],
        reuses: bool,
    ) -> (Vec<Option<KeyId>>, bool) {
        let (mut all, mut is_free) = (plain.to_vec(), true);
        for (first, count, generation) in ranges {
            for id in *first..first + count {
                let key = Some(KeyId { device: DeviceId(id), generation: *generation });
                is_free &= !all.contains(&key);
                match all.iter_mut().find(|place| reuses && place.is_none()) {
                    Some(place) => *place = key,
                    None => all.push(key),
                }
            }
        }
        (all, is_free)
    }

    fn assert_same(fleet: &Fleet, plain: &[Option<KeyId>]) {
        let mut slots: BTreeMap<DeviceId, Vec<(u16, Slot)>> = BTreeMap::new();
        let end = u32::try_from(plain.len()).expect("few slots");
        assert_eq!(fleet.slot_count(), end);
        for (slot, key) in (0..).map(Slot).zip(plain) {
            assert_eq!(fleet.key(slot), *key);
            if let Some(key) = key {
                slots.entry(key.device).or_default().push((key.generation, slot));
            }
        }
        assert_eq!(fleet.key(Slot(end)), None);
        let keyed = plain.iter().zip((0..).map(Slot));
        let keyed: Vec<_> = keyed.filter_map(|(key, slot)| Some((slot, (*key)?))).collect();
        assert_eq!(fleet.keys(0..end).collect::<Vec<_>>(), keyed);
        let runs = fleet.free_runs().into_iter();
        let free: Vec<u32> =
            runs.flat_map(|run| run.first_slot.0..run.first_slot.0 + run.count).collect();
        let is_free = |slot: &u32| plain.get(*slot as usize) == Some(&None);
        assert_eq!(free, (0..end).filter(is_free).collect::<Vec<_>>());
        assert_eq!(fleet.key_count(), plain.iter().flatten().count() as u64);
        for id in (0..600).map(DeviceId) {
            let mut expected = slots.remove(&id).unwrap_or_default();
            expected.sort_unstable();
            let expected: Vec<_> = expected.into_iter().map(|(_, slot)| slot).collect();
            assert_eq!(fleet.slots(id).to_vec(), expected);
        }
    }

    #[derive(Clone, Debug)]
    enum Call {
        Append(Vec<(u32, u32, u16)>),
        Renew(Vec<(u32, u32, u16)>),
        Drop(Vec<u32>),
    }

    fn new(ranges: &[DeviceRange]) -> Vec<NewKeys> {
        let keys =
            |range: &DeviceRange| NewKeys { range: *range, provisioned_unix_s: 0, grace_s: 0 };
        ranges.iter().map(keys).collect()
    }
}
