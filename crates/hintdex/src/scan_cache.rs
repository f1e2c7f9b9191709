//! The scan cache: the results of recent scans, including those that found no device.
//!
//! A station receives a packet through several gateways, a jammer repeats itself, and an
//! attacker may replay an old packet any number of times. With the cache, none of them
//! costs a second scan. The result for a reversible hint depends on the keys alone, so an
//! entry stays right until keys change.

use std::collections::HashMap;

use hintdex_scan::Match;
use hintdex_wire::Hint;
use smallvec::SmallVec;

/// Hints of one generation of the cache: 8 MiB in both.
const MAX_CACHED: usize = 64 << 10;

/// The devices that made a hint: none, or almost always one, and then without an allocation.
pub(crate) type Matches = SmallVec<[Match; 1]>;

/// The results of recent scans, by hint.
///
/// The cache has two generations. When the newer generation is full, the older is evicted.
#[derive(Debug, Default)]
pub(crate) struct ScanCache {
    newer: HashMap<Hint, Matches>,
    older: HashMap<Hint, Matches>,
}

impl ScanCache {
    /// The devices that made `hint`; `None` if the cache has no result for it.
    pub(crate) fn get(&self, hint: &Hint) -> Option<&Matches> {
        self.newer.get(hint).or_else(|| self.older.get(hint))
    }

    /// Stores the result of a scan, and evicts the older generation if there is no room.
    pub(crate) fn insert(&mut self, hint: Hint, matches: Matches) {
        if self.newer.len() >= MAX_CACHED {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(hint, matches);
    }

    /// Evicts every entry: keys were added or removed, and each result may be wrong now.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use hintdex_wire::{HintScheme, Slot};

    use super::*;

    fn hint(number: usize) -> Hint {
        Hint::read(HintScheme::Aes128, &(number as u128).to_be_bytes()).expect("16 bytes")
    }

    #[test]
    fn the_latest_hints_are_cached_and_no_more_than_two_generations() {
        let mut cache = ScanCache::default();
        for number in 0..5 * MAX_CACHED {
            cache.insert(hint(number), Matches::new());
            assert!(cache.get(&hint(number)).is_some());
            assert!(cache.get(&hint(number.saturating_sub(MAX_CACHED - 1))).is_some());
        }
        assert!(cache.get(&hint(0)).is_none());
        assert!(cache.newer.len() + cache.older.len() <= 2 * MAX_CACHED);
        cache.clear();
        assert!(cache.get(&hint(5 * MAX_CACHED - 1)).is_none());
    }

    #[test]
    fn found_devices_are_cached_with_their_hint() {
        let mut cache = ScanCache::default();
        let found = Match { slot: Slot(7), nonce: 3 };
        cache.insert(hint(1), Matches::from_elem(found, 1));
        assert_eq!(cache.get(&hint(1)).map(SmallVec::as_slice), Some(&[found][..]));
        assert!(cache.get(&hint(2)).is_none());
    }
}
