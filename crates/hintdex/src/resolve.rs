//! Resolving: from hints to the devices that made them.

use hintdex_core::Candidates;
use hintdex_scan::{KeyTable, Match};
use hintdex_wire::{DeviceId, Hint, KeyId, Nonce, Slot};
use rayon::prelude::*;
use smallvec::SmallVec;

use crate::{Error, Source, Station};

/// Hints a task looks up together.
const HINTS_PER_TASK: usize = 256;

/// Hints a scan looks for together: enough that a device's key schedule does not
/// show, few enough that what one of them tells can spare the search for others.
const HINTS_PER_SCAN: usize = 32;

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

/// The devices that made a hint: almost always one, and then without an allocation.
pub type Found = SmallVec<[Resolved; 1]>;

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
    /// Snapshots are asked first, then the live index. Hints they do not know are scanned for
    /// together, over all devices and on all threads: about 50 ns a device for
    /// the first of them and 10 ns for every further one.
    ///
    /// # Errors
    /// What the index says.
    pub fn resolve(&self, hints: &[Hint]) -> Result<Vec<Found>, Error> {
        let table = self.table()?;
        let mut resolved = self.look_up(&table, hints)?;
        self.scan_for_the_rest(&table, hints, &mut resolved, |_, _| ());
        Ok(resolved)
    }

    /// What the snapshots, and then the live index, know of `hints`, confirmed.
    pub(crate) fn look_up(&self, table: &KeyTable, hints: &[Hint]) -> Result<Vec<Found>, Error> {
        let mut places = vec![Found::new(); hints.len()];
        hints.par_chunks(HINTS_PER_TASK).zip(places.par_chunks_mut(HINTS_PER_TASK)).try_for_each(
            |(hints, places)| {
                self.snapshots.look_up(&self.index, table, hints, places);
                self.look_up_live(table, hints, places)
            },
        )?;
        Ok(places)
    }

    /// Resolves what the live index knows of `hints`, into the places that are empty.
    fn look_up_live(
        &self,
        table: &KeyTable,
        hints: &[Hint],
        places: &mut [Found],
    ) -> Result<(), Error> {
        let (asked, places): (Vec<Hint>, Vec<&mut Found>) =
            hints.iter().copied().zip(places).filter(|(_, place)| place.is_empty()).unzip();
        if asked.is_empty() {
            return Ok(());
        }
        let candidates = self.index.candidates_batch(&asked)?;
        for ((hint, place), candidates) in asked.iter().zip(places).zip(candidates) {
            *place = self.confirm(table, hint, &candidates);
        }
        Ok(())
    }

    /// The candidates whose key made the hint.
    fn confirm(&self, table: &KeyTable, hint: &Hint, candidates: &Candidates) -> Found {
        let matches = candidates.iter().filter_map(|slot| table.confirm_slot(*slot, hint));
        matches.filter_map(|found| self.named(found, Source::Index)).collect()
    }

    /// Scans for the hints that nobody was found for, some at a time: a device
    /// that leapt ahead is found by its first hint, and `follow` knows the others.
    pub(crate) fn scan_for_the_rest(
        &self,
        table: &KeyTable,
        hints: &[Hint],
        resolved: &mut [Found],
        mut follow: impl FnMut(&[Resolved], &mut [Found]),
    ) {
        let mut next = 0;
        while next < hints.len() {
            let open = (next..hints.len())
                .filter(|at| resolved.get(*at).is_some_and(|found| found.is_empty()));
            let places: Vec<usize> = open.take(HINTS_PER_SCAN).collect();
            let unknown: Vec<Hint> =
                places.iter().filter_map(|at| hints.get(*at).copied()).collect();
            let mut found: Vec<Resolved> = Vec::new();
            for (at, matches) in places.iter().zip(table.confirm_all(&unknown)) {
                let named = matches.into_iter().filter_map(|found| self.named(found, Source::Scan));
                if let Some(place) = resolved.get_mut(*at) {
                    place.extend(named);
                    found.extend_from_slice(place);
                }
            }
            follow(&found, resolved);
            next = places.last().map_or(hints.len(), |last| last + 1);
        }
    }

    pub(crate) fn named(&self, found: Match, source: Source) -> Option<Resolved> {
        let Match { slot, nonce } = found;
        Some(Resolved { slot, key: self.index.key(slot)?, nonce, source })
    }
}
