//! One snapshot that the station asks.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use hintdex_core::{SnapshotId, Span, Timing};
use hintdex_scan::Match;
use hintdex_snapshot::{CandidateBatch, Encoding, Snapshot};
use hintdex_wire::{Hint, Nonce, Slot};

use super::confirm::{Confirm, confirm_candidates};
use super::table_hints::TableHints;
use crate::slot_keys::SlotSearch;

/// An attached snapshot and the path of its file.
pub(crate) struct Attached {
    path: PathBuf,
    pub(crate) snapshot: Snapshot,
    /// Whether a lookup met a damaged block.
    damaged: AtomicBool,
}

impl Attached {
    pub(super) const fn new(path: PathBuf, snapshot: Snapshot) -> Self {
        Self { path, snapshot, damaged: AtomicBool::new(false) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn id(&self) -> &SnapshotId {
        self.snapshot.id()
    }

    /// The span of station time that the snapshot is for; empty with counter nonces.
    pub(super) fn span(&self) -> &Span {
        &self.snapshot.params().time_unix_s
    }

    /// Whether the snapshot may hold a hint that is received at these times.
    pub(crate) fn may_hold(&self, timing: &Timing, times: &RangeInclusive<u64>) -> bool {
        self.span().is_empty() || timing.may_hold(self.span(), times)
    }

    /// Whether a lookup met a damaged block.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Calls `found` with the index of each hint that the snapshot resolves, and its match. Returns how many slots
    /// the snapshot named.
    ///
    /// The hints of a damaged block are not found here; they go on to the next source.
    pub(crate) fn confirm<E>(
        &self,
        search: &SlotSearch<'_, E>,
        hints: &[Hint],
        mut found: impl FnMut(usize, Match),
    ) -> usize
    where
        E: Fn(Slot) -> Range<Nonce> + Sync,
    {
        if self.snapshot.params().encoding == Encoding::Chain {
            // A fleet whose keys move on has no chain of hints: none is attached.
            let SlotSearch::Table(search) = search else { return 0 };
            let mut candidates = 0;
            let points = TableHints(search.table());
            let matched = |index, slot, nonce| {
                candidates += 1;
                // The key of a retired slot is zero, which anybody can compute hints with. Other
                // encodings try the expected nonces only.
                if search.may_match(slot, nonce) {
                    found(index, Match { slot, nonce });
                }
            };
            if self.snapshot.points(&points, hints, matched).is_err() {
                self.damaged.store(true, Ordering::Relaxed);
            }
            return candidates;
        }
        let mut batch = CandidateBatch::default();
        if self.snapshot.candidates_batch(hints, &mut batch).is_ok() {
            return confirm_candidates(&batch, search, hints, found);
        }
        self.damaged.store(true, Ordering::Relaxed);
        let mut candidates = 0;
        // Hint by hint, so that only the hints of the damaged block are missed.
        for (index, hint) in hints.iter().enumerate() {
            let ranges = self.snapshot.candidates(hint).into_iter().flatten();
            let ranges = ranges.map(|range| (Slot(range.start)..Slot(range.end), *hint));
            let ranges: Vec<(Range<Slot>, Hint)> = ranges.collect();
            candidates += ranges
                .iter()
                .map(|(range, _)| range.end.0.abs_diff(range.start.0) as usize)
                .sum::<usize>();
            search.ranges(&ranges, |_, matched| found(index, matched));
        }
        candidates
    }
}
