//! Lookups: from hints to the slots that may have computed them.

use std::hint::black_box;
use std::ops::RangeInclusive;

use hintdex_wire::{Hint, Slot};
use smallvec::SmallVec;

use crate::Error;
use crate::bucket::Bucket;
use crate::geometry::BucketKey;
use crate::index::LiveIndex;
use crate::window::{Window, windows_for};

/// The slots that the index names for a hint, each to be confirmed. Nearly always none or one;
/// up to four need no allocation.
///
/// See the example of [`LiveIndex`].
pub type Candidates = SmallVec<[Slot; 4]>;

/// The rows of so many hints come to the cache of the processor side by side.
const HINTS_READ_TOGETHER: usize = 64;

/// The row and the suffix of each hint of a group.
type Placed = SmallVec<[(BucketKey, u32); HINTS_READ_TOGETHER]>;

/// Adds the slots of the entries that have `suffix` in a bucket.
fn add_found(bucket: &Bucket<'_>, suffix: u32, candidates: &mut Candidates) {
    bucket.find(suffix, |slot| {
        if !candidates.contains(&slot) {
            candidates.push(slot);
        }
    });
}

impl LiveIndex {
    /// The slots that may have computed `hint`: every slot that has `hint` among its live
    /// hints, and by chance a wrong one in under 1 % of lookups.
    ///
    /// A cached row costs about five cache lines; the row cache takes a quarter of the index's
    /// memory. Any other row costs 50 ns and one get of the store, 1 to 2 µs when warm. While
    /// one window of clocked nonces follows another, both are read.
    ///
    /// A part of a window that cannot be read names no slot. Windows are derived from keys and
    /// states, so such damage costs scans and starts the next [roll](Self::needs_roll), and
    /// nothing else.
    ///
    /// # Errors
    /// [`Error::Poisoned`] after a failed write.
    pub fn candidates(&self, hint: &Hint) -> Result<Candidates, Error> {
        self.store.check()?;
        let mut candidates = Candidates::new();
        let now_s = self.now_s();
        for window in windows_for(&self.windows.declared(), &self.timing(), &(now_s..=now_s)) {
            let (key, suffix) = window.geometry.place(hint);
            if !self.find_in_memory(window, key, suffix, &mut candidates) {
                let row = self.store.get(window.family_handle(), &key);
                self.find(window, row.as_ref().map(Option::as_deref), suffix, &mut candidates);
            }
        }
        Ok(candidates)
    }

    /// [`candidates`](Self::candidates) of many hints, in their order, on this thread.
    ///
    /// Cached rows are read side by side, 64 at a time, the others together in key order. From some
    /// dozens of hints on, that halves the cost of a hint.
    ///
    /// # Errors
    /// Those of [`candidates`](Self::candidates).
    pub fn candidates_batch(&self, hints: &[Hint]) -> Result<Vec<Candidates>, Error> {
        let now_s = self.now_s();
        self.candidates_received(hints, &(now_s..=now_s))
    }

    /// [`candidates_batch`](Self::candidates_batch) of hints that were received at these times,
    /// in seconds since 1970. The times matter for clocked nonces only.
    ///
    /// # Errors
    /// Those of [`candidates`](Self::candidates).
    pub fn candidates_received(
        &self,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
    ) -> Result<Vec<Candidates>, Error> {
        self.store.check()?;
        let mut all = vec![Candidates::new(); hints.len()];
        for window in windows_for(&self.windows.declared(), &self.timing(), times) {
            self.find_sorted(window, hints, &mut all);
        }
        Ok(all)
    }

    /// Searches a row that is cached or can be cached now; returns whether there was one.
    fn find_in_memory(
        &self,
        window: &Window,
        key: BucketKey,
        suffix: u32,
        candidates: &mut Candidates,
    ) -> bool {
        let load = || self.store.get_uncached(window.family_handle(), &key);
        let found = window.row_cache.read(key, load, |row| {
            self.find(window, Ok::<_, &Error>(Some(row)), suffix, candidates);
        });
        // A row that cannot be loaded is read once more, through the store.
        found.is_ok_and(|found| found.is_some())
    }

    fn find_sorted(&self, window: &Window, hints: &[Hint], all: &mut [Candidates]) {
        let mut places = Vec::new();
        let groups = hints.chunks(HINTS_READ_TOGETHER).zip(all.chunks_mut(HINTS_READ_TOGETHER));
        for (group, (hints, all)) in groups.enumerate() {
            let placed: Placed = hints.iter().map(|hint| window.geometry.place(hint)).collect();
            let were_cached = self.find_together(window, &placed, all);
            let rest = placed.into_iter().zip(all).zip(were_cached).enumerate();
            for (at, (((key, suffix), candidates), _)) in rest.filter(|(_, (_, cached))| !cached) {
                if !self.find_in_memory(window, key, suffix, candidates) {
                    places.push((key, suffix, HINTS_READ_TOGETHER * group + at));
                }
            }
        }
        places.sort_unstable();
        let rows =
            self.store.get_sorted(window.family_handle(), places.iter().map(|(key, ..)| key));
        for ((_, suffix, index), row) in places.iter().zip(rows) {
            if let Some(candidates) = all.get_mut(*index) {
                self.find(window, row.as_ref().map(Option::as_deref), *suffix, candidates);
            }
        }
    }

    /// Searches the cached rows of a group of hints, and returns for each hint whether its row was cached.
    /// The other rows are in the store or are being changed, or are no bucket.
    ///
    /// Each step brings cache lines to the processor for the whole group, so that the core waits for all
    /// of them at once: the cells, the heads of the rows, the entries. No step waits for a lock while
    /// rows are locked.
    fn find_together(
        &self,
        window: &Window,
        placed: &Placed,
        all: &mut [Candidates],
    ) -> SmallVec<[bool; HINTS_READ_TOGETHER]> {
        window.row_cache.touch(placed.iter().map(|(key, _)| *key));
        let rows: SmallVec<[_; HINTS_READ_TOGETHER]> =
            placed.iter().map(|(key, _)| window.row_cache.try_read(*key)).collect();
        let bytes = || rows.iter().map(|row| row.as_ref().and_then(|row| row.as_deref()));
        black_box(bytes().flatten().fold(0, |all, row| all ^ row.first().copied().unwrap_or(0)));
        let buckets: SmallVec<[_; HINTS_READ_TOGETHER]> =
            bytes().map(|row| row.and_then(Bucket::parse)).collect();
        for (bucket, (_, suffix)) in buckets.iter().zip(placed) {
            bucket.iter().for_each(|bucket| bucket.fetch(*suffix));
        }
        for ((bucket, (_, suffix)), candidates) in buckets.iter().zip(placed).zip(all) {
            bucket.iter().for_each(|bucket| add_found(bucket, *suffix, candidates));
        }
        buckets.iter().map(Option::is_some).collect()
    }

    /// Adds the slots of the entries that have `suffix` in a row of the store.
    fn find(
        &self,
        window: &Window,
        row: Result<Option<&[u8]>, &Error>,
        suffix: u32,
        candidates: &mut Candidates,
    ) {
        match row {
            Ok(None | Some([])) => {}
            Ok(Some(row)) => match Bucket::parse(row) {
                Some(bucket) => add_found(&bucket, suffix, candidates),
                None => self
                    .note_damage(window, || "the parts of a bucket contradict one another".into()),
            },
            Err(error) => self.note_damage(window, || error.to_string()),
        }
    }

    #[cold]
    fn note_damage(&self, window: &Window, why: impl Fn() -> String) {
        if window.note_damage(&why) {
            self.note(format!("a window of hints is damaged and will be rebuilt: {}", why()));
        }
    }
}
