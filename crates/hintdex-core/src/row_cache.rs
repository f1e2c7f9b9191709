//! The row cache of a window: whole rows in memory, as the store holds them.
//!
//! The store's own cache holds blocks. A get of the store reads the memtables, the tables'
//! index, the block cache and the block: a dozen cache lines that no prefetcher predicts. Here
//! the number of a bucket is the number of its cell, so a lookup costs the cell and the row.
//! An addition is written to the store first and then merged into the cached row. So a cached
//! row holds every entry of the stored row at every moment.
//!
//! A cell is locked while its row is loaded from the store. An addition that the load missed
//! waits for that lock and is merged afterwards.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use crate::Error;
use crate::bucket;
use crate::geometry::{BucketKey, Geometry};

/// A row as the store holds it; empty if the store has no such row.
type Row = Box<[u8]>;

/// The memory that the cached rows of all windows may take and take, in bytes.
#[derive(Debug)]
pub(crate) struct RowBudget {
    max_bytes: usize,
    used_bytes: AtomicUsize,
}

impl RowBudget {
    pub(crate) const fn new(max_bytes: usize) -> Self {
        Self { max_bytes, used_bytes: AtomicUsize::new(0) }
    }

    /// For a window with this many bytes of rows: the memory its cache will take, and the bytes
    /// of its rows that will not fit.
    pub(crate) fn estimate(&self, geometry: Geometry, bytes: u64) -> (u64, u64) {
        let max = self.max_bytes as u64;
        let Some(cells_bytes) = self.cells_bytes(geometry) else { return (0, bytes) };
        let room = max - cells_bytes as u64;
        let overhead = (ROW_OVERHEAD_BYTES as u64) << geometry.prefix_bits();
        let cost = bytes.saturating_add(overhead);
        let rest =
            u128::from(bytes) * u128::from(cost.saturating_sub(room)) / u128::from(cost.max(1));
        (max - room + cost.min(room), u64::try_from(rest).unwrap_or(bytes))
    }

    /// The memory of a window's cells; `None` if they are too many for the budget.
    fn cells_bytes(&self, geometry: Geometry) -> Option<usize> {
        let bytes = (1usize << geometry.prefix_bits()).saturating_mul(CELL_LEN_BYTES);
        (bytes <= self.max_bytes / MIN_BUDGET_OVER_CELLS).then_some(bytes)
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Reserves memory if the budget has it left; returns whether it has.
    fn reserve(&self, bytes: usize) -> bool {
        let before = self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.max_bytes;
        if !fits {
            self.release(bytes);
        }
        fits
    }

    /// Whether a row of typical length fits into the budget.
    fn has_room(&self) -> bool {
        self.used_bytes().saturating_add(TYPICAL_ROW_LEN_BYTES) <= self.max_bytes
    }

    fn release(&self, bytes: usize) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The length of nearly all rows is below this: 256 hints and as many additions.
const TYPICAL_ROW_LEN_BYTES: usize = 4 << 10;

/// The memory of a cell.
const CELL_LEN_BYTES: usize = size_of::<Cell>();

/// The memory that the allocator adds to a row.
const ROW_OVERHEAD_BYTES: usize = 16;

/// The budget is at least this multiple of the memory of a window's cells: a window whose rows
/// would not fit gets no cells.
const MIN_BUDGET_OVER_CELLS: usize = 8;

/// The cached rows of one window.
pub(crate) struct RowCache {
    geometry: Geometry,
    /// Allocated at the first lookup that finds room in the budget. The previous window may
    /// take that room until it is dropped.
    cells: OnceLock<Box<[Cell]>>,
    budget: Arc<RowBudget>,
}

/// The cell of a row, empty until the row is loaded.
type Cell = RwLock<Option<Row>>;

/// A cell that is locked for reading.
pub(crate) type CachedRow<'a> = RwLockReadGuard<'a, Option<Row>>;

impl RowCache {
    /// The empty cache of a window.
    pub(crate) fn new(geometry: Geometry, budget: &Arc<RowBudget>) -> Self {
        Self { geometry, cells: OnceLock::new(), budget: budget.clone() }
    }

    /// The cells; allocates them if they are missing and the budget has room.
    fn cells(&self) -> Option<&[Cell]> {
        if let Some(cells) = self.cells.get() {
            return Some(cells);
        }
        let bytes = self.budget.cells_bytes(self.geometry)?;
        if !self.budget.reserve(bytes) {
            return None;
        }
        let mut is_first = false;
        let cells = self.cells.get_or_init(|| {
            is_first = true;
            (0..bytes / CELL_LEN_BYTES).map(|_| Cell::default()).collect()
        });
        if !is_first {
            self.budget.release(bytes);
        }
        Some(cells)
    }

    /// Brings the cells of these rows to the cache of the processor. A core waits for all of them at
    /// once: no read needs the result of another one, and none takes a lock.
    pub(crate) fn touch(&self, keys: impl Iterator<Item = BucketKey>) {
        let Some(cells) = self.cells.get() else { return };
        let cells = keys.filter_map(|key| cell_at(cells, key));
        black_box(cells.fold(false, |any, cell| any | cell.is_poisoned()));
    }

    /// A row from the cache, locked; `None` if the row is not cached or is being changed. Does not wait.
    pub(crate) fn try_read(&self, key: BucketKey) -> Option<CachedRow<'_>> {
        let row = cell_at(self.cells.get()?, key)?.try_read().ok()?;
        row.is_some().then_some(row)
    }

    /// Applies `read` to a row from the cache, or to the row that `load` returns. A loaded row
    /// stays in the cache if the budget has room. Returns `None` if the row cannot be cached.
    pub(crate) fn read<T>(
        &self,
        key: BucketKey,
        load: impl FnOnce() -> Result<Option<Vec<u8>>, Error>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        let cell = self.cells().and_then(|cells| cell_at(cells, key));
        let Some(cell) = cell else { return Ok(None) };
        if let Some(row) = &*cell.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Some(read(row)));
        }
        if !self.budget.has_room() {
            return Ok(None);
        }
        let mut cached = cell.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = &*cached {
            return Ok(Some(read(row)));
        }
        let row: Row = load()?.unwrap_or_default().into();
        let result = read(&row);
        if self.budget.reserve(cost_bytes(&row)) {
            *cached = Some(row);
        }
        Ok(Some(result))
    }

    /// Merges an operand that was written to the store into the cached row, if there is one.
    pub(crate) fn merge(&self, key: BucketKey, operand: &[u8]) {
        // Cells that are allocated meanwhile hold no row yet.
        let cell = self.cells.get().and_then(|cells| cell_at(cells, key));
        let Some(cell) = cell else { return };
        let mut cached = cell.write().unwrap_or_else(PoisonError::into_inner);
        let Some(row) = cached.take() else { return };
        self.budget.release(cost_bytes(&row));
        // A merged row that no longer fits leaves the cache; the store is read for it again.
        let parts = [&*row, operand].into_iter().filter(|part| !part.is_empty());
        let merged = bucket::union(parts).map(Vec::into_boxed_slice);
        *cached = merged.filter(|row| self.budget.reserve(cost_bytes(row)));
    }
}

fn cell_at(cells: &[Cell], key: BucketKey) -> Option<&Cell> {
    cells.get(u32::from_be_bytes(key) as usize)
}

impl Drop for RowCache {
    fn drop(&mut self) {
        let Some(cells) = self.cells.get_mut() else { return };
        let cell_bytes = |cell: &mut Cell| {
            let row = cell.get_mut().unwrap_or_else(PoisonError::into_inner);
            row.as_ref().map_or(0, cost_bytes) + CELL_LEN_BYTES
        };
        self.budget.release(cells.iter_mut().map(cell_bytes).sum());
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
    fn a_row_is_loaded_once_and_includes_every_addition() {
        let budget = Arc::new(RowBudget::new(1 << 20));
        let rows = RowCache::new(Geometry::for_hints(1 << 16, HintScheme::Aes128), &budget);
        let mut loads = 0;
        let mut read = |key| {
            let load = || {
                loads += 1;
                Ok((key == KEY).then(|| operand(1)))
            };
            rows.read(key, load, entries).expect("the row loads").expect("the row has a cell")
        };
        assert_eq!((read(KEY).len(), read([0; 4]).len(), read(KEY).len()), (1, 0, 1));
        for slot in 2..200 {
            rows.merge(KEY, &operand(slot));
            rows.merge([0, 0, 0, 9], &operand(slot));
        }
        rows.merge([0; 4], &operand(5));
        assert_eq!((read(KEY).len(), read([0; 4]).len()), (199, 1));
        assert_eq!(loads, 2, "a cached row was loaded again");
        drop(rows);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_row_that_is_not_cached_or_is_being_changed_is_not_waited_for() {
        let budget = Arc::new(RowBudget::new(1 << 20));
        let rows = RowCache::new(Geometry::for_hints(1 << 16, HintScheme::Aes128), &budget);
        assert!(rows.try_read(KEY).is_none(), "there are no cells yet");
        rows.read(KEY, || Ok(Some(operand(1))), |_| ()).expect("the row loads");
        let cached = rows.try_read(KEY).and_then(|row| row.as_deref().map(entries));
        assert_eq!(cached, Some(entries(&operand(1))));
        assert!(rows.try_read([0; 4]).is_none(), "this row was never read");
        let cell = rows.cells.get().and_then(|cells| cell_at(cells, KEY)).expect("a cell");
        let _changing = cell.write().expect("no thread panicked");
        rows.touch([KEY].into_iter());
        assert!(rows.try_read(KEY).is_none());
    }

    #[test]
    fn cached_rows_stay_within_the_budget() {
        let budget = Arc::new(RowBudget::new(200 << 10));
        let geometry = Geometry::for_hints(1 << 16, HintScheme::Aes128);
        let rows = RowCache::new(geometry, &budget);
        let long: Vec<u8> = (0..200).flat_map(operand).collect();
        let first = bucket::union([&operand(1)[..], &operand(2)].into_iter()).expect("sound");
        for cell in 0..1u32 << geometry.prefix_bits() {
            let load = || Ok(Some(first.iter().copied().chain([0; 8].repeat(50)).collect()));
            let _ = rows.read(cell.to_be_bytes(), load, |_| ()).expect("the row loads");
            assert!(budget.used_bytes() <= 200 << 10);
        }
        assert!(budget.used_bytes() > 150 << 10, "{} of {}", budget.used_bytes(), long.len());
        // The next window has its rows once this window is dropped.
        let next = RowCache::new(geometry, &budget);
        let load = || Ok(Some(first.clone()));
        while budget.reserve(1 << 10) {}
        assert!(next.read(KEY, load, |_| ()).expect("nothing is loaded").is_none());
        drop(rows);
        assert!(next.read(KEY, load, |_| ()).expect("the row loads").is_some());
        assert!(next.read(KEY, || panic!("the row was cached"), |_| ()).expect("cached").is_some());
        // The cells of a window of a billion hints do not fit into this budget.
        let large = RowCache::new(Geometry::for_hints(1 << 30, HintScheme::Aes128), &budget);
        assert!(large.read(KEY, || Ok(None), |_| ()).expect("nothing is loaded").is_none());
    }
}
