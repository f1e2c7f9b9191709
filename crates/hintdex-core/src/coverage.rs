//! The hints that a snapshot holds, and that a lean window therefore lacks.
//!
//! A snapshot stores a hint in half the bytes of a window. A lean window lacks the hints of a
//! snapshot: the live hints of each state reach to the end of the snapshot, and admission adds
//! no hints until a device comes near that end. The window's record names the snapshot. An
//! index that is opened without that file must be rolled, which stores every hint again.

use hintdex_wire::{Nonce, Slot};

/// The id of a snapshot file.
///
/// See the example of [`LiveIndex::roll_lean`](crate::LiveIndex::roll_lean).
pub type SnapshotId = [u8; 16];

/// The nonces that a snapshot holds: one run of coming nonces for each slot.
///
/// See the example of [`LiveIndex::roll_lean`](crate::LiveIndex::roll_lean).
#[derive(Clone, Debug)]
pub struct SnapshotCoverage {
    /// The id of the snapshot.
    pub snapshot: SnapshotId,
    /// The first nonce of each slot's run, by slot; `None` if the snapshot lacks the slot.
    pub first_nonces: Vec<Option<Nonce>>,
    /// The length of every run, in nonces.
    pub horizon_nonces: u32,
}

impl SnapshotCoverage {
    /// The end of the run of `slot`; 0 if the snapshot lacks the slot.
    pub(crate) fn end_of(&self, slot: Slot) -> Nonce {
        let first = self.first_nonces.get(slot.index()).copied().flatten();
        first.map_or(0, |first| first.saturating_add(self.horizon_nonces.into()))
    }

    pub(crate) fn lean_record(&self) -> LeanRecord {
        LeanRecord {
            snapshot: self.snapshot,
            slots: u32::try_from(self.first_nonces.len()).unwrap_or(u32::MAX),
            horizon_nonces: self.horizon_nonces,
        }
    }
}

/// The hints that a lean window lacks, as the window's record stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeanRecord {
    pub(crate) snapshot: SnapshotId,
    /// The snapshot holds the slots below this number.
    pub(crate) slots: u32,
    pub(crate) horizon_nonces: u32,
}

impl LeanRecord {
    /// The record of a window of time, whose hints the snapshot holds all.
    pub(crate) const fn of_span(snapshot: SnapshotId, slots: u32) -> Self {
        Self { snapshot, slots, horizon_nonces: u32::MAX }
    }
}
