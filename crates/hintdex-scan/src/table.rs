//! The table of keys: filling, growing, retiring.

use std::fmt;

use hintdex_wire::{Hint, HintKey, HintScheme, Nonce, Slot};
use zeroize::{Zeroize, Zeroizing};

use crate::backend::{Block, Kernel, key_of, prefetch_line};
use crate::store::KeyStore;
use crate::{Backend, BackendError};

/// The least number of keys that one thread converts when a table is filled.
const KEYS_PER_TASK: usize = 1 << 14;

/// The hint keys of a fleet, by slot.
///
/// A slot takes 16 bytes and one retirement bit. The table stores each key in the
/// form from which its search starts: the last round key for reversible AES hints,
/// the state at the end of the schedule for SPECK64, else the key itself. Keys are
/// zeroized when the table grows and when it is dropped; [`Debug`] prints the number
/// of slots only.
///
/// Searches are the methods of [`Search`](crate::Search). For a reversible scheme, the table itself
/// offers them too. A search of any other scheme runs [`within`](Self::within) the
/// expected nonces.
///
/// See the [example of the crate](crate).
#[derive(Clone)]
pub struct KeyTable {
    scheme: HintScheme,
    kernel: Kernel,
    keys: KeyStore,
    /// One bit a slot, in words of 64; read only when a key matches.
    retired: Vec<u64>,
}

impl KeyTable {
    /// An empty table for hints of `scheme`, searched by the best back end of this
    /// processor.
    pub fn new(scheme: HintScheme) -> Self {
        Self::with_kernel(scheme, Kernel::best(scheme))
    }

    /// An empty table for hints of `scheme`, searched by `backend`: for tests and
    /// benches.
    ///
    /// # Errors
    /// [`BackendError`] when the processor does not have `backend` for `scheme`.
    pub fn with_backend(scheme: HintScheme, backend: Backend) -> Result<Self, BackendError> {
        let kernel = Kernel::new(scheme, backend).ok_or(BackendError { backend, scheme })?;
        Ok(Self::with_kernel(scheme, kernel))
    }

    const fn with_kernel(scheme: HintScheme, kernel: Kernel) -> Self {
        Self { scheme, kernel, keys: KeyStore::new(), retired: Vec::new() }
    }

    /// The scheme of the hints.
    pub const fn scheme(&self) -> HintScheme {
        self.scheme
    }

    /// The back end of the searches.
    pub const fn backend(&self) -> Backend {
        self.kernel.backend()
    }

    /// The number of slots, retired slots included.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the table has no slot.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory of all slots, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.keys.memory_bytes() + self.retired.capacity() * size_of::<u64>()
    }

    /// Whether the keys are locked in memory, so that no page of them is written to swap space.
    /// `false` if the table is larger than the process may lock (`RLIMIT_MEMLOCK`).
    pub fn is_locked(&self) -> bool {
        self.keys.is_locked()
    }

    /// Appends the keys of the next slots: a key schedule each, on threads of their own.
    ///
    /// The table moves to new memory and zeroizes the old, so one call with many keys
    /// is much cheaper than many calls.
    pub fn extend(&mut self, keys: Vec<HintKey>) {
        let old = self.keys.len();
        self.keys.grow(keys.len());
        let places = self.keys.blocks_mut().get_mut(old..).unwrap_or_default();
        let kernel = self.kernel;
        let share = keys.len().div_ceil(rayon::current_num_threads()).max(KEYS_PER_TASK);
        // Threads of their own: callers hold locks, which tasks of a shared pool may want.
        std::thread::scope(|scope| {
            for (places, keys) in places.chunks_mut(share).zip(keys.chunks(share)) {
                scope.spawn(move || {
                    places.iter_mut().zip(keys).for_each(|(place, key)| *place = *key.expose());
                    kernel.store(places);
                });
            }
        });
        self.retired.resize(self.keys.len().div_ceil(64), 0);
    }

    /// The key of `slot`; `None` if the slot is past the end or retired.
    ///
    /// Computed from the stored form: about 0.1 µs.
    pub fn key(&self, slot: Slot) -> Option<HintKey> {
        let mut block = Zeroizing::new(*self.stored(slot)?);
        self.kernel.restore(std::slice::from_mut(&mut *block));
        Some(HintKey::copy_of(&block))
    }

    /// Whether `slot` is in the table and not retired.
    pub fn has_key(&self, slot: Slot) -> bool {
        self.stored(slot).is_some()
    }

    /// Starts loading the key of `slot`, for a call of [`hints`](Self::hints) that follows.
    #[inline]
    pub fn prefetch(&self, slot: Slot) {
        self.keys.blocks().get(slot.index()).into_iter().for_each(prefetch_line);
    }

    /// Writes the hint of each of `points`, pairs of slot and nonce, to its place in `hints`,
    /// which is as long as `points`.
    ///
    /// Costs a key schedule and a block for each hint; the portable back end takes about 80 ns a
    /// hint longer than the others. A slot past the end and a retired slot without a
    /// [tombstone](Self::entomb) have a key of zeros here, so anybody can compute their hints:
    /// see [`has_key`](Self::has_key). A nonce past the last nonce of the scheme has some hint.
    #[inline]
    pub fn hints(&self, points: &[(Slot, Nonce)], hints: &mut [Hint]) {
        self.kernel.encrypt(self.keys.blocks(), points, hints);
    }

    /// Stores `key` as the key of `slot`, which later searches find again. The key before is
    /// overwritten. Does nothing past the end.
    pub fn assign(&mut self, slot: Slot, key: &HintKey) {
        if let Some(place) = self.keys.blocks_mut().get_mut(slot.index()) {
            *place = *key.expose();
            self.kernel.store(std::slice::from_mut(place));
        }
        if let Some(word) = self.retired.get_mut(slot.index() / 64) {
            *word &= !(1 << (slot.index() % 64));
        }
    }

    /// Writes the hints of `slot` for the nonces from `first` on to `hints`: the same that
    /// [`hints`](Self::hints) computes.
    ///
    /// With AES, costs one key schedule, and 2 to 4 ns a hint.
    pub fn hints_of_run(&self, slot: Slot, first: Nonce, hints: &mut [Hint]) {
        self.kernel.encrypt_run(key_of(self.keys.blocks(), slot), first, hints);
    }

    /// Removes `slot` from every later search and zeroizes its key.
    pub fn retire(&mut self, slot: Slot) {
        self.entomb(slot);
        if let Some(key) = self.keys.blocks_mut().get_mut(slot.index()) {
            key.zeroize();
        }
    }

    /// Removes `slot` from every later search and leaves its key to
    /// [`hints`](Self::hints): lookups in a chain built before the retirement compute hints of
    /// the slot. [`wipe_retired`](Self::wipe_retired) zeroizes the key.
    pub fn entomb(&mut self, slot: Slot) {
        if let Some(word) = self.retired.get_mut(slot.index() / 64) {
            *word |= 1 << (slot.index() % 64);
        }
    }

    /// Zeroizes the keys of the retired slots that `is_needed` is false for.
    pub fn wipe_retired(&mut self, is_needed: impl Fn(Slot) -> bool) {
        for slot in self.tombstones() {
            if !is_needed(slot) {
                self.retire(slot);
            }
        }
    }

    /// The retired slots whose keys are not zeroized.
    pub fn tombstones(&self) -> Vec<Slot> {
        let words = self.retired.iter().zip(self.blocks().chunks(64)).zip((0..).step_by(64));
        let of_word = |((word, keys), first): ((&u64, &[Block]), u32)| {
            let retired = (0..64).zip(keys).filter(move |(at, _)| *word >> at & 1 == 1);
            let kept = retired.filter(|(_, key)| **key != [0; 16]).map(move |(at, _)| first + at);
            kept.map(Slot).collect::<Vec<_>>()
        };
        words.filter(|((word, _), _)| **word != 0).flat_map(of_word).collect()
    }

    fn is_retired(&self, slot: Slot) -> bool {
        self.retired.get(slot.index() / 64).is_some_and(|word| word >> (slot.index() % 64) & 1 == 1)
    }

    /// The stored form of the key of `slot`, unless the slot is retired.
    pub(crate) fn stored(&self, slot: Slot) -> Option<&Block> {
        self.keys.blocks().get(slot.index()).filter(|_| !self.is_retired(slot))
    }

    /// All stored keys; those of retired slots without a tombstone are zero.
    pub(crate) fn blocks(&self) -> &[Block] {
        self.keys.blocks()
    }

    pub(crate) const fn kernel(&self) -> Kernel {
        self.kernel
    }
}

impl fmt::Debug for KeyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyTable")
            .field("scheme", &self.scheme)
            .field("backend", &self.backend())
            .field("slots", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test stops at the first surprise")]
mod tests {
    use hintdex_wire::{HintKey, HintScheme, Slot, TruncatedLen};

    use super::KeyTable;
    use crate::Backend;

    /// A search cannot see whether a retired key is still there: the retirement bit
    /// alone keeps the slot out of the results.
    #[test]
    fn retiring_a_slot_overwrites_its_key_and_no_other() {
        let truncated = HintScheme::Aes128Truncated(TruncatedLen::MIN);
        for scheme in [HintScheme::Aes128, HintScheme::Speck64, truncated] {
            for backend in Backend::ALL {
                let Ok(mut table) = KeyTable::with_backend(scheme, *backend) else { continue };
                table.extend((1..=70).map(|at| HintKey::from_bytes([at; 16])).collect());
                let mut expected = table.blocks().to_vec();
                for slot in [0, 63, 64, 69] {
                    table.retire(Slot(slot));
                    expected[slot as usize] = [0; 16];
                    assert_eq!(table.blocks(), expected, "{scheme} {backend}");
                }
                table.retire(Slot(70));
                assert_eq!(table.blocks(), expected, "past the end");
                for slot in [1, 65, 68] {
                    table.entomb(Slot(slot));
                    assert!(!table.has_key(Slot(slot)) && table.key(Slot(slot)).is_none());
                }
                assert_eq!(table.blocks(), expected, "tombstones keep their keys");
                assert_eq!(table.tombstones(), [1, 65, 68].map(Slot));
                table.wipe_retired(|slot| slot == Slot(65));
                for slot in [1, 68] {
                    expected[slot] = [0; 16];
                }
                assert_eq!(table.blocks(), expected, "the key that is needed stays");
                assert_eq!(table.tombstones(), [Slot(65)]);
                let key = HintKey::from_bytes([99; 16]);
                for slot in [65, 68, 70] {
                    table.assign(Slot(slot), &key);
                }
                assert_eq!(table.key(Slot(68)).map(|key| *key.expose()), Some([99; 16]));
                assert_eq!(table.blocks()[65], table.blocks()[68]);
                assert!(table.tombstones().is_empty() && table.len() == 70, "past the end");
            }
        }
    }
}
