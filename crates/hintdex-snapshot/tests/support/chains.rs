//! Chains for the tests: hint keys that follow from the slot, and the runs of a snapshot.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use hintdex_snapshot::{Builder, Dial, Encoding, PointHints, Snapshot, SnapshotParams};
use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Nonce, Slot};

use super::key;

/// Hints of keys that follow from the slot, and how many were computed.
pub struct Keys {
    pub scheme: HintScheme,
    pub computed: AtomicU64,
    /// The slot whose key a slot has: usually its own.
    pub key_slot: fn(u32) -> u32,
    /// Each slot that is a multiple of this has no key any more.
    pub gone_every: u32,
}

impl Keys {
    pub fn new(scheme: HintScheme) -> Self {
        Self { scheme, computed: AtomicU64::new(0), key_slot: |slot| slot, gone_every: u32::MAX }
    }

    /// The key of `slot`; `None` if the slot has no key.
    pub fn key(&self, slot: u32) -> Option<[u8; 16]> {
        if slot != 0 && slot.is_multiple_of(self.gone_every) {
            return None;
        }
        let mut key = [0x5a; 16];
        key[..4].copy_from_slice(&(self.key_slot)(slot).to_le_bytes());
        Some(key)
    }

    pub fn hint(&self, slot: u32, nonce: Nonce) -> Hint {
        let Some(key) = self.key(slot) else { return Hint::ZERO };
        let cipher = HintCipher::new(self.scheme, &HintKey::from_bytes(key));
        // Past the last nonce of the scheme, as any key table: some hint.
        cipher.hint(nonce).unwrap_or(Hint::ZERO)
    }
}

impl PointHints for Keys {
    fn prefetch(&self, _: Slot) {}

    fn hints(&self, points: &[(Slot, Nonce)], hints: &mut [Hint]) {
        self.computed.fetch_add(points.len() as u64, Ordering::Relaxed);
        for ((slot, nonce), hint) in points.iter().zip(hints) {
            *hint = self.hint(slot.0, *nonce);
        }
    }
}

pub type Runs = Vec<(Slot, Range<Nonce>)>;

pub fn params(scheme: HintScheme, slots: Range<u32>, evaluations: u32) -> SnapshotParams {
    SnapshotParams {
        encoding: Encoding::Chain,
        dial: Dial::Evaluations(evaluations),
        check_bits: 0,
        hint_scheme: scheme,
        nonce_kind: 0,
        horizon_nonces: 10,
        slots,
        fleet_id: *b"the fleet's name",
        origin: [0; 16],
        built_at_unix_s: 0,
        time_unix_s: 0..0,
    }
}

/// The bytes of a chain of `runs`.
pub fn build(keys: &Keys, runs: &Runs, evaluations: u32, threads: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chain.hdx");
    let end = runs.iter().map(|(slot, _)| slot.0 + 1).max().expect("a run");
    let key = key();
    Builder::new(params(keys.scheme, 0..end, evaluations), &key)
        .threads(threads)
        .build_chain(runs, keys, &path)
        .expect("it is built");
    std::fs::read(&path).expect("a file")
}

/// The points that made each of `hints`.
pub fn find(chain: &Snapshot, keys: &Keys, hints: &[Hint]) -> Vec<Vec<(u32, Nonce)>> {
    let mut found = vec![Vec::new(); hints.len()];
    let each = |index: usize, slot: Slot, nonce| found[index].push((slot.0, nonce));
    chain.points(keys, hints, each).expect("nothing is damaged");
    found.iter_mut().for_each(|points| points.sort_unstable());
    found
}

pub fn uniform(slots: u32, nonces: u64) -> Runs {
    (0..slots).map(|slot| (Slot(slot), 0..nonces)).collect()
}
