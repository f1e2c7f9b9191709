//! The layers of a station, for those who measure them: read and nothing else.

use std::sync::Arc;

use hintdex_core::{Candidates, WindowEstimate};
use hintdex_scan::KeyTable;
use hintdex_wire::Hint;

use crate::{Error, Station};

impl Station {
    /// The slots the live index alone names for a hint, each to be confirmed.
    ///
    /// # Errors
    /// What the index says.
    pub fn live_candidates(&self, hint: &Hint) -> Result<Candidates, Error> {
        Ok(self.index.candidates(hint)?)
    }

    /// [`live_candidates`](Self::live_candidates) of many hints, on this thread.
    ///
    /// # Errors
    /// What the index says.
    pub fn live_candidates_batch(&self, hints: &[Hint]) -> Result<Vec<Candidates>, Error> {
        Ok(self.index.candidates_batch(hints)?)
    }

    /// What the live index would take if the fleet had `slots` slots.
    ///
    /// # Errors
    /// What the index says.
    pub fn foretell(&self, slots: u32) -> Result<WindowEstimate, Error> {
        Ok(self.index.estimate(slots)?)
    }

    /// The hint keys of all slots, derived by whoever is first to ask.
    ///
    /// # Errors
    /// What the index says: a key that the source does not have.
    pub fn key_table(&self) -> Result<Arc<KeyTable>, Error> {
        self.table()
    }
}
