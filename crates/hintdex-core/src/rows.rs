//! The rows of a window that are in memory, whole, as the store has them.
//!
//! The store's own cache keeps blocks: finding a row in it means asking the memtables, the
//! tables' index, the cache and the block, a dozen lines of memory that nothing foretells.
//! Here a bucket's number is its place, so a lookup costs the place and the row. What is
//! added to a row goes to the store first and then to the row in memory, which is at every
//! moment what the store would give, or more.
//!
//! A row is taken in with its place locked while the store is read: an addition that the
//! reading missed waits for that lock, and adds itself then.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crate::Error;
use crate::bucket;
use crate::geometry::{BucketKey, Geometry};

/// A row as the store has it; empty where it has none.
type Row = Box<[u8]>;

/// What all rows in memory may take, in bytes, and what they take.
#[derive(Debug)]
pub(crate) struct RowBudget {
    most_bytes: usize,
    used_bytes: AtomicUsize,
}

impl RowBudget {
    pub(crate) const fn new(most_bytes: usize) -> Self {
        Self { most_bytes, used_bytes: AtomicUsize::new(0) }
    }

    /// What the rows of a window of so many bytes will take, and the bytes of it that have
    /// no room.
    pub(crate) fn foretell(&self, geometry: Geometry, bytes: u64) -> (u64, u64) {
        let most = self.most_bytes as u64;
        let Some(places_bytes) = self.places_bytes(geometry) else { return (0, bytes) };
        let room = most - places_bytes as u64;
        let overhead = (ROW_OVERHEAD_BYTES as u64) << geometry.prefix_bits();
        let cost = bytes.saturating_add(overhead);
        let rest =
            u128::from(bytes) * u128::from(cost.saturating_sub(room)) / u128::from(cost.max(1));
        (most - room + cost.min(room), u64::try_from(rest).unwrap_or(bytes))
    }

    /// What the places of a window take; `None` where they are too many.
    fn places_bytes(&self, geometry: Geometry) -> Option<usize> {
        let bytes = (1usize << geometry.prefix_bits()).saturating_mul(PLACE_LEN_BYTES);
        (bytes <= self.most_bytes / LEAST_PLACES_IN_BUDGET).then_some(bytes)
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Takes room for so many bytes, if there is.
    fn take(&self, bytes: usize) -> bool {
        let before = self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.most_bytes;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    /// Whether a row of any usual length fits in.
    fn has_room(&self) -> bool {
        self.used_bytes().saturating_add(USUAL_ROW_LEN_BYTES) <= self.most_bytes
    }

    fn give_back(&self, bytes: usize) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Rows are seldom longer: 256 hints and as many added ones.
const USUAL_ROW_LEN_BYTES: usize = 4 << 10;

/// A row's place.
const PLACE_LEN_BYTES: usize = size_of::<Place>();

/// What the allocator takes beside a row.
const ROW_OVERHEAD_BYTES: usize = 16;

/// The places of a window's rows are at most this part of what rows may take: a window
/// whose rows will not fit has none.
const LEAST_PLACES_IN_BUDGET: usize = 8;

/// The rows of one window.
pub(crate) struct Rows {
    geometry: Geometry,
    /// Made when a row is first asked for and there is room: the window before this one may
    /// have it until that goes.
    places: OnceLock<Box<[Place]>>,
    budget: Arc<RowBudget>,
}

/// Where a row is, or will be.
type Place = RwLock<Option<Row>>;

impl Rows {
    /// A window's rows, none of which is in memory yet.
    pub(crate) fn new(geometry: Geometry, budget: &Arc<RowBudget>) -> Self {
        Self { geometry, places: OnceLock::new(), budget: budget.clone() }
    }

    /// The places, made if they are not there and there is room.
    fn places(&self) -> Option<&[Place]> {
        if let Some(places) = self.places.get() {
            return Some(places);
        }
        let bytes = self.budget.places_bytes(self.geometry)?;
        if !self.budget.take(bytes) {
            return None;
        }
        let mut is_first = false;
        let places = self.places.get_or_init(|| {
            is_first = true;
            (0..bytes / PLACE_LEN_BYTES).map(|_| Place::default()).collect()
        });
        if !is_first {
            self.budget.give_back(bytes);
        }
        Some(places)
    }

    /// What `read` says of a row: from memory, or from what `load` gives, which stays in
    /// memory if there is room. `None` where the row has no place here.
    pub(crate) fn read<T>(
        &self,
        key: BucketKey,
        load: impl FnOnce() -> Result<Option<Vec<u8>>, Error>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        let place = self.places().and_then(|places| at(places, key));
        let Some(place) = place else { return Ok(None) };
        if let Some(row) = &*place.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Some(read(row)));
        }
        if !self.budget.has_room() {
            return Ok(None);
        }
        let mut held = place.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = &*held {
            return Ok(Some(read(row)));
        }
        let row: Row = load()?.unwrap_or_default().into();
        let said = read(&row);
        if self.budget.take(cost_bytes(&row)) {
            *held = Some(row);
        }
        Ok(Some(said))
    }

    /// Adds to a row in memory, if it is there, what was added to it in the store.
    pub(crate) fn add(&self, key: BucketKey, operand: &[u8]) {
        // Places that are made meanwhile have no row yet.
        let place = self.places.get().and_then(|places| at(places, key));
        let Some(place) = place else { return };
        let mut held = place.write().unwrap_or_else(PoisonError::into_inner);
        let Some(row) = held.take() else { return };
        self.budget.give_back(cost_bytes(&row));
        // One that has no room any longer is read from the store again.
        let parts = [&*row, operand].into_iter().filter(|part| !part.is_empty());
        let grown = bucket::union(parts).map(Vec::into_boxed_slice);
        *held = grown.filter(|row| self.budget.take(cost_bytes(row)));
    }
}

fn at(places: &[Place], key: BucketKey) -> Option<&Place> {
    places.get(u32::from_be_bytes(key) as usize)
}

impl Drop for Rows {
    fn drop(&mut self) {
        let Some(places) = self.places.get_mut() else { return };
        let of_row = |place: &mut Place| {
            let row = place.get_mut().unwrap_or_else(PoisonError::into_inner);
            row.as_ref().map_or(0, cost_bytes) + PLACE_LEN_BYTES
        };
        self.budget.give_back(places.iter_mut().map(of_row).sum());
    }
}

const fn cost_bytes(row: &Row) -> usize {
    row.len() + ROW_OVERHEAD_BYTES
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use hintdex_wire::{HintScheme, Slot};

    use super::*;
    use crate::bucket::{Bucket, encode_loose, entry};

    fn operand(slot: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_loose(&[entry(slot % 7, Slot(slot))], 15, &mut bytes);
        bytes
    }

    fn entries(row: &[u8]) -> Vec<u64> {
        if row.is_empty() {
            return Vec::new();
        }
        Bucket::parse(row).and_then(|bucket| bucket.entries()).expect("a sound row")
    }

    const KEY: BucketKey = [0, 0, 0, 3];

    #[test]
    fn a_row_is_loaded_once_and_what_is_added_is_in_it() {
        let budget = Arc::new(RowBudget::new(1 << 20));
        let rows = Rows::new(Geometry::for_hints(1 << 16, HintScheme::Aes128), &budget);
        let mut loads = 0;
        let mut read = |key| {
            let load = || {
                loads += 1;
                Ok((key == KEY).then(|| operand(1)))
            };
            rows.read(key, load, entries).expect("it loads").expect("it has a place")
        };
        assert_eq!((read(KEY).len(), read([0; 4]).len(), read(KEY).len()), (1, 0, 1));
        for slot in 2..200 {
            rows.add(KEY, &operand(slot));
            rows.add([0, 0, 0, 9], &operand(slot));
        }
        rows.add([0; 4], &operand(5));
        assert_eq!((read(KEY).len(), read([0; 4]).len()), (199, 1));
        assert_eq!(loads, 2, "what is in memory is not loaded again");
        drop(rows);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn rows_take_no_more_than_they_may() {
        let budget = Arc::new(RowBudget::new(200 << 10));
        let geometry = Geometry::for_hints(1 << 16, HintScheme::Aes128);
        let rows = Rows::new(geometry, &budget);
        let long: Vec<u8> = (0..200).flat_map(operand).collect();
        let first = bucket::union([&operand(1)[..], &operand(2)].into_iter()).expect("sound");
        for place in 0..1u32 << geometry.prefix_bits() {
            let load = || Ok(Some(first.iter().copied().chain([0; 8].repeat(50)).collect()));
            let _ = rows.read(place.to_be_bytes(), load, |_| ()).expect("it loads");
            assert!(budget.used_bytes() <= 200 << 10);
        }
        assert!(budget.used_bytes() > 150 << 10, "{} of {}", budget.used_bytes(), long.len());
        // The next window has its rows once this one is gone.
        let next = Rows::new(geometry, &budget);
        let load = || Ok(Some(first.clone()));
        while budget.take(1 << 10) {}
        assert!(next.read(KEY, load, |_| ()).expect("nothing is loaded").is_none());
        drop(rows);
        assert!(next.read(KEY, load, |_| ()).expect("it loads").is_some());
        assert!(next.read(KEY, || panic!("it is in memory"), |_| ()).expect("it is").is_some());
        // A window of a billion hints has no places where there is so little room.
        let large = Rows::new(Geometry::for_hints(1 << 30, HintScheme::Aes128), &budget);
        assert!(large.read(KEY, || Ok(None), |_| ()).expect("nothing is loaded").is_none());
    }
}
