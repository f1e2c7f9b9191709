//! Fleets of devices with keys from a seed, and their hints.

use std::ops::Range;
use std::path::{Path, PathBuf};

use hintdex_host::SplitMix64;
use hintdex_snapshot::{Builder, Dial, Encoding, HintSource, ManifestKey, SnapshotParams};
use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Slot};

/// What every fleet is made from.
pub const SEED: u64 = 22;

/// Devices with random hint keys, whose slots are their numbers.
pub struct Fleet {
    /// By slot.
    pub keys: Vec<HintKey>,
    /// How many hints each has.
    pub horizon: u32,
}

impl Fleet {
    pub fn new(devices: u32, horizon: u32) -> Self {
        Self { keys: (0..devices).map(key).collect(), horizon }
    }

    pub fn cipher(&self, slot: u32) -> HintCipher {
        HintCipher::new(HintScheme::Aes128, &self.keys[slot as usize])
    }

    pub fn slots(&self) -> Range<u32> {
        0..u32::try_from(self.keys.len()).unwrap()
    }

    /// Every hint with its slot.
    pub fn all(&self) -> Vec<(Hint, u32)> {
        let mut hints = Vec::with_capacity(self.keys.len() * self.horizon as usize);
        for slot in self.slots() {
            let cipher = self.cipher(slot);
            cipher.each_hint(0..self.horizon.into(), |hint| hints.push((hint, slot)));
        }
        hints
    }

    pub fn params(&self, encoding: Encoding, dial: Dial) -> SnapshotParams {
        let params = params(self.slots().end, self.horizon, encoding, dial);
        SnapshotParams { check_bits: 8, ..params }
    }

    /// Builds the snapshot of `source` with two threads.
    pub fn build(
        &self,
        dir: &Path,
        source: &dyn HintSource,
        encoding: Encoding,
        dial: Dial,
    ) -> PathBuf {
        let path = dir.join(format!("{encoding}-{dial:?}.hdx"));
        let key = manifest_key();
        Builder::new(self.params(encoding, dial), &key).threads(2).build(source, &path).unwrap();
        path
    }
}

impl HintSource for Fleet {
    fn hint_count(&self) -> u64 {
        self.keys.len() as u64 * u64::from(self.horizon)
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        for slot in slots {
            let horizon = self.horizon.into();
            self.cipher(slot).each_hint(0..horizon, |hint| each(hint.head(), Slot(slot)));
        }
    }
}

/// Hints that are ready, so many a slot: what a peer's builder is given.
pub struct Ready<'h>(pub &'h [(Hint, u32)], pub u32);

impl HintSource for Ready<'_> {
    fn hint_count(&self) -> u64 {
        self.0.len() as u64
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        let (start, end) = (slots.start * self.1, slots.end * self.1);
        for (hint, slot) in &self.0[start as usize..end as usize] {
            each(hint.head(), Slot(*slot));
        }
    }
}

/// The key of a slot.
pub fn key(slot: u32) -> HintKey {
    let half = |salt: u64| scramble(salt ^ u64::from(slot)).to_le_bytes();
    let mut bytes = [0; 16];
    let (first, last) = bytes.split_at_mut(8);
    first.copy_from_slice(&half(SEED));
    last.copy_from_slice(&half(!SEED));
    HintKey::from_bytes(bytes)
}

pub const fn manifest_key() -> ManifestKey {
    ManifestKey::from_bytes([7; 32])
}

/// The first pseudo-random number of seed `x`.
pub const fn scramble(x: u64) -> u64 {
    SplitMix64::new(x).next_u64()
}

/// The parameters of a snapshot of the next `horizon` hints of devices, without check bits.
pub fn params(devices: u32, horizon: u32, encoding: Encoding, dial: Dial) -> SnapshotParams {
    SnapshotParams {
        encoding,
        dial,
        check_bits: 0,
        hint_scheme: HintScheme::Aes128,
        nonce_kind: 0,
        horizon_nonces: horizon.into(),
        slots: 0..devices,
        fleet_id: [0; 16],
        origin: [0; 16],
        built_at_unix_s: 0,
        time_unix_s: 0..0,
    }
}
