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
    /// would halve it.
    pub fn needs_roll(&self) -> bool {
        let entries = self.windows().current.as_ref().map_or(0, Window::entry_count);
        let lookahead = u64::from(self.params.lookahead);
        // Every active slot has its whole lookahead, but for the last nonces there are.
        entries > (2 * self.active_slots() + 1) * lookahead
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
            self.roll_to(&fleet, WriteBatch::default(), report)
        })
    }

    /// Rolls to a window of `fleet`, declared in one batch with what is in `declaration`.
    pub(crate) fn roll_to(
        &self,
        fleet: &Arc<Fleet>,
        declaration: WriteBatch,
        report: Option<Report<'_>>,
    ) -> Result<(), Error> {
        let epoch = self.windows().current.as_ref().map_or(0, |window| window.epoch) + 1;
        let family = window_family(epoch);
        self.store.create_window(&family)?;
        // From here on additions are remembered; only then are states read.
        self.windows_mut().missed = Some(Mutex::default());
        let built = self.build(epoch, fleet, report);
        let declared = built.and_then(|window| self.declare(window, declaration));
        if declared.is_err() {
            self.windows_mut().missed = None;
            // Without a record it is removed at the next opening at the latest.
            let _ = self.store.drop_window(&family);
        }
        declared
    }

    /// Fills the family of a new window.
    fn build(
        &self,
        epoch: u32,
        fleet: &Arc<Fleet>,
        report: Option<Report<'_>>,
    ) -> Result<Window, Error> {
        let live = self.live_in(fleet);
        let hints = live.count_hints();
        let geometry = Geometry::for_hints(hints, self.params.scheme);
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
        Ok(Window::new(epoch, geometry, fleet.slot_count(), entries))
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

    /// Adds what the window missed, declares it, and drops the old one.
    fn declare(&self, window: Window, mut declaration: WriteBatch) -> Result<(), Error> {
        let hints = self.store.family(&window.family)?;
        let meta = self.store.family(META_FAMILY)?;
        // Most of what was missed, without holding anybody up.
        loop {
            let missed = self.windows().take_missed();
            let few = missed.len() <= ADDITIONS_AT_ONCE;
            let mut batch = WriteBatch::default();
            merge_hints(&mut batch, &hints, window.geometry, &missed);
            self.store.write(batch)?;
            window.entries.fetch_add(missed.len() as u64, Ordering::Relaxed);
            if few {
                break;
            }
        }
        let mut windows = self.windows_mut();
        let missed = windows.take_missed();
        merge_hints(&mut declaration, &hints, window.geometry, &missed);
        window.entries.fetch_add(missed.len() as u64, Ordering::Relaxed);
        let record = WindowRecord {
            prefix_bits: window.geometry.prefix_bits(),
            suffix_bits: window.geometry.suffix_bits(),
            reserved: [0; 2],
            slots: window.slots.into(),
            entries: window.entry_count().into(),
            built_unix_s: unix_now_s().into(),
        };
        declaration.put_cf(&meta, epoch_key(WINDOW_KEY_PREFIX, window.epoch), record.as_bytes());
        if let Some(old) = &windows.current {
            declaration.delete_cf(&meta, epoch_key(WINDOW_KEY_PREFIX, old.epoch));
            declaration.delete_cf(&meta, epoch_key(ADDED_KEY_PREFIX, old.epoch));
        }
        self.store.write_synced(declaration)?;
        let old = std::mem::replace(&mut *windows, Windows { current: Some(window), missed: None });
        drop(windows);
        self.count_roll();
        match old.current {
            Some(old) => self.store.drop_window(&old.family),
            None => Ok(()),
        }
    }

    /// What is live in `fleet` now.
    pub(crate) fn live_in<'a>(&'a self, fleet: &'a Fleet) -> FleetStates<'a> {
        FleetStates {
            fleet,
            states: &self.states,
            fresh: StateRecord::fresh(self.params.lookahead),
        }
    }
}

/// The live slots of a fleet, as their states say; slots that have no state yet
/// are about to be provisioned.
pub(crate) struct FleetStates<'a> {
    fleet: &'a Fleet,
    states: &'a StateTable,
    fresh: StateRecord,
}

impl FleetStates<'_> {
    /// How many hints are live.
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
            .map(|((slot, key), state)| LiveSlot { slot, key, nonces: state.live_nonces() })
            .collect()
    }
}
