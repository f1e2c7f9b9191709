//! The roll: build the next window in bulk, declare it, drop the old one.
//!
//! Lookups and admissions go on meanwhile. From before the states are read, every addition is
//! also recorded. The recorded additions are added to the new window at the end; a hint that
//! is added twice is one entry.
//!
//! A crash may happen at any point. One synced batch replaces the record of the old window by
//! that of the new one. Before that batch, the next opening removes the new family; after it,
//! the old family.

use std::sync::Arc;

use hintdex_host::remove_folder;
use rocksdb::WriteBatch;
use zerocopy::{FromZeros, IntoBytes};

use crate::Error;
use crate::bulk::{BulkBuilder, Drafts};
use crate::coverage::{LeanRecord, SnapshotCoverage};
use crate::fleet::Fleet;
use crate::fleet_states::FleetStates;
use crate::geometry::Geometry;
use crate::index::LiveIndex;
use crate::progress::{Progress, Report};
use crate::records::{
    ADDED_KEY_PREFIX, FORMAT_VERSION, META_FAMILY, WINDOW_KEY_PREFIX, WindowRecord, epoch_key,
    window_family,
};
use crate::time::Span;
use crate::window::{Additions, Declared, Window, next_epoch};

/// The most recorded additions that are written under the write lock, in about 10 ms.
const MAX_LOCKED_ADDITIONS: usize = 4096;

impl LiveIndex {
    /// Whether the current window is missing or damaged, or more than half of it is stale, so
    /// that a roll would halve it. The limit of a lean window is half as large: a lean window
    /// of that size shows that many devices are near the end of the snapshot.
    pub fn needs_roll(&self) -> bool {
        if self.params.nonces.is_clocked() {
            return false;
        }
        let declared = self.windows.declared();
        let [window] = declared.as_slice() else { return self.slot_count() > 0 };
        if window.is_damaged() {
            return true;
        }
        let per_slot = if window.lean.is_some() { 1 } else { 2 };
        let lookahead = u64::from(self.params.lookahead);
        // Every active slot has its whole lookahead, except near the last nonce.
        window.entry_count() > (per_slot * self.active_slots() + 1) * lookahead
    }

    /// Whether an index of counters has devices and no window. The window was dropped for
    /// damage, and every hint is scanned for until the next roll.
    pub fn lacks_window(&self) -> bool {
        let is_empty = self.windows.declared().is_empty();
        is_empty && self.slot_count() > 0 && !self.params.nonces.is_clocked()
    }

    /// Builds the next window from keys and states and drops the old one.
    ///
    /// Lookups and admissions go on meanwhile. Costs 0.1 µs a hint and the derivation of every
    /// hint key; `report` counts slots.
    ///
    /// The windows of clocked nonces follow the clock: for them, this is
    /// [`keep_spans`](Self::keep_spans).
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], or those of the store. After an error the old window is in use.
    pub fn roll(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        if self.params.nonces.is_clocked() {
            return self.keep_spans(report);
        }
        self.maintain(|| {
            let fleet = self.fleet();
            self.roll_to(self.replacing_all(&fleet), WriteBatch::default(), report)
        })
    }

    /// Rolls to a lean window, which lacks the hints of a snapshot.
    ///
    /// From then on, a caller must ask the snapshot besides [`candidates`](Self::candidates).
    /// A caller that opens the index attaches the snapshot, or [rolls](Self::roll). The window
    /// grows again as devices come near the end of the snapshot.
    ///
    /// ```
    /// use hintdex_core::{SnapshotCoverage, SnapshotId};
    /// # use hintdex_core::{DeviceRange, LiveIndex, Options};
    /// # use std::sync::Arc;
    /// # use hintdex_wire::{DeviceId, HintScheme, MasterKey, Slot};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("index");
    /// # let keys = Arc::new(MasterKey::new(&[7; 32]));
    /// # let params = hintdex_core::Params::counters(HintScheme::Aes128, 16);
    /// # let index = LiveIndex::create(&path, keys, params, &Options::default())?;
    /// # index.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
    ///
    /// // A snapshot that was built for the next 64 nonces of each of 100 new devices.
    /// let snapshot: SnapshotId = *b"a snapshot's id!";
    /// let first_nonces = vec![Some(0); 100];
    /// let coverage = SnapshotCoverage { snapshot, first_nonces, horizon_nonces: 64 };
    /// index.roll_lean(coverage, None)?;
    /// assert_eq!(index.lean_snapshot(), Some(snapshot));
    /// assert_eq!(index.stats()?.entries, 0);
    /// # Ok::<(), hintdex_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotForThisIndex`] for clocked nonces, or if the snapshot has more slots than
    /// the fleet. [`Error::HorizonTooShort`] if the snapshot's horizon is shorter than the
    /// lookahead, or than the horizon of the snapshot before. Else those of
    /// [`roll`](Self::roll).
    pub fn roll_lean(
        &self,
        coverage: SnapshotCoverage,
        report: Option<Report<'_>>,
    ) -> Result<(), Error> {
        let refused = |why| Error::NotForThisIndex { call: "a lean roll", why };
        if self.params.nonces.is_clocked() {
            return Err(refused("nonces are clocked; open the window of a span lean instead"));
        }
        if coverage.first_nonces.len() > self.slot_count() as usize {
            return Err(refused("the snapshot has slots that this index lacks; rebuild it"));
        }
        self.maintain(|| {
            self.check_horizon(&coverage)?;
            let fleet = self.fleet();
            let mut plan = self.replacing_all(&fleet);
            plan.leave_to(coverage);
            self.roll_to(plan, WriteBatch::default(), report)
        })
    }

    /// Checks that a lean window of this coverage may replace the present one.
    ///
    /// # Errors
    /// [`Error::HorizonTooShort`].
    pub(crate) fn check_horizon(&self, coverage: &SnapshotCoverage) -> Result<(), Error> {
        let least_nonces = self.lean_horizon_nonces().max(self.params.lookahead);
        let horizon_nonces = coverage.horizon_nonces;
        if horizon_nonces < least_nonces {
            return Err(Error::HorizonTooShort { horizon_nonces, least_nonces });
        }
        Ok(())
    }

    /// The plan of a full window of `fleet` that replaces all windows.
    pub(crate) fn replacing_all<'a>(&self, fleet: &'a Arc<Fleet>) -> WindowPlan<'a> {
        let replaced = self.windows.declared().iter().map(|window| window.epoch).collect();
        WindowPlan { fleet, span: None, coverage: None, lean: None, replaced, resumable: false }
    }

    /// Rolls to a planned window. Its declaration is one batch with `declaration`.
    pub(crate) fn roll_to(
        &self,
        mut plan: WindowPlan<'_>,
        declaration: WriteBatch,
        report: Option<Report<'_>>,
    ) -> Result<(), Error> {
        if plan.coverage.is_none() {
            // Admission must again add the hints that the snapshot held, because the new
            // window will be expected to contain them.
            let lookahead = self.params.lookahead;
            self.states.update_each(|_, state| state.cut(lookahead, None));
        }
        self.open_window(&mut plan, declaration, report, |_| Ok::<(), Error>(()))?;
        self.count_roll();
        Ok(())
    }

    /// Builds a planned window and declares it in place of the windows it replaces, in one
    /// batch with `declaration`. The window includes every change from the call of `prepare` on.
    pub(crate) fn open_window<E: From<Error>>(
        &self,
        plan: &mut WindowPlan<'_>,
        declaration: WriteBatch,
        report: Option<Report<'_>>,
        prepare: impl FnOnce(&mut WindowPlan<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let epoch = next_epoch(&self.windows.declared());
        let family = window_family(epoch);
        self.store.create_window(&family)?;
        // Additions are recorded from here on, and only then are states read.
        self.windows.write().begin_build(plan.span.clone());
        let declared = prepare(plan).and_then(|()| {
            let window = self.build(epoch, plan, report)?;
            Ok(self.declare(window, plan, declaration)?)
        });
        match declared {
            Ok(replaced) => {
                let mut old = replaced.into_iter();
                Ok(old.try_for_each(|old| self.store.drop_window(&old.family))?)
            }
            Err(error) => {
                self.windows.write().end_build();
                // If this fails, the next opening removes the family, because it has no
                // record, and the files.
                let _ = self.store.drop_window(&family);
                let _ = remove_folder(&self.bulk_folder());
                Err(error)
            }
        }
    }

    /// Builds the window and ingests its files into its family.
    fn build(
        &self,
        epoch: u32,
        plan: &WindowPlan<'_>,
        report: Option<Report<'_>>,
    ) -> Result<Window, Error> {
        let slots = plan.fleet.slot_count();
        let live = self.live_in(plan.fleet, plan.span.clone());
        let live = FleetStates { coverage: plan.coverage.as_ref(), ..live };
        // The hints of the snapshot are not built, but the window may grow to its full size.
        let full = u64::from(slots) * u64::from(self.params.lookahead);
        let leaves_all = plan.span.is_some() && plan.lean.is_some();
        let hints = if leaves_all { 0 } else { live.count_hints() };
        let expected = if plan.lean.is_some() { full } else { hints };
        let mut record = WindowRecord::new_zeroed();
        let geometry = Geometry::for_hints(expected, self.params.scheme);
        (record.prefix_bits, record.suffix_bits) = (geometry.prefix_bits(), geometry.suffix_bits());
        record.slots = slots.into();
        if let Some(lean) = &plan.lean {
            record.snapshot = lean.snapshot;
            record.snapshot_slots = lean.slots.into();
            record.horizon_nonces = lean.horizon_nonces.into();
        }
        let span = plan.span.clone().unwrap_or_default();
        (record.from_unix_s, record.to_unix_s) = (span.start.into(), span.end.into());
        if hints > 0 {
            let progress = Progress::new(report);
            let bulk = self.bulk(geometry, &progress);
            let folder = self.bulk_folder();
            // A build of one pass has no finished pass to resume from.
            let drafts = if plan.resumable && bulk.passes(hints).len() > 1 {
                let context: [&[u8]; 2] = [&self.index_id, &FORMAT_VERSION.to_le_bytes()];
                Drafts::resume_or_empty(&folder, &bulk.plan_digest(&live, hints, &context)?)?
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
    pub(crate) fn bulk<'a>(
        &'a self,
        geometry: Geometry,
        progress: &'a Progress<'a>,
    ) -> BulkBuilder<'a> {
        BulkBuilder {
            params: self.params,
            keys: self.keys.as_ref(),
            geometry,
            memory_bytes: self.options.memory_bytes,
            workers: &self.workers,
            progress,
        }
    }

    /// Adds the recorded additions to the window and declares it. Returns the windows that it
    /// replaces.
    fn declare(
        &self,
        mut window: Window,
        plan: &WindowPlan<'_>,
        mut declaration: WriteBatch,
    ) -> Result<Declared, Error> {
        let meta = self.store.family(META_FAMILY)?;
        // Writes most of the recorded additions while admissions go on.
        loop {
            let recorded = self.windows.read().take_recorded();
            let few = recorded.len() <= MAX_LOCKED_ADDITIONS;
            let mut batch = WriteBatch::default();
            let additions = Additions::new(window.geometry, &recorded);
            additions.merge_into_batch(&mut batch, &window);
            self.store.write(batch)?;
            additions.merge_into_cache(&window);
            if few {
                break;
            }
        }
        let mut windows = self.windows.write();
        let additions = Additions::new(window.geometry, &windows.take_recorded());
        additions.merge_into_batch(&mut declaration, &window);
        window.built_entries = window.entry_count() + additions.count();
        let record = window.record();
        record
            .check(plan.fleet.slot_count(), self.params.nonces.is_clocked())
            .map_err(|why| Error::unsound("a window record", why))?;
        declaration.put_cf(&meta, epoch_key(WINDOW_KEY_PREFIX, window.epoch), record.as_bytes());
        for epoch in &plan.replaced {
            declaration.delete_cf(&meta, epoch_key(WINDOW_KEY_PREFIX, *epoch));
            declaration.delete_cf(&meta, epoch_key(ADDED_KEY_PREFIX, *epoch));
        }
        self.store.write_synced(declaration)?;
        // The window is declared even if this fails: a mark that stays costs a rebuild.
        if let Err(error) = self.store.remove_damage_mark() {
            self.note(error.to_string());
        }
        additions.merge_into_cache(&window);
        if let Some(coverage) = &plan.coverage {
            // The write guard blocks admission. From the next packet on the new window is
            // used, and the snapshot holds the hints that the window lacks.
            let last = self.params.max_nonce();
            self.states.update_each(|slot, state| state.reach(coverage.end_of(slot), last));
        }
        windows.end_build();
        Ok(windows.replace(&plan.replaced, Some(window)))
    }

    /// The live slots of `fleet`, now or in a span of time.
    pub(crate) fn live_in<'a>(&'a self, fleet: &'a Fleet, span: Option<Span>) -> FleetStates<'a> {
        FleetStates {
            fleet,
            states: &self.states,
            params: self.params,
            timing: self.timing(),
            span,
            rest: None,
            now_s: self.now_s(),
            coverage: None,
        }
    }
}

/// The plan of a window.
pub(crate) struct WindowPlan<'a> {
    pub(crate) fleet: &'a Arc<Fleet>,
    /// The station time that the window covers; `None` for counters.
    pub(crate) span: Option<Span>,
    /// The nonces of each slot that the window need not hold.
    pub(crate) coverage: Option<SnapshotCoverage>,
    /// The lean record of the window. For clocked nonces, the snapshot holds the whole window.
    pub(crate) lean: Option<LeanRecord>,
    /// The epochs of the windows that this one replaces.
    pub(crate) replaced: Vec<u32>,
    /// Whether an interrupted build is worth resuming: no caller waits for it meanwhile, and
    /// nothing is admitted.
    pub(crate) resumable: bool,
}

impl WindowPlan<'_> {
    /// Leaves the hints of a snapshot out of the window.
    pub(crate) fn leave_to(&mut self, coverage: SnapshotCoverage) {
        self.lean = Some(coverage.lean_record());
        self.coverage = Some(coverage);
    }
}
