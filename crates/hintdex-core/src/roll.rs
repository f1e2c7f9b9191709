//! Rolling on: the next window built in bulk, declared, and the old one dropped.
//!
//! Lookups and admissions go on meanwhile. From the moment the states are read,
//! every addition is also remembered, and those the new window may lack are
//! added to it at the end; a hint that is in both is one entry.
//!
//! A crash may cut this anywhere. The new family is not declared until one synced
//! batch replaces the old window's record by its own: before that it is removed
//! at the next opening, after that the old one is.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use crate::Error;
use crate::bulk::{Bulk, LiveSlot, LiveSlots};
use crate::fleet::Fleet;
use crate::geometry::Geometry;
use crate::held::Held;
use crate::index::{LiveIndex, remove_folder, unix_now_s};
use crate::progress::{Progress, Report};
use crate::records::{
    ADDED_KEY_PREFIX, META_FAMILY, StateRecord, WINDOW_KEY_PREFIX, WindowRecord, epoch_key,
    window_family,
};
use crate::states::StateTable;
use crate::window::{Window, Windows, merge_hints};

/// Additions left over that are written while lookups wait, in about 10 ms.
const ADDITIONS_AT_ONCE: usize = 4096;

impl LiveIndex {
    /// Whether more than half of the current window is stale, so that a roll
    /// would halve it. A window beside a snapshot may grow half as large: then
    /// many devices have come to the snapshot's end.
    pub fn needs_roll(&self) -> bool {
        let windows = self.windows();
        let Some(window) = &windows.current else { return false };
        let per_slot = if window.left_to.is_some() { 1 } else { 2 };
        let lookahead = u64::from(self.params.lookahead);
        // Every active slot has its whole lookahead, but for the last nonces there are.
        window.entry_count() > (per_slot * self.active_slots() + 1) * lookahead
    }

    /// Builds the next window from keys and states and drops the old one.
    ///
    /// Lookups and admissions go on meanwhile. Costs 0.1 µs a hint and the
    /// derivation of every hint key; `report` counts slots.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], or what the store says; the old window stays then.
    pub fn roll(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        self.maintain(|| {
            let fleet = self.fleet();
            self.roll_to(&fleet, WriteBatch::default(), None, report)
        })
    }

    /// Rolls to a window that lacks what a snapshot holds.
    ///
    /// From then on [`candidates`](Self::candidates) is one half of an answer and
    /// the snapshot the other: whoever opens the index attaches it, or
    /// [rolls](Self::roll). The window grows again as devices near the end of
    /// what is held.
    ///
    /// # Errors
    /// [`Error::HorizonTooShort`] if less is held than the index looks ahead, or
    /// than was held before; else those of [`roll`](Self::roll).
    pub fn roll_beside(&self, held: &Held<'_>, report: Option<Report<'_>>) -> Result<(), Error> {
        self.maintain(|| {
            let before = self.windows().current.as_ref().and_then(|window| window.left_to);
            let least_nonces =
                before.map_or(0, |before| before.horizon_nonces).max(self.params.lookahead);
            if held.horizon_nonces < least_nonces {
                let horizon_nonces = held.horizon_nonces;
                return Err(Error::HorizonTooShort { horizon_nonces, least_nonces });
            }
            let fleet = self.fleet();
            self.roll_to(&fleet, WriteBatch::default(), Some(held), report)
        })
    }

    /// Rolls to a window of `fleet`, declared in one batch with what is in `declaration`.
    pub(crate) fn roll_to(
        &self,
        fleet: &Arc<Fleet>,
        declaration: WriteBatch,
        held: Option<&Held<'_>>,
        report: Option<Report<'_>>,
    ) -> Result<(), Error> {
        if held.is_none() {
            // What a snapshot held until now comes back: from here on admission
            // adds what the new window will be expected to have.
            let lookahead = self.params.lookahead;
            self.states.update_each(|_, state| state.cut(lookahead, None));
        }
        let epoch = self.windows().current.as_ref().map_or(0, |window| window.epoch) + 1;
        let family = window_family(epoch);
        self.store.create_window(&family)?;
        // From here on additions are remembered; only then are states read.
        self.windows_mut().missed = Some(Mutex::default());
        let built = self.build(epoch, fleet, held, report);
        let declared = built.and_then(|window| self.declare(window, held, declaration));
        match declared {
            Ok(Some(old)) => self.store.drop_window(&old.family),
            Ok(None) => Ok(()),
            Err(error) => {
                self.windows_mut().missed = None;
                // Without a record it is removed at the next opening at the latest,
                // and so are the files that were to fill it.
                let _ = self.store.drop_window(&family);
                let _ = self.bulk_folder();
                Err(error)
            }
        }
    }

    /// Fills the family of a new window.
    fn build(
        &self,
        epoch: u32,
        fleet: &Arc<Fleet>,
        held: Option<&Held<'_>>,
        report: Option<Report<'_>>,
    ) -> Result<Window, Error> {
        let live = FleetStates { held, ..self.live_in(fleet) };
        let hints = live.count_hints();
        let full = u64::from(fleet.slot_count()) * u64::from(self.params.lookahead);
        let geometry =
            Geometry::for_hints(if held.is_some() { full } else { hints }, self.params.scheme);
        let progress = Progress::new(report);
        let folder = self.bulk_folder()?;
        let (files, entries) = self.bulk(geometry, &progress).write_files(
            &live,
            hints,
            self.store.tuning(),
            &folder,
        )?;
        self.store.ingest(&window_family(epoch), files)?;
        remove_folder(&folder)?;
        let left_to = held.map(Held::left_to);
        Window::new(&self.store, epoch, geometry, fleet.slot_count(), left_to, entries)
    }

    /// The bulk builder for a window of this index.
    pub(crate) fn bulk<'a>(&'a self, geometry: Geometry, progress: &'a Progress<'a>) -> Bulk<'a> {
        Bulk {
            scheme: self.params.scheme,
            keys: self.keys.as_ref(),
            geometry,
            memory_bytes: self.options.memory_bytes,
            progress,
        }
    }

    /// Adds what the window missed and declares it. Returns the old one.
    fn declare(
        &self,
        window: Window,
        held: Option<&Held<'_>>,
        mut declaration: WriteBatch,
    ) -> Result<Option<Window>, Error> {
        let meta = self.store.family(META_FAMILY)?;
        // Most of what was missed, without holding anybody up.
        loop {
            let missed = self.windows().take_missed();
            let few = missed.len() <= ADDITIONS_AT_ONCE;
            let mut batch = WriteBatch::default();
            merge_hints(&mut batch, window.hints(), window.geometry, &missed);
            self.store.write(batch)?;
            window.entries.fetch_add(missed.len() as u64, Ordering::Relaxed);
            if few {
                break;
            }
        }
        let mut windows = self.windows_mut();
        let missed = windows.take_missed();
        merge_hints(&mut declaration, window.hints(), window.geometry, &missed);
        window.entries.fetch_add(missed.len() as u64, Ordering::Relaxed);
        let record = record_of(&window);
        declaration.put_cf(&meta, epoch_key(WINDOW_KEY_PREFIX, window.epoch), record.as_bytes());
        if let Some(old) = &windows.current {
            declaration.delete_cf(&meta, epoch_key(WINDOW_KEY_PREFIX, old.epoch));
            declaration.delete_cf(&meta, epoch_key(ADDED_KEY_PREFIX, old.epoch));
        }
        self.store.write_synced(declaration)?;
        if let Some(held) = held {
            // Nobody admits while the windows are held: from the next packet on
            // the new window is asked, and what it lacks is in the snapshot.
            let last = self.params.scheme.max_nonce().saturating_add(1);
            self.states.update_each(|slot, state| state.reach(held.end(slot).min(last)));
        }
        let old = std::mem::replace(&mut *windows, Windows { current: Some(window), missed: None });
        drop(windows);
        self.count_roll();
        Ok(old.current)
    }

    /// What is live in `fleet` now.
    pub(crate) fn live_in<'a>(&'a self, fleet: &'a Fleet) -> FleetStates<'a> {
        FleetStates {
            fleet,
            states: &self.states,
            fresh: StateRecord::fresh(self.params.lookahead),
            held: None,
        }
    }
}

fn record_of(window: &Window) -> WindowRecord {
    let left_to = window.left_to;
    WindowRecord {
        prefix_bits: window.geometry.prefix_bits(),
        suffix_bits: window.geometry.suffix_bits(),
        reserved: [0; 2],
        slots: window.slots.into(),
        entries: window.entry_count().into(),
        built_unix_s: unix_now_s().into(),
        snapshot: left_to.map_or([0; 16], |left_to| left_to.snapshot),
        snapshot_slots: left_to.map_or(0, |left_to| left_to.slots).into(),
        horizon_nonces: left_to.map_or(0, |left_to| left_to.horizon_nonces).into(),
    }
}

/// The live slots of a fleet, as their states say; slots that have no state yet
/// are about to be provisioned.
pub(crate) struct FleetStates<'a> {
    fleet: &'a Fleet,
    states: &'a StateTable,
    fresh: StateRecord,
    /// What need not be built.
    held: Option<&'a Held<'a>>,
}

impl FleetStates<'_> {
    /// How many hints are live; with some held elsewhere, an upper bound of the others.
    pub(crate) fn count_hints(&self) -> u64 {
        let known = self.states.totals();
        let new = u64::from(self.fleet.slot_count()).saturating_sub(known.slots);
        known.hints + new * u64::from(self.fresh.hints_ahead.get())
    }
}

impl LiveSlots for FleetStates<'_> {
    fn slot_count(&self) -> u32 {
        self.fleet.slot_count()
    }

    fn live(&self, slots: Range<u32>) -> Vec<LiveSlot> {
        let states = self.states.copy(slots.clone());
        let states = states.into_iter().chain(std::iter::repeat(self.fresh));
        self.fleet
            .keys(slots)
            .zip(states)
            .filter(|(_, state)| !state.is_retired())
            .map(|((slot, key), state)| {
                let live = state.live_nonces();
                let held_end = self.held.map_or(0, |held| held.end(slot));
                let nonces = live.start.max(held_end).min(live.end)..live.end;
                LiveSlot { slot, key, nonces }
            })
            .collect()
    }
}
