//! Resolving: from hints to the devices that made them.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};

use hintdex_core::Reach;
use hintdex_scan::{KeyTable, Match};
use hintdex_wire::{DeviceId, Hint, KeyId, Nonce, REPLAY_WINDOW_NONCES, Slot};
use rayon::prelude::*;
use smallvec::SmallVec;

use crate::attempt::is_certain;
use crate::{Error, Source, Station};

/// Hints a task looks up together.
pub(crate) const HINTS_PER_TASK: usize = 256;

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

/// By slot, the next nonce of devices that a batch will have moved on.
pub(crate) type Ahead = HashMap<Slot, Nonce>;

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
        let mut resolved = vec![Found::new(); hints.len()];
        let tasks = hints.par_chunks(HINTS_PER_TASK).zip(resolved.par_chunks_mut(HINTS_PER_TASK));
        tasks.try_for_each(|(hints, places)| self.look_up(&table, hints, &times, places))?;
        for first in (0..hints.len()).step_by(HINTS_PER_TASK) {
            let run = first..hints.len().min(first + HINTS_PER_TASK);
            let open = |at: &usize| resolved.get(*at).is_some_and(|found| found.is_empty());
            let places: Vec<usize> = run.filter(open).collect();
            let unknown: Vec<Hint> =
                places.iter().filter_map(|at| hints.get(*at).copied()).collect();
            let found = self.scan(&table, &unknown, &times, &Ahead::new());
            for (at, matches) in places.iter().zip(found) {
                if let Some(place) = resolved.get_mut(*at) {
                    self.name_each(&matches, Source::Scan, place);
                }
            }
        }
        Ok(resolved)
    }

    /// Looks up what snapshots and live index know of `hints`, on this thread, and adds it
    /// to their places.
    pub(crate) fn look_up(
        &self,
        table: &KeyTable,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
        places: &mut [Found],
    ) -> Result<(), Error> {
        let is_certain = is_certain(self.params().scheme);
        self.ask_known(table, hints, times, |at, found| {
            let Some(place) = places.get_mut(at) else { return true };
            for resolved in found {
                let same =
                    |known: &Resolved| (known.slot, known.nonce) == (resolved.slot, resolved.nonce);
                if !place.iter().any(same) {
                    place.push(resolved);
                }
            }
            is_certain && !place.is_empty()
        })
    }

    /// Asks the snapshots, the newest first, and then the live index for the devices that
    /// made `hints`, on this thread. `settle` is given the index of each hint and what the
    /// source found; a hint that it settles, by returning true, no other source is asked for.
    pub(crate) fn ask_known(
        &self,
        table: &KeyTable,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
        mut settle: impl FnMut(usize, Found) -> bool,
    ) -> Result<(), Error> {
        let mut open: Vec<usize> = (0..hints.len()).collect();
        let timing = self.index.timing();
        let attached = self.snapshots.attached();
        for attached in attached.iter().filter(|attached| attached.is_asked(&timing, times)) {
            let horizon_nonces = attached.snapshot.params().horizon_nonces;
            let search = table.within(|slot| self.expected(slot, times, horizon_nonces));
            let mut found = vec![Found::new(); open.len()];
            attached.confirm(&search, &at_places(hints, &open), |index, matched| {
                self.name(matched, Source::Snapshot, found.get_mut(index));
            });
            settle_open(&mut open, found, &mut settle);
        }
        if open.is_empty() {
            return Ok(());
        }
        let found = self.ask_live(table, &at_places(hints, &open), times)?;
        settle_open(&mut open, found, &mut settle);
        Ok(())
    }

    /// What the live index knows of `hints`.
    fn ask_live(
        &self,
        table: &KeyTable,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
    ) -> Result<Vec<Found>, Error> {
        let mut places = vec![Found::new(); hints.len()];
        let candidates = self.index.candidates_received(hints, times)?;
        let named = candidates.iter().zip(hints).enumerate();
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
        Ok(places)
    }

    /// The slots whose keys made `hints`, which were received in `times`, by trying all of
    /// them; of devices in `ahead` as if these nonces were their next ones. No budget is
    /// asked.
    pub(crate) fn scan(
        &self,
        table: &KeyTable,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
        ahead: &Ahead,
    ) -> Vec<Vec<Match>> {
        let reach = self.reach();
        let search = table.within(|slot| {
            let expected = self.expected(slot, times, reach.ahead_nonces);
            let end = ahead.get(&slot).map_or(0, |next| next.saturating_add(reach.ahead_nonces));
            expected.start..expected.end.max(end)
        });
        let mut matches = search.confirm_all_until_found(hints);
        if !self.params().scheme.is_reversible() && self.params().nonces.is_clocked() {
            // Hints that tell their nonce find a clock wherever it stands; of the others
            // the likeliest place is tried: the epoch, where it is after a new battery.
            let at_epoch = table.within(|_| 0..reach.epoch_nonces).confirm_all(hints);
            for (found, more) in matches.iter_mut().zip(at_epoch) {
                more.into_iter().for_each(|matched| {
                    if !found.contains(&matched) {
                        found.push(matched);
                    }
                });
            }
        }
        matches
    }

    /// How far a scan reaches that is made for hints which do not tell their nonce.
    pub(crate) fn reach(&self) -> Reach {
        let ahead_nonces = u64::from(self.params().lookahead) * SCAN_LOOKAHEADS;
        Reach { ahead_nonces, epoch_nonces: EPOCH_NONCES }
    }

    /// The nonces that a truncated hint of `slot` may have been made from: those
    /// the replay window remembers, the live ones, and as many as somebody else
    /// looks ahead; where nonces tell time, those of the time it was received at.
    /// Reversible hints tell theirs.
    fn expected(&self, slot: Slot, times: &RangeInclusive<u64>, ahead_nonces: u64) -> Range<Nonce> {
        let live = self.index.expected_nonces(slot, times);
        if self.params().nonces.is_clocked() {
            return live;
        }
        let first = live.start.saturating_sub(REPLAY_WINDOW_NONCES);
        first..live.end.max(live.start.saturating_add(ahead_nonces))
    }

    /// Notes a match in the place of its hint.
    fn name(&self, found: Match, source: Source, place: Option<&mut Found>) {
        let Match { slot, nonce } = found;
        if let Some((place, key)) = place.zip(self.index.key(slot)) {
            let known = place.iter().any(|other| (other.slot, other.nonce) == (slot, nonce));
            if !known {
                place.push(Resolved { slot, key, nonce, source });
            }
        }
    }

    /// Notes all matches of a hint.
    pub(crate) fn name_each(&self, matches: &[Match], source: Source, place: &mut Found) {
        matches.iter().for_each(|matched| self.name(*matched, source, Some(place)));
    }
}

/// The hints at these places.
fn at_places(hints: &[Hint], places: &[usize]) -> Vec<Hint> {
    places.iter().filter_map(|at| hints.get(*at).copied()).collect()
}

/// Gives `settle` what was found of each open hint, and keeps those open that it does not
/// settle.
fn settle_open(
    open: &mut Vec<usize>,
    found: Vec<Found>,
    settle: &mut impl FnMut(usize, Found) -> bool,
) {
    let mut found = found.into_iter();
    open.retain(|at| found.next().is_none_or(|found| !settle(*at, found)));
}
