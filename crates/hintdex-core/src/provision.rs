//! Adding keys: of new devices, and later keys of devices that the fleet has.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hintdex_wire::{DeviceId, NonceKind, Slot};
use rocksdb::WriteBatch;

use crate::Error;
use crate::bulk::{LiveSlot, LiveSlots};
use crate::coverage::{LeanRecord, SnapshotCoverage};
use crate::device_range::DeviceRange;
use crate::fleet::{Extent, Fleet, NewKeys};
use crate::fleet_view::FleetView;
use crate::geometry::Geometry;
use crate::index::LiveIndex;
use crate::progress::Report;
use crate::records::{
    ADDED_KEY_PREFIX, META_FAMILY, STATES_FAMILY, SlotRow, SlotState, epoch_key, slot_key,
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
        let new = self.new_keys(ranges, 0)?;
        let added = self.add_full(|fleet| appended(fleet, &new), report)?;
        Ok(bounds(&added))
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
        let new = self.new_keys(ranges, 0)?;
        let added = self.add_lean(|fleet| appended(fleet, &new), report, build)?;
        Ok(bounds(&added))
    }

    /// Adds the next keys of devices that the fleet has, each of a generation above those of
    /// its device. Returns the slots, which may have had other keys before.
    ///
    /// The first packet under the new key of a device retires its older keys, in one write with
    /// the packet. With a grace, they stay valid for that long; at most 136 years. All keys
    /// are added or none, even after a crash.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`] for a device without an earlier key, [`Error::GenerationPassed`]
    /// if a key is not newer than those of its device; else those of
    /// [`provision`](Self::provision).
    pub fn renew(
        &self,
        ranges: &[DeviceRange],
        grace_s: u32,
        report: Option<Report<'_>>,
    ) -> Result<Vec<Range<Slot>>, Error> {
        let new = self.new_keys(ranges, grace_s)?;
        self.add_full(|fleet| renewed(fleet, &new), report)
    }

    /// [`renew`](Self::renew) for a lean index. See [`provision_lean`](Self::provision_lean).
    ///
    /// # Errors
    /// Those of [`renew`](Self::renew) and of `build`, and [`Error::HorizonTooShort`].
    pub fn renew_lean<E: From<Error> + Send>(
        &self,
        ranges: &[DeviceRange],
        grace_s: u32,
        report: Option<Report<'_>>,
        build: impl FnOnce(&FleetView<'_>, Option<&Span>) -> Result<SnapshotCoverage, E> + Send,
    ) -> Result<Vec<Range<Slot>>, E> {
        let new = self.new_keys(ranges, grace_s)?;
        self.add_lean(|fleet| renewed(fleet, &new), report, build)
    }

    fn new_keys(&self, ranges: &[DeviceRange], grace_s: u32) -> Result<Vec<NewKeys>, Error> {
        if ranges.is_empty() {
            return Err(Error::NoDevices);
        }
        let provisioned_unix_s = self.now_s();
        let keys = |range: &DeviceRange| NewKeys { range: *range, provisioned_unix_s, grace_s };
        Ok(ranges.iter().map(keys).collect())
    }

    /// Adds keys to an index whose windows are full.
    fn add_full(
        &self,
        change: impl FnOnce(&Fleet) -> Result<Fleet, Error> + Send,
        report: Option<Report<'_>>,
    ) -> Result<Vec<Range<Slot>>, Error> {
        let slots = self.add_by(change, |growth, batch| {
            let mut plan = self.plan_for(&growth.fleet);
            match plan.span {
                Some(_) => self.open_window(&mut plan, batch, report, |_| Ok::<(), Error>(()))?,
                None => self.roll_to(plan, batch, report)?,
            }
            Ok::<_, Error>(None)
        })?;
        // A build of the present window has dropped those of the past and the future. The
        // keys are added even if such a window cannot be built: the next maintenance
        // pass builds it, or reports why it cannot.
        for span in self.missing_spans() {
            if self.open_span(span, None).is_err() {
                break;
            }
        }
        Ok(slots)
    }

    /// Adds keys to an index whose windows are lean.
    fn add_lean<E: From<Error> + Send>(
        &self,
        change: impl FnOnce(&Fleet) -> Result<Fleet, Error> + Send,
        report: Option<Report<'_>>,
        build: impl FnOnce(&FleetView<'_>, Option<&Span>) -> Result<SnapshotCoverage, E> + Send,
    ) -> Result<Vec<Range<Slot>>, E> {
        self.add_by(change, |growth, batch| {
            let fleet = &growth.fleet;
            let mut plan = self.plan_for(fleet);
            self.open_window(&mut plan, batch, report, |plan| {
                let view = self.view_of(fleet.clone(), growth.new.clone());
                let coverage = build(&view, plan.span.as_ref())?;
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

    /// Adds keys by a `change` of the fleet. `rebuild` builds and declares a window of the
    /// changed fleet, in one batch with the rows of its slots, and returns what the window
    /// leaves to a snapshot.
    fn add_by<E: From<Error> + Send>(
        &self,
        change: impl FnOnce(&Fleet) -> Result<Fleet, Error> + Send,
        rebuild: impl FnOnce(&Growth, WriteBatch) -> Result<Option<SnapshotCoverage>, E> + Send,
    ) -> Result<Vec<Range<Slot>>, E> {
        self.maintain(|| {
            let before = self.fleet();
            let growth = Growth::between(&before, change(&before)?);
            let fresh = SlotState::fresh(&self.params, self.now_s());
            let batch = self.rows_of(&before, &growth, fresh)?;
            let coverage = if self.makes_roll(&growth) {
                rebuild(&growth, batch)?
            } else {
                self.add_to_windows(&growth, batch)?;
                None
            };
            let last = self.params.max_nonce();
            let known = before.slot_count();
            for slots in &growth.new {
                let reused = slots.end.0.min(known).saturating_sub(slots.start.0);
                self.retired_slots.fetch_sub(reused.into(), Ordering::Relaxed);
                self.states.assign(slots.start.0..slots.end.0, fresh);
                let Some(coverage) = &coverage else { continue };
                for slot in (slots.start.0..slots.end.0).map(Slot) {
                    let end = coverage.end_of(slot);
                    self.states.update(slot, |row| row.known.state.reach(end, last));
                }
            }
            self.successors.find(&self.states, &growth.fleet, &growth.new);
            self.set_fleet(growth.fleet);
            Ok(growth.new)
        })
    }

    /// Whether the new keys are so many that the index rolls, or whether the present windows
    /// cannot take them.
    fn makes_roll(&self, growth: &Growth) -> bool {
        let (new, slots) = (growth.new_count(), u64::from(growth.fleet.slot_count()));
        let grows_much = new.saturating_mul(MIN_GROWTH_TO_ROLL) > slots;
        let adds_much = new.saturating_mul(self.hints_per_slot()) > MAX_ADDED_HINTS;
        adds_much || grows_much || self.would_be_overfull(&growth.fleet)
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

    /// The rows of a fleet that grows: those of its runs of slots, and the states of new keys in
    /// slots that had other keys.
    fn rows_of(
        &self,
        before: &Fleet,
        growth: &Growth,
        fresh: SlotState,
    ) -> Result<WriteBatch, Error> {
        let mut batch = WriteBatch::default();
        self.put_runs(&mut batch, before, &growth.fleet)?;
        let states = self.store.family(STATES_FAMILY)?;
        let row = SlotRow::of(fresh).write(&self.params);
        let row = row.map_err(|why| Error::unsound("a device state", why))?;
        for slots in &growth.new {
            // A slot without a row may be one that the snapshot of the present window holds.
            let reused = slots.start.0..slots.end.0.min(before.slot_count());
            reused.for_each(|slot| batch.put_cf(&states, slot_key(Slot(slot)), &row));
        }
        Ok(batch)
    }

    /// Adds the first hints of new keys to every window, in one batch with the slots' rows.
    fn add_to_windows(&self, growth: &Growth, mut batch: WriteBatch) -> Result<(), Error> {
        let fleet = &growth.fleet;
        if self.params.nonces.is_clocked() {
            self.note_slots(&mut batch, fleet.slot_count())?;
        }
        let windows = self.windows.read();
        let mut all = Vec::new();
        for window in windows.declared.iter() {
            let mut added: Vec<Added> = Vec::new();
            let states = self.live_in(fleet, window.span.clone());
            let live = growth.new.iter().flat_map(|new| states.live(new.start.0..new.end.0));
            for LiveSlot { slot, key, nonces } in live {
                let add = |hint| added.push((hint, slot));
                if !self.params.each_hint(self.keys.as_ref(), key, nonces, add) {
                    return Err(Error::NoSuchKey(key));
                }
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
}

/// A fleet with new keys.
struct Growth {
    fleet: Arc<Fleet>,
    /// The slots of the new keys, in order.
    new: Vec<Range<Slot>>,
}

impl Growth {
    /// What `after` has more than `before`, whose extents it has all.
    fn between(before: &Fleet, after: Fleet) -> Self {
        let mut known = before.extents().iter().peekable();
        let is_new = |extent: &&Extent| known.next_if_eq(extent).is_none();
        let slots = |extent: &Extent| extent.first_slot..Slot(extent.end_slot());
        let new = after.extents().iter().filter(is_new).map(slots).collect();
        Self { fleet: Arc::new(after), new }
    }

    fn new_count(&self) -> u64 {
        self.new.iter().map(|slots| u64::from(slots.end.0 - slots.start.0)).sum()
    }
}

/// `fleet` with keys of devices that have no later key.
fn appended(fleet: &Fleet, new: &[NewKeys]) -> Result<Fleet, Error> {
    match new.iter().find_map(|keys| fleet.newer_than(&keys.range)) {
        Some((first, last)) => Err(Error::AlreadyProvisioned { first, last }),
        None => fleet.with_appended(new),
    }
}

/// `fleet` with new keys of devices that it has.
fn renewed(fleet: &Fleet, new: &[NewKeys]) -> Result<Fleet, Error> {
    for NewKeys { range, .. } in new {
        for device in (range.first.0..=range.last().0).map(DeviceId) {
            let newest = fleet.slots(device).last().and_then(|slot| fleet.key(*slot));
            let newest = newest.ok_or(Error::UnknownDevice(device))?;
            if newest.generation >= range.generation {
                let (given, newest) = (range.generation, newest.generation);
                return Err(Error::GenerationPassed { device, given, newest });
            }
        }
    }
    fleet.with_renewed(new)
}

/// The range from the first slot to the last.
fn bounds(slots: &[Range<Slot>]) -> Range<Slot> {
    let first = slots.first().map_or(Slot(0), |slots| slots.start);
    first..slots.last().map_or(first, |slots| slots.end)
}
