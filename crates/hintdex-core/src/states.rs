//! The states of all slots in memory, in shards that are locked one by one.
//!
//! 24 bytes a slot. The rows in the store are their log: they are read once, at
//! opening, and written with every accepted packet. A shard's lock is held from
//! the judging of a nonce until its write was handed to the log, so of two
//! threads with the same packet one sees the other's acceptance.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hintdex_wire::Slot;

use crate::records::StateRecord;

/// How many shards there are: enough that threads seldom meet, few enough that a
/// set of them is one word.
pub(crate) const SHARDS: u32 = 64;

/// Every slot's state; slot *s* stands in shard *s* mod 64.
pub(crate) struct StateTable {
    shards: Vec<Mutex<Vec<StateRecord>>>,
}

/// What the states of a fleet sum up to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Slots there are.
    pub(crate) slots: u64,
    /// Slots that are retired.
    pub(crate) retired: u64,
    /// Live hints of all others.
    pub(crate) hints: u64,
}

/// A locked shard.
pub(crate) type Shard<'a> = MutexGuard<'a, Vec<StateRecord>>;

impl StateTable {
    /// A table without slots.
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Makes room for `slots` slots; the new ones are `fresh`.
    pub(crate) fn grow(&self, slots: u32, fresh: StateRecord) {
        for (shard, number) in self.shards.iter().zip(0..) {
            let len = slots.saturating_sub(number).div_ceil(SHARDS) as usize;
            let mut shard = lock(shard);
            let len = len.max(shard.len());
            let more = len - shard.len();
            shard.reserve_exact(more);
            shard.resize(len, fresh);
        }
    }

    /// The shard `slot` stands in.
    pub(crate) const fn shard_of(slot: Slot) -> u32 {
        slot.0 % SHARDS
    }

    /// The place of `slot` in its shard.
    pub(crate) const fn place_of(slot: Slot) -> usize {
        (slot.0 / SHARDS) as usize
    }

    /// Locks a shard; whoever needs several takes them in ascending order.
    pub(crate) fn shard(&self, number: u32) -> Option<Shard<'_>> {
        self.shards.get(number as usize).map(lock)
    }

    /// A copy of a slot's state.
    pub(crate) fn get(&self, slot: Slot) -> Option<StateRecord> {
        self.shard(Self::shard_of(slot))?.get(Self::place_of(slot)).copied()
    }

    /// Runs `work` on a slot's state with its shard locked; `None` if there is no such slot.
    pub(crate) fn update<T>(
        &self,
        slot: Slot,
        work: impl FnOnce(&mut StateRecord) -> T,
    ) -> Option<T> {
        self.shard(Self::shard_of(slot))?.get_mut(Self::place_of(slot)).map(work)
    }

    /// Runs `work` on every slot's state, a shard locked at a time.
    pub(crate) fn update_each(&self, mut work: impl FnMut(Slot, &mut StateRecord)) {
        for (shard, number) in self.shards.iter().zip(0..) {
            let slots = (number..=u32::MAX).step_by(SHARDS as usize).map(Slot);
            slots.zip(lock(shard).iter_mut()).for_each(|(slot, state)| work(slot, state));
        }
    }

    /// Copies of the states of `slots`, as far as the table reaches.
    ///
    /// Each shard is locked once, so this is not a picture of one moment.
    pub(crate) fn copy(&self, slots: Range<u32>) -> Vec<StateRecord> {
        let shards = 0..SHARDS.min(slots.len().try_into().unwrap_or(SHARDS));
        let mut copies = vec![None; slots.len()];
        for first in shards.map(|number| slots.start + number) {
            let Some(shard) = self.shard(Self::shard_of(Slot(first))) else { continue };
            let places =
                copies.iter_mut().skip((first - slots.start) as usize).step_by(SHARDS as usize);
            let states = shard.iter().skip(Self::place_of(Slot(first)));
            places.zip(states).for_each(|(place, state)| *place = Some(*state));
        }
        copies.into_iter().map_while(|copy| copy).collect()
    }

    /// Sums over all slots, from a walk over the table.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            let shard = lock(shard);
            totals.slots += shard.len() as u64;
            for state in shard.iter() {
                if state.is_retired() {
                    totals.retired += 1;
                } else {
                    totals.hints += u64::from(state.hints_ahead.get());
                }
            }
        }
        totals
    }

    /// What it takes in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).capacity() * size_of::<StateRecord>()).sum()
    }
}

/// Locks; a thread that panicked with the lock held changed at most one whole record.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
