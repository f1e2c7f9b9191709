//! Fleets for the tests: pseudo-random hints of a generator that is much faster than a cipher.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its part")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

pub mod answers;
pub mod chains;
pub mod flips;
pub mod golden;
pub mod repair;

use std::ops::Range;

use hintdex_host::SplitMix64;
use hintdex_snapshot::{
    Builder, Dial, Encoding, HintSource, ManifestKey, Snapshot, SnapshotParams,
};
use hintdex_wire::{Hint, HintScheme, Slot};

/// The encodings that store hints: they are built from heads and slots, and name candidates
/// without any key. Chains have tests of their own (`chain.rs`).
pub const STORED: [Encoding; 3] = [Encoding::Ribbon, Encoding::Dense, Encoding::Sorted];

/// Every slot of `slots` has `per_slot` hints, truncated to `hint_len_bytes`.
pub struct Fleet {
    pub slots: Range<u32>,
    pub per_slot: u32,
    pub hint_len_bytes: u32,
    pub seed: u64,
}

impl Fleet {
    pub fn new(slots: u32, per_slot: u32) -> Self {
        Self { slots: 0..slots, per_slot, hint_len_bytes: 16, seed: 1 }
    }

    /// The upper eight bytes of a hint.
    pub fn head(&self, slot: u32, number: u32) -> u64 {
        let head = scramble(self.seed ^ scramble(u64::from(slot) << 32 | u64::from(number)));
        if self.hint_len_bytes < 8 {
            head >> (64 - 8 * self.hint_len_bytes) << (64 - 8 * self.hint_len_bytes)
        } else {
            head
        }
    }

    /// The head and the slot of every hint.
    pub fn all(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.slots.clone().flat_map(move |slot| {
            (0..self.per_slot).map(move |number| (self.head(slot, number), slot))
        })
    }
}

impl HintSource for Fleet {
    fn hint_count(&self) -> u64 {
        self.slots.len() as u64 * u64::from(self.per_slot)
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        for slot in slots {
            (0..self.per_slot).for_each(|number| each(self.head(slot, number), Slot(slot)));
        }
    }
}

/// A source of listed hints.
pub struct Listed {
    pub slots: Range<u32>,
    pub entries: Vec<(u64, u32)>,
}

impl Listed {
    pub fn new(slots: Range<u32>, mut entries: Vec<(u64, u32)>) -> Self {
        entries.sort_unstable_by_key(|&(head, slot)| (slot, head));
        Self { slots, entries }
    }
}

impl HintSource for Listed {
    fn hint_count(&self) -> u64 {
        self.entries.len() as u64
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        let start = self.entries.partition_point(|&(_, slot)| slot < slots.start);
        let rest = self.entries.iter().skip(start).take_while(|&&(_, slot)| slot < slots.end);
        rest.for_each(|&(head, slot)| each(head, Slot(slot)));
    }
}

/// The snapshot of `source`, in memory.
pub fn build(source: &dyn HintSource, params: SnapshotParams) -> Snapshot {
    Snapshot::from_bytes(&build_bytes(source, params), &key()).expect("opened")
}

/// The bytes of the snapshot of `source`.
pub fn build_bytes(source: &dyn HintSource, params: SnapshotParams) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.hdx");
    let report = Builder::new(params, &key()).threads(2).build(source, &path).expect("built");
    let bytes = std::fs::read(&path).expect("published");
    assert_eq!(report.bytes, bytes.len() as u64);
    assert_eq!(report.hints, source.hint_count());
    bytes
}

/// The first pseudo-random number of seed `x`.
pub fn scramble(x: u64) -> u64 {
    SplitMix64::new(x).next_u64()
}

/// The hint with this head.
pub fn hint(head: u64) -> Hint {
    let mut bytes = [0; 16];
    bytes.split_at_mut(8).0.copy_from_slice(&head.to_be_bytes());
    Hint::read(HintScheme::Aes128, &bytes).unwrap_or_else(|| unreachable!("sixteen bytes"))
}

pub fn params(encoding: Encoding, dial: Dial, slots: Range<u32>) -> SnapshotParams {
    SnapshotParams {
        encoding,
        dial,
        check_bits: 8,
        hint_scheme: HintScheme::Aes128,
        nonce_kind: 0,
        horizon_nonces: 10,
        slots,
        fleet_id: *b"the test's fleet",
        origin: *b"the test's state",
        built_at_unix_s: 1_795_305_600,
        time_unix_s: 0..0,
    }
}

pub fn key() -> ManifestKey {
    ManifestKey::from_bytes([7; 32])
}
