//! Keys that are the same on every machine, and tables of them.

use hintdex_scan::{Backend, KeyTable};
use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Nonce, Slot};

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) at `index` of the sequence of `seed`.
pub const fn random(seed: u64, index: u64) -> u64 {
    let word = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
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
