//! Devices that come and go.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hintdex_wire::{DeviceId, HintCipher, NonceKind, Slot};
use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use crate::Error;
use crate::bulk::{LiveSlot, LiveSlots};
use crate::fleet::{DeviceRange, Extent, Fleet};
use crate::geometry::Geometry;
use crate::index::LiveIndex;
use crate::progress::Report;
use crate::records::{
    ADDED_KEY_PREFIX, ExtentRecord, META_FAMILY, SLOTS_FAMILY, STATES_FAMILY, epoch_key, slot_key,
};
use crate::roll::Plan;
use crate::window::{Added, Additions, Window};

/// Hints above which devices are not added to the current window: the batch
/// would take tens of megabytes.
const MAX_ADDED_HINTS: u64 = 1 << 18;

/// A fleet that grows by more than an eighth gets a window of the right geometry.
const LEAST_GROWTH_TO_ROLL: u64 = 8;

impl LiveIndex {
    /// Adds devices: gives each the next slot and puts its first hints into the
    /// index. Returns the slots.
    ///
    /// All of them are added or none, whatever happens. Few beside the fleet are
    /// added to the current window; many make the index roll, which costs 0.1 µs
    /// a hint of the whole fleet. If that does not fit into the memory at once and is
    /// cut off by a crash, the same call goes on from its last finished part, unless
    /// something was accepted meanwhile. `report` counts slots, once for each part.
    ///
    /// # Errors
    /// [`Error::NoDevices`], [`Error::IdsPastTheLast`], [`Error::SlotsUsedUp`],
    /// [`Error::AlreadyProvisioned`], [`Error::NoSuchKey`], or what the store says.
    pub fn provision(
        &self,
        ranges: &[DeviceRange],
        report: Option<Report<'_>>,
    ) -> Result<Range<Slot>, Error> {
        let slots = self.maintain(|| {
            let mut fleet = self.fleet().as_ref().clone();
            let first = fleet.slot_count();
            if ranges.is_empty() {
                return Err(Error::NoDevices);
            }
            let now_s = self.now_s();
            let extents = fleet.add(ranges.iter().map(|range| (*range, now_s)))?;
            let batch = self.extent_rows(extents)?;
            let slots = Slot(first)..Slot(fleet.slot_count());
            let fleet = Arc::new(fleet);

            let new = u64::from(slots.end.0 - first) * self.hints_a_slot();
            let grows_much = u64::from(slots.end.0 - first).saturating_mul(LEAST_GROWTH_TO_ROLL)
                > u64::from(fleet.slot_count());
            if new > MAX_ADDED_HINTS || grows_much || self.would_be_crowded(&fleet) {
                self.rebuild_for(&fleet, batch, report)?;
            } else {
                self.add_to_windows(&fleet, first..slots.end.0, batch)?;
            }
            self.states.grow(slots.end.0, self.params.fresh(now_s));
            self.set_fleet(fleet);
            Ok(slots)
        })?;
        // Those of the past and of the future, which went when the present one was built.
        // The devices are there: whoever keeps the windows builds one that fails here, and
        // tells why it cannot be built.
        for span in self.missing_spans() {
            if self.open_span(span, None).is_err() {
                break;
            }
        }
        Ok(slots)
    }

    /// Whether there is no window, or a damaged one, or one whose buckets would have four times as many hints
    /// as one that was made for `fleet`: it grew in small steps.
    fn would_be_crowded(&self, fleet: &Fleet) -> bool {
        let declared = self.windows.declared();
        let windows = declared.len() as u64;
        let hints = u64::from(fleet.slot_count()) * self.hints_a_slot();
        let made_for_it = Geometry::for_hints(hints / windows.max(1), self.params.scheme);
        let is_crowded =
            |window: &Window| window.geometry.prefix_bits() + 2 <= made_for_it.prefix_bits();
        let needs_another = |window: &Arc<Window>| window.is_damaged() || is_crowded(window);
        windows == 0 || declared.iter().any(needs_another)
    }

    /// How many hints a new slot has in the windows, about.
    fn hints_a_slot(&self) -> u64 {
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

    /// Builds the window of a grown fleet: where nonces tell time the present one, and
    /// the others go. If that is cut off, the next try goes on.
    fn rebuild_for(
        &self,
        fleet: &Arc<Fleet>,
        batch: WriteBatch,
        report: Option<Report<'_>>,
    ) -> Result<(), Error> {
        let plan = Plan { may_go_on: true, ..self.replacing_all(fleet, None) };
        if !self.params.nonces.tells_time() {
            return self.roll_to(plan, batch, report);
        }
        let span = Some(self.timing().span_at(self.now_s()));
        self.open_window(Plan { span, ..plan }, batch, report, |_| Ok(()))
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

    /// Adds the first hints of new slots to every window, in one batch with their rows.
    fn add_to_windows(
        &self,
        fleet: &Arc<Fleet>,
        slots: Range<u32>,
        mut batch: WriteBatch,
    ) -> Result<(), Error> {
        if self.params.nonces.tells_time() {
            self.note_slots(&mut batch, slots.end)?;
        }
        let windows = self.windows.adding();
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
            additions.merge(&mut batch, window);
            let counter = epoch_key(ADDED_KEY_PREFIX, window.epoch);
            let count = additions.count().to_le_bytes();
            batch.merge_cf(&self.store.family(META_FAMILY)?, counter, count);
            all.push((window, additions));
        }
        self.store.write_synced(batch)?;
        all.iter().for_each(|(window, additions)| additions.take_in(window));
        Ok(())
    }

    /// Retires every key of `device`: nothing it sends is accepted from now on,
    /// through restarts too. Its id is not free again for the same keys.
    ///
    /// Its hints stay in the current window until the next roll and name a slot
    /// that admits nothing. Returns the slots, so that their keys can be forgotten.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`], or what the store says.
    pub fn retire(&self, device: DeviceId) -> Result<Vec<Slot>, Error> {
        self.maintain(|| {
            let slots = self.slots(device);
            if slots.is_empty() {
                return Err(Error::UnknownDevice(device));
            }
            let states = self.store.family(STATES_FAMILY)?;
            // All keys of the device or none. In memory they are retired first: who
            // admits meanwhile leaves the row alone.
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
