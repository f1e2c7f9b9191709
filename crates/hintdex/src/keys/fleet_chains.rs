//! The chains of a fleet: which key has which chain, and when chains move on.

use std::path::Path;

use hintdex_core::{DeviceRange, LiveIndex};
use hintdex_wire::{Chain, DeviceId, KeyId, KeySource, RatchetBits, Slot};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::fleet_keys::FleetKeys;
use super::key_ranges::KeyRanges;
use super::sealed::KEYS_LEN_BYTES;
use crate::Error;

impl FleetKeys {
    /// The chain of `key` in `epoch`. A derived chain of an epoch before the one that is held is
    /// walked from its beginning; of a given chain there is none any longer.
    pub(super) fn chain_in(&self, key: KeyId, epoch: u32) -> Option<Chain> {
        self.chains.chain(key, epoch).unwrap_or_else(|| self.derive_chain(key, epoch))
    }

    /// The chain of `key` in the epoch that is held; the first one of a derived chain that is not.
    pub(crate) fn held_chain(&self, key: KeyId) -> Option<Chain> {
        self.chain_in(key, self.chains.epoch(key).unwrap_or(0))
    }

    /// The chain of `key` in `epoch`, if the master key derives it.
    pub(crate) fn derive_chain(&self, key: KeyId, epoch: u32) -> Option<Chain> {
        self.deriving().chain(key, epoch)
    }

    /// The held chain of `key` on its way to another fleet: the chain key, the epoch as four
    /// big-endian bytes, the bits, and 11 zeros.
    pub(crate) fn read_chain_bytes(
        &self,
        key: KeyId,
        bits: RatchetBits,
    ) -> Option<Zeroizing<[u8; KEYS_LEN_BYTES]>> {
        let chain = self.held_chain(key)?;
        let mut bytes = Zeroizing::new([0; KEYS_LEN_BYTES]);
        let (chain_key, rest) = bytes.split_at_mut(32);
        let (epoch, rest) = rest.split_at_mut(4);
        chain_key.copy_from_slice(chain.expose());
        epoch.copy_from_slice(&chain.epoch().to_be_bytes());
        *rest.first_mut()? = bits.bits();
        Some(bytes)
    }

    /// Whether `chain_key` is the first chain key of `key`, walked to the epoch that is held.
    /// Compares in constant time.
    pub(crate) fn is_chain(&self, key: KeyId, chain_key: &[u8; 32]) -> bool {
        let Some(held) = self.held_chain(key) else { return false };
        let mut given = Chain::copy_of(0, chain_key);
        given.advance_to(held.epoch());
        given.expose().ct_eq(held.expose()).into()
    }

    /// Moves the chains of keys on to the first epochs of which packets may still be accepted, and
    /// wipes the chains before.
    pub(crate) fn move_chains(&self, moved: impl IntoIterator<Item = (KeyId, u32)>) {
        for (key, epoch) in moved {
            if self.chains.epoch(key).unwrap_or(0) < epoch
                && let Some(chain) = self.chain_in(key, epoch)
            {
                self.chains.move_to(key, &chain);
            }
        }
    }

    /// The file of chains.
    pub(crate) fn chain_path(&self) -> &Path {
        self.chains.path()
    }

    /// Runs `work` while the file of chains stays as it is.
    pub(crate) fn while_chains_rest<T>(&self, work: impl FnOnce() -> T) -> T {
        self.chains.while_stored(work)
    }

    /// Whether chains that have moved must be stored now, after so many accepted packets more.
    pub(crate) fn chains_are_due(&self, packets: usize) -> bool {
        self.chains.is_due(packets)
    }

    /// Stores the chains that have moved, after the states that moved them.
    ///
    /// # Errors
    /// [`Error::Index`] or [`Error::File`].
    pub(crate) fn store_chains(&self, index: &LiveIndex) -> Result<(), Error> {
        index.sync_states()?;
        self.chains.store(&self.master)
    }

    /// Wipes the chains of keys under which no packet is accepted any longer.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn forget_chains(&self, keys: &[KeyId]) -> Result<(), Error> {
        let given: Vec<KeyId> =
            keys.iter().copied().filter(|key| self.chains.is_given(*key)).collect();
        self.chains.forget(keys)?;
        // No chain is derived in the place of a given one.
        self.chains.lose(given);
        Ok(())
    }

    /// The bytes of chain keys in memory, and whether their pages are locked.
    pub(crate) fn chain_memory(&self) -> (usize, bool) {
        self.chains.memory()
    }

    /// Whether every device of `range` has a given chain.
    pub(super) fn has_all_chains(&self, range: &DeviceRange) -> bool {
        keys_of(range).all(|key| self.chains.has(key) && self.chains.is_given(key))
    }

    /// Wipes the chains of keys that `index` does not have or that are retired, moves the others on
    /// to where their states are, and takes devices whose given chain is missing or damaged out of
    /// service.
    ///
    /// # Errors
    /// [`Error::KeysMissing`] if more chains are missing than records are damaged, and those of
    /// [`store_chains`](Self::store_chains).
    pub(super) fn reconcile_chains(&self, index: &LiveIndex) -> Result<(), Error> {
        let ranges = index.imported_ranges();
        if ranges.is_empty() && self.chains.is_empty() {
            return Ok(());
        }
        let is_active =
            |key: &KeyId| slot_of(index, *key).is_some_and(|slot| !index.is_retired(slot));
        let lost = ranges.iter().flat_map(keys_of).filter(|key| !self.chains.has(*key));
        let lost: Vec<KeyId> = lost.collect();
        let missing: Vec<KeyId> = lost.iter().copied().filter(is_active).collect();
        if let Some((first, last)) = missing.first().zip(missing.last())
            && missing.len() > self.chains.damaged_count()
        {
            let (path, first, last) = (self.chains.path().into(), first.device, last.device);
            return Err(Error::KeysMissing { path, first, last });
        }
        let (keys, imported) = (self.chains.keys(), KeyRanges::of(&ranges));
        let is_left = |(key, is_given): &&(KeyId, bool)| {
            slot_of(index, *key).is_none_or(|slot| index.is_retired(slot))
                || *is_given != imported.contains(*key)
        };
        let left: Vec<KeyId> = keys.iter().filter(is_left).map(|(key, _)| *key).collect();
        self.chains.forget(&left)?;
        let is_derived = |key| slot_of(index, key).is_some() && !imported.contains(key);
        self.chains.drop_damaged(is_derived)?;
        for key in &missing {
            if let Some(slot) = slot_of(index, *key) {
                index.put_out_of_service(slot, "its chain is missing or damaged in device.chains");
            }
        }
        self.chains.lose(lost);
        let first = |(key, _): &(KeyId, bool)| {
            let slot = slot_of(index, *key)?;
            Some((*key, index.epochs(slot, 0)?.first))
        };
        self.move_chains(keys.iter().filter_map(first));
        self.store_chains(index)
    }

    /// Unseals every chain of the file. Returns the number of given ones.
    pub(super) fn verify_chains(&self) -> Result<u64, Error> {
        self.chains.verify()?;
        Ok(self.chains.keys().iter().filter(|(_, is_given)| *is_given).count() as u64)
    }
}

/// The chain in the bytes of a transfer; `None` if they are keys, or a chain of epochs of another
/// length.
pub(crate) fn chain_of_bytes(bytes: &[u8; KEYS_LEN_BYTES], bits: RatchetBits) -> Option<Chain> {
    let (chain_key, rest) = bytes.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (of_fleet, zeros) = rest.split_first()?;
    let is_chain = *of_fleet == bits.bits() && zeros.iter().all(|byte| *byte == 0);
    is_chain.then(|| Chain::copy_of(u32::from_be_bytes(*epoch), chain_key))
}

/// The keys of a range.
fn keys_of(range: &DeviceRange) -> impl Iterator<Item = KeyId> {
    let generation = range.generation;
    (range.first.0..=range.last().0).map(move |id| KeyId { device: DeviceId(id), generation })
}

fn slot_of(index: &LiveIndex, key: KeyId) -> Option<Slot> {
    index.slots(key.device).into_iter().find(|slot| index.key(*slot) == Some(key))
}
