//! Confirming the candidates that a snapshot names, by the keys of their slots.

use std::ops::Range;

use hintdex_scan::{Match, Search};
use hintdex_snapshot::CandidateBatch;
use hintdex_wire::{Hint, Nonce, Slot};

use crate::slot_keys::SlotSearch;

/// A search that confirms candidates.
#[doc(hidden)]
pub trait Confirm {
    /// Tries each slot for its hint, and calls `found` with the index of the pair.
    fn each(&self, pairs: &[(Slot, Hint)], found: impl FnMut(usize, Match));

    /// Tries the slots of each range for its hint, and calls `found` with the index of the range.
    fn ranges(&self, ranges: &[(Range<Slot>, Hint)], found: impl FnMut(usize, Match));
}

impl<E> Confirm for Search<'_, E>
where
    E: Fn(Slot) -> Range<Nonce> + Sync,
{
    fn each(&self, pairs: &[(Slot, Hint)], found: impl FnMut(usize, Match)) {
        self.confirm_each(pairs, found);
    }

    fn ranges(&self, ranges: &[(Range<Slot>, Hint)], found: impl FnMut(usize, Match)) {
        self.confirm_ranges(ranges, found);
    }
}

impl<E> Confirm for SlotSearch<'_, E>
where
    E: Fn(Slot) -> Range<Nonce> + Sync,
{
    fn each(&self, pairs: &[(Slot, Hint)], found: impl FnMut(usize, Match)) {
        self.confirm_each(pairs, found);
    }

    fn ranges(&self, ranges: &[(Range<Slot>, Hint)], found: impl FnMut(usize, Match)) {
        match self {
            Self::Table(search) => search.confirm_ranges(ranges, found),
            Self::Chains(search) => search.confirm_ranges(ranges, found),
        }
    }
}

/// The least number of slots for which a range of keys is tried faster as a range than slot
/// by slot.
#[doc(hidden)]
pub const MIN_GROUP_LEN_SLOTS: usize = 8;

/// Confirms the `candidates` of `hints` by key, and calls `found` with the index of each
/// hint that a key confirms. Returns how many keys were tried.
///
/// `candidates` is what [`Snapshot::candidates_batch`](hintdex_snapshot::Snapshot) filled for
/// the same hints. Short ranges are tried together with the slots of other hints, long ranges
/// each as a run of keys.
#[doc(hidden)]
pub fn confirm_candidates(
    candidates: &CandidateBatch,
    search: &impl Confirm,
    hints: &[Hint],
    mut found: impl FnMut(usize, Match),
) -> usize {
    let mut tried = 0;
    let (mut slot_owners, mut slots) = (Vec::new(), Vec::new());
    let (mut group_owners, mut groups) = (Vec::new(), Vec::new());
    for ((owner, hint), ranges) in hints.iter().enumerate().zip(candidates.iter()) {
        for range in ranges {
            tried += range.len();
            if range.len() < MIN_GROUP_LEN_SLOTS {
                slots.extend(range.clone().map(|slot| (Slot(slot), *hint)));
                slot_owners.extend(range.clone().map(|_| owner));
            } else {
                groups.push((Slot(range.start)..Slot(range.end), *hint));
                group_owners.push(owner);
            }
        }
    }
    let mut report = |owners: &[usize], index: usize, matched| {
        owners.get(index).into_iter().for_each(|owner| found(*owner, matched));
    };
    search.each(&slots, |index, matched| report(&slot_owners, index, matched));
    search.ranges(&groups, |index, matched| report(&group_owners, index, matched));
    tried
}
