//! Keys that are the same on every machine, and tables of them.

use hintdex_host::SplitMix64;
use hintdex_scan::{Backend, KeyTable};
use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Nonce, Slot};

/// Number `index` of the sequence of `seed`.
pub const fn random(seed: u64, index: u64) -> u64 {
    SplitMix64::at(seed, index).next_u64()
}

/// Key `index` of `seed`.
pub fn key(seed: u64, index: u64) -> HintKey {
    let wide = u128::from(random(seed, 2 * index)) << 64 | u128::from(random(seed, 2 * index + 1));
    HintKey::from_bytes(wide.to_be_bytes())
}

pub fn keys(seed: u64, count: u64) -> Vec<HintKey> {
    (0..count).map(|index| key(seed, index)).collect()
}

/// The back ends this processor has for `scheme`.
pub fn backends(scheme: HintScheme) -> Vec<Backend> {
    let has = |backend: &Backend| KeyTable::with_backend(scheme, *backend).is_ok();
    Backend::ALL.iter().copied().filter(has).collect()
}

pub fn table(scheme: HintScheme, backend: Backend, keys: Vec<HintKey>) -> KeyTable {
    let mut table = KeyTable::with_backend(scheme, backend).expect("this processor has it");
    table.extend(keys);
    table
}

pub fn hint(scheme: HintScheme, key: &HintKey, nonce: Nonce) -> Hint {
    HintCipher::new(scheme, key).hint(nonce).expect("below the last nonce")
}

pub fn slot(index: usize) -> Slot {
    Slot(u32::try_from(index).expect("a small table"))
}
