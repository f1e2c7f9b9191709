//! Verification of a fleet's folder.

use hintdex_core::{Report, Verified};
use hintdex_wire::{Hint, HintCipher, Slot};

use crate::{Error, Station};

/// Hints that are made and looked up together.
const HINTS_AT_ONCE: usize = 1 << 16;

impl Station {
    /// Checks the whole index against keys and states; of a lean one, too, that
    /// every live hint is in it or in its snapshot, at 1 to 2 µs each. `report`
    /// counts slots.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, report: Option<Report<'_>>) -> Result<Verified, Error> {
        let mut verified = self.index.verify(report)?;
        let left_to_snapshots = self.index.spans().iter().any(|(_, left_to)| left_to.is_some());
        if left_to_snapshots || self.index.left_to().is_some() {
            verified.hints = self.verify_live(report)?;
        }
        Ok(verified)
    }

    /// Looks up every live hint, of the present window where nonces tell time, and
    /// returns how many there are.
    fn verify_live(&self, report: Option<Report<'_>>) -> Result<u64, Error> {
        let table = self.table()?;
        let mut live: Vec<(Slot, Hint)> = Vec::new();
        let mut count = 0;
        let end = self.index.slot_count();
        let present = self.index.timing().span_at(self.index.now_s());
        let runs = if self.params().nonces.tells_time() {
            self.index.coming_nonces(0, Some(&present))
        } else {
            let slots = (0..end).map(Slot);
            slots.map(|slot| (slot, self.index.expected_nonces(slot))).collect()
        };
        for (slot, nonces) in runs {
            if let Some(key) = table.key(slot) {
                let cipher = HintCipher::new(self.params().scheme, &key);
                cipher.each_hint(nonces, |hint| live.push((slot, hint)));
            }
            if live.len() >= HINTS_AT_ONCE {
                count += live.len() as u64;
                self.check_known(&live)?;
                live.clear();
                report.into_iter().for_each(|report| report(slot.0.into(), end.into()));
            }
        }
        self.check_known(&live)?;
        Ok(count + live.len() as u64)
    }

    /// Checks that snapshot or window know each of these hints of its slot.
    fn check_known(&self, live: &[(Slot, Hint)]) -> Result<(), Error> {
        let now_s = self.index.now_s();
        let hints: Vec<Hint> = live.iter().map(|(_, hint)| *hint).collect();
        let found = self.look_up(&*self.table()?, &hints, &(now_s..=now_s))?;
        for ((slot, _), found) in live.iter().zip(&found) {
            if !found.iter().any(|resolved| resolved.slot == *slot) {
                return Err(Error::NotHeld { slot: *slot });
            }
        }
        Ok(())
    }
}
