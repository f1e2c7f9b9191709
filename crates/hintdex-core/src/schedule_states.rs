//! The states of slots whose packets follow a schedule, for the queue of coming arrivals.

use std::ops::Range;

use hintdex_wire::{KeyId, Nonce, Slot};

use crate::fleet::Fleet;
use crate::index::LiveIndex;
use crate::records::SlotState;
use crate::time::ScheduleClock;

/// The slots whose states are copied at a time.
const SLOTS_AT_ONCE: u32 = 16 << 10;

/// The state of a slot, as far as the times of its packets depend on it.
///
/// See the example of [`LiveIndex::schedule_states`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleState {
    /// The device, and the generation of its key.
    pub key: KeyId,
    /// One more than the highest accepted nonce; 0 before the first.
    pub next_nonce: Nonce,
    /// The clock of the device, set by the packet of the highest accepted nonce. `None` before the
    /// first packet, and after a transfer without a clock.
    pub clock: Option<ScheduleClock>,
}

impl LiveIndex {
    /// The state of each slot, in order; `None` for a slot of which no packet is accepted.
    ///
    /// Costs 50 ns a slot. The states are not of one moment.
    ///
    /// ```
    /// use hintdex_core::{
    ///     Admission, Arrival, DeviceRange, LiveIndex, Options, Params, Request, ScheduleState,
    ///     ScheduleTolerance, Sighting,
    /// };
    /// # use hintdex_wire::{DeviceId, MasterKey, Schedule, Slot};
    /// # use std::sync::Arc;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("index");
    /// # let keys = Arc::new(MasterKey::new(&[7; 32]));
    ///
    /// let schedule = Schedule::new(600_000, 4_200_000).unwrap();
    /// let tolerance = ScheduleTolerance { jitter_ms: 50, max_drift_ppm: 30 };
    /// let params = Params::scheduled(schedule, None, tolerance);
    /// let index = LiveIndex::create(&path, keys, params, &Options::default())?;
    /// index.provision(&[DeviceRange::new(DeviceId(0), 10)], None)?;
    ///
    /// // The first packet of slot 3 sets the clock of its device.
    /// let key = index.key(Slot(3)).unwrap();
    /// let arrival = Arrival { slot: Slot(3), key, nonce: 0, hint_key: None, received_unix_s: 1_764_000_000 };
    /// let seen = Sighting { received_ms: 1_764_000_000_250, clock_ms: 0 };
    /// let admitted = index.admit_requests(&[arrival], &[Request::AdmitSeen(seen)])?;
    /// assert_eq!(admitted, [Admission::Accepted]);
    /// let states: Vec<Option<ScheduleState>> = index.schedule_states();
    /// let ScheduleState { next_nonce, clock, .. } = states[3].unwrap();
    /// assert_eq!((next_nonce, clock.unwrap().heard_ms), (1, 1_764_000_000_250));
    /// assert!(states[4].unwrap().clock.is_none());
    /// # Ok::<(), hintdex_core::Error>(())
    /// ```
    pub fn schedule_states(&self) -> Vec<Option<ScheduleState>> {
        let fleet = self.fleet();
        let firsts = (0..fleet.slot_count()).step_by(SLOTS_AT_ONCE as usize);
        let mut all = Vec::with_capacity(fleet.slot_count() as usize);
        for first in firsts {
            let end = fleet.slot_count().min(first.saturating_add(SLOTS_AT_ONCE));
            all.extend(self.schedule_states_of(&fleet, first..end));
        }
        all
    }

    /// The state of one slot; `None` if no packet of the slot is accepted.
    pub fn schedule_state(&self, slot: Slot) -> Option<ScheduleState> {
        let key = self.key(slot)?;
        self.states.get(slot).and_then(|known| state_of(key, &known))
    }

    fn schedule_states_of(&self, fleet: &Fleet, slots: Range<u32>) -> Vec<Option<ScheduleState>> {
        let states = self.states.copy(slots.clone());
        let mut all = vec![None; slots.len()];
        for (slot, key) in fleet.keys(slots.clone()) {
            let at = (slot.0 - slots.start) as usize;
            if let Some((place, known)) = all.get_mut(at).zip(states.get(at)) {
                *place = state_of(key, known);
            }
        }
        all
    }
}

fn state_of(key: KeyId, known: &SlotState) -> Option<ScheduleState> {
    let clock = known.schedule?.clock();
    let next_nonce = known.state.next_nonce();
    known.state.is_in_service().then_some(ScheduleState { key, next_nonce, clock })
}
