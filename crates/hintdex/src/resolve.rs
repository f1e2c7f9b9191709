//! Resolving: from hints to the devices that made them.

use std::ops::{Range, RangeInclusive};

use hintdex_scan::{KeyTable, Match};
use hintdex_wire::{DeviceId, Hint, KeyId, Nonce, REPLAY_WINDOW_NONCES, Slot};
use rayon::prelude::*;
use smallvec::SmallVec;

use crate::{Error, Source, Station};

/// Hints a task looks up together.
const HINTS_PER_TASK: usize = 256;

/// How many lookaheads ahead of a device a scan for truncated hints reaches. They
/// do not tell their nonce, so each that is to be found costs a block a device.
const SCAN_LOOKAHEADS: u64 = 16;

/// Steps after a clock's epoch in which a truncated hint is looked for there.
const EPOCH_NONCES: Nonce = 256;

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
    /// Snapshots are asked first, then the live index. Hints they do not know are
    /// scanned for together, over all devices and on all threads, whatever the
    /// budget says: 2 to 60 ns a device by what the processor has, less for
    /// further ones. Truncated hints are found from 64 nonces behind a device to
    /// 16 lookaheads ahead of it.
    ///
    /// # Errors
    /// What the index says.
    pub fn resolve(&self, hints: &[Hint]) -> Result<Vec<Found>, Error> {
        let table = self.table()?;
        let now_s = self.index.now_s();
        let times = now_s..=now_s;
        let mut resolved = self.look_up(&table, hints, &times)?;
        for first in (0..hints.len()).step_by(HINTS_PER_TASK) {
            let run = first..hints.len().min(first + HINTS_PER_TASK);
            let open = |at: &usize| resolved.get(*at).is_some_and(|found| found.is_empty());
            let places: Vec<usize> = run.filter(open).collect();
            let unknown: Vec<Hint> =
                places.iter().filter_map(|at| hints.get(*at).copied()).collect();
            for (at, found) in places.iter().zip(self.scan(&table, &unknown, &times)) {
                if let Some(place) = resolved.get_mut(*at) {
                    *place = found;
                }
            }
        }
        Ok(resolved)
    }

    /// What the snapshots, and then the live index, know of `hints`, confirmed.
    pub(crate) fn look_up(
        &self,
        table: &KeyTable,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
    ) -> Result<Vec<Found>, Error> {
        let mut places = vec![Found::new(); hints.len()];
        hints.par_chunks(HINTS_PER_TASK).zip(places.par_chunks_mut(HINTS_PER_TASK)).try_for_each(
            |(hints, places)| {
                self.look_up_held(table, hints, times, places);
                self.look_up_live(table, hints, times, places)
            },
        )?;
        Ok(places)
    }

    /// Resolves what the snapshots know of `hints`, the newest first.
    fn look_up_held(
        &self,
        table: &KeyTable,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
        places: &mut [Found],
    ) {
        let timing = self.index.timing();
        let attached = self.snapshots.attached();
        for attached in attached.iter().filter(|attached| attached.is_asked(&timing, times)) {
            let (asked, mut places) = self.to_ask(hints, places);
            let horizon_nonces = attached.snapshot.params().horizon_nonces;
            let search = table.within(|slot| self.expected(slot, times, horizon_nonces));
            attached.confirm(&search, &asked, |index, found| {
                self.name(found, Source::Snapshot, places.get_mut(index));
            });
        }
    }

    /// Resolves what the live index knows of `hints`.
    fn look_up_live(
        &self,
        table: &KeyTable,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
        places: &mut [Found],
    ) -> Result<(), Error> {
        let (asked, mut places) = self.to_ask(hints, places);
        if asked.is_empty() {
            return Ok(());
        }
        let candidates = self.index.candidates_received(&asked, times)?;
        let named = candidates.iter().zip(&asked).enumerate();
        let (owners, pairs): (Vec<usize>, Vec<(Slot, Hint)>) = named
            .flat_map(|(owner, (slots, hint))| {
                slots.iter().map(move |slot| (owner, (*slot, *hint)))
            })
            .unzip();
        let search = table.within(|slot| self.expected(slot, times, 0));
        search.confirm_each(&pairs, |pair, found| {
            let owner = owners.get(pair).copied();
            self.name(found, Source::Index, owner.and_then(|owner| places.get_mut(owner)));
        });
        Ok(())
    }

    /// The devices that made `hints`, which were received in `times`, by trying all of
    /// them. No budget is asked.
    pub(crate) fn scan(
        &self,
        table: &KeyTable,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
    ) -> Vec<Found> {
        let ahead_nonces = u64::from(self.params().lookahead) * SCAN_LOOKAHEADS;
        let search = table.within(|slot| self.expected(slot, times, ahead_nonces));
        let mut matches = search.confirm_all_until_found(hints);
        if self.hints_collide() && self.params().nonces.tells_time() {
            // Hints that tell their nonce find a clock wherever it stands; of the others
            // the likeliest place is tried: the epoch, where it is after a new battery.
            let at_epoch = table.within(|_| 0..EPOCH_NONCES).confirm_all(hints);
            matches.iter_mut().zip(at_epoch).for_each(|(found, more)| found.extend(more));
        }
        let named = matches.into_iter().map(|matches| {
            let mut place = Found::new();
            matches
                .into_iter()
                .for_each(|found| self.name(found, Source::Scan, Some(&mut &mut place)));
            place
        });
        named.collect()
    }

    /// The nonces that a truncated hint of `slot` may have been made from: those
    /// the replay window remembers, the live ones, and as many as somebody else
    /// looks ahead; where nonces tell time, those of the time it was received at.
    /// Reversible hints tell theirs.
    fn expected(&self, slot: Slot, times: &RangeInclusive<u64>, ahead_nonces: u64) -> Range<Nonce> {
        let live = self.index.expected_nonces(slot, times);
        if self.params().nonces.tells_time() {
            return live;
        }
        let first = live.start.saturating_sub(REPLAY_WINDOW_NONCES);
        first..live.end.max(live.start.saturating_add(ahead_nonces))
    }

    /// Notes a match in the place of its hint.
    fn name(&self, found: Match, source: Source, place: Option<&mut &mut Found>) {
        let Match { slot, nonce } = found;
        if let Some((place, key)) = place.zip(self.index.key(slot)) {
            let known = place.iter().any(|other| (other.slot, other.nonce) == (slot, nonce));
            if !known {
                place.push(Resolved { slot, key, nonce, source });
            }
        }
    }

    /// The hints to ask the next source for, and their places: those nobody was
    /// found for yet. Truncated hints are asked for everywhere: two devices may
    /// well have one, and the one who was found need not be the one who sent it.
    fn to_ask<'a>(
        &self,
        hints: &[Hint],
        places: &'a mut [Found],
    ) -> (Vec<Hint>, Vec<&'a mut Found>) {
        let collide = self.hints_collide();
        let open =
            hints.iter().copied().zip(places).filter(|(_, place)| collide || place.is_empty());
        open.unzip()
    }

    /// Whether two devices may well have one hint.
    pub(crate) fn hints_collide(&self) -> bool {
        !self.params().scheme.is_reversible()
    }
}
