//! The payloads that wait to be handed out, in numbers that increase for each fleet.
//!
//! Until the index stores them, they wait in memory: a payload that no output has acknowledged is
//! lost with the process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hintdex::Source;
use hintdex::wire::{DeviceId, Nonce};
use tokio::sync::watch;

/// A payload that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub number: u64,
    pub device: DeviceId,
    pub nonce: Nonce,
    pub source: Source,
    /// The time of reception, in milliseconds since 1970.
    pub received_ms: u64,
    pub payload: Vec<u8>,
    /// The receptions as JSON.
    pub context: Vec<u8>,
}

/// The outboxes of a station, one for each fleet. Outputs are their readers.
#[derive(Debug)]
pub struct Outboxes {
    fleets: Vec<Mutex<Memory>>,
    room: u64,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Memory {
    entries: VecDeque<Entry>,
    end: u64,
    readers: HashMap<String, u64>,
}

impl Memory {
    fn first(&self) -> u64 {
        self.entries.front().map_or(self.end, |entry| entry.number)
    }

    fn drop_acknowledged(&mut self) {
        let below = self.readers.values().copied().min().unwrap_or(self.end);
        while self.entries.front().is_some_and(|entry| entry.number < below) {
            self.entries.pop_front();
        }
    }
}

impl Outboxes {
    /// The outboxes of so many fleets, each with room for so many payloads.
    pub fn new(fleets: usize, room: u64) -> Self {
        let fleets = (0..fleets).map(|_| Mutex::default()).collect();
        Self { fleets, room, changed: watch::Sender::new(0) }
    }

    fn lock(&self, fleet: usize) -> Option<MutexGuard<'_, Memory>> {
        Some(self.fleets.get(fleet)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number of fleets.
    pub fn fleets(&self) -> usize {
        self.fleets.len()
    }

    /// Sets the readers. A new reader begins with the oldest payload; one that is not named is
    /// removed, and what only that reader lacked.
    pub fn set_readers(&self, names: &[&str]) {
        for fleet in 0..self.fleets.len() {
            let Some(mut memory) = self.lock(fleet) else { continue };
            let first = memory.first();
            memory.readers.retain(|name, _| names.contains(&name.as_str()));
            for name in names {
                memory.readers.entry((*name).to_owned()).or_insert(first);
            }
            memory.drop_acknowledged();
        }
        self.announce();
    }

    /// Whether every fleet has room for so many more payloads.
    pub fn has_room(&self, payloads: usize) -> bool {
        (0..self.fleets.len())
            .all(|fleet| self.waiting(fleet).saturating_add(payloads as u64) <= self.room)
    }

    /// Stores a payload of a fleet.
    pub fn push(&self, fleet: usize, entry: impl FnOnce(u64) -> Entry) {
        let Some(mut memory) = self.lock(fleet) else { return };
        if memory.readers.is_empty() {
            return;
        }
        let number = memory.end;
        memory.entries.push_back(entry(number));
        memory.end += 1;
    }

    /// Lets every reader look for payloads, and the decoder for room.
    pub fn announce(&self) {
        self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Changes whenever payloads were stored or acknowledged.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Every stored payload of the fleet has a lower number.
    pub fn end(&self, fleet: usize) -> u64 {
        self.lock(fleet).map_or(0, |memory| memory.end)
    }

    /// The first number that the reader has not acknowledged.
    pub fn acknowledged(&self, fleet: usize, reader: &str) -> u64 {
        self.lock(fleet).and_then(|memory| memory.readers.get(reader).copied()).unwrap_or(0)
    }

    /// At most so many payloads from the number `from` on, and the number to read from next.
    pub fn read(&self, fleet: usize, from: u64, most: usize) -> (Vec<Entry>, u64) {
        let Some(memory) = self.lock(fleet) else { return (Vec::new(), from) };
        let start = memory.entries.partition_point(|entry| entry.number < from);
        let entries: Vec<Entry> = memory.entries.iter().skip(start).take(most).cloned().collect();
        let next = entries.last().map_or(from, |entry| entry.number + 1);
        (entries, next)
    }

    /// The reader has handed out every payload below this number.
    pub fn acknowledge(&self, fleet: usize, reader: &str, below: u64) {
        if let Some(mut memory) = self.lock(fleet) {
            if let Some(position) = memory.readers.get_mut(reader) {
                *position = below.max(*position);
            }
            memory.drop_acknowledged();
        }
        self.announce();
    }

    /// The payloads of a fleet that some reader has not acknowledged.
    pub fn waiting(&self, fleet: usize) -> u64 {
        self.lock(fleet).map_or(0, |memory| memory.entries.len() as u64)
    }
}
