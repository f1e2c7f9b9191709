//! The chains in memory: in pages that are locked where the process may lock that much, left out
//! of core dumps, and wiped.

use std::collections::HashMap;

use hintdex_scan::KeyStore;
use hintdex_wire::{Chain, KeyId};
use zeroize::Zeroizing;

/// The blocks of a chain key.
const BLOCKS: usize = 2;

/// The chains that the table has room for when it first grows.
const FIRST_ROOM: usize = 1024;

/// Where a chain lies: its number in the table.
pub(super) type Place = u32;

/// What the file holds of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Filed {
    /// The record in the file.
    pub(super) record: u32,
    /// Which of its two cells holds the chain.
    pub(super) cell: usize,
}

/// A chain of the table, but for its chain key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) key: KeyId,
    /// Whether the first chain was given: then nothing leads back to an earlier epoch.
    pub(super) is_given: bool,
    pub(super) epoch: u32,
    /// `None` while the file has no record of the chain.
    pub(super) filed: Option<Filed>,
    /// Whether the chain has moved since it was filed.
    pub(super) has_moved: bool,
}

/// The chains of a fleet that are not at their beginning, and all given ones.
#[derive(Debug, Default)]
pub(super) struct ChainTable {
    places: HashMap<KeyId, Place>,
    entries: Vec<Option<Entry>>,
    keys: Option<KeyStore>,
    free: Vec<Place>,
}

impl ChainTable {
    pub(super) fn place(&self, key: KeyId) -> Option<Place> {
        self.places.get(&key).copied()
    }

    pub(super) fn entry(&self, place: Place) -> Option<&Entry> {
        self.entries.get(place as usize)?.as_ref()
    }

    pub(super) fn entry_mut(&mut self, place: Place) -> Option<&mut Entry> {
        self.entries.get_mut(place as usize)?.as_mut()
    }

    /// All chains, in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, &Entry)> {
        (0..).zip(&self.entries).filter_map(|(place, entry)| Some((place, entry.as_ref()?)))
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The bytes of the chain keys in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.keys.as_ref().map_or(0, KeyStore::memory_bytes)
    }

    pub(super) fn is_locked(&self) -> bool {
        self.keys.as_ref().is_none_or(KeyStore::is_locked)
    }

    /// A copy of the chain at `place`.
    pub(super) fn chain(&self, place: Place) -> Option<Chain> {
        let blocks = self.keys.as_ref()?.blocks().get(at(place))?;
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(blocks.as_flattened());
        Some(Chain::copy_of(self.entry(place)?.epoch, &key))
    }

    /// Adds a chain, or moves the chain of its key on.
    pub(super) fn put(&mut self, entry: Entry, chain: &Chain) -> Place {
        let place = match self.places.get(&entry.key) {
            Some(place) => *place,
            None => self.free.pop().unwrap_or_else(|| self.grow()),
        };
        self.places.insert(entry.key, place);
        if let Some(of_place) = self.entries.get_mut(place as usize) {
            *of_place = Some(Entry { epoch: chain.epoch(), ..entry });
        }
        self.write(place, chain.expose());
        place
    }

    /// Forgets the chain at `place`, and wipes its key.
    pub(super) fn remove(&mut self, place: Place) -> Option<Entry> {
        let entry = self.entries.get_mut(place as usize)?.take()?;
        self.places.remove(&entry.key);
        self.write(place, &[0; 32]);
        self.free.push(place);
        Some(entry)
    }

    fn write(&mut self, place: Place, key: &[u8; 32]) {
        let blocks = self.keys.as_mut().and_then(|keys| keys.blocks_mut().get_mut(at(place)));
        if let Some(blocks) = blocks {
            blocks.as_flattened_mut().copy_from_slice(key);
        }
    }

    /// One more place. The store doubles, so that a fleet of any size moves a few times.
    fn grow(&mut self) -> Place {
        let place = self.entries.len();
        self.entries.push(None);
        let keys = self.keys.get_or_insert_with(KeyStore::new);
        if keys.len() < (place + 1) * BLOCKS {
            let more = keys.len().max(FIRST_ROOM * BLOCKS);
            keys.grow(more);
        }
        Place::try_from(place).unwrap_or(Place::MAX)
    }
}

/// The blocks of a place.
const fn at(place: Place) -> std::ops::Range<usize> {
    let first = place as usize * BLOCKS;
    first..first + BLOCKS
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use hintdex_wire::DeviceId;

    use super::*;

    #[test]
    fn chains_move_in_place_and_leave_their_places() {
        let mut table = ChainTable::default();
        let entry = |device| Entry {
            key: KeyId::first(DeviceId(device)),
            is_given: true,
            epoch: 0,
            filed: None,
            has_moved: false,
        };
        let byte = |device: u32| u8::try_from(device % 250).expect("small") + 1;
        for device in 0..3000 {
            let place = table.put(entry(device), &Chain::copy_of(5, &[byte(device); 32]));
            assert_eq!(place, device);
        }
        for device in 0..3000 {
            let chain = table.chain(device).expect("it was put");
            assert_eq!((chain.epoch(), chain.expose()), (5, &[byte(device); 32]));
        }
        assert_eq!(table.put(entry(7), &Chain::copy_of(6, &[255; 32])), 7);
        let held = |table: &ChainTable, byte: u8| {
            let keys = table.keys.as_ref().expect("it has keys");
            keys.blocks().iter().filter(|block| **block == [byte; 16]).count()
        };
        let before = held(&table, byte(7));
        assert_eq!(table.remove(7).map(|entry| entry.epoch), Some(6));
        assert_eq!((held(&table, 255), held(&table, byte(7))), (0, before));
        assert!(table.place(KeyId::first(DeviceId(7))).is_none() && table.chain(7).is_none());
        assert_eq!(table.put(entry(9999), &Chain::copy_of(0, &[9; 32])), 7);
        assert_eq!((table.len(), table.iter().count()), (3000, 3000));
    }
}
