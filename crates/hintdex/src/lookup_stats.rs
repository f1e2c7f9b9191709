//! What lookups cost a station: candidates and tags.

use std::sync::atomic::{AtomicU64, Ordering};

/// What lookups did since the station was opened.
///
/// See the example of [`Station::lookup_stats`](crate::Station::lookup_stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookupStats {
    /// Hints that were looked up in the snapshots or the live index, once for each source that was asked.
    pub hints: u64,
    /// Slots that a source named for these hints. Each costs a block of AES.
    pub candidates: u64,
    /// Tags that were tried. Each costs keys and an HMAC, or what the suite has in its place.
    pub tags: u64,
}

/// Counts what lookups do.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    hints: AtomicU64,
    candidates: AtomicU64,
    tags: AtomicU64,
}

impl Lookups {
    /// Counts hints that a source was asked for, and the slots that it named.
    pub(crate) fn count(&self, hints: usize, candidates: usize) {
        self.hints.fetch_add(hints as u64, Ordering::Relaxed);
        self.candidates.fetch_add(candidates as u64, Ordering::Relaxed);
    }

    /// Counts tags that were tried.
    pub(crate) fn count_tags(&self, tags: usize) {
        self.tags.fetch_add(tags as u64, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> LookupStats {
        LookupStats {
            hints: self.hints.load(Ordering::Relaxed),
            candidates: self.candidates.load(Ordering::Relaxed),
            tags: self.tags.load(Ordering::Relaxed),
        }
    }
}
