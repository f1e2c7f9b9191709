//! The packets that wait for a scan, and the counts of those that did.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hintdex_wire::{AssociatedData, AssociatedDataBuf, Hint};

use crate::Received;
use crate::scan_queue::{QueuedPacket, ScanQueue, Ticket};
use crate::scans::ScanStats;

/// The packets that wait for a scan of a station, or of the stations of a group.
#[derive(Debug, Default)]
pub(crate) struct WaitingPackets {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: ScanQueue,
    /// [`ScanStats::refused`].
    refused: u64,
    /// [`ScanStats::dropped`].
    dropped: u64,
}

impl WaitingPackets {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked can have lost a count and nothing else.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a packet for whose hint the budget allowed no scan.
    pub(crate) fn enqueue(&self, hint: Hint, received: &Received<'_>) -> Ticket {
        let mut inner = self.lock();
        inner.refused += 1;
        let ticket = inner.queue.issue_ticket();
        let packet = received.packet.to_vec();
        let (at_unix_s, at_ms) = (received.at_unix_s, received.at_ms);
        let kept = |data: AssociatedData<'_>| AssociatedDataBuf::new(data.bytes()).map(Box::new);
        let associated_data = received.associated_data.and_then(kept);
        let context = received.context.into();
        let queued =
            QueuedPacket { hint, ticket, packet, at_unix_s, at_ms, associated_data, context };
        let dropped = inner.queue.push(hint, queued);
        inner.dropped += dropped as u64;
        ticket
    }

    /// Returns a packet to the queue that was refused once more.
    pub(crate) fn requeue(&self, hint: Hint, queued: QueuedPacket) {
        let mut inner = self.lock();
        let dropped = inner.queue.push(hint, queued);
        inner.dropped += dropped as u64;
    }

    /// Removes the packets of the newest hints from the queue, of at most `max_hints` hints.
    pub(crate) fn take(&self, max_hints: usize) -> Vec<QueuedPacket> {
        self.lock().queue.take(max_hints)
    }

    /// Whether the packet with this ticket waits.
    pub(crate) fn contains(&self, ticket: Ticket) -> bool {
        self.lock().queue.contains(ticket)
    }

    /// `scans` with the counts of these packets added.
    pub(crate) fn add_to(&self, scans: ScanStats) -> ScanStats {
        let inner = self.lock();
        ScanStats {
            refused: scans.refused + inner.refused,
            dropped: scans.dropped + inner.dropped,
            waiting: scans.waiting + inner.queue.len() as u64,
            ..scans
        }
    }
}
