//! Resolution: from hints to the devices that made them.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::sync::Arc;

use hintdex_core::Reach;
use hintdex_scan::Match;
use hintdex_wire::{Hint, Nonce, REPLAY_WINDOW_NONCES, Slot};
use rayon::prelude::*;
use smallvec::SmallVec;

use crate::resolved::{Resolved, ResolvedSlots, is_certain};
use crate::slot_keys::SlotKeys;
use crate::snapshots::{Attached, open_for_lookups};
use crate::{Error, IndexError, Source, Station};

/// Hints that one task looks up together.
pub(crate) const HINTS_PER_TASK: usize = 256;

/// How many lookaheads ahead of a device a scan for truncated hints reaches. A truncated
/// hint is found by computing it, so each nonce in reach costs one cipher block a device.
const SCAN_LOOKAHEADS: u64 = 16;

/// How many key epochs ahead of a device the stages of a scan reach, where keys move on with the
/// nonces. Each epoch costs a derivation a device. So the first stage is short, the further ones
/// wait for the scan budget, and a device that was away for longer must be found by a later packet
/// of a window or be rekeyed.
pub(crate) const SCAN_EPOCHS: [u64; 3] = [2, 32, 256];

/// How many nonces from a clock's epoch on a scan for truncated hints tries, in case the
/// clock has restarted.
const EPOCH_NONCES: Nonce = 256;

/// By slot, the next nonces of devices that a batch will have moved.
pub(crate) type NextNonces = HashMap<Slot, Nonce>;

impl Station {
    /// The devices that made `hints`: for each hint, every device whose key confirms the
    /// hint. With 16-byte hints that is one device or none.
    ///
    /// Snapshots are asked first, then the live index. Hints that neither resolves are
    /// scanned for together, over all devices, on all threads and without a budget. A scan
    /// for the first hint costs 2 to 60 ns a device, depending on the processor's
    /// instructions, and less for each further hint. Truncated hints are found from 64
    /// nonces behind a device to 16 lookaheads ahead of it.
    ///
    /// ```
    /// use hintdex::{Resolved, ResolvedSlots, Source, Station, StationOptions};
    /// # use hintdex::DeviceRange;
    /// # use hintdex::wire::{DeviceId, HintCipher, HintScheme, KeyId, KeySource, Sealer};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let dir = folder.path().join("fleet");
    /// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
    /// # let station = Station::create(&dir, None, params, &StationOptions::default())?;
    /// # station.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
    /// # let hint_key = station.key_source().hint_key(KeyId::first(DeviceId(42))).unwrap();
    /// # let hint = HintCipher::new(HintScheme::Aes128, &hint_key).hint(3).unwrap();
    /// let resolved: Vec<ResolvedSlots> = station.resolve(&[hint])?;
    /// let Resolved { key, nonce, source, .. } = resolved[0][0];
    /// assert_eq!((key.device, nonce, source), (DeviceId(42), 3, Source::Snapshot));
    /// # Ok::<(), hintdex::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Index`] if the index fails, or if packets have no hints.
    pub fn resolve(&self, hints: &[Hint]) -> Result<Vec<ResolvedSlots>, Error> {
        self.resolve_in(&self.snapshots.attached(), hints)
    }

    /// [`resolve`](Self::resolve) that asks the snapshots in these files first, the first file
    /// first. The files are not attached: lookups of packets do not ask them.
    ///
    /// Copies each file into memory for the call.
    ///
    /// ```
    /// # use hintdex::wire::{DeviceId, HintCipher, HintScheme, KeyId, KeySource};
    /// # use hintdex::{DeviceRange, RebuildOptions, Station, StationOptions};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let dir = folder.path().join("fleet");
    /// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
    /// # let station = Station::create(&dir, None, params, &StationOptions::default())?;
    /// # station.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
    /// # let hint_key = station.key_source().hint_key(KeyId::first(DeviceId(42))).unwrap();
    /// # let hint = HintCipher::new(HintScheme::Aes128, &hint_key).hint(900).unwrap();
    /// # let path = folder.path().join("far.hdx");
    /// let options = RebuildOptions { horizon_nonces: 1000, ..RebuildOptions::default() };
    /// station.rebuild(&path, &options, None)?;
    /// station.check_snapshot(&path)?; // it is authentic, and of this fleet
    /// let resolved = station.resolve_with(&[&path], &[hint])?;
    /// assert_eq!(resolved[0][0].source, hintdex::Source::Snapshot);
    /// # Ok::<(), hintdex::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`resolve`](Self::resolve), and those of [`attach`](Self::attach).
    pub fn resolve_with(
        &self,
        snapshots: &[&Path],
        hints: &[Hint],
    ) -> Result<Vec<ResolvedSlots>, Error> {
        let opened = snapshots.iter().map(|path| open_for_lookups(&self.index, path));
        let mut asked = opened.collect::<Result<Vec<_>, _>>()?;
        asked.extend(self.snapshots.attached().iter().cloned());
        self.resolve_in(&asked, hints)
    }

    /// Checks that the snapshot in the file `path` could be [attached](Self::attach), and attaches
    /// nothing.
    ///
    /// See the example of [`resolve_with`](Self::resolve_with).
    ///
    /// # Errors
    /// Those of [`attach`](Self::attach).
    pub fn check_snapshot(&self, path: &Path) -> Result<(), Error> {
        open_for_lookups(&self.index, path).map(drop)
    }

    fn resolve_in(
        &self,
        snapshots: &[Arc<Attached>],
        hints: &[Hint],
    ) -> Result<Vec<ResolvedSlots>, Error> {
        if !self.params().naming.has_index() {
            let why = "the packets of this fleet have no hints; hintdex decode finds their devices";
            return Err(IndexError::NotForThisIndex { call: "resolve", why }.into());
        }
        let table = self.hint_keys.slot_keys()?;
        let now_s = self.index.now_s();
        let times = now_s..=now_s;
        let mut resolved = vec![ResolvedSlots::new(); hints.len()];
        let tasks = hints.par_chunks(HINTS_PER_TASK).zip(resolved.par_chunks_mut(HINTS_PER_TASK));
        tasks.try_for_each(|(hints, places)| {
            self.look_up_in(snapshots, &table, hints, &times, places)
        })?;
        for first in (0..hints.len()).step_by(HINTS_PER_TASK) {
            let run = first..hints.len().min(first + HINTS_PER_TASK);
            let open = |at: &usize| resolved.get(*at).is_some_and(|found| found.is_empty());
            let places: Vec<usize> = run.filter(open).collect();
            let unknown: Vec<Hint> =
                places.iter().filter_map(|at| hints.get(*at).copied()).collect();
            let ahead_nonces = self.reach().ahead_nonces;
            let found = self.scan(&table, &unknown, &times, &NextNonces::new(), ahead_nonces);
            for (at, matches) in places.iter().zip(found) {
                if let Some(place) = resolved.get_mut(*at) {
                    self.add_matches(&matches, Source::Scan, place);
                }
            }
        }
        Ok(resolved)
    }

    /// Looks `hints` up in the snapshots and the live index, on this thread, and adds the
    /// devices found to the places of their hints.
    pub(crate) fn look_up(
        &self,
        table: &SlotKeys<'_>,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
        places: &mut [ResolvedSlots],
    ) -> Result<(), Error> {
        self.look_up_in(&self.snapshots.attached(), table, hints, times, places)
    }

    /// [`look_up`](Self::look_up) in these snapshots.
    fn look_up_in(
        &self,
        snapshots: &[Arc<Attached>],
        table: &SlotKeys<'_>,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
        places: &mut [ResolvedSlots],
    ) -> Result<(), Error> {
        let is_certain = is_certain(self.params().scheme);
        let mut is_done = |at: usize, found: ResolvedSlots| {
            let Some(place) = places.get_mut(at) else { return true };
            for resolved in found {
                let same =
                    |known: &Resolved| (known.slot, known.nonce) == (resolved.slot, resolved.nonce);
                if !place.iter().any(same) {
                    place.push(resolved);
                }
            }
            is_certain && !place.is_empty()
        };
        self.ask_known_in(snapshots, table, hints, times, |open, found| {
            let mut found = found.into_iter();
            open.retain(|at| !is_done(*at, found.next().unwrap_or_default()));
        })
    }

    /// Asks the snapshots, the newest first, and then the live index for the devices that
    /// made `hints`, on this thread.
    ///
    /// `settle` receives the indexes of the open hints and the devices that a source found for each. For
    /// those that it removes, no further source is asked.
    pub(crate) fn ask_known(
        &self,
        table: &SlotKeys<'_>,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
        settle: impl FnMut(&mut Vec<usize>, Vec<ResolvedSlots>),
    ) -> Result<(), Error> {
        self.ask_known_in(&self.snapshots.attached(), table, hints, times, settle)
    }

    /// [`ask_known`](Self::ask_known) of these snapshots.
    fn ask_known_in(
        &self,
        snapshots: &[Arc<Attached>],
        table: &SlotKeys<'_>,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
        mut settle: impl FnMut(&mut Vec<usize>, Vec<ResolvedSlots>),
    ) -> Result<(), Error> {
        let mut open: Vec<usize> = (0..hints.len()).collect();
        let timing = self.index.timing();
        for attached in snapshots.iter().filter(|attached| attached.may_hold(&timing, times)) {
            let horizon_nonces = attached.snapshot.params().horizon_nonces;
            let search = table.within(|slot| self.expected(slot, times, horizon_nonces));
            let mut found = vec![ResolvedSlots::new(); open.len()];
            let candidates =
                attached.confirm(&search, &at_places(hints, &open), |index, matched| {
                    self.add_match(matched, Source::Snapshot, found.get_mut(index));
                });
            self.lookups.count(open.len(), candidates);
            settle(&mut open, found);
        }
        if open.is_empty() {
            return Ok(());
        }
        let found = self.ask_live(table, &at_places(hints, &open), times)?;
        settle(&mut open, found);
        Ok(())
    }

    /// The devices that the live index finds for each of `hints`.
    fn ask_live(
        &self,
        table: &SlotKeys<'_>,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
    ) -> Result<Vec<ResolvedSlots>, Error> {
        let mut places = vec![ResolvedSlots::new(); hints.len()];
        let candidates = self.index.candidates_received(hints, times)?;
        let named = candidates.iter().zip(hints).enumerate();
        let (owners, pairs): (Vec<usize>, Vec<(Slot, Hint)>) = named
            .flat_map(|(owner, (slots, hint))| {
                slots.iter().map(move |slot| (owner, (*slot, *hint)))
            })
            .unzip();
        self.lookups.count(hints.len(), pairs.len());
        let search = table.within(|slot| self.expected(slot, times, 0));
        search.confirm_each(&pairs, |pair, found| {
            let owner = owners.get(pair).copied();
            self.add_match(found, Source::Index, owner.and_then(|owner| places.get_mut(owner)));
        });
        Ok(places)
    }

    /// Tries every key for `hints`, which were received in `times`, and returns the slots
    /// whose keys made each hint. The search reaches `ahead_nonces` ahead, if it has a bound. For
    /// devices in `next_nonces`, it starts from that nonce as well. Does not consult the budget.
    pub(crate) fn scan(
        &self,
        table: &SlotKeys<'_>,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
        next_nonces: &NextNonces,
        ahead_nonces: u64,
    ) -> Vec<Vec<Match>> {
        let reach = self.reach();
        let search = table.within(|slot| {
            let expected = self.expected(slot, times, ahead_nonces);
            let next = next_nonces.get(&slot);
            let end = next.map_or(0, |next| next.saturating_add(ahead_nonces));
            expected.start..expected.end.max(end)
        });
        let mut matches = search.confirm_all_until_found(hints);
        if !self.params().scheme.is_reversible() && self.params().nonces.is_clocked() {
            // A reversible hint finds a clock wherever it stands. For truncated hints the
            // likeliest place is tried: the epoch, where a clock is after a new battery.
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

    /// How far a scan reaches that has a bound: for truncated hints, and where keys move on with
    /// the nonces.
    pub(crate) fn reach(&self) -> Reach {
        let ahead_nonces = match self.scan_stages().as_slice() {
            [.., last] => *last,
            [] => u64::from(self.params().lookahead) * SCAN_LOOKAHEADS,
        };
        Reach { ahead_nonces, epoch_nonces: EPOCH_NONCES }
    }

    /// How far each stage of a scan reaches, in nonces; none if scans have one stage. The keys of
    /// truncated hints are tried within their reach alone, so there is no further stage.
    pub(crate) fn scan_stages(&self) -> SmallVec<[u64; 3]> {
        let bits = self.params().ratchet.filter(|_| self.params().scheme.is_reversible());
        let stage = |epochs: &u64| Some(epochs * bits?.epoch_nonces());
        SCAN_EPOCHS.iter().filter_map(stage).collect()
    }

    /// The nonces from which a truncated hint of `slot` may have been computed: those of the
    /// replay window, the live ones, and `ahead_nonces` further ones. With clocked nonces,
    /// those of the time of reception. Not needed for reversible hints.
    fn expected(&self, slot: Slot, times: &RangeInclusive<u64>, ahead_nonces: u64) -> Range<Nonce> {
        let live = self.index.expected_nonces(slot, times);
        if self.params().nonces.is_clocked() {
            return live;
        }
        let first = live.start.saturating_sub(REPLAY_WINDOW_NONCES);
        first..live.end.max(live.start.saturating_add(ahead_nonces))
    }

    /// Adds a match to the place of its hint, once.
    fn add_match(&self, found: Match, source: Source, place: Option<&mut ResolvedSlots>) {
        let Match { slot, nonce } = found;
        if let Some((place, key)) = place.zip(self.index.key(slot)) {
            let known = place.iter().any(|other| (other.slot, other.nonce) == (slot, nonce));
            if !known {
                place.push(Resolved { slot, key, nonce, source });
            }
        }
    }

    /// Adds all matches of a hint to its place.
    pub(crate) fn add_matches(&self, matches: &[Match], source: Source, place: &mut ResolvedSlots) {
        matches.iter().for_each(|matched| self.add_match(*matched, source, Some(place)));
    }
}

/// The hints at these places.
fn at_places(hints: &[Hint], places: &[usize]) -> Vec<Hint> {
    places.iter().filter_map(|at| hints.get(*at).copied()).collect()
}
