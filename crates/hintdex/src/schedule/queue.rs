//! The queue of coming arrivals: which devices are due at a time.
//!
//! Every device that was heard has its due packets in the queue ([`Due`]), ordered by their
//! expected times. Windows differ in width, so arrivals lie in *levels*: level *k* holds windows
//! of at most 64 · 2^k ms to either side, and a lookup asks each level for as much time as its
//! widest window covers.
//!
//! The queue is a pure function of states, keys and the time that it has reached. It is never
//! stored.

use std::collections::{BTreeMap, BTreeSet};

use hintdex_wire::{KeyId, Nonce, Slot};

use super::placing::{Delays, Due, LEVELS, Pace, Standing, Step, level_of, width_ms};

/// Devices that one thread places, at least.
const DEVICES_PER_THREAD: usize = 1 << 12;

/// A device whose packet may have been received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DueDevice {
    pub(crate) slot: Slot,
    pub(crate) key: KeyId,
    pub(crate) step: Step,
    /// How far the time of reception is from the expected one.
    pub(crate) distance_ms: u64,
}

/// The arrivals of all devices that are due, or will be next.
#[derive(Debug)]
pub(crate) struct DueQueue {
    pace: Pace,
    /// The latest time of reception so far.
    now_ms: u64,
    /// The time from which on the queue has followed the times of reception.
    since_ms: u64,
    /// The station's clock.
    clock_ms: u64,
    devices: Vec<Option<Device>>,
    levels: Vec<Level>,
    /// Devices by the time at which they were heard, if that is not long ago, with the tags of their
    /// packets if they are known.
    heard: Heard,
    /// Devices that are searched for: never heard, or silent.
    silent: BTreeSet<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Device {
    standing: Standing,
    due: Option<Due>,
}

/// The tags of packets by the time of reception and the slot.
type Heard = BTreeMap<(u64, Slot), Option<u64>>;

/// An expected time, and whose packet is expected.
type Entry = (u64, Slot, u32);

#[derive(Clone, Debug, Default)]
struct Level {
    entries: BTreeSet<Entry>,
    /// Entries up to this time that are the last of their device have begun.
    begun_ms: u64,
}

impl DueQueue {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            pace,
            now_ms: 0,
            since_ms: 0,
            clock_ms: u64::MAX,
            devices: Vec::new(),
            levels: vec![Level::default(); LEVELS],
            heard: Heard::new(),
            silent: BTreeSet::new(),
        }
    }

    /// The latest time of reception so far, in milliseconds since 1970.
    pub(crate) const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Sets the station's clock, for devices that are placed from now on.
    pub(crate) const fn set_clock(&mut self, clock_ms: u64) {
        self.clock_ms = clock_ms;
    }

    /// Whether lookups at this time find all devices that are due: the queue has not left it.
    pub(crate) const fn has_kept(&self, received_ms: u64) -> bool {
        received_ms >= self.kept_from_ms()
    }

    /// The time up to which packets whose windows have ended are still due.
    const fn kept_from_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.pace.keep_ms)
    }

    /// The state of a device, as the queue knows it.
    pub(crate) fn standing(&self, slot: Slot) -> Option<&Standing> {
        self.devices.get(slot.0 as usize)?.as_ref().map(|device| &device.standing)
    }

    /// The number of slots, with and without a device.
    pub(crate) fn len(&self) -> usize {
        self.devices.len()
    }

    /// The devices that are searched for, each with its state and its first due packet.
    pub(crate) fn silent(&self) -> impl Iterator<Item = (Slot, &Standing, Option<Step>)> {
        self.silent.iter().filter_map(|slot| {
            let device = self.devices.get(slot.0 as usize)?.as_ref()?;
            Some((*slot, &device.standing, device.due.map(|due| due.first)))
        })
    }

    /// Makes room for this many slots.
    pub(crate) fn reserve(&mut self, slots: usize) {
        self.devices.reserve_exact(slots.saturating_sub(self.devices.len()));
    }

    /// Sets the state of a device; `None` takes the device away. Takes a microsecond, and the
    /// delay of each packet since the device was heard.
    pub(crate) fn set(&mut self, slot: Slot, standing: Option<Standing>, delays: &dyn Delays) {
        let at = slot.0 as usize;
        if at >= self.devices.len() {
            self.devices.resize(at + 1, None);
        }
        self.remove(slot, delays);
        let Some(standing) = standing else { return };
        let due = standing.due(self.now_ms, self.pace, delays);
        self.insert(slot, Device { standing, due }, delays);
    }

    /// Moves the queue to another time, by the states that it knows. For distant times, also
    /// past ones; on several threads.
    pub(crate) fn move_to(&mut self, now_ms: u64, delays: &dyn Delays) {
        (self.now_ms, self.since_ms) = (now_ms, now_ms);
        let pace = self.pace;
        let place = |device: &mut Option<Device>| {
            if let Some(device) = device {
                device.due = device.standing.due(now_ms, pace, delays);
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = self.devices.len().div_ceil(threads).max(DEVICES_PER_THREAD);
        // No rayon here: the caller holds the lock of the queue.
        std::thread::scope(|scope| {
            for devices in self.devices.chunks_mut(share) {
                scope.spawn(move || devices.iter_mut().for_each(place));
            }
        });
        let mut entries: Vec<Vec<Entry>> = vec![Vec::new(); LEVELS];
        self.silent = BTreeSet::new();
        let known = std::mem::take(&mut self.heard);
        let times = (self.kept_from_ms(), self.clock_ms);
        for (slot, device) in (0..).map(Slot).zip(&self.devices) {
            let Some(device) = device else { continue };
            device.each_entry(pace, delays, |level, (at_ms, nonce)| {
                entries.get_mut(level).into_iter().for_each(|of| of.push((at_ms, slot, nonce)));
            });
            note(&mut self.heard, &mut self.silent, times, slot, device);
            if let Some(clock) = device.standing.clock
                && let Some(tag) = self.heard.get_mut(&(clock.heard_ms, slot))
            {
                *tag = known.get(&(clock.heard_ms, slot)).copied().flatten();
            }
        }
        for ((number, level), entries) in self.levels.iter_mut().enumerate().zip(entries) {
            // A set is built in one go from a list.
            level.entries = entries.into_iter().collect();
            level.begun_ms = now_ms.saturating_add(width_ms(number));
        }
    }

    /// Moves the queue forward to `now_ms`: packets whose windows begin have their successors
    /// join, and packets whose windows ended long ago leave.
    pub(crate) fn advance(&mut self, now_ms: u64, delays: &dyn Delays) {
        if now_ms <= self.now_ms {
            return;
        }
        self.now_ms = now_ms;
        for number in 0..self.levels.len() {
            for slot in self.beginning(number) {
                self.extend(slot, delays);
            }
        }
        for number in 0..self.levels.len() {
            while let Some((slot, nonce)) = self.take_ended(number) {
                self.leave(slot, nonce, delays);
            }
        }
        let end_ms = self.kept_from_ms();
        while self.heard.first_key_value().is_some_and(|((heard_ms, _), _)| *heard_ms < end_ms) {
            self.heard.pop_first();
        }
    }

    /// The devices whose packet may be the one received at `received_ms`, the likeliest first.
    pub(crate) fn due(&self, received_ms: u64, delays: &dyn Delays) -> Vec<DueDevice> {
        let mut found = Vec::new();
        for (number, level) in self.levels.iter().enumerate() {
            if level.entries.is_empty() {
                continue;
            }
            let width_ms = width_ms(number);
            let first = (received_ms.saturating_sub(width_ms), Slot(0), 0);
            let last = (received_ms.saturating_add(width_ms), Slot(u32::MAX), u32::MAX);
            for (_, slot, nonce) in level.entries.range(first..=last) {
                let device = self.devices.get(slot.0 as usize).and_then(Option::as_ref);
                let Some(device) = device else { continue };
                let Some(step) = device.step(*nonce, delays) else { continue };
                let arrival = device.standing.arrival(step, self.pace);
                let Some(arrival) = arrival.filter(|arrival| arrival.holds(received_ms)) else {
                    continue;
                };
                if self.is_lost(&device.standing, received_ms) {
                    continue;
                }
                let distance_ms = arrival.at_ms.abs_diff(received_ms);
                found.push(DueDevice { slot: *slot, key: device.standing.key, step, distance_ms });
            }
        }
        found.sort_unstable_by_key(|due| (due.distance_ms, due.slot));
        found
    }

    /// Whether the device was silent for so long, while the station listened, that only the search
    /// tries it.
    fn is_lost(&self, standing: &Standing, received_ms: u64) -> bool {
        let heard_ms = standing.clock.map_or(0, |clock| clock.heard_ms);
        received_ms.saturating_sub(heard_ms.max(self.since_ms)) > self.pace.lost_ms
    }

    /// [`due`](Self::due) for any time: places every device, on several threads, and changes nothing.
    pub(crate) fn due_at(&self, received_ms: u64, delays: &dyn Delays) -> Vec<DueDevice> {
        let pace = self.pace;
        let of_share = |(share, devices): (usize, &[Option<Device>])| {
            let mut found = Vec::new();
            for (slot, device) in (share..).zip(devices) {
                let Some(Device { standing, .. }) = device else { continue };
                let Some(due) = standing.due(received_ms, pace, delays) else { continue };
                let Ok(slot) = u32::try_from(slot).map(Slot) else { continue };
                due.each(standing, delays, |step| {
                    let arrival = standing.arrival(step, pace);
                    if let Some(arrival) = arrival.filter(|arrival| arrival.holds(received_ms)) {
                        let distance_ms = arrival.at_ms.abs_diff(received_ms);
                        found.push(DueDevice { slot, key: standing.key, step, distance_ms });
                    }
                });
            }
            found
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = self.devices.len().div_ceil(threads).max(DEVICES_PER_THREAD);
        // No rayon here: the caller holds the lock of the queue.
        let mut found = std::thread::scope(|scope| {
            let shares = self.devices.chunks(share).enumerate();
            let spawned: Vec<_> = shares
                .map(|(number, devices)| scope.spawn(move || of_share((number * share, devices))))
                .collect();
            // A thread that panicked has found nothing.
            let found = spawned.into_iter().flat_map(|share| share.join().unwrap_or_default());
            found.collect::<Vec<DueDevice>>()
        });
        found.sort_unstable_by_key(|due| (due.distance_ms, due.slot));
        found
    }

    /// Notes the tag of the packet by which a device was heard.
    pub(crate) fn note_tag(&mut self, slot: Slot, tag: Option<u64>) {
        let heard_ms = self.standing(slot).and_then(|standing| Some(standing.clock?.heard_ms));
        if let Some(known) = heard_ms.and_then(|heard_ms| self.heard.get_mut(&(heard_ms, slot))) {
            *known = tag;
        }
    }

    /// The devices that were heard at about `received_ms`, by a packet whose known tag is `tag`: the
    /// packet may be a repeat. `None` for those whose packet's tag is not known.
    pub(crate) fn repeats(&self, received_ms: u64, tag: Option<u64>) -> Vec<DueDevice> {
        let jitter_ms = u64::from(self.pace.tolerance.jitter_ms);
        let first = (received_ms.saturating_sub(jitter_ms), Slot(0));
        let last = (received_ms.saturating_add(jitter_ms), Slot(u32::MAX));
        let repeat = |((heard_ms, slot), _): (&(u64, Slot), _)| {
            let standing = self.standing(*slot)?;
            let step =
                Step { nonce: standing.next.checked_sub(1)?, clock_ms: standing.clock?.clock_ms };
            let distance_ms = heard_ms.abs_diff(received_ms);
            Some(DueDevice { slot: *slot, key: standing.key, step, distance_ms })
        };
        let mut found: Vec<DueDevice> = {
            let heard = self.heard.range(first..=last).filter(|(_, known)| **known == tag);
            heard.filter_map(repeat).collect()
        };
        found.sort_unstable_by_key(|due| (due.distance_ms, due.slot));
        found
    }

    /// The memory of the queue, in bytes: a tree takes half as much again as its entries.
    pub(crate) fn memory_bytes(&self) -> usize {
        let entries: usize = self.levels.iter().map(|level| level.entries.len()).sum();
        self.devices.capacity() * size_of::<Option<Device>>()
            + entries * size_of::<Entry>() * 3 / 2
            + self.silent.len() * size_of::<Slot>() * 3 / 2
            + self.heard.len() * size_of::<((u64, Slot), Option<u64>)>() * 3 / 2
    }

    /// The devices whose last due packet lies where windows of this level begin now.
    fn beginning(&mut self, number: usize) -> Vec<Slot> {
        let Some(level) = self.levels.get_mut(number) else { return Vec::new() };
        let end_ms = self.now_ms.saturating_add(width_ms(number));
        let first = (level.begun_ms, Slot(0), 0);
        let entries = level.entries.range(first..=(end_ms, Slot(u32::MAX), u32::MAX));
        level.begun_ms = end_ms;
        let is_last = |(_, slot, nonce): &&Entry| {
            let device = self.devices.get(slot.0 as usize).and_then(Option::as_ref);
            let due = device.and_then(|device| device.due);
            due.is_some_and(|due| due.last.nonce == Nonce::from(*nonce))
        };
        entries.filter(is_last).map(|(_, slot, _)| *slot).collect()
    }

    /// Lets the packets of a device join whose windows have begun, and the first one behind them.
    fn extend(&mut self, slot: Slot, delays: &dyn Delays) {
        let (now_ms, pace) = (self.now_ms, self.pace);
        let device = self.devices.get_mut(slot.0 as usize).and_then(Option::as_mut);
        let Some(device) = device else { return };
        let Some(before) = device.due else { return };
        let after = device.standing.extended(before, now_ms, pace, delays);
        device.due = Some(after);
        if after == before {
            return;
        }
        if device.standing.is_silent(Some(&after), self.clock_ms) {
            self.silent.insert(slot);
        }
        let standing = device.standing;
        let joined = Due { first: before.last, last: after.last };
        joined.each(&standing, delays, |step| {
            if step != before.last {
                self.add_entry(slot, &standing, step);
            }
        });
    }

    fn add_entry(&mut self, slot: Slot, standing: &Standing, step: Step) {
        let placed = placed(standing, step, self.pace);
        if let Some((level, (at_ms, nonce))) = placed
            && let Some(level) = self.levels.get_mut(level)
        {
            level.entries.insert((at_ms, slot, nonce));
        }
    }

    /// Takes the first entry of a level if every window of that level at its time ended long ago.
    fn take_ended(&mut self, number: usize) -> Option<(Slot, Nonce)> {
        let level = self.levels.get_mut(number)?;
        let (at_ms, ..) = *level.entries.first()?;
        if at_ms.saturating_add(width_ms(number)) >= self.now_ms.saturating_sub(self.pace.keep_ms) {
            return None;
        }
        level.entries.pop_first().map(|(_, slot, nonce)| (slot, nonce.into()))
    }

    /// Takes a packet out of the due ones of its device; its entry is gone.
    fn leave(&mut self, slot: Slot, nonce: Nonce, delays: &dyn Delays) {
        let device = self.devices.get_mut(slot.0 as usize).and_then(Option::as_mut);
        let Some(device) = device else { return };
        let Some(due) = device.due.as_mut().filter(|due| due.first.nonce == nonce) else {
            // A wider window behind it has left earlier, or it was the last one.
            return;
        };
        let standing = device.standing;
        let next = match due.first.nonce.checked_add(1) {
            Some(next) if next == due.last.nonce => Some(due.last),
            Some(next) if next < due.last.nonce => standing.after(due.first, delays),
            _ => None,
        };
        let Some(next) = next else {
            // So many windows overlap that its later packets have not joined.
            self.set(slot, Some(standing), delays);
            return;
        };
        due.first = next;
        if standing.is_silent(Some(&*due), self.clock_ms) {
            self.silent.insert(slot);
        }
    }

    fn remove(&mut self, slot: Slot, delays: &dyn Delays) {
        let device = self.devices.get_mut(slot.0 as usize).and_then(Option::take);
        let Some(device) = device else { return };
        let (pace, levels) = (self.pace, &mut self.levels);
        device.each_entry(pace, delays, |level, (at_ms, nonce)| {
            if let Some(level) = levels.get_mut(level) {
                level.entries.remove(&(at_ms, slot, nonce));
            }
        });
        if let Some(clock) = device.standing.clock {
            self.heard.remove(&(clock.heard_ms, slot));
        }
        self.silent.remove(&slot);
    }

    fn insert(&mut self, slot: Slot, device: Device, delays: &dyn Delays) {
        let (pace, levels) = (self.pace, &mut self.levels);
        device.each_entry(pace, delays, |level, (at_ms, nonce)| {
            if let Some(level) = levels.get_mut(level) {
                level.entries.insert((at_ms, slot, nonce));
            }
        });
        let times = (self.kept_from_ms(), self.clock_ms);
        note(&mut self.heard, &mut self.silent, times, slot, &device);
        if let Some(place) = self.devices.get_mut(slot.0 as usize) {
            *place = Some(device);
        }
    }
}

impl Device {
    /// Calls `each` with the level, the time and the nonce of each due packet.
    fn each_entry(&self, pace: Pace, delays: &dyn Delays, mut each: impl FnMut(usize, (u64, u32))) {
        let Some(due) = &self.due else { return };
        due.each(&self.standing, delays, |step| {
            if let Some((level, entry)) = placed(&self.standing, step, pace) {
                each(level, entry);
            }
        });
    }

    /// The step of a due packet.
    fn step(&self, nonce: u32, delays: &dyn Delays) -> Option<Step> {
        let (nonce, due) = (Nonce::from(nonce), self.due?);
        if nonce == due.last.nonce {
            return Some(due.last);
        }
        let mut step = due.first;
        while step.nonce < nonce {
            step = self.standing.after(step, delays)?;
        }
        (step.nonce == nonce).then_some(step)
    }
}

/// The level, the expected time and the nonce of a step.
fn placed(standing: &Standing, step: Step, pace: Pace) -> Option<(usize, (u64, u32))> {
    let arrival = standing.arrival(step, pace)?;
    Some((level_of(&arrival), (arrival.at_ms, u32::try_from(step.nonce).ok()?)))
}

/// Notes a device among those that were heard just now, and among those that are searched for.
fn note(
    heard: &mut Heard,
    silent: &mut BTreeSet<Slot>,
    (kept_from_ms, clock_ms): (u64, u64),
    slot: Slot,
    device: &Device,
) {
    let heard_ms = device.standing.clock.map(|clock| clock.heard_ms);
    if let Some(heard_ms) = heard_ms.filter(|heard_ms| *heard_ms >= kept_from_ms) {
        heard.insert((heard_ms, slot), None);
    }
    if device.standing.is_silent(device.due.as_ref(), clock_ms) {
        silent.insert(slot);
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
#[path = "queue_tests.rs"]
mod tests;
