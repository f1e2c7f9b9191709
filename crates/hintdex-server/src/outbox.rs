//! The outboxes of a station's fleets, as the outputs of the service read them.

use std::sync::Arc;

use hintdex::wire::{DeviceId, Nonce};
use hintdex::{Error, OutboxPayload, Source, StationGroup};
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

impl From<OutboxPayload> for Entry {
    fn from(stored: OutboxPayload) -> Self {
        let OutboxPayload { number, device, nonce, source, payload, context, .. } = stored;
        let received_ms =
            stored.at_unix_s.saturating_mul(1_000).saturating_add(u64::from(stored.at_ms));
        Self { number, device, nonce, source, received_ms, payload, context }
    }
}

/// The outboxes of a station, one for each fleet. Outputs are their readers.
#[derive(Debug)]
pub struct Outboxes {
    group: Arc<StationGroup>,
    room: u64,
    changed: watch::Sender<u64>,
}

impl Outboxes {
    /// The outboxes of the stations of a group, each with room for so many payloads.
    pub fn new(group: Arc<StationGroup>, room: u64) -> Self {
        Self { group, room, changed: watch::Sender::new(0) }
    }

    fn of(&self, fleet: usize) -> Option<hintdex::Outbox<'_>> {
        self.group.stations().get(fleet)?.outbox()
    }

    /// The number of fleets.
    pub fn fleets(&self) -> usize {
        self.group.stations().len()
    }

    /// Sets the readers. A new reader begins with the oldest payload; payloads wait for no reader
    /// that is not named.
    ///
    /// # Errors
    /// The index failed.
    pub fn set_readers(&self, names: &[&str]) -> Result<(), Error> {
        for fleet in 0..self.fleets() {
            self.of(fleet).map_or(Ok(()), |outbox| outbox.set_readers(names))?;
        }
        self.announce();
        Ok(())
    }

    /// Whether every fleet takes a further batch.
    pub fn has_room(&self) -> bool {
        (0..self.fleets()).all(|fleet| self.waiting(fleet) < self.room)
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
        self.of(fleet).map_or(0, |outbox| outbox.end())
    }

    /// The first number that the reader has not acknowledged.
    pub fn place(&self, fleet: usize, reader: &str) -> u64 {
        // A reader that was removed has nothing to read.
        let end = self.end(fleet);
        self.of(fleet).and_then(|outbox| outbox.place(reader).ok()).unwrap_or(end)
    }

    /// At most so many payloads from the number `from` on, and the number to read from next.
    ///
    /// # Errors
    /// The index failed.
    pub fn read(&self, fleet: usize, from: u64, most: usize) -> Result<(Vec<Entry>, u64), Error> {
        let Some(outbox) = self.of(fleet) else { return Ok((Vec::new(), from)) };
        let part = outbox.read(from, most)?;
        Ok((part.payloads.into_iter().map(Entry::from).collect(), part.next))
    }

    /// The reader has handed out every payload below this number.
    ///
    /// # Errors
    /// The index failed.
    pub fn acknowledge(&self, fleet: usize, reader: &str, below: u64) -> Result<(), Error> {
        self.of(fleet).map_or(Ok(()), |outbox| outbox.acknowledge(reader, below))?;
        self.announce();
        Ok(())
    }

    /// The payloads of a fleet that some reader has not acknowledged, at most.
    pub fn waiting(&self, fleet: usize) -> u64 {
        self.of(fleet).map_or(0, |outbox| outbox.waiting())
    }

    /// The payloads of all fleets that a reader has not acknowledged, at most.
    pub fn waiting_for(&self, reader: &str) -> u64 {
        let of = |fleet| self.end(fleet).saturating_sub(self.place(fleet, reader));
        (0..self.fleets()).map(of).sum()
    }
}
