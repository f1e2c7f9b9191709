//! The search for the device behind a hint where keys move on with the nonces: there is no table
//! of hint keys, and each key is derived from its chain when it is tried.
//!
//! A slot is tried in the epochs in which it may send. The present epoch comes first, so an
//! ordinary packet costs one derivation.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicUsize, Ordering};

use hintdex_core::{LiveIndex, SlotEpochs};
use hintdex_scan::Match;
use hintdex_wire::{Hint, HintCipher, KeySource, Nonce, RatchetBits, Slot};
use rayon::prelude::*;

use crate::resolved::is_certain;

/// Slots that one task of a parallel scan tries: some milliseconds.
const SLOTS_PER_TASK: u32 = 256;

/// The chains of a fleet, by slot.
#[derive(Clone, Copy)]
pub(crate) struct SlotChains<'a> {
    pub(crate) index: &'a LiveIndex,
    pub(crate) bits: RatchetBits,
}

impl<'a> SlotChains<'a> {
    /// A search in the epochs of the nonces that `expected` returns for a slot.
    pub(crate) const fn within<E>(self, expected: E) -> ChainSearch<'a, E>
    where
        E: Fn(Slot) -> Range<Nonce> + Sync,
    {
        ChainSearch { chains: self, expected }
    }

    fn keys(&self) -> &dyn KeySource {
        self.index.key_source().as_ref()
    }

    /// Calls `each` with the hint cipher of every epoch of `epochs`, in order, until it returns
    /// false. Epochs whose keys were wiped are left out. Returns whether all were tried.
    fn each_epoch(
        &self,
        slot: &SlotEpochs,
        mut epochs: RangeInclusive<u32>,
        mut each: impl FnMut(u32, &HintCipher) -> bool,
    ) -> bool {
        let first = epochs.find_map(|epoch| self.keys().chain(slot.key, epoch));
        let Some(mut chain) = first else { return true };
        loop {
            let cipher = HintCipher::new(self.index.params().scheme, &chain.hint_key());
            if !each(chain.epoch(), &cipher) {
                return false;
            }
            let Some(next) = epochs.next() else { return true };
            chain.advance_to(next);
        }
    }
}

/// A search by chains: what [`hintdex_scan::Search`] is by the key table.
#[derive(Clone, Copy)]
pub(crate) struct ChainSearch<'a, E> {
    chains: SlotChains<'a>,
    expected: E,
}

impl<E> ChainSearch<'_, E>
where
    E: Fn(Slot) -> Range<Nonce> + Sync,
{
    /// The epochs of a slot, and its expected nonces; `None` for a slot that is not in service.
    fn epochs(&self, slot: Slot) -> Option<(SlotEpochs, Range<Nonce>)> {
        let expected = (self.expected)(slot);
        let bits = self.chains.bits;
        let epochs = self.chains.index.epochs(slot, 0)?;
        let last = bits.epoch_of(expected.end.saturating_sub(1)).max(epochs.last);
        Some((SlotEpochs { last, ..epochs }, expected))
    }

    /// Tries one slot for one hint, and calls `found` with each nonce.
    fn try_slot(&self, slot: Slot, hint: &Hint, found: &mut impl FnMut(Nonce)) {
        let Some((epochs, expected)) = self.epochs(slot) else { return };
        let is_certain = is_certain(self.chains.index.params().scheme);
        let bits = self.chains.bits;
        let mut try_epoch = |epoch: u32, cipher: &HintCipher| {
            let mut is_found = false;
            let of_epoch = bits.nonces_of(epoch);
            let part = expected.start.max(of_epoch.start)..expected.end.min(of_epoch.end);
            cipher.nonces_within(hint, part, |nonce| {
                // A hint of another epoch decrypts to a nonce by chance.
                if bits.epoch_of(nonce) == epoch {
                    found(nonce);
                    is_found = true;
                }
            });
            !(is_found && is_certain)
        };
        if self.chains.each_epoch(&epochs, epochs.present..=epochs.last, &mut try_epoch)
            && let Some(before) = epochs.present.checked_sub(1)
        {
            self.chains.each_epoch(&epochs, epochs.first..=before, try_epoch);
        }
    }

    /// Tries each slot of `pairs` for its hint, and calls `found` with the index of the pair. A
    /// hint of the present epoch costs a walk to that epoch, a derivation and a key schedule; each
    /// further epoch costs two derivations and a schedule.
    pub(crate) fn confirm_each(&self, pairs: &[(Slot, Hint)], mut found: impl FnMut(usize, Match)) {
        for (index, (slot, hint)) in pairs.iter().enumerate() {
            self.try_slot(*slot, hint, &mut |nonce| found(index, Match { slot: *slot, nonce }));
        }
    }

    /// Tries the slots of each range for its hint, and calls `found` with the index of the range.
    pub(crate) fn confirm_ranges(
        &self,
        ranges: &[(Range<Slot>, Hint)],
        mut found: impl FnMut(usize, Match),
    ) {
        for (index, (slots, hint)) in ranges.iter().enumerate() {
            for slot in (slots.start.0..slots.end.0).map(Slot) {
                self.try_slot(slot, hint, &mut |nonce| found(index, Match { slot, nonce }));
            }
        }
    }

    /// Tries every slot for all of `hints`, on all threads, until each hint is found. Returns the
    /// matches of each hint, in the order of slots.
    ///
    /// Costs two derivations and a key schedule for each epoch of a slot, and 3 ns for each further
    /// hint.
    pub(crate) fn confirm_all_until_found(&self, hints: &[Hint]) -> Vec<Vec<Match>> {
        let index = self.chains.index;
        let stops = is_certain(index.params().scheme);
        let (slots, open) = (index.slot_count(), AtomicUsize::new(hints.len()));
        let wanted = Wanted::of(hints);
        let of_task = |task: u32| {
            let mut matches: Vec<(usize, Match)> = Vec::new();
            let first = task * SLOTS_PER_TASK;
            for slot in (first..slots.min(first + SLOTS_PER_TASK)).map(Slot) {
                if stops && open.load(Ordering::Relaxed) == 0 {
                    break;
                }
                let known = matches.len();
                self.scan_slot(slot, &wanted, &mut |at, nonce| {
                    matches.push((at, Match { slot, nonce }));
                });
                // Where the search stops, a hint is found once: another device has the same hint
                // once in 2^64, and then the search only goes on to the last slot.
                open.fetch_sub(matches.len() - known, Ordering::Relaxed);
            }
            matches
        };
        let tasks = (0..slots.div_ceil(SLOTS_PER_TASK)).into_par_iter();
        let found: Vec<Vec<(usize, Match)>> = tasks.map(of_task).collect();
        let mut matches = vec![Vec::new(); hints.len()];
        for (at, matched) in found.into_iter().flatten() {
            let of_hint: Option<&mut Vec<Match>> = matches.get_mut(at);
            of_hint.into_iter().for_each(|of_hint| of_hint.push(matched));
        }
        matches.iter_mut().for_each(|of_hint| of_hint.sort_unstable());
        matches
    }

    /// Tries one slot for many hints.
    fn scan_slot(&self, slot: Slot, wanted: &Wanted<'_>, found: &mut impl FnMut(usize, Nonce)) {
        let Some((epochs, expected)) = self.epochs(slot) else { return };
        let (bits, is_reversible) =
            (self.chains.bits, self.chains.index.params().scheme.is_reversible());
        self.chains.each_epoch(&epochs, epochs.first..=epochs.last, |epoch, cipher| {
            let of_epoch = bits.nonces_of(epoch);
            if is_reversible && bits.epoch_nonces() > wanted.hints.len() as u64 {
                cipher.each_nonce(wanted.hints, |at, nonce| {
                    if bits.epoch_of(nonce) == epoch {
                        found(at, nonce);
                    }
                });
                return true;
            }
            // Computing the hints of an epoch, 1 to 2 ns each, is less than decrypting so many.
            let nonces = match is_reversible {
                true => of_epoch,
                false => expected.start.max(of_epoch.start)..expected.end.min(of_epoch.end),
            };
            let mut nonce = nonces.start;
            cipher.each_hint(nonces, |hint| {
                wanted.at(&hint).for_each(|at| found(at, nonce));
                nonce += 1;
            });
            true
        });
    }

    /// Tries one slot for many hints, and calls `found` with the index and the nonce of each hint
    /// that is the slot's.
    pub(crate) fn confirm_slot(
        &self,
        slot: Slot,
        hints: &[Hint],
        mut found: impl FnMut(usize, Nonce),
    ) {
        self.scan_slot(slot, &Wanted::of(hints), &mut found);
    }
}

/// Hints, and where each of them stands.
struct Wanted<'a> {
    hints: &'a [Hint],
    places: HashMap<Hint, Vec<usize>>,
    /// A bit for each of the first 16 bits that some hint has: nearly every hint that a scan
    /// computes ends here.
    first_bits: Vec<u64>,
}

impl<'a> Wanted<'a> {
    fn of(hints: &'a [Hint]) -> Self {
        let mut places: HashMap<Hint, Vec<usize>> = HashMap::new();
        let mut first_bits = vec![0; 1 << 10];
        for (at, hint) in hints.iter().enumerate() {
            places.entry(*hint).or_default().push(at);
            let (word, bit) = bit_of(hint);
            first_bits.get_mut(word).into_iter().for_each(|word| *word |= bit);
        }
        Self { hints, places, first_bits }
    }

    fn at(&self, hint: &Hint) -> impl Iterator<Item = usize> {
        let (word, bit) = bit_of(hint);
        let may_be = self.first_bits.get(word).is_some_and(|word| word & bit != 0);
        let places = if may_be { self.places.get(hint) } else { None };
        places.into_iter().flatten().copied()
    }
}

/// The word and the bit of a hint among the 2^16 of [`Wanted`].
fn bit_of(hint: &Hint) -> (usize, u64) {
    let first = hint.head() >> 48;
    (usize::try_from(first >> 6).unwrap_or(0), 1 << (first & 63))
}
