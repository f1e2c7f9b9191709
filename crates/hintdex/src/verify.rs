//! Verification of a fleet.

use std::ops::{Range, RangeInclusive};

use hintdex_core::{Report, Verified};
use hintdex_wire::{Hint, HintCipher, Nonce, Slot};
use rayon::prelude::*;

use crate::resolve::HINTS_PER_TASK;
use crate::{Error, ResolvedSlots, Station};

/// Hints that are computed and looked up together.
const HINTS_AT_ONCE: usize = 1 << 16;

impl Station {
    /// Unseals every imported key, and checks the whole index against keys and states. If the
    /// index is lean, also looks up every live hint in it and in its snapshot, at 1 to 2 µs
    /// each. `report` counts slots.
    ///
    /// # Errors
    /// The first fault: [`Error::KeysMissing`], [`Error::Index`] or [`Error::NotHeld`].
    pub fn verify(&self, report: Option<Report<'_>>) -> Result<Verified, Error> {
        self.keys.verify_imported()?;
        let mut verified = self.index.verify(report)?;
        if self.index.lean_snapshot().is_some() {
            let slots = (0..self.index.slot_count()).map(Slot);
            let now_s = self.index.now_s();
            let now = now_s..=now_s;
            let live = slots.map(|slot| (slot, self.index.expected_nonces(slot, &now))).collect();
            verified.hints = self.verify_live(live, &now, report)?;
        }
        for (span, snapshot) in self.index.spans() {
            // The snapshot of a window that has passed is not attached: no lookup needs it.
            if snapshot.is_some() && span.end > self.index.now_s() {
                let live = self.index.fleet_view().held_nonces(&span);
                verified.hints += self.verify_live(live, &(span.start..=span.end - 1), report)?;
            }
        }
        Ok(verified)
    }

    /// Looks up every live hint and returns how many there are.
    fn verify_live(
        &self,
        live: Vec<(Slot, Range<Nonce>)>,
        times: &RangeInclusive<u64>,
        report: Option<Report<'_>>,
    ) -> Result<u64, Error> {
        let table = self.hint_keys.table()?;
        let (mut hints, mut count): (Vec<(Slot, Hint)>, u64) = (Vec::new(), 0);
        let end = self.index.slot_count();
        for (slot, nonces) in live {
            if let Some(key) = table.key(slot) {
                let cipher = HintCipher::new(self.params().scheme, &key);
                cipher.each_hint(nonces, |hint| hints.push((slot, hint)));
            }
            if hints.len() >= HINTS_AT_ONCE {
                count += hints.len() as u64;
                self.check_known(&hints, times)?;
                hints.clear();
                report.into_iter().for_each(|report| report(slot.0.into(), end.into()));
            }
        }
        self.check_known(&hints, times)?;
        Ok(count + hints.len() as u64)
    }

    /// Checks that a snapshot or a window holds each of these hints for its slot.
    fn check_known(&self, live: &[(Slot, Hint)], times: &RangeInclusive<u64>) -> Result<(), Error> {
        let hints: Vec<Hint> = live.iter().map(|(_, hint)| *hint).collect();
        let table = self.hint_keys.slot_keys()?;
        let mut found = vec![ResolvedSlots::new(); hints.len()];
        let tasks = hints.par_chunks(HINTS_PER_TASK).zip(found.par_chunks_mut(HINTS_PER_TASK));
        tasks.try_for_each(|(hints, places)| self.look_up(&table, hints, times, places))?;
        for ((slot, _), found) in live.iter().zip(&found) {
            if !found.iter().any(|resolved| resolved.slot == *slot) {
                return Err(Error::NotHeld { slot: *slot });
            }
        }
        Ok(())
    }
}
