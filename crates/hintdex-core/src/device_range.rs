//! Devices with consecutive ids, as they are added to a fleet.

use hintdex_wire::{DeviceId, KeyId};

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

    /// The fewest ranges that hold `keys`, which must be distinct, by generation.
    ///
    /// ```
    /// use hintdex_core::{DeviceRange, KeyOrigin};
    /// use hintdex_wire::{DeviceId, KeyId};
    ///
    /// let key = |id, generation| KeyId { device: DeviceId(id), generation };
    /// let ranges = DeviceRange::covering_keys(vec![key(7, 1), key(8, 2), key(9, 1)], KeyOrigin::Derived);
    /// let ids = ranges.iter().map(|range| (range.generation, range.first.0, range.count));
    /// assert_eq!(ids.collect::<Vec<_>>(), [(1, 7, 1), (1, 9, 1), (2, 8, 1)]);
    /// ```
    pub fn covering_keys(mut keys: Vec<KeyId>, origin: KeyOrigin) -> Vec<Self> {
        keys.sort_unstable_by_key(|key| (key.generation, key.device));
        let of_generation = |keys: &[KeyId]| {
            let generation = keys.first().map_or(0, |key| key.generation);
            let ranges = Self::covering(keys.iter().map(|key| key.device), origin);
            ranges.into_iter().map(move |range| Self { generation, ..range })
        };
        keys.chunk_by(|a, b| a.generation == b.generation).flat_map(of_generation).collect()
    }

    /// The last id.
    pub const fn last(&self) -> DeviceId {
        DeviceId(self.first.0.saturating_add(self.count.saturating_sub(1)))
    }

    /// The first and the last id that two ranges share.
    pub(crate) fn shared_ids(&self, other: &Self) -> Option<(DeviceId, DeviceId)> {
        let (first, last) = (self.first.max(other.first), self.last().min(other.last()));
        (first <= last).then_some((first, last))
    }

    /// Checks that the range is not empty and does not pass the last id.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.count.checked_sub(1) {
            None => Err(Error::NoDevices),
            Some(more) if self.first.0.checked_add(more).is_none() => {
                Err(Error::IdsPastTheLast { first: self.first, count: self.count.into() })
            }
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scattered_ids_become_the_fewest_ranges() {
        let range = |first, count| DeviceRange::new(DeviceId(first), count);
        let ids = [3, 4, 5, 9, 11, 12, u32::MAX].map(DeviceId);
        let expected = [range(3, 3), range(9, 1), range(11, 2), range(u32::MAX, 1)];
        assert_eq!(DeviceRange::covering(ids, KeyOrigin::Derived), expected);
    }
}
