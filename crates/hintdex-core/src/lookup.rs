//! Lookups: from hints to the slots that may have made them.

use std::ops::RangeInclusive;

use hintdex_wire::{Hint, Slot};
use smallvec::SmallVec;

use crate::Error;
use crate::bucket::Bucket;
use crate::geometry::BucketKey;
use crate::index::LiveIndex;
use crate::window::{Window, asked};

/// The slots an index names for a hint, each to be confirmed: almost always one
/// or none, and then without an allocation.
pub type Candidates = SmallVec<[Slot; 4]>;

impl LiveIndex {
    /// The slots that may have made `hint`: every one that has it among its live
    /// hints, and by chance another one in under 1 % of lookups.
    ///
    /// Costs some five lines of memory where the row is in memory, which takes a quarter
    /// of an index's; else one get of the store, 1 to 2 µs warm, and 50 ns on top of it.
    /// Twice that where nonces tell time and one window is about to follow another.
    ///
    /// A part of a window that cannot be read names nobody: windows are made from keys and
    /// states, so damage in them costs a scan and starts the next
    /// [roll](Self::needs_roll), and nothing else.
    ///
    /// # Errors
    /// [`Error::Poisoned`] after a failed write.
    pub fn candidates(&self, hint: &Hint) -> Result<Candidates, Error> {
        self.store.check()?;
        let mut candidates = Candidates::new();
        let now_s = self.now_s();
        for window in asked(&self.windows.declared(), &self.timing(), &(now_s..=now_s)) {
            let (key, suffix) = window.geometry.place(hint);
            if !self.find_in_memory(window, key, suffix, &mut candidates) {
                let row = self.store.get(window.hints(), &key);
                self.find(window, row.as_ref().map(Option::as_deref), suffix, &mut candidates);
            }
        }
        Ok(candidates)
    }

    /// [`candidates`](Self::candidates) of many hints, in their order, on this thread.
    ///
    /// The buckets are fetched together in key order: about half the cost a hint
    /// from some dozens on.
    ///
    /// # Errors
    /// Those of [`candidates`](Self::candidates).
    pub fn candidates_batch(&self, hints: &[Hint]) -> Result<Vec<Candidates>, Error> {
        let now_s = self.now_s();
        self.candidates_received(hints, &(now_s..=now_s))
    }

    /// [`candidates_batch`](Self::candidates_batch) of hints that were received at these
    /// times, in seconds since 1970, which only matter where nonces tell time.
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
        for window in asked(&self.windows.declared(), &self.timing(), times) {
            self.find_sorted(window, hints, &mut all);
        }
        Ok(all)
    }

    /// Looks into a row that is in memory, or is loaded now; whether the row is in memory.
    fn find_in_memory(
        &self,
        window: &Window,
        key: BucketKey,
        suffix: u32,
        candidates: &mut Candidates,
    ) -> bool {
        let load = || self.store.get_to_keep(window.hints(), &key);
        let found = window.rows.read(key, load, |row| {
            self.find(window, Ok::<_, &Error>(Some(row)), suffix, candidates);
        });
        // A row that cannot be loaded is asked for once more, from the store.
        found.is_ok_and(|found| found.is_some())
    }

    fn find_sorted(&self, window: &Window, hints: &[Hint], all: &mut [Candidates]) {
        let mut places = Vec::new();
        for (index, (hint, candidates)) in hints.iter().zip(all.iter_mut()).enumerate() {
            let (key, suffix) = window.geometry.place(hint);
            if !self.find_in_memory(window, key, suffix, candidates) {
                places.push((key, suffix, index));
            }
        }
        places.sort_unstable();
        let rows = self.store.get_sorted(window.hints(), places.iter().map(|(key, ..)| key));
        for ((_, suffix, index), row) in places.iter().zip(rows) {
            if let Some(candidates) = all.get_mut(*index) {
                self.find(window, row.as_ref().map(Option::as_deref), *suffix, candidates);
            }
        }
    }

    /// Adds the slots that have `suffix` in a row of a window, as the store gave it.
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
                Some(bucket) => bucket.find(suffix, |slot| {
                    if !candidates.contains(&slot) {
                        candidates.push(slot);
                    }
                }),
                None => self.note_damage(window, || "the parts of a bucket do not fit".into()),
            },
            Err(error) => self.note_damage(window, || error.to_string()),
        }
    }

    #[cold]
    fn note_damage(&self, window: &Window, why: impl Fn() -> String) {
        if window.note_damage(&why) {
            self.note(format!("a window of hints is damaged and is built again: {}", why()));
        }
    }
}
