//! The slots whose first accepted packet retires older keys of their device.

use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use hintdex_wire::Slot;

use crate::fleet::Fleet;
use crate::states::StateTable;

/// A set of slots, one bit a slot.
#[derive(Debug, Default)]
pub(crate) struct Successors {
    words: RwLock<Words>,
}

#[derive(Debug, Default)]
struct Words {
    words: Vec<u64>,
    count: u64,
}

impl Successors {
    /// Those of `slots` that are in the set, in order.
    pub(crate) fn among(&self, slots: impl Iterator<Item = Slot>) -> Vec<Slot> {
        let set = self.words.read().unwrap_or_else(PoisonError::into_inner);
        if set.count == 0 {
            return Vec::new();
        }
        let mut found: Vec<Slot> = slots.filter(|slot| set.has(*slot)).collect();
        found.sort_unstable();
        found
    }

    /// Adds a slot to the set.
    pub(crate) fn insert(&self, slot: Slot) {
        let mut set = self.words.write().unwrap_or_else(PoisonError::into_inner);
        if !set.has(slot) {
            let len = set.words.len().max(slot.index() / 64 + 1);
            set.words.resize(len, 0);
            set.flip(slot);
            set.count += 1;
        }
    }

    /// Removes slots from the set.
    pub(crate) fn remove(&self, slots: &[Slot]) {
        if slots.is_empty() {
            return;
        }
        let mut set = self.words.write().unwrap_or_else(PoisonError::into_inner);
        for slot in slots {
            if set.has(*slot) {
                set.flip(*slot);
                set.count -= 1;
            }
        }
    }

    /// Adds those of `slots` that have not been heard and whose device has an older key in
    /// service.
    pub(crate) fn find(&self, states: &StateTable, fleet: &Fleet, slots: &[Range<Slot>]) {
        if !fleet.has_generations() {
            return;
        }
        let is_in_service =
            |slot: Slot| states.get(slot).is_some_and(|known| known.state.is_in_service());
        for slots in slots {
            for (slot, key) in fleet.keys(slots.start.0..slots.end.0) {
                let is_new = states.get(slot).is_some_and(|known| known.state.next_nonce() == 0);
                let peers = fleet.slots(key.device);
                let mut older = peers.iter().take_while(|peer| **peer != slot);
                if is_new && is_in_service(slot) && older.any(|peer| is_in_service(*peer)) {
                    self.insert(slot);
                }
            }
        }
    }
}

impl Words {
    fn has(&self, slot: Slot) -> bool {
        self.words.get(slot.index() / 64).is_some_and(|word| word >> (slot.index() % 64) & 1 == 1)
    }

    fn flip(&mut self, slot: Slot) {
        let word = self.words.get_mut(slot.index() / 64);
        word.into_iter().for_each(|word| *word ^= 1 << (slot.index() % 64));
    }
}
