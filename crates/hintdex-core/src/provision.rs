//! Adding and retiring devices.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hintdex_wire::{DeviceId, HintCipher, NonceKind, Slot};
use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use crate::Error;
use crate::bulk::{LiveSlot, LiveSlots};
use crate::coverage::{LeanRecord, SnapshotCoverage};
use crate::fleet::{DeviceRange, Extent, Fleet};
use crate::fleet_view::FleetView;
use crate::geometry::Geometry;
use crate::index::LiveIndex;
use crate::progress::Report;
use crate::records::{
    ADDED_KEY_PREFIX, ExtentRecord, META_FAMILY, SLOTS_FAMILY, STATES_FAMILY, SlotState, epoch_key,
    slot_key,
};
use crate::roll::WindowPlan;
use crate::time::Span;
use crate::window::{Added, Additions, Window};

/// With more new hints than this, a new window is built: a batch of them would take tens of
/// megabytes.
const MAX_ADDED_HINTS: u64 = 1 << 18;

/// A fleet that grows by more than an eighth gets a new window with a fitting geometry.
const MIN_GROWTH_TO_ROLL: u64 = 8;

impl LiveIndex {
    /// Adds devices: assigns the next slot to each and adds its first hints to the index.
    /// Returns the slots.
    ///
    /// All of them are added or none, even after a crash. A few devices are added to the
    /// current window. Many devices make the index roll, which costs 0.1 µs a hint of the
    /// whole fleet. If such a roll needs several passes and is interrupted, the same call
    /// continues after the last finished pass, unless a packet was accepted meanwhile.
    /// `report` counts slots, once for each pass.
    ///
    /// # Errors
    /// [`Error::NoDevices`], [`Error::IdsPastTheLast`], [`Error::SlotsUsedUp`],
    /// [`Error::AlreadyProvisioned`], [`Error::NoSuchKey`], or those of the store.
    pub fn provision(
        &self,
        ranges: &[DeviceRange],
        report: Option<Report<'_>>,
    ) -> Result<Range<Slot>, Error> {
        let slots = self.provision_by(ranges, |fleet, batch| {
            let mut plan = self.plan_for(fleet);
            match plan.span {
                Some(_) => self.open_window(&mut plan, batch, report, |_| Ok::<(), Error>(()))?,
                None => self.roll_to(plan, batch, report)?,
            }
            Ok::<_, Error>(None)
        })?;
        // A build of the present window has dropped those of the past and the future. The
        // devices are added even if such a window cannot be built: the next maintenance
        // pass builds it, or reports why it cannot.
        for span in self.missing_spans() {
            if self.open_span(span, None).is_err() {
                break;
            }
        }
        Ok(slots)
    }

    /// [`provision`](Self::provision) for a lean index: where many devices make the index
    /// roll, the new window is lean, and `build` builds the snapshot that it leaves its hints
    /// to.
    ///
    /// `build` gets the slots with the new devices among them and, with clocked nonces, the
    /// present span. The snapshot holds their coming hints, and stays unused until this call
    /// returns. With clocked nonces, only the id of the returned coverage counts. The present
    /// window is then the only one; the caller opens the others. A few devices are added to
    /// the present windows, and `build` is not called.
    ///
    /// ```
    /// use hintdex_core::{DeviceRange, Error, FleetView, SnapshotCoverage};
    /// # use hintdex_core::{LiveIndex, Options, Params};
    /// # use hintdex_wire::{DeviceId, HintScheme, MasterKey};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("index");
    /// # let keys = std::sync::Arc::new(MasterKey::new(&[7; 32]));
    /// # let params = Params::counters(HintScheme::Aes128, 16);
    /// # let index = LiveIndex::create(&path, keys, params, &Options::default())?;
    ///
    /// // Builds a snapshot of the next 64 hints of each device of the view.
    /// let build = |view: &FleetView<'_>, _: Option<&_>| {
    ///     let coming = view.coming_nonces(64, None);
    ///     assert_eq!((view.slot_count(), coming.len()), (100, 100));
    ///     let snapshot = *b"a snapshot's id!";
    ///     let first_nonces = coming.iter().map(|(_, nonces)| Some(nonces.start)).collect();
    ///     Ok::<_, Error>(SnapshotCoverage { snapshot, first_nonces, horizon_nonces: 64 })
    /// };
    /// index.provision_lean(&[DeviceRange::new(DeviceId(0), 100)], None, build)?;
    /// let stats = index.stats()?;
    /// assert_eq!((stats.hints, stats.entries), (6400, 0));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`provision`](Self::provision) and of `build`, and
    /// [`Error::HorizonTooShort`].
    pub fn provision_lean<E: From<Error> + Send>(
        &self,
        ranges: &[DeviceRange],
        report: Option<Report<'_>>,
        build: impl FnOnce(&FleetView<'_>, Option<&Span>) -> Result<SnapshotCoverage, E> + Send,
    ) -> Result<Range<Slot>, E> {
        self.provision_by(ranges, |fleet, batch| {
            let mut plan = self.plan_for(fleet);
            self.open_window(&mut plan, batch, report, |plan| {
                let coverage = build(&self.view_of(fleet.clone()), plan.span.as_ref())?;
                if plan.span.is_some() {
                    plan.lean = Some(LeanRecord::of_span(coverage.snapshot, fleet.slot_count()));
                } else {
                    self.check_horizon(&coverage)?;
                    plan.leave_to(coverage);
                }
                Ok::<(), E>(())
            })?;
            self.count_roll();
            Ok(plan.coverage)
        })
    }

    /// Adds devices. `rebuild` builds and declares a window of the grown fleet, in one batch
    /// with the rows of its slots, and returns what the window leaves to a snapshot.
    fn provision_by<E: From<Error> + Send>(
        &self,
        ranges: &[DeviceRange],
        rebuild: impl FnOnce(&Arc<Fleet>, WriteBatch) -> Result<Option<SnapshotCoverage>, E> + Send,
    ) -> Result<Range<Slot>, E> {
        self.maintain(|| {
            let mut fleet = self.fleet().as_ref().clone();
            let first = fleet.slot_count();
            if ranges.is_empty() {
                return Err(Error::NoDevices.into());
            }
            let now_s = self.now_s();
            let extents = fleet.add(ranges.iter().map(|range| (*range, now_s)))?;
            let batch = self.extent_rows(extents)?;
            let slots = Slot(first)..Slot(fleet.slot_count());
            let fleet = Arc::new(fleet);
            let coverage = if self.makes_roll(&fleet, first) {
                rebuild(&fleet, batch)?
            } else {
                self.add_to_windows(&fleet, first..slots.end.0, batch)?;
                None
            };
            self.states.grow(slots.end.0, SlotState::fresh(&self.params, now_s));
            let last = self.params.max_nonce();
            if let Some(coverage) = &coverage {
                for slot in (first..slots.end.0).map(Slot) {
                    let end = coverage.end_of(slot);
                    self.states.update(slot, |row| row.known.state.reach(end, last));
                }
            }
            self.set_fleet(fleet);
            Ok(slots)
        })
    }

    /// Whether the devices of `fleet` from the slot `first` on are so many that the index
    /// rolls, or whether the present windows cannot take them.
    fn makes_roll(&self, fleet: &Fleet, first: u32) -> bool {
        let new = u64::from(fleet.slot_count() - first);
        let grows_much = new.saturating_mul(MIN_GROWTH_TO_ROLL) > u64::from(fleet.slot_count());
        new * self.hints_per_slot() > MAX_ADDED_HINTS || grows_much || self.would_be_overfull(fleet)
    }

    /// The plan of the window of a grown fleet: with clocked nonces the present one, and
    /// drops the others. An interrupted build can be resumed.
    fn plan_for<'a>(&self, fleet: &'a Arc<Fleet>) -> WindowPlan<'a> {
        let is_clocked = self.params.nonces.is_clocked();
        let span = is_clocked.then(|| self.timing().span_at(self.now_s()));
        WindowPlan { span, resumable: true, ..self.replacing_all(fleet) }
    }

    /// Whether there is no window, or a damaged one, or one whose buckets would have four times
    /// as many hints as those of a window built for `fleet`: the fleet grew in small steps.
    fn would_be_overfull(&self, fleet: &Fleet) -> bool {
        let declared = self.windows.declared();
        let windows = declared.len() as u64;
        let hints = u64::from(fleet.slot_count()) * self.hints_per_slot();
        let is_overfull = |window: &Window| {
            // A lean window has what was added to it, whatever the snapshot holds.
            let is_lean = window.lean.is_some();
            let held = if is_lean { window.entry_count() } else { hints / windows.max(1) };
            let made_for_it = Geometry::for_hints(held, self.params.scheme);
            window.geometry.prefix_bits() + 2 <= made_for_it.prefix_bits()
        };
        let needs_another = |window: &Arc<Window>| window.is_damaged() || is_overfull(window);
        windows == 0 || declared.iter().any(needs_another)
    }

    /// The approximate number of hints that a new slot has in all windows.
    fn hints_per_slot(&self) -> u64 {
        let units = |window: &Window| {
            let span = window.span.as_ref()?;
            Some((span.end - span.start) / u64::from(self.params.nonces.unit_s().max(1)))
        };
        let declared = self.windows.declared();
        let steps: u64 = declared.iter().map(AsRef::as_ref).filter_map(units).sum();
        match self.params.nonces {
            NonceKind::Step(_) => steps,
            _ => u64::from(self.params.lookahead),
        }
    }

    fn extent_rows(&self, extents: &[Extent]) -> Result<WriteBatch, Error> {
        let slots = self.store.family(SLOTS_FAMILY)?;
        let mut batch = WriteBatch::default();
        for extent in extents {
            batch.put_cf(
                &slots,
                slot_key(extent.first_slot),
                ExtentRecord::from(extent).as_bytes(),
            );
        }
        Ok(batch)
    }

    /// Adds the first hints of new slots to every window, in one batch with the slots' rows.
    fn add_to_windows(
        &self,
        fleet: &Arc<Fleet>,
        slots: Range<u32>,
        mut batch: WriteBatch,
    ) -> Result<(), Error> {
        if self.params.nonces.is_clocked() {
            self.note_slots(&mut batch, slots.end)?;
        }
        let windows = self.windows.read();
        let mut all = Vec::new();
        for window in windows.declared.iter() {
            let mut added: Vec<Added> = Vec::new();
            let live = self.live_in(fleet, window.span.clone()).live(slots.clone());
            for LiveSlot { slot, key, nonces } in live {
                let hint_key = self.keys.hint_key(key).ok_or(Error::NoSuchKey(key))?;
                let cipher = HintCipher::new(self.params.scheme, &hint_key);
                cipher.each_hint(nonces, |hint| added.push((hint, slot)));
            }
            let additions = Additions::new(window.geometry, &added);
            additions.merge_into_batch(&mut batch, window);
            let counter = epoch_key(ADDED_KEY_PREFIX, window.epoch);
            let count = additions.count().to_le_bytes();
            batch.merge_cf(&self.store.family(META_FAMILY)?, counter, count);
            all.push((window, additions));
        }
        self.store.write_synced(batch)?;
        all.iter().for_each(|(window, additions)| additions.merge_into_cache(window));
        Ok(())
    }

    /// Retires every key of `device`: its packets are not accepted from now on, also after a
    /// restart. Its id cannot be provisioned again with the same generation.
    ///
    /// Its hints stay in the current window until the next roll, and name a slot that admits
    /// nothing. Returns the slots, so that the caller can drop their keys.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`], or those of the store.
    pub fn retire(&self, device: DeviceId) -> Result<Vec<Slot>, Error> {
        self.maintain(|| {
            let slots = self.slots(device);
            if slots.is_empty() {
                return Err(Error::UnknownDevice(device));
            }
            let states = self.store.family(STATES_FAMILY)?;
            // All keys of the device or none. They are retired in memory first, so that
            // admission leaves their rows alone meanwhile.
            let mut batch = WriteBatch::default();
            for slot in slots.iter().filter(|slot| !self.is_retired(**slot)) {
                let row = self.states.update(*slot, |row| {
                    row.known.state.retire();
                    row.write(&self.params)
                });
                let row = row.ok_or(Error::UnknownSlot(*slot))?;
                let row = row.map_err(|why| Error::unsound("a device state", why))?;
                batch.put_cf(&states, slot_key(*slot), row);
                self.retired_slots.fetch_add(1, Ordering::Relaxed);
            }
            self.store.write_synced(batch)?;
            Ok(slots)
        })
    }
}
