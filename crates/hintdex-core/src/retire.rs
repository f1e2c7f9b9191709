//! Retiring keys, and freeing the slots of keys that nothing refers to any longer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hintdex_wire::{DeviceId, KeyId, Slot};
use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use crate::Error;
use crate::fleet::Fleet;
use crate::index::LiveIndex;
use crate::late_rows::delete_late_rows;
use crate::records::{
    ExtentRecord, Row, SLOTS_FAMILY, STATES_FAMILY, SlotRow, SlotRun, Unsound, slot_key,
};

/// How a key retires.
///
/// See the example of [`LiveIndex::retire_slots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// At once.
    Now,
    /// At this time of reception, in seconds since 1970, or earlier if the key was to retire
    /// earlier.
    At(u64),
    /// At once, and its slot never gets another key: the key is remembered as revoked.
    Revoked,
}

impl LiveIndex {
    /// Retires every key of `device`: its packets are not accepted from now on, also after a
    /// restart. Its id cannot be provisioned again with the same generation.
    ///
    /// Its hints stay in the current window until the next roll, and name a slot that admits
    /// nothing. Returns the slots, so that the caller can drop their keys.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`], or those of the store.
    pub fn retire(&self, device: DeviceId) -> Result<Vec<Slot>, Error> {
        let slots = self.slots(device);
        if slots.is_empty() {
            return Err(Error::UnknownDevice(device));
        }
        self.retire_slots(&slots, Retirement::Now)?;
        Ok(slots)
    }

    /// Retires the keys of `slots`: all of them, or none. A key that is retired stays retired.
    ///
    /// ```
    /// use hintdex_core::{Admission, Arrival, Retirement};
    /// # use hintdex_core::{DeviceRange, LiveIndex, Options};
    /// # use hintdex_wire::KeySource;
    /// # use std::sync::Arc;
    /// # use hintdex_wire::{DeviceId, HintScheme, MasterKey, Slot};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("index");
    /// # let keys = Arc::new(MasterKey::new(&[7; 32]));
    /// # let params = hintdex_core::Params::counters(HintScheme::Aes128, 16);
    /// # let index = LiveIndex::create(&path, keys.clone(), params, &Options::default())?;
    /// # index.provision(&[DeviceRange::new(DeviceId(0), 10)], None)?;
    /// # let key = index.key(Slot(3)).unwrap();
    /// # let hint_key = &keys.hint_key(key).unwrap();
    /// let arrival = |nonce, received_unix_s| {
    ///     Arrival { slot: Slot(3), key, nonce, hint_key, received_unix_s }
    /// };
    /// index.retire_slots(&[Slot(3)], Retirement::At(1_900_000_000))?;
    /// assert_eq!(index.admit(&arrival(0, 1_899_999_999))?, Admission::Accepted);
    /// assert_eq!(index.admit(&arrival(1, 1_900_000_000))?, Admission::Retired);
    /// # Ok::<(), hintdex_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownSlot`], or those of the store.
    pub fn retire_slots(&self, slots: &[Slot], retirement: Retirement) -> Result<(), Error> {
        self.maintain(|| {
            let states = self.store.family(STATES_FAMILY)?;
            // They are retired in memory first, so that admission leaves their rows alone
            // meanwhile.
            let mut batch = WriteBatch::default();
            for slot in slots {
                let row = self.states.update(*slot, |row| self.retire_row(row, retirement));
                match row.ok_or(Error::UnknownSlot(*slot))? {
                    None => {}
                    Some(Ok(row)) => batch.put_cf(&states, slot_key(*slot), row),
                    Some(Err(why)) => return Err(Error::unsound("a device state", why)),
                }
            }
            self.store.write_synced(batch)
        })
    }

    /// Retires a row; returns its bytes, or `None` if nothing changed.
    fn retire_row(
        &self,
        row: &mut SlotRow,
        retirement: Retirement,
    ) -> Option<Result<Row, Unsound>> {
        let state = row.known.state;
        if state.is_free() || (state.is_retired() && retirement != Retirement::Revoked) {
            return None;
        }
        match retirement {
            // The row of a device that is out of service may not be sound.
            Retirement::At(unix_s) if !state.is_out_of_service() => row.end_at(unix_s),
            Retirement::At(_) | Retirement::Now => row.retire(false),
            Retirement::Revoked => row.retire(true),
        }
        if row.known.state.is_retired() && !state.is_retired() {
            self.retired_slots.fetch_add(1, Ordering::Relaxed);
        }
        Some(row.write(&self.params))
    }

    /// Retires the keys whose time has come, and takes the keys of retired slots away, so that
    /// later keys can have the slots: of those whose device has a newer key, and that
    /// `is_needed` is false for. Returns the slots that are free now.
    ///
    /// `is_needed` tells whether a snapshot needs the key of a slot. The newest key of a device
    /// stays, because its generation must not be used again; so do revoked keys.
    ///
    /// Does nothing while less than a thirty-second of all slots would become free. Costs a
    /// walk over the states.
    ///
    /// # Errors
    /// Those of the store.
    pub fn free_slots(&self, is_needed: impl Fn(Slot) -> bool + Sync) -> Result<Vec<Slot>, Error> {
        let ended = self.states.ended(self.now_s());
        if !ended.is_empty() {
            self.retire_slots(&ended, Retirement::Now)?;
        }
        self.maintain(|| {
            let before = self.fleet();
            if !before.has_generations() {
                return Ok(Vec::new());
            }
            let slots = before.keys(0..before.slot_count());
            let is_left = |(slot, key): &(Slot, KeyId)| {
                let state = self.states.get(*slot).map(|known| known.state);
                state.is_some_and(|state| state.is_retired() && !state.is_revoked())
                    && before.slots(key.device).last() != Some(slot)
                    && !is_needed(*slot)
            };
            let left: Vec<Slot> = slots.filter(is_left).map(|(slot, _)| slot).collect();
            if left.len() * MIN_FREED_SHARE < before.slot_count() as usize {
                return Ok(Vec::new());
            }
            let after = Arc::new(before.without(&left)?);
            let mut batch = WriteBatch::default();
            self.put_runs(&mut batch, &before, &after)?;
            let states = self.store.family(STATES_FAMILY)?;
            let has_late_rows = self.settings().is_some_and(|known| known.may_have_late_rows());
            for slot in &left {
                batch.delete_cf(&states, slot_key(*slot));
                if has_late_rows {
                    delete_late_rows(&mut batch, &states, *slot);
                }
            }
            self.store.write_synced(batch)?;
            self.states.free(&left);
            self.set_fleet(after);
            Ok(left)
        })
    }

    /// Replaces the rows of the runs of `before` by those of `after`.
    pub(crate) fn put_runs(
        &self,
        batch: &mut WriteBatch,
        before: &Fleet,
        after: &Fleet,
    ) -> Result<(), Error> {
        let family = self.store.family(SLOTS_FAMILY)?;
        let (old, new) = (runs_of(before), runs_of(after));
        for (slot, run) in &new {
            if old.get(slot) != Some(run) {
                batch.put_cf(&family, slot_key(*slot), ExtentRecord::from(run).as_bytes());
            }
        }
        for slot in old.keys().filter(|slot| !new.contains_key(slot)) {
            batch.delete_cf(&family, slot_key(*slot));
        }
        Ok(())
    }
}

/// One slot in this many must become free.
const MIN_FREED_SHARE: usize = 32;

/// The runs of a fleet, each by its first slot.
fn runs_of(fleet: &Fleet) -> BTreeMap<Slot, SlotRun> {
    let keys = fleet.extents().iter().map(|extent| (extent.first_slot, SlotRun::Keys(*extent)));
    let free = fleet.free_runs().into_iter().map(|run| (run.first_slot, SlotRun::Free(run)));
    keys.chain(free).collect()
}
