//! The table of keys and the search through it.

use std::fmt;
use std::ops::Range;

use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Nonce, Slot};
use rayon::prelude::*;

/// How many slots one task of a parallel scan tries: a tenth of a millisecond,
/// long beside the handing out of a task and short beside a scan.
const SLOTS_PER_TASK: usize = 2048;

/// A slot whose key made a hint, and the nonce it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// The slot.
    pub slot: Slot,
    /// The nonce the hint decrypts to under the slot's key.
    pub nonce: Nonce,
}

/// The hint keys of a fleet, by slot.
///
/// 16 bytes a slot and one bit for retirement. Zeroized when dropped and when it
/// grows; [`Debug`] shows its size only.
#[derive(Clone)]
pub struct KeyTable {
    scheme: HintScheme,
    keys: Vec<HintKey>,
    /// One bit a slot, in words of 64; asked only when a key fits.
    retired: Vec<u64>,
}

impl KeyTable {
    /// An empty table for hints of `scheme`.
    pub const fn new(scheme: HintScheme) -> Self {
        Self { scheme, keys: Vec::new(), retired: Vec::new() }
    }

    /// How many slots it holds, retired ones included.
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it holds no slot.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The slots it takes in memory, in bytes.
    pub const fn memory_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<HintKey>() + self.retired.capacity() * size_of::<u64>()
    }

    /// Appends the keys of the next slots.
    ///
    /// The table moves to new memory: the old keys are zeroized rather than left
    /// behind by a reallocation, so give many at a time.
    pub fn extend(&mut self, keys: Vec<HintKey>) {
        if self.keys.is_empty() {
            self.keys = keys;
        } else {
            let mut grown = Vec::with_capacity(self.keys.len() + keys.len());
            grown.extend(self.keys.iter().cloned());
            grown.extend(keys);
            self.keys = grown;
        }
        self.retired.resize(self.keys.len().div_ceil(64), 0);
    }

    /// The key of `slot`; `None` if the table does not reach it or it is retired.
    pub fn key(&self, slot: Slot) -> Option<&HintKey> {
        self.keys.get(slot.index()).filter(|_| !self.is_retired(slot))
    }

    /// Takes `slot` out of every later search and zeroizes its key.
    pub fn retire(&mut self, slot: Slot) {
        if let Some(key) = self.keys.get_mut(slot.index()) {
            *key = HintKey::from_bytes([0; 16]);
        }
        if let Some(word) = self.retired.get_mut(slot.index() / 64) {
            *word |= 1 << (slot.index() % 64);
        }
    }

    fn is_retired(&self, slot: Slot) -> bool {
        self.retired.get(slot.index() / 64).is_some_and(|word| word >> (slot.index() % 64) & 1 == 1)
    }

    /// Tries one slot.
    pub fn confirm_slot(&self, slot: Slot, hint: &Hint) -> Option<Match> {
        let nonce = HintCipher::new(self.scheme, self.key(slot)?).nonce(hint)?;
        Some(Match { slot, nonce })
    }

    /// Tries every slot of `range` that the table has, in order, on this thread.
    pub fn confirm(&self, range: Range<Slot>, hint: &Hint) -> Vec<Match> {
        let slots = clamp(&range, self.keys.len());
        self.try_run(slots, std::slice::from_ref(hint))
            .into_iter()
            .map(|(_, found)| found)
            .collect()
    }

    /// Tries every slot with every hint, on all threads: the last resort.
    ///
    /// A slot's key schedule is paid once for all of `hints`. Returns the matches
    /// of each hint, in slot order.
    pub fn confirm_all(&self, hints: &[Hint]) -> Vec<Vec<Match>> {
        let mut matches = vec![Vec::new(); hints.len()];
        if hints.is_empty() {
            return matches;
        }
        let runs: Vec<_> = (0..self.keys.len())
            .into_par_iter()
            .step_by(SLOTS_PER_TASK)
            .map(|first| self.try_run(first..self.keys.len().min(first + SLOTS_PER_TASK), hints))
            .collect();
        for (hint, found) in runs.into_iter().flatten() {
            if let Some(of_hint) = matches.get_mut(hint) {
                of_hint.push(found);
            }
        }
        matches
    }

    /// Tries a run of slots with every hint; matches come with their hint's index.
    fn try_run(&self, slots: Range<usize>, hints: &[Hint]) -> Vec<(usize, Match)> {
        let mut found = Vec::new();
        let numbered = slots.clone().zip(self.keys.get(slots).unwrap_or_default());
        for (index, key) in numbered {
            HintCipher::new(self.scheme, key).each_nonce(hints, |which, nonce| {
                if let Ok(slot) = u32::try_from(index).map(Slot) {
                    found.push((which, Match { slot, nonce }));
                }
            });
        }
        found.retain(|(_, found)| !self.is_retired(found.slot));
        found
    }
}

/// The part of `range` below `len`, as indices.
fn clamp(range: &Range<Slot>, len: usize) -> Range<usize> {
    let end = range.end.index().min(len);
    range.start.index().min(end)..end
}

impl fmt::Debug for KeyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyTable").field("slots", &self.keys.len()).finish_non_exhaustive()
    }
}
