//! Hints the index leaves to a snapshot.
//!
//! A snapshot holds a hint for half the bytes. So a window can be made that
//! lacks what a snapshot has: each state's live hints then reach as far as the
//! snapshot does, and admission adds nothing until a device nears that end.
//! Which snapshot it is stands in the window's record: whoever opens the index
//! without that file has to roll, which puts every hint back.

use hintdex_wire::{Nonce, Slot};

/// The id of a snapshot file.
pub type SnapshotId = [u8; 16];

/// What a snapshot holds: of each slot, a run of coming nonces.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// Which snapshot it is.
    pub snapshot: SnapshotId,
    /// By slot, the first nonce of the run; `None` where nothing is held.
    pub first_nonces: &'a [Option<Nonce>],
    /// How long the runs are, in nonces.
    pub horizon_nonces: u32,
}

impl Held<'_> {
    /// The end of the run of `slot`; 0 where nothing is held.
    pub(crate) fn end(&self, slot: Slot) -> Nonce {
        let first = self.first_nonces.get(slot.index()).copied().flatten();
        first.map_or(0, |first| first.saturating_add(self.horizon_nonces.into()))
    }

    pub(crate) fn left_to(&self) -> LeftTo {
        LeftTo {
            snapshot: self.snapshot,
            slots: u32::try_from(self.first_nonces.len()).unwrap_or(u32::MAX),
            horizon_nonces: self.horizon_nonces,
        }
    }
}

/// What a window lacks, as its record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeftTo {
    pub(crate) snapshot: SnapshotId,
    /// The slots from 0 on that the snapshot has.
    pub(crate) slots: u32,
    pub(crate) horizon_nonces: u32,
}
