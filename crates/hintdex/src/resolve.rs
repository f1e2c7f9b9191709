//! Resolving: from hints to the devices that made them.

use hintdex_core::Candidates;
use hintdex_scan::{KeyTable, Match};
use hintdex_wire::{DeviceId, Hint, KeyId, Nonce, Slot};
use rayon::prelude::*;

use crate::{Error, Source, Station};

/// Hints a task looks up together.
const HINTS_PER_TASK: usize = 256;

/// A hint's device, confirmed by its key. Only a tag proves more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The slot of the key that made the hint.
    pub slot: Slot,
    /// Whose key it is, and which.
    pub key: KeyId,
    /// The nonce the hint was made from.
    pub nonce: Nonce,
    /// Who knew.
    pub source: Source,
}

impl Resolved {
    /// Whose hint it is.
    pub const fn device(&self) -> DeviceId {
        self.key.device
    }
}

impl Station {
    /// The devices that made `hints`: for each hint every one whose key confirms
    /// it, which with 16-byte hints is one or none.
    ///
    /// The live index is asked first. Hints that it does not know are scanned for
    /// together, over all devices and on all threads: about 50 ns a device for
    /// the first of them and 10 ns for every further one.
    ///
    /// # Errors
    /// What the index says.
    pub fn resolve(&self, hints: &[Hint]) -> Result<Vec<Vec<Resolved>>, Error> {
        let table = self.table();
        let indexed: Vec<Vec<Vec<Resolved>>> = hints
            .par_chunks(HINTS_PER_TASK)
            .map(|hints| {
                let candidates = self.index.candidates_batch(hints)?;
                let confirmed = hints.iter().zip(candidates);
                Ok(confirmed
                    .map(|(hint, candidates)| self.confirm(&table, hint, &candidates))
                    .collect())
            })
            .collect::<Result<_, hintdex_core::Error>>()?;
        let mut resolved: Vec<_> = indexed.into_iter().flatten().collect();
        self.scan_for_the_rest(&table, hints, &mut resolved);
        Ok(resolved)
    }

    /// The candidates whose key made the hint.
    fn confirm(&self, table: &KeyTable, hint: &Hint, candidates: &Candidates) -> Vec<Resolved> {
        let matches = candidates.iter().filter_map(|slot| table.confirm_slot(*slot, hint));
        matches.filter_map(|found| self.named(found, Source::Index)).collect()
    }

    /// Scans for the hints that nobody was found for.
    fn scan_for_the_rest(&self, table: &KeyTable, hints: &[Hint], resolved: &mut [Vec<Resolved>]) {
        let open = hints.iter().zip(resolved).filter(|(_, found)| found.is_empty());
        let (unknown, places): (Vec<Hint>, Vec<_>) =
            open.map(|(hint, place)| (*hint, place)).unzip();
        for (place, matches) in places.into_iter().zip(table.confirm_all(&unknown)) {
            place.extend(matches.into_iter().filter_map(|found| self.named(found, Source::Scan)));
        }
    }

    fn named(&self, found: Match, source: Source) -> Option<Resolved> {
        let Match { slot, nonce } = found;
        Some(Resolved { slot, key: self.index.key(slot)?, nonce, source })
    }
}
