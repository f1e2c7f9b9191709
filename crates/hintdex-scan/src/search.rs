//! Searching the table. Every search sieves runs of neighbouring keys and then
//! decides the remaining pairs of key and hint exactly.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use hintdex_wire::{Hint, Nonce, Slot};
use rayon::prelude::*;

use crate::KeyTable;
use crate::backend::{Batch, Block, PAIRS_PER_GROUP, Window, prefetch, wipe};

/// The number of slots that one task of a parallel scan tries: 40 µs for one hint,
/// long compared with starting a task and short compared with a scan.
const SLOTS_PER_TASK: usize = 1 << 14;

/// The number of pairs that are decided together: enough for the fetches of scattered
/// keys to overlap.
const PAIRS_PER_BATCH: usize = 4 * PAIRS_PER_GROUP;

/// How many ranges ahead keys are prefetched: about 100 ns.
const RANGES_AHEAD: usize = 3;

/// The number of slots that are sieved together if each has its own window.
const WINDOWS_PER_RUN: usize = 128;

/// A slot whose key computes a hint, and the nonce of that hint.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// The slot.
    pub slot: Slot,
    /// The nonce from which the slot's key computes the hint.
    pub nonce: Nonce,
}

/// A search through a [`KeyTable`], returned by [`KeyTable::within`].
///
/// Costs are those of one core with AVX-512 and VAES and of 16-byte hints. Other back
/// ends take 1.3 to 60 times as long (`docs/results/scan.md`). A search for truncated
/// hints computes one block for each expected nonce of a slot instead.
///
/// A wrong key passes once in 2^[`check_bits`](hintdex_wire::HintScheme::check_bits)
/// tries; only a verified tag proves a match. One hint can have several matches, and a
/// truncated hint several in one slot. Retired slots never match.
///
/// ```
/// use hintdex_scan::{KeyTable, Search};
/// use hintdex_wire::{HintCipher, HintKey, HintScheme, Slot, TruncatedLen};
///
/// let scheme = HintScheme::Aes128Truncated(TruncatedLen::new(6).unwrap());
/// let keys: Vec<_> = (0..100).map(|i| HintKey::from_bytes([i; 16])).collect();
/// let hints: Vec<_> =
///     [(3, 8), (70, 2)].map(|(i, nonce)| HintCipher::new(scheme, &keys[i]).hint(nonce).unwrap()).into();
/// let mut table = KeyTable::new(scheme);
/// table.extend(keys);
///
/// // Every device is expected to send one of its first 16 nonces.
/// let search: Search<'_, _> = table.within(|_slot| 0..16);
/// let found = search.confirm_all(&hints);
/// assert_eq!((found[0][0].slot, found[0][0].nonce), (Slot(3), 8));
/// assert_eq!((found[1][0].slot, found[1][0].nonce), (Slot(70), 2));
/// ```
#[derive(Clone, Copy)]
pub struct Search<'t, E> {
    table: &'t KeyTable,
    expected: E,
}

impl<'t, E> Search<'t, E>
where
    E: Fn(Slot) -> Range<Nonce> + Sync,
{
    /// The table that is searched.
    pub const fn table(&self) -> &'t KeyTable {
        self.table
    }

    /// Whether a search may match `slot` with `nonce`: the slot has a key, and the nonce is one of
    /// the scheme, and an expected one if the hints cannot be reversed.
    ///
    /// ```
    /// use hintdex_scan::KeyTable;
    /// use hintdex_wire::{HintKey, HintScheme, Slot, TruncatedLen};
    ///
    /// let mut table = KeyTable::new(HintScheme::Aes128Truncated(TruncatedLen::MIN));
    /// table.extend(vec![HintKey::from_bytes([1; 16])]);
    /// let search = table.within(|_| 10..20);
    /// assert!(search.may_match(Slot(0), 12));
    /// assert!(!search.may_match(Slot(0), 20) && !search.may_match(Slot(1), 12));
    /// ```
    pub fn may_match(&self, slot: Slot, nonce: Nonce) -> bool {
        let scheme = self.table.scheme();
        self.table.has_key(slot)
            && nonce <= scheme.max_nonce()
            && (scheme.is_reversible() || self.window(slot).nonces().contains(&nonce))
    }

    /// Tries one slot: about 0.1 µs. For many slots,
    /// [`confirm_each`](Self::confirm_each) is faster. For truncated hints, returns
    /// the lowest nonce that matches.
    pub fn confirm_slot(&self, slot: Slot, hint: &Hint) -> Option<Match> {
        let mut first: Option<Match> = None;
        let found = |_, found| first = Some(first.map_or(found, |first| first.min(found)));
        let mut pending = Pending::<_, _, PAIRS_PER_GROUP>::new(self, found);
        pending.push(0, slot, hint);
        pending.finish();
        first
    }

    /// Tries every slot of `range` up to the end of the table, on this thread.
    /// Returns the matches in slot order.
    ///
    /// About 2.7 ns a slot, and 0.1 µs for the call.
    pub fn confirm(&self, range: Range<Slot>, hint: &Hint) -> Vec<Match> {
        let mut matches = Vec::new();
        self.confirm_ranges(&[(range, *hint)], |_, found| matches.push(found));
        matches.sort_unstable();
        matches
    }

    /// Tries each slot with the hint beside it, on this thread, and calls `found`
    /// with the index of each matching pair, ascending, and its match.
    ///
    /// About 8 ns a pair if the keys are in cache, 20 ns in a table of a million: the
    /// last step of a batch of index lookups.
    pub fn confirm_each(&self, pairs: &[(Slot, Hint)], found: impl FnMut(usize, Match)) {
        let mut pending = Pending::<_, _, PAIRS_PER_BATCH>::new(self, found);
        for (index, (slot, hint)) in pairs.iter().enumerate() {
            pending.push(index, *slot, hint);
        }
        pending.finish();
    }

    /// Tries every slot of each range with the hint beside it, on this thread, and
    /// calls `found` with the index of the range and the match, in unspecified order.
    ///
    /// About 4 ns a slot in groups of 32: the last step of snapshot lookups.
    pub fn confirm_ranges(&self, ranges: &[(Range<Slot>, Hint)], found: impl FnMut(usize, Match)) {
        let mut pending = Pending::<_, _, PAIRS_PER_BATCH>::new(self, found);
        for (index, (range, hint)) in ranges.iter().enumerate() {
            if let Some((coming, _)) = ranges.get(index + RANGES_AHEAD) {
                let coming = clamp(coming, self.table.len());
                prefetch(self.table.blocks().get(coming).unwrap_or_default());
            }
            let slots = clamp(range, self.table.len());
            self.sieve(slots, std::slice::from_ref(hint), |slot, _| {
                pending.push(index, slot, hint);
            });
        }
        pending.finish();
    }

    /// Tries every slot with every hint, on all threads: the last resort.
    ///
    /// All of `hints` share the key schedule of a slot: the first hint costs about
    /// 2.7 ns a slot and core, each further hint 0.8 ns. Returns the matches of each
    /// hint, in slot order.
    pub fn confirm_all(&self, hints: &[Hint]) -> Vec<Vec<Match>> {
        self.scan(hints, false)
    }

    /// Like [`confirm_all`](Self::confirm_all), but drops a hint from the search at
    /// its first match, and ends when every hint has one. The result then holds at
    /// least one match of each such hint, and perhaps not all.
    ///
    /// The search stops early for reversible hints of 96 check bits only, where a
    /// second match means that two slots hold the same key. With fewer check bits, the
    /// first match can be a wrong key, so other schemes are searched to the end.
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
            let mut pending = Pending::<_, _, PAIRS_PER_BATCH>::new(self, |place, found| {
                matches.push((place, found));
            });
            self.sieve(first..len.min(first + SLOTS_PER_TASK), &open, |slot, which| {
                if let (Some(place), Some(hint)) = (places.get(which), open.get(which)) {
                    pending.push(*place, slot, hint);
                }
            });
            pending.finish();
            for was_found in matches.iter().filter_map(|(place, _)| was_found.get(*place)) {
                // Relaxed: the flag only saves work, and guards no other memory.
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

    /// Calls `maybe` with every slot of `slots` and the index of every hint that may
    /// match: all matches, and a few pairs that do not match.
    fn sieve(&self, slots: Range<usize>, hints: &[Hint], mut maybe: impl FnMut(Slot, usize)) {
        if hints.is_empty() {
            return;
        }
        let run_len =
            if self.table.scheme().is_reversible() { slots.len().max(1) } else { WINDOWS_PER_RUN };
        let mut windows = [Window::NONE; WINDOWS_PER_RUN];
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

    /// The expected nonces of a slot whose hints cannot be reversed.
    fn window(&self, slot: Slot) -> Window {
        Window::new((self.expected)(slot), self.table.scheme().max_nonce())
    }
}

impl KeyTable {
    /// A search for hints whose nonces lie in the range that `expected` returns for
    /// their slot.
    ///
    /// Reversible hints yield their nonce, so the search never calls `expected` and
    /// finds every nonce. Truncated hints are found if their nonce is in the range, at
    /// a cost of one block for each nonce in the range.
    pub const fn within<E>(&self, expected: E) -> Search<'_, E>
    where
        E: Fn(Slot) -> Range<Nonce> + Sync,
    {
        Search { table: self, expected }
    }

    /// A search that needs no expected nonces.
    fn any_nonce(&self) -> Search<'_, impl Fn(Slot) -> Range<Nonce> + Sync> {
        assert!(
            self.scheme().is_reversible(),
            "{} hints cannot be reversed: search within the expected nonces",
            self.scheme()
        );
        self.within(|_| 0..0)
    }

    /// [`Search::confirm_slot`] for reversible hints.
    ///
    /// # Panics
    /// If the scheme cannot be reversed: its searches start with [`within`](Self::within).
    pub fn confirm_slot(&self, slot: Slot, hint: &Hint) -> Option<Match> {
        self.any_nonce().confirm_slot(slot, hint)
    }

    /// [`Search::confirm`] for reversible hints.
    ///
    /// # Panics
    /// If the scheme cannot be reversed: its searches start with [`within`](Self::within).
    pub fn confirm(&self, range: Range<Slot>, hint: &Hint) -> Vec<Match> {
        self.any_nonce().confirm(range, hint)
    }

    /// [`Search::confirm_each`] for reversible hints.
    ///
    /// # Panics
    /// If the scheme cannot be reversed: its searches start with [`within`](Self::within).
    pub fn confirm_each(&self, pairs: &[(Slot, Hint)], found: impl FnMut(usize, Match)) {
        self.any_nonce().confirm_each(pairs, found);
    }

    /// [`Search::confirm_ranges`] for reversible hints.
    ///
    /// # Panics
    /// If the scheme cannot be reversed: its searches start with [`within`](Self::within).
    pub fn confirm_ranges(&self, ranges: &[(Range<Slot>, Hint)], found: impl FnMut(usize, Match)) {
        self.any_nonce().confirm_ranges(ranges, found);
    }

    /// [`Search::confirm_all`] for reversible hints.
    ///
    /// # Panics
    /// If the scheme cannot be reversed: its searches start with [`within`](Self::within).
    pub fn confirm_all(&self, hints: &[Hint]) -> Vec<Vec<Match>> {
        self.any_nonce().confirm_all(hints)
    }

    /// [`Search::confirm_all_until_found`] for reversible hints.
    ///
    /// # Panics
    /// If the scheme cannot be reversed: its searches start with [`within`](Self::within).
    pub fn confirm_all_until_found(&self, hints: &[Hint]) -> Vec<Vec<Match>> {
        self.any_nonce().confirm_all_until_found(hints)
    }
}

impl<E> fmt::Debug for Search<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").field("table", &self.table).finish_non_exhaustive()
    }
}

/// Up to `N` pairs of slot and hint, collected to be decided together. `N` is a
/// multiple of [`PAIRS_PER_GROUP`].
struct Pending<'s, 't, E, F, const N: usize> {
    search: &'s Search<'t, E>,
    len: usize,
    /// Fetched when the pairs are decided, and wiped on drop.
    keys: [Block; N],
    hints: [Block; N],
    windows: [Window; N],
    slots: [Slot; N],
    /// The caller's indices of the pairs.
    indices: [usize; N],
    found: F,
}

impl<'s, 't, E, F, const N: usize> Pending<'s, 't, E, F, N>
where
    E: Fn(Slot) -> Range<Nonce> + Sync,
    F: FnMut(usize, Match),
{
    #[inline]
    const fn new(search: &'s Search<'t, E>, found: F) -> Self {
        Self {
            search,
            len: 0,
            keys: [[0; 16]; N],
            hints: [[0; 16]; N],
            windows: [Window::NONE; N],
            slots: [Slot(0); N],
            indices: [0; N],
            found,
        }
    }

    #[inline]
    fn push(&mut self, index: usize, slot: Slot, hint: &Hint) {
        let at = self.len;
        if let (Some(hint_place), Some(slot_place), Some(index_place)) =
            (self.hints.get_mut(at), self.slots.get_mut(at), self.indices.get_mut(at))
        {
            (*hint_place, *slot_place, *index_place) = (*hint.as_bytes(), slot, index);
            self.len += 1;
            // The batch reads the keys when it is full; until then many fetches overlap.
            let key = self.search.table.blocks().get(slot.index());
            prefetch(key.map(std::slice::from_ref).unwrap_or_default());
        }
        if self.len == N {
            self.decide();
        }
    }

    /// Decides the remaining pairs.
    fn finish(mut self) {
        self.decide();
    }

    /// Reports the pairs that match and empties the batch.
    fn decide(&mut self) {
        let Self { search, len, keys, hints, windows, slots, indices, found } = self;
        let table = search.table;
        for (key, slot) in keys.iter_mut().zip(&*slots).take(*len) {
            *key = table.blocks().get(slot.index()).copied().unwrap_or_default();
        }
        if !table.scheme().is_reversible() {
            for (window, slot) in windows.iter_mut().zip(&*slots).take(*len) {
                *window = search.window(*slot);
            }
        }
        let batch = Batch { keys, hints, windows, len: *len };
        table.kernel().decide(batch, &mut [0; N], |pair, nonce| {
            let (Some(index), Some(slot)) = (indices.get(pair), slots.get(pair)) else { return };
            // Retired slots were tried with their tombstone or, like slots past the end, with
            // a key of zeros.
            if table.stored(*slot).is_some() {
                found(*index, Match { slot: *slot, nonce });
            }
        });
        *len = 0;
    }
}

impl<E, F, const N: usize> Drop for Pending<'_, '_, E, F, N> {
    fn drop(&mut self) {
        wipe(&mut self.keys);
    }
}

/// The slot with this index. Tables have fewer than 2³² slots.
fn slot_at(index: usize) -> Slot {
    Slot(u32::try_from(index).unwrap_or(u32::MAX))
}

/// The part of `range` below `len`, as indices.
fn clamp(range: &Range<Slot>, len: usize) -> Range<usize> {
    let end = range.end.index().min(len);
    range.start.index().min(end)..end
}
