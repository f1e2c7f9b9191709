//! The table of keys: filled, grown, retired from.

use std::fmt;
use std::ops::Range;

use hintdex_wire::{Hint, HintKey, HintScheme, Nonce, Slot};
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use crate::backend::{Block, Kernel};
use crate::store::KeyStore;
use crate::{Backend, BackendError, Match, Search};

/// Keys that one task of filling converts.
const KEYS_PER_TASK: usize = 1 << 14;

/// The hint keys of a fleet, by slot.
///
/// 16 bytes a slot and one bit for retirement. A slot's key is kept in the form
/// its search starts from: for reversible AES hints the last round key, for
/// SPECK64 the state at the end of the schedule, else the key itself. Zeroized
/// when dropped and when it grows; [`Debug`] shows its size only.
///
/// Searches are the methods of [`Search`]. Of a reversible scheme they can be
/// called on the table itself; every scheme can be searched
/// [`within`](Self::within) the nonces that are expected.
#[derive(Clone)]
pub struct KeyTable {
    scheme: HintScheme,
    kernel: Kernel,
    keys: KeyStore,
    /// One bit a slot, in words of 64; asked only when a key fits.
    retired: Vec<u64>,
}

impl KeyTable {
    /// An empty table for hints of `scheme`, searched by the best back end this
    /// processor has.
    pub fn new(scheme: HintScheme) -> Self {
        Self::with_kernel(scheme, Kernel::best(scheme))
    }

    /// An empty table for hints of `scheme` that is searched by `backend`: for
    /// tests and benches.
    ///
    /// # Errors
    /// [`BackendError`] when the processor does not have it.
    pub fn with_backend(scheme: HintScheme, backend: Backend) -> Result<Self, BackendError> {
        let kernel = Kernel::new(scheme, backend).ok_or(BackendError { backend, scheme })?;
        Ok(Self::with_kernel(scheme, kernel))
    }

    const fn with_kernel(scheme: HintScheme, kernel: Kernel) -> Self {
        Self { scheme, kernel, keys: KeyStore::new(), retired: Vec::new() }
    }

    /// The scheme of the hints it is for.
    pub const fn scheme(&self) -> HintScheme {
        self.scheme
    }

    /// What it is searched by.
    pub const fn backend(&self) -> Backend {
        self.kernel.backend()
    }

    /// How many slots it holds, retired ones included.
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it holds no slot.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slots it takes in memory, in bytes.
    pub const fn memory_bytes(&self) -> usize {
        self.keys.memory_bytes() + self.retired.capacity() * size_of::<u64>()
    }

    /// Appends the keys of the next slots: a key schedule each, on all threads.
    ///
    /// The table moves to new memory: the old keys are zeroized rather than left
    /// behind by a reallocation, so give many at a time.
    pub fn extend(&mut self, keys: Vec<HintKey>) {
        let old = self.keys.len();
        self.keys.grow(keys.len());
        let places = self.keys.blocks_mut().get_mut(old..).unwrap_or_default();
        let kernel = self.kernel;
        places.par_chunks_mut(KEYS_PER_TASK).zip(keys.par_chunks(KEYS_PER_TASK)).for_each(
            |(places, keys)| {
                places.iter_mut().zip(keys).for_each(|(place, key)| *place = *key.expose());
                kernel.store(places);
            },
        );
        self.retired.resize(self.keys.len().div_ceil(64), 0);
    }

    /// The key of `slot`; `None` if the table does not reach it or it is retired.
    ///
    /// Made from what is stored: about 0.1 µs.
    pub fn key(&self, slot: Slot) -> Option<HintKey> {
        let mut block = Zeroizing::new(*self.stored(slot)?);
        self.kernel.restore(std::slice::from_mut(&mut *block));
        Some(HintKey::copy_of(&block))
    }

    /// Takes `slot` out of every later search and zeroizes its key.
    pub fn retire(&mut self, slot: Slot) {
        if let Some(key) = self.keys.blocks_mut().get_mut(slot.index()) {
            key.zeroize();
        }
        if let Some(word) = self.retired.get_mut(slot.index() / 64) {
            *word |= 1 << (slot.index() % 64);
        }
    }

    fn is_retired(&self, slot: Slot) -> bool {
        self.retired.get(slot.index() / 64).is_some_and(|word| word >> (slot.index() % 64) & 1 == 1)
    }

    /// What is stored for `slot`, unless it is retired.
    pub(crate) fn stored(&self, slot: Slot) -> Option<&Block> {
        self.keys.blocks().get(slot.index()).filter(|_| !self.is_retired(slot))
    }

    /// Everything stored, retired slots included.
    pub(crate) fn blocks(&self) -> &[Block] {
        self.keys.blocks()
    }

    pub(crate) const fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// A search that is told which nonces to expect of each slot.
    ///
    /// Reversible hints tell their nonce themselves: of them `expected` is never
    /// asked, and any nonce is found. Truncated hints are found when their nonce
    /// is in the range, at a cost of one block for each nonce in it.
    pub const fn within<E>(&self, expected: E) -> Search<'_, E>
    where
        E: Fn(Slot) -> Range<Nonce> + Sync,
    {
        Search::new(self, expected)
    }

    /// A search that needs not be told.
    fn any_nonce(&self) -> Search<'_, impl Fn(Slot) -> Range<Nonce> + Sync> {
        assert!(
            self.scheme.is_reversible(),
            "{} hints do not tell their nonce: search within those expected",
            self.scheme
        );
        self.within(|_| 0..0)
    }

    /// [`Search::confirm_slot`] for reversible hints.
    ///
    /// # Panics
    /// If the scheme cannot be reversed: that needs [`within`](Self::within).
    pub fn confirm_slot(&self, slot: Slot, hint: &Hint) -> Option<Match> {
        self.any_nonce().confirm_slot(slot, hint)
    }

    /// [`Search::confirm`] for reversible hints.
    ///
    /// # Panics
    /// If the scheme cannot be reversed: that needs [`within`](Self::within).
    pub fn confirm(&self, range: Range<Slot>, hint: &Hint) -> Vec<Match> {
        self.any_nonce().confirm(range, hint)
    }

    /// [`Search::confirm_each`] for reversible hints.
    ///
    /// # Panics
    /// If the scheme cannot be reversed: that needs [`within`](Self::within).
    pub fn confirm_each(&self, pairs: &[(Slot, Hint)], found: impl FnMut(usize, Match)) {
        self.any_nonce().confirm_each(pairs, found);
    }

    /// [`Search::confirm_ranges`] for reversible hints.
    ///
    /// # Panics
    /// If the scheme cannot be reversed: that needs [`within`](Self::within).
    pub fn confirm_ranges(&self, ranges: &[(Range<Slot>, Hint)], found: impl FnMut(usize, Match)) {
        self.any_nonce().confirm_ranges(ranges, found);
    }

    /// [`Search::confirm_all`] for reversible hints.
    ///
    /// # Panics
    /// If the scheme cannot be reversed: that needs [`within`](Self::within).
    pub fn confirm_all(&self, hints: &[Hint]) -> Vec<Vec<Match>> {
        self.any_nonce().confirm_all(hints)
    }

    /// [`Search::confirm_all_until_found`] for reversible hints.
    ///
    /// # Panics
    /// If the scheme cannot be reversed: that needs [`within`](Self::within).
    pub fn confirm_all_until_found(&self, hints: &[Hint]) -> Vec<Vec<Match>> {
        self.any_nonce().confirm_all_until_found(hints)
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
            }
        }
    }
}
