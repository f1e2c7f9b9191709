//! Searching the table: every search is runs of neighbouring keys, sieved, and
//! pairs of a key and a hint, decided exactly.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use hintdex_wire::{Hint, Nonce, Slot};
use rayon::prelude::*;

use crate::KeyTable;
use crate::backend::{Batch, PAIRS_PER_BATCH, Window};

/// How many slots one task of a parallel scan tries: 30 µs for one hint, long
/// beside the handing out of a task and short beside a scan.
const SLOTS_PER_TASK: usize = 1 << 14;

/// How many slots are sieved at a time where each has a window of its own.
const WINDOWS_PER_RUN: usize = 128;

/// A slot whose key made a hint, and the nonce it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// The slot.
    pub slot: Slot,
    /// The nonce the hint was made from, if the slot's key made it.
    pub nonce: Nonce,
}

/// A search through a [`KeyTable`]: made by [`KeyTable::within`].
///
/// Costs are of one core with AVX-512 and VAES and 16-byte hints; other back ends
/// take 1.1 to 20 times as long (`docs/results/scan.md`). A search of truncated
/// hints computes one block for each expected nonce of a slot instead.
///
/// A wrong key passes once in 2^[`check_bits`](hintdex_wire::HintScheme::check_bits)
/// a try, and only a tag proves more. One hint can have several matches, with
/// truncated hints also in one slot. Retired slots are never found.
#[derive(Clone, Copy, Debug)]
pub struct Search<'t, E> {
    table: &'t KeyTable,
    expected: E,
}

impl<'t, E> Search<'t, E>
where
    E: Fn(Slot) -> Range<Nonce> + Sync,
{
    pub(crate) const fn new(table: &'t KeyTable, expected: E) -> Self {
        Self { table, expected }
    }

    /// Tries one slot: about 0.2 µs. Of many, [`confirm_each`](Self::confirm_each)
    /// makes short work. With truncated hints the lowest nonce that fits.
    pub fn confirm_slot(&self, slot: Slot, hint: &Hint) -> Option<Match> {
        let mut first: Option<Match> = None;
        self.confirm_each(&[(slot, *hint)], |_, found| {
            first = Some(first.map_or(found, |first| first.min(found)));
        });
        first
    }

    /// Tries every slot of `range` that the table has, on this thread. Matches
    /// come in order.
    ///
    /// About 1.5 ns a slot, and 0.2 µs for the call.
    pub fn confirm(&self, range: Range<Slot>, hint: &Hint) -> Vec<Match> {
        let mut matches = Vec::new();
        self.confirm_ranges(&[(range, *hint)], |_, found| matches.push(found));
        matches.sort_unstable();
        matches
    }

    /// Tries each slot with the hint beside it, on this thread, and calls `found`
    /// with the index of the pair and its match.
    ///
    /// About 3 ns a pair when the keys are in cache: what a batch of lookups in an
    /// index should end with. Indices come in ascending order.
    pub fn confirm_each(&self, pairs: &[(Slot, Hint)], found: impl FnMut(usize, Match)) {
        let mut pending = Pending::new(self, found);
        for (index, (slot, hint)) in pairs.iter().enumerate() {
            pending.push(index, *slot, hint);
        }
        pending.decide();
    }

    /// Tries every slot of each range with the hint beside it, on this thread, and
    /// calls `found` with the index of the range and the match, in no order.
    ///
    /// About 1.5 ns a slot: for the groups of a snapshot.
    pub fn confirm_ranges(&self, ranges: &[(Range<Slot>, Hint)], found: impl FnMut(usize, Match)) {
        let mut pending = Pending::new(self, found);
        for (index, (range, hint)) in ranges.iter().enumerate() {
            let slots = clamp(range, self.table.len());
            self.sieve(slots, std::slice::from_ref(hint), |slot, _| {
                pending.push(index, slot, hint);
            });
        }
        pending.decide();
    }

    /// Tries every slot with every hint, on all threads: the last resort.
    ///
    /// A slot's key schedule is paid once for all of `hints`: the first costs
    /// about 1.5 ns a slot and core, every further one 0.7 ns. Returns the matches
    /// of each hint, in slot order.
    pub fn confirm_all(&self, hints: &[Hint]) -> Vec<Vec<Match>> {
        self.scan(hints, false)
    }

    /// [`confirm_all`](Self::confirm_all), but a hint that was found is not looked
    /// for any longer, and when all were the search ends. A hint that was found
    /// has at least one match then.
    ///
    /// Only where a second match means that two slots have one key, which is with
    /// reversible hints of 96 check bits. Other schemes are searched to the end.
    pub fn confirm_all_until_found(&self, hints: &[Hint]) -> Vec<Vec<Match>> {
        let scheme = self.table.scheme();
        self.scan(hints, scheme.is_reversible() && scheme.check_bits() >= 96)
    }

    fn scan(&self, hints: &[Hint], until_found: bool) -> Vec<Vec<Match>> {
        let len = self.table.len();
        let was_found: Vec<AtomicBool> = hints.iter().map(|_| AtomicBool::new(false)).collect();
        let search = |first: usize| {
            let (places, open): (Vec<usize>, Vec<Hint>) = (hints.iter().enumerate())
                .zip(&was_found)
                .filter(|(_, was_found)| !(until_found && was_found.load(Ordering::Relaxed)))
                .map(|((place, hint), _)| (place, *hint))
                .unzip();
            let mut matches = Vec::new();
            let mut pending = Pending::new(self, |place, found| matches.push((place, found)));
            self.sieve(first..len.min(first + SLOTS_PER_TASK), &open, |slot, which| {
                if let (Some(place), Some(hint)) = (places.get(which), open.get(which)) {
                    pending.push(*place, slot, hint);
                }
            });
            pending.decide();
            for was_found in matches.iter().filter_map(|(place, _)| was_found.get(*place)) {
                // Nothing else is read on the strength of it.
                was_found.store(true, Ordering::Relaxed);
            }
            matches
        };
        let tasks = (0..len).into_par_iter().step_by(SLOTS_PER_TASK);
        let found: Vec<_> = tasks.map(search).collect();
        let mut of_hints = vec![Vec::new(); hints.len()];
        for (place, found) in found.into_iter().flatten() {
            if let Some(of_hint) = of_hints.get_mut(place) {
                of_hint.push(found);
            }
        }
        of_hints.iter_mut().for_each(|of_hint| of_hint.sort_unstable());
        of_hints
    }

    /// Calls `maybe` with every slot of `slots` and the index of every hint that
    /// may be a match: all that are, and a few that are not.
    fn sieve(&self, slots: Range<usize>, hints: &[Hint], mut maybe: impl FnMut(Slot, usize)) {
        if hints.is_empty() {
            return;
        }
        let run_len =
            if self.table.scheme().is_reversible() { slots.len().max(1) } else { WINDOWS_PER_RUN };
        let mut windows = [Window::default(); WINDOWS_PER_RUN];
        for first in slots.clone().step_by(run_len) {
            let run = first..slots.end.min(first + run_len);
            let keys = self.table.blocks().get(run.clone()).unwrap_or_default();
            if !self.table.scheme().is_reversible() {
                for (window, index) in windows.iter_mut().zip(run.clone()) {
                    *window = self.window(slot_at(index));
                }
            }
            let tried = self.table.kernel().sieve(keys, &windows, hints, &mut |key, hint| {
                maybe(slot_at(first + key), hint);
            });
            for index in first + tried..run.end {
                (0..hints.len()).for_each(|hint| maybe(slot_at(index), hint));
            }
        }
    }

    /// The nonces expected of a slot whose hints cannot be reversed.
    fn window(&self, slot: Slot) -> Window {
        Window::new((self.expected)(slot), self.table.scheme().max_nonce())
    }
}

/// Pairs of a key and a hint that wait until enough are together to be decided.
struct Pending<'s, 't, E, F> {
    search: &'s Search<'t, E>,
    batch: Batch,
    /// What the pairs are to the caller.
    tags: [(usize, Slot); PAIRS_PER_BATCH],
    found: F,
}

impl<'s, 't, E, F> Pending<'s, 't, E, F>
where
    E: Fn(Slot) -> Range<Nonce> + Sync,
    F: FnMut(usize, Match),
{
    const fn new(search: &'s Search<'t, E>, found: F) -> Self {
        Self { search, batch: Batch::new(), tags: [(0, Slot(0)); PAIRS_PER_BATCH], found }
    }

    fn push(&mut self, index: usize, slot: Slot, hint: &Hint) {
        let table = self.search.table;
        let Some(key) = table.stored(slot) else { return };
        let window = if table.scheme().is_reversible() {
            Window::default()
        } else {
            self.search.window(slot)
        };
        if let Some(tag) = self.tags.get_mut(self.batch.len()) {
            *tag = (index, slot);
        }
        self.batch.push(key, hint, window);
        if self.batch.len() == PAIRS_PER_BATCH {
            self.decide();
        }
    }

    /// Reports the pairs that are matches and forgets them all.
    fn decide(&mut self) {
        let Self { search, batch, tags, found } = self;
        search.table.kernel().decide(batch, &mut |pair, nonce| {
            if let Some((index, slot)) = tags.get(pair) {
                found(*index, Match { slot: *slot, nonce });
            }
        });
        batch.clear();
    }
}

/// The slot with this index: tables have fewer than 2³² slots.
fn slot_at(index: usize) -> Slot {
    Slot(u32::try_from(index).unwrap_or(u32::MAX))
}

/// The part of `range` below `len`, as indices.
fn clamp(range: &Range<Slot>, len: usize) -> Range<usize> {
    let end = range.end.index().min(len);
    range.start.index().min(end)..end
}
