//! What scans found, for a while: a cache of the hints that were scanned for, with the
//! devices that made them, also where that is nobody.
//!
//! A station hears a packet through several gateways, a jammer repeats itself, and an old
//! packet may be sent again and again: none of them costs a second scan. What a hint that
//! tells its nonce is, keys alone decide, so an entry stays right until keys change.

use std::collections::HashMap;

use hintdex_scan::Match;
use hintdex_wire::Hint;
use smallvec::SmallVec;

/// Hints of one generation of the cache: 8 MiB in both.
const MAX_CACHED: usize = 64 << 10;

/// The devices that made a hint: nobody, almost always one, and then without an allocation.
pub(crate) type Matches = SmallVec<[Match; 1]>;

/// The hints that were scanned for not long ago.
///
/// Two generations; when the newer one is full, the older one is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    newer: HashMap<Hint, Matches>,
    older: HashMap<Hint, Matches>,
}

impl Scanned {
    /// The devices that made `hint`, if it was scanned for.
    pub(crate) fn get(&self, hint: &Hint) -> Option<&Matches> {
        self.newer.get(hint).or_else(|| self.older.get(hint))
    }

    pub(crate) fn insert(&mut self, hint: Hint, matches: Matches) {
        if self.newer.len() >= MAX_CACHED {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(hint, matches);
    }

    /// Forgets everything: keys came or went, and any hint may be another device's.
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
        let mut scanned = Scanned::default();
        for number in 0..5 * MAX_CACHED {
            scanned.insert(hint(number), Matches::new());
            assert!(scanned.get(&hint(number)).is_some());
            assert!(scanned.get(&hint(number.saturating_sub(MAX_CACHED - 1))).is_some());
        }
        assert!(scanned.get(&hint(0)).is_none());
        assert!(scanned.newer.len() + scanned.older.len() <= 2 * MAX_CACHED);
        scanned.clear();
        assert!(scanned.get(&hint(5 * MAX_CACHED - 1)).is_none());
    }

    #[test]
    fn found_devices_are_cached_with_their_hint() {
        let mut scanned = Scanned::default();
        let found = Match { slot: Slot(7), nonce: 3 };
        scanned.insert(hint(1), Matches::from_elem(found, 1));
        assert_eq!(scanned.get(&hint(1)).map(SmallVec::as_slice), Some(&[found][..]));
        assert!(scanned.get(&hint(2)).is_none());
    }
}
