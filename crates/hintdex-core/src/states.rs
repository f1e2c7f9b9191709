//! The states of all slots in memory, in shards with a lock each.
//!
//! A slot takes 24 bytes, 40 more with clocked nonces, and 32 more where packets follow a schedule.
//! With a counter for each day it takes about 30 more while packets of the previous day may arrive. The
//! rows in the store are the log of the states: they are read once, at opening, and written with
//! every accepted packet. A shard stays locked from the judgement of a nonce until its write is in
//! the log. So of two threads with the same packet, one sees the other's acceptance.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hintdex_wire::{Nonce, ReplayWindow, Slot};

use crate::late_window::LateWindow;
use crate::params::Params;
use crate::records::{ClockRecord, Row, ScheduleRecord, SlotRow, SlotState, StateRecord, Unsound};
use crate::time::{Pending, Session};

/// The number of shards: threads seldom meet in one, and a set of shards fits into a word.
pub(crate) const SHARDS: u32 = 64;

/// The state of every slot; slot *s* is in shard *s* mod 64.
pub(crate) struct StateTable {
    shards: Vec<Mutex<Shard>>,
    /// The slots that are out of service, each with the reason.
    out_of_service: Mutex<BTreeMap<Slot, &'static str>>,
}

/// The states of every 64th slot, each at its [place](StateTable::place_of).
#[derive(Default)]
pub(crate) struct Shard {
    states: Vec<StateRecord>,
    /// Empty for counters.
    clocks: Vec<ClockRecord>,
    /// Empty unless packets follow a schedule.
    schedules: Vec<ScheduleRecord>,
    /// By place, the past sessions and pending packets of the slots that have any.
    rare: HashMap<usize, RareFields>,
    /// By place, the late windows of the slots that have one.
    late: HashMap<usize, ReplayWindow>,
    /// By place, the late windows of counters whose devices have a setting for them.
    late_windows: HashMap<usize, LateWindow>,
    /// By place, the times at which slots retire, in seconds since 1970.
    ends: HashMap<usize, u64>,
}

/// The fields that few slots have.
#[derive(Clone, Default)]
struct RareFields {
    past: Vec<Session>,
    pending: Vec<Pending>,
}

/// Sums over the states of a fleet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// All slots.
    pub(crate) slots: u64,
    /// Retired slots, free ones included.
    pub(crate) retired: u64,
    /// Free slots.
    pub(crate) free: u64,
    /// Slots whose stored state is not sound, or whose key is missing.
    pub(crate) out_of_service: u64,
    /// Live hints of all other slots, as their states count them.
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

    /// Grows the table to `slots` slots; the new ones have the state `fresh`.
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
            if let Some(schedule) = fresh.schedule {
                shard.schedules.reserve_exact(more);
                shard.schedules.resize(len, schedule);
            }
        }
    }

    /// Gives the slots below `slots.end` of a new run the state `fresh`: they were free, or the
    /// table ends before them.
    pub(crate) fn assign(&self, slots: Range<u32>, fresh: SlotState) {
        let known = self.slot_count();
        self.grow(slots.start, SlotState { state: StateRecord::free(), ..fresh });
        self.grow(slots.end, fresh);
        for slot in (slots.start..slots.end.min(known)).map(Slot) {
            self.update(slot, |row| {
                if row.known.state.is_free() {
                    *row = SlotRow::of(fresh);
                }
            });
        }
    }

    /// The number of slots of the table.
    fn slot_count(&self) -> u32 {
        let len = |shard: &Mutex<Shard>| lock(shard).states.len();
        u32::try_from(self.shards.iter().map(len).sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// Takes the keys of retired slots away.
    pub(crate) fn free(&self, slots: &[Slot]) {
        for slot in slots {
            self.update(*slot, |row| {
                let schedule = row.known.schedule.map(|_| ScheduleRecord::of(None));
                let known = SlotState { state: StateRecord::free(), schedule, ..row.known };
                *row = SlotRow::of(known);
            });
        }
    }

    /// The shard of `slot`.
    pub(crate) const fn shard_of(slot: Slot) -> u32 {
        slot.0 % SHARDS
    }

    /// The place of `slot` in its shard.
    pub(crate) const fn place_of(slot: Slot) -> usize {
        (slot.0 / SHARDS) as usize
    }

    /// Locks a shard. A caller that needs several locks them in ascending order.
    pub(crate) fn shard(&self, number: u32) -> Option<ShardGuard<'_>> {
        self.shards.get(number as usize).map(lock)
    }

    /// A copy of a slot's state.
    pub(crate) fn get(&self, slot: Slot) -> Option<SlotState> {
        self.shard(Self::shard_of(slot))?.get(Self::place_of(slot))
    }

    /// Runs `work` on the row of a slot with its shard locked, and stores the changed row;
    /// `None` if there is no such slot.
    pub(crate) fn update<T>(&self, slot: Slot, work: impl FnOnce(&mut SlotRow) -> T) -> Option<T> {
        let mut shard = self.shard(Self::shard_of(slot))?;
        let mut row = shard.row(Self::place_of(slot))?;
        let done = work(&mut row);
        shard.set_row(Self::place_of(slot), row);
        Some(done)
    }

    /// Takes a slot of `shard` out of service until the index is opened again: it admits
    /// nothing, and new windows lack its hints.
    pub(crate) fn put_out_of_service(&self, shard: &mut Shard, slot: Slot, why: &'static str) {
        if let Some(state) = shard.states.get_mut(Self::place_of(slot))
            && !state.is_retired()
        {
            state.put_out_of_service();
            lock(&self.out_of_service).entry(slot).or_insert(why);
        }
    }

    /// The slots that are out of service, each with the reason.
    pub(crate) fn out_of_service(&self) -> Vec<(Slot, &'static str)> {
        // The list is locked behind a shard elsewhere, so no shard is locked behind the list.
        let slots = lock(&self.out_of_service).clone();
        let slots = slots.into_iter();
        // A slot that was retired since is no longer out of service.
        slots
            .filter(|(slot, _)| {
                self.get(*slot).is_some_and(|known| known.state.is_out_of_service())
            })
            .collect()
    }

    /// Runs `work` on every slot's state, with one shard locked at a time.
    pub(crate) fn update_each(&self, mut work: impl FnMut(Slot, &mut StateRecord)) {
        for (shard, number) in self.shards.iter().zip(0..) {
            let slots = (number..=u32::MAX).step_by(SHARDS as usize).map(Slot);
            slots.zip(lock(shard).states.iter_mut()).for_each(|(slot, state)| work(slot, state));
        }
    }

    /// Copies of the states of those of `slots` that exist.
    ///
    /// Each shard is locked by itself, so the copies are not of one moment.
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

    /// Whether a slot is to retire at a time.
    pub(crate) fn has_ends(&self) -> bool {
        self.shards.iter().any(|shard| !lock(shard).ends.is_empty())
    }

    /// The slots that were to retire before this time, in order of shards.
    pub(crate) fn ended(&self, now_s: u64) -> Vec<Slot> {
        let mut ended = Vec::new();
        for (shard, number) in self.shards.iter().zip(0..) {
            let shard = lock(shard);
            let places = shard.ends.iter().filter(|(_, end_unix_s)| **end_unix_s <= now_s);
            let slot = |place: usize| Some(Slot(u32::try_from(place).ok()? * SHARDS + number));
            ended.extend(places.filter_map(|(place, _)| slot(*place)));
        }
        ended
    }

    /// Sums over all slots. Walks over the table.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            let shard = lock(shard);
            totals.slots += shard.states.len() as u64;
            for state in &shard.states {
                if state.is_retired() {
                    totals.retired += 1;
                    totals.free += u64::from(state.is_free());
                } else if state.is_out_of_service() {
                    totals.out_of_service += 1;
                } else {
                    totals.hints += u64::from(state.hints_ahead());
                }
            }
        }
        totals
    }

    /// The memory of the table.
    pub(crate) fn memory_bytes(&self) -> usize {
        let of_shard = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            shard.states.capacity() * size_of::<StateRecord>()
                + shard.clocks.capacity() * size_of::<ClockRecord>()
                + shard.schedules.capacity() * size_of::<ScheduleRecord>()
                + shard.late.capacity() * size_of::<(usize, ReplayWindow)>()
                + shard.ends.capacity() * size_of::<(usize, u64)>()
                + shard.late_windows.values().map(LateWindow::memory_bytes).sum::<usize>()
        };
        self.shards.iter().map(of_shard).sum()
    }
}

impl Shard {
    /// A copy of the state of the slot at `place`.
    pub(crate) fn get(&self, place: usize) -> Option<SlotState> {
        let state = *self.states.get(place)?;
        let (clock, schedule) = (self.clocks.get(place), self.schedules.get(place));
        Some(SlotState { state, clock: clock.copied(), schedule: schedule.copied() })
    }

    /// The next nonce of the slot at `place`.
    pub(crate) fn next_nonce(&self, place: usize) -> Option<Nonce> {
        self.states.get(place).map(|state| state.next_nonce())
    }

    /// The time at which the slot at `place` retires, in seconds since 1970.
    pub(crate) fn end_unix_s(&self, place: usize) -> Option<u64> {
        self.ends.get(&place).copied()
    }

    /// A copy of the whole row of the slot at `place`.
    pub(crate) fn row(&self, place: usize) -> Option<SlotRow> {
        let mut row = SlotRow::of(self.get(place)?);
        if let Some(RareFields { past, pending }) = self.rare.get(&place) {
            (row.past, row.pending) = (past.clone(), pending.clone());
        }
        row.late = self.late.get(&place).copied();
        row.end_unix_s = self.ends.get(&place).copied();
        Some(row)
    }

    /// The bytes of the row of the slot at `place`.
    ///
    /// # Errors
    /// Why the row is not sound.
    pub(crate) fn encode(&self, place: usize, params: &Params) -> Result<Row, Unsound> {
        self.row(place).ok_or("there is no such slot").and_then(|row| row.write(params))
    }

    /// Sets the state of the slot at `place`; for counters only.
    pub(crate) fn set_state(&mut self, place: usize, state: StateRecord) {
        self.states.get_mut(place).into_iter().for_each(|at| *at = state);
    }

    /// The late window of the counter at `place`.
    pub(crate) fn late_window(&self, place: usize) -> Option<&LateWindow> {
        self.late_windows.get(&place)
    }

    pub(crate) fn late_window_mut(&mut self, place: usize) -> Option<&mut LateWindow> {
        self.late_windows.get_mut(&place)
    }

    /// Sets the late window of the counter at `place`; returns whether there was one before.
    pub(crate) fn set_late_window(&mut self, place: usize, late: Option<LateWindow>) -> bool {
        match late {
            None => self.late_windows.remove(&place).is_some(),
            Some(late) => self.late_windows.insert(place, late).is_some(),
        }
    }

    /// Sets the whole row of the slot at `place`; does nothing if there is no such slot.
    pub(crate) fn set_row(&mut self, place: usize, row: SlotRow) {
        let SlotRow { known, past, late, pending, end_unix_s } = row;
        let Some(state) = self.states.get_mut(place) else { return };
        *state = known.state;
        if state.is_retired() {
            self.late_windows.remove(&place);
        }
        if let Some((at, clock)) = self.clocks.get_mut(place).zip(known.clock) {
            *at = clock;
        }
        if let Some((at, schedule)) = self.schedules.get_mut(place).zip(known.schedule) {
            *at = schedule;
        }
        if past.is_empty() && pending.is_empty() {
            self.rare.remove(&place);
        } else {
            self.rare.insert(place, RareFields { past, pending });
        }
        match late {
            None => self.late.remove(&place),
            Some(late) => self.late.insert(place, late),
        };
        match end_unix_s {
            None => self.ends.remove(&place),
            Some(end_unix_s) => self.ends.insert(place, end_unix_s),
        };
    }
}

/// Locks a mutex, also after a panic: a panic leaves at most one whole record changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
