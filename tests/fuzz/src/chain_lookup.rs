//! A golden chain with some bytes changed and its checks made right: lookups find points that
//! made the hint, and compute at most 64 hints for each evaluation of the dial.
//!
//! Input: the number of the golden file, the number of changes, five bytes a change (place, from
//! the first byte of the file or backwards from the last, and value), and hints of five bytes:
//! the slot and the nonce of a point.
#![no_main]

#[path = "../../../crates/hintdex-snapshot/tests/support/repair.rs"]
mod repair;

use std::sync::atomic::{AtomicU64, Ordering};

use hintdex_snapshot::{ManifestKey, PointHints, Snapshot};
use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Nonce, Slot};
use libfuzzer_sys::fuzz_target;

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../../../crates/hintdex-snapshot/tests/golden/", $name, ".hdx"))
    };
}

const GOLDEN: [&[u8]; 4] = [
    golden!("v1-chain-5"),
    golden!("v1-chain-16-uneven"),
    golden!("v1-chain-8-byte"),
    golden!("v1-chain-4-byte-shared"),
];

/// Points with the head of another that a lookup tries at most.
const MAX_TWINS: u64 = 64;

/// The keys of the golden files, and how many hints were computed. Every twentieth slot has the
/// key of the slot before it in the file of shared hints only; elsewhere that loses its hints.
struct Keys {
    scheme: HintScheme,
    shared_every: u32,
    computed: AtomicU64,
}

impl Keys {
    fn hint(&self, slot: u32, nonce: Nonce) -> Hint {
        let is_shared = slot != 0 && slot.is_multiple_of(self.shared_every);
        let mut key = [0x5a; 16];
        key[..4].copy_from_slice(&(slot - u32::from(is_shared)).to_le_bytes());
        let cipher = HintCipher::new(self.scheme, &HintKey::from_bytes(key));
        cipher.hint(nonce).unwrap_or(Hint::ZERO)
    }
}

impl PointHints for Keys {
    fn prefetch(&self, _: Slot) {}

    fn hints(&self, points: &[(Slot, Nonce)], hints: &mut [Hint]) {
        assert_eq!(points.len(), hints.len());
        self.computed.fetch_add(points.len() as u64, Ordering::Relaxed);
        for ((slot, nonce), hint) in points.iter().zip(hints) {
            *hint = self.hint(slot.0, *nonce);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [golden, changes, rest @ ..] = input else { return };
    let golden = usize::from(*golden) % GOLDEN.len();
    let mut bytes = GOLDEN[golden].to_vec();
    let (changes, rest) = rest.split_at(rest.len().min(5 * usize::from(changes % 16)));
    for change in changes.as_chunks::<5>().0 {
        let [a, b, c, is_backwards, value] = *change;
        let at = u32::from_le_bytes([a, b, c, 0]) as usize % bytes.len();
        let at = if is_backwards % 2 == 1 { bytes.len() - 1 - at } else { at };
        bytes[at] = value;
    }
    repair::repair(&mut bytes);
    let Ok(chain) = Snapshot::from_bytes(&bytes, &ManifestKey::from_bytes([7; 32])) else { return };
    let shared_every = if golden == 3 { 20 } else { u32::MAX };
    let scheme = chain.params().hint_scheme;
    let keys = Keys { scheme, shared_every, computed: AtomicU64::new(0) };
    let slots = chain.params().slots.clone();
    let hints: Vec<Hint> = rest
        .as_chunks::<5>()
        .0
        .iter()
        .map(|[a, b, c, d, nonce]| {
            let slot = u32::from_le_bytes([*a, *b, *c, *d]);
            // Mostly slots of the file, whose hints are found if nothing they need was changed.
            let slot = if slot % 8 == 0 { slot } else { slot % 700 };
            keys.hint(slot, (*nonce).into())
        })
        .collect();
    let most = 64 * u64::from(chain.stats().evaluations.unwrap_or(0)) + MAX_TWINS;
    let mut alone = Vec::new();
    for (at, hint) in hints.iter().enumerate() {
        keys.computed.store(0, Ordering::Relaxed);
        let found = chain.points(&keys, &[*hint], |_, slot, nonce| {
            assert_eq!(keys.hint(slot.0, nonce), *hint);
            assert!(slots.contains(&slot.0));
            alone.push((at, slot, nonce));
        });
        found.expect("the checks are right");
        assert!(keys.computed.load(Ordering::Relaxed) <= most, "more than {most} evaluations");
    }
    let mut batched = Vec::new();
    let found = chain.points(&keys, &hints, |at, slot, nonce| batched.push((at, slot, nonce)));
    found.expect("the checks are right");
    alone.sort_unstable();
    batched.sort_unstable();
    assert_eq!(alone, batched);
    // Whether padding was changed or not: a typed answer.
    let _ = chain.verify();
});
