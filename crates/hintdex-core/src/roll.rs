//! Rolling on: the next window built in bulk, declared, and the old one dropped.
//!
//! Lookups and admissions go on meanwhile. From the moment the states are read,
//! every addition is also remembered, and those the new window may lack are
//! added to it at the end; a hint that is in both is one entry.
//!
//! A crash may cut this anywhere. The new family is not declared until one synced
//! batch replaces the old window's record by its own: before that it is removed
//! at the next opening, after that the old one is.

use std::sync::Arc;

use hintdex_host::remove_folder;
use rocksdb::WriteBatch;
use zerocopy::{FromZeros, IntoBytes};

use crate::Error;
use crate::bulk::{Bulk, Drafts};
use crate::fleet::Fleet;
use crate::geometry::Geometry;
use crate::held::{Held, LeftTo};
use crate::index::LiveIndex;
use crate::live::FleetStates;
use crate::load::left_to_of;
use crate::progress::{Progress, Report};
use crate::records::{
    ADDED_KEY_PREFIX, FORMAT_VERSION, META_FAMILY, WINDOW_KEY_PREFIX, WindowRecord, epoch_key,
    window_family,
};
use crate::time::Span;
use crate::window::{Additions, Declared, Window, next_epoch};

/// Additions left over that are written while lookups wait, in about 10 ms.
const ADDITIONS_AT_ONCE: usize = 4096;

impl LiveIndex {
    /// Whether the current window is missing or damaged, or more than half of it is stale,
    /// so that a roll would halve it. A window beside a snapshot may grow half as large: then
    /// many devices have come to the snapshot's end.
    pub fn needs_roll(&self) -> bool {
        if self.params.nonces.tells_time() {
            return false;
        }
        let declared = self.windows.declared();
        let [window] = declared.as_slice() else { return self.slot_count() > 0 };
        if window.is_damaged() {
            return true;
        }
        let per_slot = if window.left_to.is_some() { 1 } else { 2 };
        let lookahead = u64::from(self.params.lookahead);
        // Every active slot has its whole lookahead, but for the last nonces there are.
        window.entry_count() > (per_slot * self.active_slots() + 1) * lookahead
    }

    /// Whether there is no window, where nonces tell no time and there are devices: it was
    /// damaged and dropped, and everything is scanned for until the next roll.
    pub fn lacks_window(&self) -> bool {
        let is_empty = self.windows.declared().is_empty();
        is_empty && self.slot_count() > 0 && !self.params.nonces.tells_time()
    }

    /// Builds the next window from keys and states and drops the old one.
    ///
    /// Lookups and admissions go on meanwhile. Costs 0.1 µs a hint and the
    /// derivation of every hint key; `report` counts slots.
    ///
    /// Where nonces tell time, windows go by the clock: then this is
    /// [`keep_spans`](Self::keep_spans).
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], or what the store says; the old window stays then.
    pub fn roll(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        if self.params.nonces.tells_time() {
            return self.keep_spans(report);
        }
        self.maintain(|| {
            let fleet = self.fleet();
            self.roll_to(self.replacing_all(&fleet, None), WriteBatch::default(), report)
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
    /// [`Error::NotForThisIndex`] where nonces tell time, or if more slots are held than the
    /// fleet has; [`Error::HorizonTooShort`] if less is held than the index looks ahead, or
    /// than was held before; else those of [`roll`](Self::roll).
    pub fn roll_beside(&self, held: &Held<'_>, report: Option<Report<'_>>) -> Result<(), Error> {
        let refused = |why| Error::NotForThisIndex { call: "rolling beside a snapshot", why };
        if self.params.nonces.tells_time() {
            return Err(refused("nonces tell time; open the window of a span beside it"));
        }
        if held.first_nonces.len() > self.slot_count() as usize {
            return Err(refused("the snapshot has slots that this index has not; build it again"));
        }
        self.maintain(|| {
            let before = left_to_of(&self.windows.declared());
            let least_nonces =
                before.map_or(0, |before| before.horizon_nonces).max(self.params.lookahead);
            if held.horizon_nonces < least_nonces {
                let horizon_nonces = held.horizon_nonces;
                return Err(Error::HorizonTooShort { horizon_nonces, least_nonces });
            }
            let fleet = self.fleet();
            self.roll_to(self.replacing_all(&fleet, Some(held)), WriteBatch::default(), report)
        })
    }

    /// A window of `fleet` in place of all there are, without what is held elsewhere.
    pub(crate) fn replacing_all<'a>(
        &self,
        fleet: &'a Arc<Fleet>,
        held: Option<&'a Held<'a>>,
    ) -> Plan<'a> {
        let replaced = self.windows.declared().iter().map(|window| window.epoch).collect();
        let left_to = held.map(Held::left_to);
        Plan { fleet, span: None, held, left_to, replaced, may_go_on: false }
    }

    /// Rolls as planned to a window that is declared in one batch with `declaration`.
    pub(crate) fn roll_to(
        &self,
        plan: Plan<'_>,
        declaration: WriteBatch,
        report: Option<Report<'_>>,
    ) -> Result<(), Error> {
        if plan.held.is_none() {
            // Admission must again add the hints that the snapshot held, because the new
            // window will be expected to contain them.
            let lookahead = self.params.lookahead;
            self.states.update_each(|_, state| state.cut(lookahead, None));
        }
        self.open_window(plan, declaration, report, |_| Ok::<(), Error>(()))?;
        self.count_roll();
        Ok(())
    }

    /// Builds a window as planned and declares it, in place of those it replaces, in one
    /// batch with what is in `declaration`. What changes from the moment that `prepare` is
    /// called is not missed.
    pub(crate) fn open_window<E: From<Error>>(
        &self,
        mut plan: Plan<'_>,
        declaration: WriteBatch,
        report: Option<Report<'_>>,
        prepare: impl FnOnce(&mut Plan<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let epoch = next_epoch(&self.windows.declared());
        let family = window_family(epoch);
        self.store.create_window(&family)?;
        // From here on additions are remembered; only then are states read.
        self.windows.alone().begin(plan.span.clone());
        let declared = prepare(&mut plan).and_then(|()| {
            let window = self.build(epoch, &plan, report)?;
            Ok(self.declare(window, &plan, declaration)?)
        });
        match declared {
            Ok(replaced) => {
                let mut old = replaced.into_iter();
                Ok(old.try_for_each(|old| self.store.drop_window(&old.family))?)
            }
            Err(error) => {
                self.windows.alone().end();
                // Without a record it is removed at the next opening at the latest,
                // and so are the files that were to fill it.
                let _ = self.store.drop_window(&family);
                let _ = remove_folder(&self.bulk_folder());
                Err(error)
            }
        }
    }

    /// Fills the family of a new window.
    fn build(
        &self,
        epoch: u32,
        plan: &Plan<'_>,
        report: Option<Report<'_>>,
    ) -> Result<Window, Error> {
        let slots = plan.fleet.slot_count();
        let live = self.live_in(plan.fleet, plan.span.clone());
        let live = FleetStates { held: plan.held, ..live };
        // What a snapshot has is not built, but more may come to lie in the window.
        let full = u64::from(slots) * u64::from(self.params.lookahead);
        let leaves_all = plan.span.is_some() && plan.left_to.is_some();
        let hints = if leaves_all { 0 } else { live.count_hints() };
        let expected = if plan.left_to.is_some() { full } else { hints };
        let mut record = WindowRecord::new_zeroed();
        let geometry = Geometry::for_hints(expected, self.params.scheme);
        (record.prefix_bits, record.suffix_bits) = (geometry.prefix_bits(), geometry.suffix_bits());
        record.slots = slots.into();
        if let Some(left_to) = &plan.left_to {
            record.snapshot = left_to.snapshot;
            record.snapshot_slots = left_to.slots.into();
            record.horizon_nonces = left_to.horizon_nonces.into();
        }
        let span = plan.span.clone().unwrap_or_default();
        (record.from_unix_s, record.to_unix_s) = (span.start.into(), span.end.into());
        if hints > 0 {
            let progress = Progress::new(report);
            let bulk = self.bulk(geometry, &progress);
            let folder = self.bulk_folder();
            // With one pass there is nothing to go on from.
            let drafts = if plan.may_go_on && bulk.passes(hints).len() > 1 {
                let context: [&[u8]; 2] = [&self.index_id, &FORMAT_VERSION.to_le_bytes()];
                Drafts::of_plan(&folder, &bulk.plan_digest(&live, hints, &context)?)?
            } else {
                Drafts::new(&folder)?
            };
            let (files, entries) = bulk.write_files(&live, hints, self.store.tuning(), &drafts)?;
            self.store.ingest(&window_family(epoch), files)?;
            remove_folder(&folder)?;
            record.entries = entries.into();
        }
        Window::new(&self.store, epoch, &record)
    }

    /// The bulk builder for a window of this index.
    pub(crate) fn bulk<'a>(&'a self, geometry: Geometry, progress: &'a Progress<'a>) -> Bulk<'a> {
        Bulk {
            scheme: self.params.scheme,
            keys: self.keys.as_ref(),
            geometry,
            memory_bytes: self.options.memory_bytes,
            workers: &self.workers,
            progress,
        }
    }

    /// Adds what the window missed and declares it. Returns those it replaces.
    fn declare(
        &self,
        mut window: Window,
        plan: &Plan<'_>,
        mut declaration: WriteBatch,
    ) -> Result<Declared, Error> {
        let meta = self.store.family(META_FAMILY)?;
        // Most of what was missed, without holding anybody up.
        loop {
            let missed = self.windows.adding().take_missed();
            let few = missed.len() <= ADDITIONS_AT_ONCE;
            let mut batch = WriteBatch::default();
            let additions = Additions::new(window.geometry, &missed);
            additions.merge(&mut batch, &window);
            self.store.write(batch)?;
            additions.take_in(&window);
            if few {
                break;
            }
        }
        let mut windows = self.windows.alone();
        let additions = Additions::new(window.geometry, &windows.take_missed());
        additions.merge(&mut declaration, &window);
        window.built_entries = window.entry_count() + additions.count();
        let record = window.record();
        record
            .check(plan.fleet.slot_count(), self.params.nonces.tells_time())
            .map_err(|why| Error::unsound("a window record", why))?;
        declaration.put_cf(&meta, epoch_key(WINDOW_KEY_PREFIX, window.epoch), record.as_bytes());
        for epoch in &plan.replaced {
            declaration.delete_cf(&meta, epoch_key(WINDOW_KEY_PREFIX, *epoch));
            declaration.delete_cf(&meta, epoch_key(ADDED_KEY_PREFIX, *epoch));
        }
        self.store.write_synced(declaration)?;
        // The window is declared, whatever happens here: a mark that stays costs a rebuild.
        if let Err(error) = self.store.forget_dropped_windows() {
            self.note(error.to_string());
        }
        additions.take_in(&window);
        if let Some(held) = plan.held {
            // Nobody admits while the windows are held: from the next packet on
            // the new window is asked, and what it lacks is in the snapshot.
            let last = self.params.max_nonce();
            self.states.update_each(|slot, state| state.reach(held.end(slot), last));
        }
        windows.end();
        Ok(windows.replace(&plan.replaced, Some(window)))
    }

    /// What is live in `fleet` now, or in a span of time.
    pub(crate) fn live_in<'a>(&'a self, fleet: &'a Fleet, span: Option<Span>) -> FleetStates<'a> {
        FleetStates {
            fleet,
            states: &self.states,
            params: self.params,
            timing: self.timing(),
            span,
            rest: None,
            now_s: self.now_s(),
            held: None,
        }
    }
}

/// A window that is to be.
pub(crate) struct Plan<'a> {
    pub(crate) fleet: &'a Arc<Fleet>,
    /// The station's time it is for, where nonces tell time.
    pub(crate) span: Option<Span>,
    /// What need not be in it, slot by slot.
    pub(crate) held: Option<&'a Held<'a>>,
    /// The snapshot that has it. Where nonces tell time, that has all of the window.
    pub(crate) left_to: Option<LeftTo>,
    /// The epochs of the windows that go when it comes.
    pub(crate) replaced: Vec<u32>,
    /// Whether a build that is cut off is worth going on with: nobody is waiting for it
    /// meanwhile, and nothing is admitted.
    pub(crate) may_go_on: bool,
}
