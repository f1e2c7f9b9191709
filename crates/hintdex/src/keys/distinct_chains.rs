//! No two devices may begin with one chain: packets of one would be replays of the other's.

use std::hash::{BuildHasher, RandomState};

use hintdex_wire::{Chain, DeviceId};
use subtle::ConstantTimeEq;

use super::chains::ChainStore;
use super::key_part::KeyPart;
use crate::Error;

/// Hashes of the chains of an import. The hash key is random in each process, so no attacker
/// constructs chains whose hashes collide, and two chains by chance do once in 2^64.
#[derive(Default)]
pub(super) struct DistinctChains {
    hasher: RandomState,
    /// Each with the number of the device in the import.
    hashes: Vec<(u64, u64, DeviceId)>,
}

impl DistinctChains {
    /// Adds the chain of the next device.
    ///
    /// # Errors
    /// [`Error::ZeroKey`] if the chain key is all zeros.
    pub(super) fn add(&mut self, device: DeviceId, chain: &Chain) -> Result<(), Error> {
        if chain.expose().ct_eq(&[0; 32]).into() {
            return Err(Error::ZeroKey { device, part: KeyPart::ChainKey });
        }
        let number = self.hashes.len() as u64;
        self.hashes.push((self.hash(chain), number, device));
        Ok(())
    }

    fn hash(&self, chain: &Chain) -> u64 {
        self.hasher.hash_one((chain.epoch(), chain.expose()))
    }

    /// Checks that all chains are distinct, and different from those that `held` holds in the same
    /// epoch. A chain that has moved on leaves nothing to compare its beginning with.
    ///
    /// # Errors
    /// [`Error::SharedKey`] for the first device of this import that shares a chain.
    pub(super) fn check(mut self, held: &ChainStore) -> Result<(), Error> {
        let mut all = std::mem::take(&mut self.hashes);
        all.sort_unstable_by_key(|(hash, number, _)| (*hash, *number));
        let mut shared: Vec<(u64, DeviceId, DeviceId)> = Vec::new();
        for same in all.chunk_by(|a, b| a.0 == b.0) {
            let [(_, _, first), others @ ..] = same else { continue };
            shared.extend(others.iter().map(|(_, number, device)| (*number, *device, *first)));
        }
        for (key, is_given) in held.keys() {
            let chain = held.epoch(key).and_then(|epoch| held.chain(key, epoch).flatten());
            let Some(chain) = chain.filter(|_| is_given) else { continue };
            let hash = self.hash(&chain);
            let first = all.partition_point(|(known, ..)| *known < hash);
            let same = all.iter().skip(first).take_while(|(known, ..)| *known == hash);
            shared.extend(same.map(|(_, number, device)| (*number, *device, key.device)));
        }
        let Some((number, device, other)) = shared.iter().min().copied() else { return Ok(()) };
        Err(Error::SharedKey {
            number,
            device,
            part: KeyPart::ChainKey,
            other,
            other_part: KeyPart::ChainKey,
            more: shared.len() as u64 - 1,
        })
    }
}
