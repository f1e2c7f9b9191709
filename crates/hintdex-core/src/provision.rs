//! Devices that come and go.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hintdex_wire::{DeviceId, HintCipher, Slot};
use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use crate::Error;
use crate::bulk::{LiveSlot, LiveSlots};
use crate::fleet::{DeviceRange, Extent};
use crate::index::LiveIndex;
use crate::progress::Report;
use crate::records::{
    ADDED_KEY_PREFIX, ExtentRecord, META_FAMILY, RETIRED, SLOTS_FAMILY, STATES_FAMILY, StateRecord,
    epoch_key, slot_key,
};
use crate::window::{Added, merge_hints};

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
    /// a hint of the whole fleet. `report` counts slots.
    ///
    /// # Errors
    /// [`Error::NoDevices`], [`Error::IdsPastTheLast`], [`Error::SlotsUsedUp`],
    /// [`Error::AlreadyProvisioned`], [`Error::NoSuchKey`], or what the store says.
    pub fn provision(
        &self,
        ranges: &[DeviceRange],
        report: Option<Report<'_>>,
    ) -> Result<Range<Slot>, Error> {
        self.maintain(|| {
            let mut fleet = self.fleet().as_ref().clone();
            let first = fleet.slot_count();
            if ranges.is_empty() {
                return Err(Error::NoDevices);
            }
            let extents =
                ranges.iter().map(|range| fleet.add(*range)).collect::<Result<Vec<_>, _>>()?;
            let slots = Slot(first)..Slot(fleet.slot_count());
            let fleet = Arc::new(fleet);
            let batch = self.extent_rows(&extents)?;

            let live = self.live_in(&fleet);
            let all = live.count_hints();
            let new = u64::from(slots.end.0 - first) * u64::from(self.params.lookahead);
            let few = new <= MAX_ADDED_HINTS && new.saturating_mul(LEAST_GROWTH_TO_ROLL) <= all;
            if few && self.windows().current.is_some() {
                self.add_to_current(&live.live(first..slots.end.0), batch)?;
            } else {
                self.roll_to(&fleet, batch, None, report)?;
            }
            self.states.grow(slots.end.0, StateRecord::fresh(self.params.lookahead));
            self.set_fleet(fleet);
            Ok(slots)
        })
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

    /// Adds the first hints of new slots to the current window, in one batch with their rows.
    fn add_to_current(&self, live: &[LiveSlot], mut batch: WriteBatch) -> Result<(), Error> {
        let mut added: Vec<Added> = Vec::new();
        for LiveSlot { slot, key, nonces } in live {
            let hint_key = self.keys.hint_key(*key).ok_or(Error::NoSuchKey(*key))?;
            let cipher = HintCipher::new(self.params.scheme, &hint_key);
            added.extend(nonces.clone().filter_map(|nonce| Some((cipher.hint(nonce)?, *slot))));
        }
        let windows = self.windows();
        let Some(window) = &windows.current else { return Ok(()) };
        merge_hints(&mut batch, window.hints(), window.geometry, &added);
        let counter = epoch_key(ADDED_KEY_PREFIX, window.epoch);
        batch.merge_cf(
            &self.store.family(META_FAMILY)?,
            counter,
            (added.len() as u64).to_le_bytes(),
        );
        window.entries.fetch_add(added.len() as u64, Ordering::Relaxed);
        self.store.write_synced(batch)
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
                let retired = self.states.update(*slot, |state| {
                    state.flags |= RETIRED;
                    *state
                });
                let state = retired.ok_or(Error::UnknownSlot(*slot))?;
                batch.put_cf(&states, slot_key(*slot), state.as_bytes());
                self.retired_slots.fetch_add(1, Ordering::Relaxed);
            }
            self.store.write_synced(batch)?;
            Ok(slots)
        })
    }
}
