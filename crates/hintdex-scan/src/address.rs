//! The forward scan: addresses that a key computes from a random number.

use std::fmt;

use hintdex_wire::{HintCipher, HintKey, HintScheme, Nonce};
use rayon::prelude::*;

use crate::backend::{AesPath, Block};
use crate::store::KeyStore;
use crate::{Backend, BackendError};

/// The number of keys that one task tries.
const KEYS_PER_TASK: usize = 1 << 13;

/// The bytes of the hash within the last word of a register.
const HASH_MASK: u32 = 0xffff_ff00;

/// A resolvable private address of Bluetooth Low Energy (Core specification,
/// volume 6 part B, 1.3.2.2): a random number and a hash of it under the device's
/// identity resolving key.
///
/// See the example of [`IdentityTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResolvableAddress {
    prand: [u8; 3],
    hash: [u8; 3],
}

impl ResolvableAddress {
    /// An address in the order of text, most significant byte first: prand ‖ hash.
    ///
    /// `None` if the address is of another kind: the first two bits of a resolvable
    /// address are 01.
    pub const fn from_bytes(address: [u8; 6]) -> Option<Self> {
        let [a, b, c, d, e, f] = address;
        if a >> 6 == 1 { Some(Self { prand: [a, b, c], hash: [d, e, f] }) } else { None }
    }

    /// The last word of the block that the key encrypts. The other words are zero.
    const fn plain(&self) -> u32 {
        let [a, b, c] = self.prand;
        u32::from_be_bytes([0, a, b, c])
    }

    /// The last word of the result under the right key, as a register holds it.
    const fn last_word(&self) -> u32 {
        let [a, b, c] = self.hash;
        u32::from_le_bytes([0, a, b, c])
    }

    /// Whether the hash is that of `key`: `ah(key, prand) = AES-128(key, 0x00 × 13 ‖
    /// prand) mod 2²⁴` (Core specification, volume 3 part H, 2.2.2).
    fn is_made_by(&self, key: &HintKey) -> bool {
        // The hint of the nonce `prand` is the encryption of the same block.
        let made = HintCipher::new(HintScheme::Aes128, key).hint(Nonce::from(self.plain()));
        made.is_some_and(|made| made.as_bytes().ends_with(&self.hash))
    }
}

/// Identity resolving keys, numbered in the order in which they were added.
///
/// A resolvable address cannot be indexed, because its random number changes with
/// each address. So every key is tried for every address. A key takes 16 bytes. Keys
/// are zeroized when the table grows and when it is dropped.
///
/// ```
/// use hintdex_scan::{IdentityTable, ResolvableAddress};
/// use hintdex_wire::HintKey;
///
/// // The sample of `ah` in the Bluetooth Core Specification.
/// let key = 0xec0234a357c8ad05341010a60a397d9b_u128;
/// let address = [0x70, 0x81, 0x94, 0x0d, 0xfb, 0xaa];
///
/// let mut table = IdentityTable::new();
/// table.extend(vec![HintKey::from_bytes([1; 16]), HintKey::from_bytes(key.to_be_bytes())]);
/// let address = ResolvableAddress::from_bytes(address).unwrap();
/// assert_eq!(table.resolve(&[address]), [[1]]);
/// ```
#[derive(Clone)]
pub struct IdentityTable {
    /// `None` selects the `aes` crate.
    path: Option<AesPath>,
    keys: KeyStore,
}

impl IdentityTable {
    /// An empty table, searched by the best back end of this processor.
    pub fn new() -> Self {
        let path = Backend::ALL.iter().rev().find_map(|backend| AesPath::detect(*backend));
        Self { path, keys: KeyStore::new() }
    }

    /// An empty table, searched by `backend`: for tests and benches.
    ///
    /// # Errors
    /// [`BackendError`] when the processor does not have `backend`.
    pub fn with_backend(backend: Backend) -> Result<Self, BackendError> {
        let path = AesPath::detect(backend);
        if path.is_none() && backend != Backend::Portable {
            return Err(BackendError { backend, scheme: HintScheme::Aes128 });
        }
        Ok(Self { path, keys: KeyStore::new() })
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the table has no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends keys, whose bytes are in the order of text: most significant first.
    /// The table moves to new memory, so one call with many keys is much cheaper than
    /// many calls.
    pub fn extend(&mut self, keys: Vec<HintKey>) {
        let old = self.keys.len();
        self.keys.grow(keys.len());
        let places = self.keys.blocks_mut().get_mut(old..).unwrap_or_default();
        places.iter_mut().zip(&keys).for_each(|(place, key)| *place = *key.expose());
    }

    /// Returns, for each address, the indices of the keys that match it, ascending.
    /// Runs on all threads.
    ///
    /// Costs about 3 ns a key and core for the first address and 1 ns for every further
    /// address. A wrong key passes once in 2²⁴: of a million keys, one passes for about
    /// every seventeenth foreign address.
    pub fn resolve(&self, addresses: &[ResolvableAddress]) -> Vec<Vec<usize>> {
        let tasks = self.keys.blocks().par_chunks(KEYS_PER_TASK).enumerate();
        let found: Vec<_> = tasks
            .map(|(task, keys)| {
                let mut found = Vec::new();
                self.try_keys(keys, addresses, &mut |key, address| {
                    found.push((address, task * KEYS_PER_TASK + key));
                });
                found
            })
            .collect();
        let mut of_addresses = vec![Vec::new(); addresses.len()];
        for (address, key) in found.into_iter().flatten() {
            if let Some(of_address) = of_addresses.get_mut(address) {
                of_address.push(key);
            }
        }
        of_addresses.iter_mut().for_each(|keys| keys.sort_unstable());
        of_addresses
    }

    fn try_keys(
        &self,
        keys: &[Block],
        addresses: &[ResolvableAddress],
        found: &mut dyn FnMut(usize, usize),
    ) {
        if let Some(path) = self.path {
            let trials: Vec<_> =
                addresses.iter().map(|address| (address.plain(), address.last_word())).collect();
            return path.sieve_encrypted(keys, &trials, HASH_MASK, found);
        }
        for (index, key) in keys.iter().enumerate() {
            let key = HintKey::copy_of(key);
            for (which, _) in
                addresses.iter().enumerate().filter(|(_, address)| address.is_made_by(&key))
            {
                found(index, which);
            }
        }
    }
}

impl Default for IdentityTable {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for IdentityTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityTable({} keys)", self.len())
    }
}
