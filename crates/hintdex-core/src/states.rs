//! The states of all slots in memory, in shards that are locked one by one.
//!
//! 24 bytes a slot, and 40 more where nonces tell time; where units of time have counters of
//! their own, some 30 more while packets of the last unit may come late. The rows in the store are
//! their log: they are read once, at opening, and written with every accepted packet.
//! A shard's lock is held from the judging of a nonce until its write was handed to
//! the log, so of two threads with the same packet one sees the other's acceptance.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hintdex_wire::{ReplayWindow, Slot};

use crate::params::Params;
use crate::records::{ClockRecord, Row, SlotRow, SlotState, StateRecord, Unsound};
use crate::time::{Life, Pending};

/// How many shards there are: enough that threads seldom meet, few enough that a
/// set of them is one word.
pub(crate) const SHARDS: u32 = 64;

/// Every slot's state; slot *s* stands in shard *s* mod 64.
pub(crate) struct StateTable {
    shards: Vec<Mutex<Shard>>,
    /// The slots that are out of service, and why.
    out_of_service: Mutex<BTreeMap<Slot, &'static str>>,
}

/// The states of every 64th slot, each at its [place](StateTable::place_of).
#[derive(Default)]
pub(crate) struct Shard {
    states: Vec<StateRecord>,
    /// Empty where nonces tell no time.
    clocks: Vec<ClockRecord>,
    /// By place, past lives and pending packets of slots that have some.
    rare: HashMap<usize, Rare>,
    /// By place, the replay windows of units of time before the present one: of slots
    /// that began a unit not long ago.
    late: HashMap<usize, ReplayWindow>,
}

/// What few slots have.
#[derive(Clone, Default)]
struct Rare {
    past: Vec<Life>,
    pending: Vec<Pending>,
}

/// What the states of a fleet sum up to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Slots there are.
    pub(crate) slots: u64,
    /// Slots that are retired.
    pub(crate) retired: u64,
    /// Slots whose stored state is not sound, or whose key is missing.
    pub(crate) out_of_service: u64,
    /// Live hints of all others, as far as states tell them.
    pub(crate) hints: u64,
}

/// A locked shard.
pub(crate) type ShardGuard<'a> = MutexGuard<'a, Shard>;

impl StateTable {
    /// A table without slots.
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, out_of_service: Mutex::default() }
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

    /// A copy of what is known of a slot.
    pub(crate) fn get(&self, slot: Slot) -> Option<SlotState> {
        self.shard(Self::shard_of(slot))?.get(Self::place_of(slot))
    }

    /// Runs `work` on the row of a slot with its shard locked, and stores what becomes of
    /// the row; `None` if there is no such slot.
    pub(crate) fn update<T>(&self, slot: Slot, work: impl FnOnce(&mut SlotRow) -> T) -> Option<T> {
        let mut shard = self.shard(Self::shard_of(slot))?;
        let mut row = shard.row(Self::place_of(slot))?;
        let done = work(&mut row);
        shard.set_row(Self::place_of(slot), row);
        Some(done)
    }

    /// Takes a slot of `shard` out of service until the index is opened again: it admits
    /// nothing, and no window holds its hints.
    pub(crate) fn put_out_of_service(&self, shard: &mut Shard, slot: Slot, why: &'static str) {
        if let Some(state) = shard.states.get_mut(Self::place_of(slot))
            && !state.is_retired()
        {
            state.put_out_of_service();
            lock(&self.out_of_service).entry(slot).or_insert(why);
        }
    }

    /// The slots that are out of service, and why.
    pub(crate) fn out_of_service(&self) -> Vec<(Slot, &'static str)> {
        let slots = lock(&self.out_of_service);
        let slots = slots.iter().map(|(slot, why)| (*slot, *why));
        // One that was retired since needs nobody's care.
        slots
            .filter(|(slot, _)| {
                self.get(*slot).is_some_and(|known| known.state.is_out_of_service())
            })
            .collect()
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
                } else if state.is_out_of_service() {
                    totals.out_of_service += 1;
                } else {
                    totals.hints += u64::from(state.hints_ahead());
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
                + shard.late.capacity() * size_of::<(usize, ReplayWindow)>()
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

    /// Whether there is a slot at `place`.
    pub(crate) const fn has(&self, place: usize) -> bool {
        place < self.states.len()
    }

    /// A copy of all that is stored of the slot at `place`.
    pub(crate) fn row(&self, place: usize) -> Option<SlotRow> {
        let mut row = SlotRow::of(self.get(place)?);
        if let Some(Rare { past, pending }) = self.rare.get(&place) {
            (row.past, row.pending) = (past.clone(), pending.clone());
        }
        row.late = self.late.get(&place).copied();
        Some(row)
    }

    /// The bytes to store of the slot at `place`.
    ///
    /// # Errors
    /// Why the row is not sound.
    pub(crate) fn encode(&self, place: usize, params: &Params) -> Result<Row, Unsound> {
        self.row(place).ok_or("there is no such slot").and_then(|row| row.write(params))
    }

    /// Sets the state of the slot at `place`, where nonces tell no time.
    pub(crate) fn set_state(&mut self, place: usize, state: StateRecord) {
        self.states.get_mut(place).into_iter().for_each(|at| *at = state);
    }

    /// Sets all that is known of the slot at `place`; does nothing if there is no such slot.
    pub(crate) fn set_row(&mut self, place: usize, row: SlotRow) {
        let SlotRow { known, past, late, pending } = row;
        let Some(state) = self.states.get_mut(place) else { return };
        *state = known.state;
        if let Some((at, clock)) = self.clocks.get_mut(place).zip(known.clock) {
            *at = clock;
        }
        if past.is_empty() && pending.is_empty() {
            self.rare.remove(&place);
        } else {
            self.rare.insert(place, Rare { past, pending });
        }
        match late {
            None => self.late.remove(&place),
            Some(late) => self.late.insert(place, late),
        };
    }
}

/// Locks; a thread that panicked with the lock held changed at most one whole record.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
