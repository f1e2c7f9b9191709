//! The layers of a station, one by one, for programs that measure them. Read-only.

use std::sync::Arc;

use hintdex_core::{Candidates, WindowEstimate};
use hintdex_scan::KeyTable;
use hintdex_wire::Hint;

use crate::{Error, Station};

impl Station {
    /// The slots that the live index names for a hint. No key has confirmed them.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn live_candidates(&self, hint: &Hint) -> Result<Candidates, Error> {
        Ok(self.index.candidates(hint)?)
    }

    /// [`live_candidates`](Self::live_candidates) of many hints, on this thread.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn live_candidates_batch(&self, hints: &[Hint]) -> Result<Vec<Candidates>, Error> {
        Ok(self.index.candidates_batch(hints)?)
    }

    /// Estimates the bytes of the live index for a fleet of `slots` slots.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn estimate(&self, slots: u32) -> Result<WindowEstimate, Error> {
        Ok(self.index.estimate(slots)?)
    }

    /// The hint keys of all slots. The first call derives them.
    ///
    /// # Errors
    /// [`Error::Index`] if the key source lacks a key.
    pub fn key_table(&self) -> Result<Arc<KeyTable>, Error> {
        self.hint_keys.table()
    }

    /// The bytes of the key table in memory; 0 before the keys are derived.
    pub fn table_memory_bytes(&self) -> usize {
        self.hint_keys.memory_bytes()
    }
}
