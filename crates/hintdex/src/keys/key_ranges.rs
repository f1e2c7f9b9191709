//! Ranges of devices as a set of keys.

use hintdex_core::DeviceRange;
use hintdex_wire::KeyId;

/// The keys of some ranges of devices, none of which overlap.
pub(super) struct KeyRanges(Vec<DeviceRange>);

impl KeyRanges {
    /// Those of `ranges`, in any order.
    pub(super) fn of(ranges: &[DeviceRange]) -> Self {
        let mut ranges = ranges.to_vec();
        ranges.sort_unstable_by_key(|range| (range.generation, range.first));
        Self(ranges)
    }

    /// The ranges, by generation and device.
    pub(super) fn iter(&self) -> impl Iterator<Item = &DeviceRange> {
        self.0.iter()
    }

    /// Whether `key` is among the keys. Costs a binary search.
    pub(super) fn contains(&self, key: KeyId) -> bool {
        let at = (key.generation, key.device);
        let behind = self.0.partition_point(|range| (range.generation, range.first) <= at);
        let range = behind.checked_sub(1).and_then(|at| self.0.get(at));
        range.is_some_and(|range| range.generation == key.generation && key.device <= range.last())
    }
}
