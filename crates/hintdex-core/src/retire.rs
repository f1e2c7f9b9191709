//! Retiring keys, and freeing the slots of keys that nothing refers to any longer.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use hintdex_wire::{DeviceId, KeyId, Slot};
use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use crate::Error;
use crate::device_range::KeyOrigin;
use crate::fleet::{Fleet, FreeRun};
use crate::index::LiveIndex;
use crate::late_rows::delete_late_rows;
use crate::records::{ExtentRecord, Row, SLOTS_FAMILY, STATES_FAMILY, SlotRun, Unsound, slot_key};
use crate::states::{Shard, StateTable};

/// How a key retires.
///
/// ```
/// use hintdex_core::Retirement;
///
/// let on_new_years_day = Retirement::At(1_798_761_600);
/// assert_ne!(on_new_years_day, Retirement::Now);
/// ```
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
    /// # use std::sync::{Arc, PoisonError};
    /// # use hintdex_wire::{DeviceId, HintScheme, MasterKey, Slot};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("index");
    /// # let keys = Arc::new(MasterKey::new(&[7; 32]));
    /// # let params = hintdex_core::Params::counters(HintScheme::Aes128, 16);
    /// # let index = LiveIndex::create(&path, keys.clone(), params, &Options::default())?;
    /// # index.provision(&[DeviceRange::new(DeviceId(0), 10)], None)?;
    /// # let key = index.key(Slot(3)).unwrap();
    /// let arrival = |nonce, received_unix_s| {
    ///     Arrival { slot: Slot(3), key, nonce, hint_key: None, received_unix_s }
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
            let count = self.slot_count();
            if let Some(slot) = slots.iter().find(|slot| slot.0 >= count) {
                return Err(Error::UnknownSlot(*slot));
            }
            // The shards stay locked until the rows are in the log, so that no row of a packet
            // comes in between.
            let shard_bit = |set: u64, slot: &Slot| set | 1 << StateTable::shard_of(*slot);
            let mut shards = self.lock_shards(slots.iter().fold(0, shard_bit));
            let mut batch = WriteBatch::default();
            for slot in slots {
                let shard = shards.get_mut(StateTable::shard_of(*slot) as usize);
                let shard = shard.and_then(Option::as_mut).ok_or(Error::UnknownSlot(*slot))?;
                match self.retire_in(shard, *slot, retirement) {
                    None => {}
                    Some(Ok(row)) => batch.put_cf(&states, slot_key(*slot), row),
                    Some(Err(why)) => {
                        // The states in memory are ahead of the store.
                        return Err(self.store.poison(Error::unsound("a device state", why)));
                    }
                }
            }
            self.store.write_synced(batch)
        })
    }

    /// Retires a slot of a locked shard; returns the bytes of its row, or `None` if nothing
    /// changed.
    fn retire_in(
        &self,
        shard: &mut Shard,
        slot: Slot,
        retirement: Retirement,
    ) -> Option<Result<Row, Unsound>> {
        let place = StateTable::place_of(slot);
        let mut row = shard.row(place)?;
        let state = row.known.state;
        if state.is_free() || (state.is_retired() && retirement != Retirement::Revoked) {
            return None;
        }
        match retirement {
            // The row of a device that is out of service may not be sound.
            Retirement::At(unix_s) if !state.is_out_of_service() => {
                row.end_at(unix_s);
                self.has_ends.store(true, Ordering::Relaxed);
            }
            Retirement::At(_) | Retirement::Now => row.retire(false),
            Retirement::Revoked => row.retire(true),
        }
        if row.known.state.is_retired() && !state.is_retired() {
            self.retired_slots.fetch_add(1, Ordering::Relaxed);
        }
        let bytes = row.write(&self.params);
        shard.set_row(place, row);
        Some(bytes)
    }

    /// Retires the keys whose time has come, and takes the keys of retired slots away, so that
    /// later keys can have the slots: of those whose device has a newer key, and that
    /// `is_needed` is false for. Returns the slots that are free now.
    ///
    /// `is_needed` tells whether a snapshot needs the key of a slot. The newest key of a device
    /// stays, because its generation must not be used again. So do revoked keys, and imported
    /// keys: a list may bring an old one again, and only its record shows that it was used.
    ///
    /// Does nothing while less than a thirty-second of all slots would become free. Costs a
    /// walk over the states.
    ///
    /// # Errors
    /// Those of the store.
    pub fn free_slots(&self, is_needed: impl Fn(Slot) -> bool + Sync) -> Result<Vec<Slot>, Error> {
        let ended = self.states.ended(self.now_s().saturating_sub(MAX_WAIT_S));
        if !ended.is_empty() {
            self.retire_slots(&ended, Retirement::Now)?;
            self.dropped.lock().unwrap_or_else(PoisonError::into_inner).extend(&ended);
        }
        self.maintain(|| {
            let before = self.fleet();
            if !before.has_generations() {
                return Ok(Vec::new());
            }
            let slots = before.keys(0..before.slot_count());
            let is_left = |(slot, key): &(Slot, KeyId)| {
                let state = self.states.get(*slot).map(|known| known.state);
                let extent = before.extent_of(*slot);
                extent.is_some_and(|extent| extent.range.origin == KeyOrigin::Derived)
                    && state.is_some_and(|state| state.is_retired() && !state.is_revoked())
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
            // Every row that a rotation leaves behind was written several times.
            self.store.compact(STATES_FAMILY)?;
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
        let mut old = runs_of(before).peekable();
        for (slot, run) in runs_of(after) {
            while let Some((gone, _)) = old.next_if(|(first, _)| *first < slot) {
                batch.delete_cf(&family, slot_key(gone));
            }
            if old.next_if(|(first, _)| *first == slot).is_none_or(|(_, known)| known != run) {
                batch.put_cf(&family, slot_key(slot), ExtentRecord::from(&run).as_bytes());
            }
        }
        old.for_each(|(gone, _)| batch.delete_cf(&family, slot_key(gone)));
        Ok(())
    }
}

/// How long a packet may wait for its verdict: its time of reception counts.
const MAX_WAIT_S: u64 = 3600;

/// One slot in this many must become free.
const MIN_FREED_SHARE: usize = 32;

/// The runs of a fleet, each with its first slot, in order.
fn runs_of(fleet: &Fleet) -> impl Iterator<Item = (Slot, SlotRun)> {
    let mut free = fleet.free_runs().into_iter().peekable();
    let mut keys = fleet.extents().iter().peekable();
    std::iter::from_fn(move || {
        let next_key = keys.peek().map(|extent| extent.first_slot);
        let is_next = |run: &FreeRun| next_key.is_none_or(|first| run.first_slot < first);
        match free.next_if(is_next) {
            Some(run) => Some((run.first_slot, SlotRun::Free(run))),
            None => keys.next().map(|extent| (extent.first_slot, SlotRun::Keys(*extent))),
        }
    })
}
