//! The states of all slots in memory, in shards that are locked one by one.
//!
//! 24 bytes a slot, and 40 more where nonces tell time. The rows in the store are
//! their log: they are read once, at opening, and written with every accepted packet.
//! A shard's lock is held from the judging of a nonce until its write was handed to
//! the log, so of two threads with the same packet one sees the other's acceptance.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hintdex_wire::Slot;
use smallvec::SmallVec;
use zerocopy::IntoBytes;

use crate::records::{ClockRecord, LifeRecord, PendingRecord, StateRecord};
use crate::time::{Life, Pending};

/// How many shards there are: enough that threads seldom meet, few enough that a
/// set of them is one word.
pub(crate) const SHARDS: u32 = 64;

/// Every slot's state; slot *s* stands in shard *s* mod 64.
pub(crate) struct StateTable {
    shards: Vec<Mutex<Shard>>,
}

/// The states of every 64th slot, each at its [place](StateTable::place_of).
#[derive(Default)]
pub(crate) struct Shard {
    pub(crate) states: Vec<StateRecord>,
    /// Empty where nonces tell no time.
    pub(crate) clocks: Vec<ClockRecord>,
    /// By place, the past lives of slots that have some.
    pub(crate) past: HashMap<usize, Vec<Life>>,
    /// By place, packets that wait for one that agrees.
    pub(crate) pending: HashMap<usize, Vec<Pending>>,
}

/// What the states of a fleet sum up to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Slots there are.
    pub(crate) slots: u64,
    /// Slots that are retired.
    pub(crate) retired: u64,
    /// Live hints of all others, as far as states tell them.
    pub(crate) hints: u64,
}

/// What is known of a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotState {
    pub(crate) state: StateRecord,
    /// `None` where nonces tell no time.
    pub(crate) clock: Option<ClockRecord>,
}

/// The bytes of a state's row: without a past life they need no allocation.
pub(crate) type Row = SmallVec<[u8; 64]>;

/// A locked shard.
pub(crate) type ShardGuard<'a> = MutexGuard<'a, Shard>;

impl StateTable {
    /// A table without slots.
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Makes room for `slots` slots; the new ones are `fresh`.
    pub(crate) fn grow(&self, slots: u32, fresh: SlotState) {
        for (shard, number) in self.shards.iter().zip(0..) {
            let len = slots.saturating_sub(number).div_ceil(SHARDS) as usize;
            let mut shard = lock(shard);
            let len = len.max(shard.states.len());
            let more = len - shard.states.len();
            shard.states.reserve_exact(more);
            shard.states.resize(len, fresh.state);
            if let Some(clock) = fresh.clock {
                shard.clocks.reserve_exact(more);
                shard.clocks.resize(len, clock);
            }
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
    pub(crate) fn shard(&self, number: u32) -> Option<ShardGuard<'_>> {
        self.shards.get(number as usize).map(lock)
    }

    /// The bytes that are stored of a slot.
    pub(crate) fn row(&self, slot: Slot) -> Option<Row> {
        self.shard(Self::shard_of(slot))?.row(Self::place_of(slot))
    }

    /// A copy of what is known of a slot.
    pub(crate) fn get(&self, slot: Slot) -> Option<SlotState> {
        self.shard(Self::shard_of(slot))?.get(Self::place_of(slot))
    }

    /// Runs `work` on a slot's state with its shard locked; `None` if there is no such slot.
    pub(crate) fn update<T>(
        &self,
        slot: Slot,
        work: impl FnOnce(&mut StateRecord) -> T,
    ) -> Option<T> {
        self.shard(Self::shard_of(slot))?.states.get_mut(Self::place_of(slot)).map(work)
    }

    /// Runs `work` on every slot's state, a shard locked at a time.
    pub(crate) fn update_each(&self, mut work: impl FnMut(Slot, &mut StateRecord)) {
        for (shard, number) in self.shards.iter().zip(0..) {
            let slots = (number..=u32::MAX).step_by(SHARDS as usize).map(Slot);
            slots.zip(lock(shard).states.iter_mut()).for_each(|(slot, state)| work(slot, state));
        }
    }

    /// Copies of what is known of `slots`, as far as the table reaches.
    ///
    /// Each shard is locked once, so this is not a picture of one moment.
    pub(crate) fn copy(&self, slots: Range<u32>) -> Vec<SlotState> {
        let shards = 0..SHARDS.min(slots.len().try_into().unwrap_or(SHARDS));
        let mut copies = vec![None; slots.len()];
        for first in shards.map(|number| slots.start + number) {
            let Some(shard) = self.shard(Self::shard_of(Slot(first))) else { continue };
            let copies =
                copies.iter_mut().skip((first - slots.start) as usize).step_by(SHARDS as usize);
            let places = Self::place_of(Slot(first))..shard.states.len();
            copies.zip(places).for_each(|(copy, place)| *copy = shard.get(place));
        }
        copies.into_iter().map_while(|copy| copy).collect()
    }

    /// Sums over all slots, from a walk over the table.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            let shard = lock(shard);
            totals.slots += shard.states.len() as u64;
            for state in &shard.states {
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
        let of_shard = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            shard.states.capacity() * size_of::<StateRecord>()
                + shard.clocks.capacity() * size_of::<ClockRecord>()
        };
        self.shards.iter().map(of_shard).sum()
    }
}

impl Shard {
    /// A copy of what is known of the slot at `place`.
    pub(crate) fn get(&self, place: usize) -> Option<SlotState> {
        let state = *self.states.get(place)?;
        Some(SlotState { state, clock: self.clocks.get(place).copied() })
    }

    /// The bytes that are stored of the slot at `place`.
    pub(crate) fn row(&self, place: usize) -> Option<Row> {
        if self.clocks.is_empty() {
            return self.states.get(place).map(|state| Row::from_slice(state.as_bytes()));
        }
        let SlotState { mut state, clock } = self.get(place)?;
        let past = self.past.get(&place).map(Vec::as_slice).unwrap_or_default();
        state.past_lives = u8::try_from(past.len()).unwrap_or(u8::MAX);
        let mut row = Row::from_slice(state.as_bytes());
        if let Some(clock) = clock {
            row.extend_from_slice(clock.as_bytes());
            let pending = self.pending.get(&place).into_iter().flatten();
            let lives = past.iter().map(LifeRecord::from);
            lives.for_each(|life| row.extend_from_slice(life.as_bytes()));
            let pending = pending.map(PendingRecord::from);
            pending.for_each(|pending| row.extend_from_slice(pending.as_bytes()));
        }
        Some(row)
    }
}

/// Locks; a thread that panicked with the lock held changed at most one whole record.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
