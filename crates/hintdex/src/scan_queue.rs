//! Packets that wait until the scan budget allows a scan for their hints.
//!
//! Room is counted in hints, not in packets: copies of one packet share a place, so a
//! jammer that repeats itself cannot push out the packets of others. When there is no room,
//! the hint that has waited longest is dropped: a flood must not keep out later packets.

use std::collections::{HashMap, HashSet, VecDeque};

use hintdex_wire::{AssociatedDataBuf, Hint};

/// Hints that may wait.
const MAX_QUEUED_HINTS: usize = 4096;
/// Packets of one hint that may wait: a packet and its copies from other gateways.
const MAX_PACKETS_PER_HINT: usize = 8;
/// The longest packet that may wait, in bytes. No radio sends longer packets.
const MAX_QUEUED_LEN_BYTES: usize = 256;

/// Names a packet that waits for a scan. No two packets of a station share a ticket.
///
/// See the example of [`Station`](crate::Station).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// A packet that waits, with what was [received](crate::Received) beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueuedPacket {
    pub(crate) hint: Hint,
    pub(crate) ticket: Ticket,
    pub(crate) packet: Vec<u8>,
    pub(crate) at_unix_s: u64,
    pub(crate) at_ms: u16,
    pub(crate) associated_data: Option<Box<AssociatedDataBuf>>,
    pub(crate) context: Box<[u8]>,
}

/// Packets that wait for a scan, by hint.
#[derive(Debug, Default)]
pub(crate) struct ScanQueue {
    /// The hints that wait, the oldest first.
    order: VecDeque<Hint>,
    packets: HashMap<Hint, Vec<QueuedPacket>>,
    next_ticket: u64,
    /// The tickets of all packets that wait.
    tickets: HashSet<Ticket>,
}

impl ScanQueue {
    /// The next ticket.
    pub(crate) const fn issue_ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Queues a packet with this hint. Returns how many packets were dropped for it: the
    /// packet itself, or older packets.
    pub(crate) fn push(&mut self, hint: Hint, queued: QueuedPacket) -> usize {
        if queued.packet.len() > MAX_QUEUED_LEN_BYTES {
            return 1;
        }
        if let Some(copies) = self.packets.get_mut(&hint) {
            if copies.len() == MAX_PACKETS_PER_HINT {
                return 1;
            }
            self.tickets.insert(queued.ticket);
            copies.push(queued);
            return 0;
        }
        let mut dropped = 0;
        if self.order.len() == MAX_QUEUED_HINTS {
            let oldest = self.order.pop_front().and_then(|oldest| self.packets.remove(&oldest));
            for queued in oldest.into_iter().flatten() {
                dropped += 1;
                self.tickets.remove(&queued.ticket);
            }
        }
        self.order.push_back(hint);
        self.tickets.insert(queued.ticket);
        self.packets.insert(hint, vec![queued]);
        dropped
    }

    /// Removes the packets of the newest hints, of at most `max_hints` hints, and returns
    /// the packets in the order in which they were received.
    pub(crate) fn take(&mut self, max_hints: usize) -> Vec<QueuedPacket> {
        let rest = self.order.len().saturating_sub(max_hints);
        let hints = self.order.split_off(rest);
        let packets = hints.iter().filter_map(|hint| self.packets.remove(hint));
        let mut taken: Vec<QueuedPacket> = packets.flatten().collect();
        taken.sort_unstable_by_key(|queued| queued.ticket);
        for queued in &taken {
            self.tickets.remove(&queued.ticket);
        }
        taken
    }

    /// Whether the packet with this ticket waits.
    pub(crate) fn contains(&self, ticket: Ticket) -> bool {
        self.tickets.contains(&ticket)
    }

    /// How many packets wait.
    pub(crate) fn len(&self) -> usize {
        self.tickets.len()
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use hintdex_wire::HintScheme;

    use super::*;

    fn hint(number: usize) -> Hint {
        Hint::read(HintScheme::Aes128, &(number as u128).to_be_bytes()).expect("16 bytes")
    }

    /// Queues a packet and returns how many were dropped.
    fn push(queue: &mut ScanQueue, number: usize, len_bytes: usize) -> usize {
        let ticket = queue.issue_ticket();
        let packet = vec![0; len_bytes];
        queue.push(
            hint(number),
            QueuedPacket {
                hint: hint(number),
                ticket,
                packet,
                at_unix_s: 7,
                at_ms: 0,
                associated_data: None,
                context: Box::default(),
            },
        )
    }

    #[test]
    fn the_newest_hints_are_kept_and_are_taken_first() {
        let mut queue = ScanQueue::default();
        assert_eq!(push(&mut queue, 0, MAX_QUEUED_LEN_BYTES + 1), 1);
        for number in 0..MAX_QUEUED_HINTS {
            assert_eq!(push(&mut queue, number, 40), 0);
        }
        assert_eq!(push(&mut queue, MAX_QUEUED_HINTS, 40), 1);
        assert_eq!(queue.len(), MAX_QUEUED_HINTS);
        let newest: Vec<Ticket> = queue.take(2).iter().map(|queued| queued.ticket).collect();
        let last = MAX_QUEUED_HINTS as u64 + 2;
        assert_eq!(newest, [Ticket(last - 1), Ticket(last)]);
        assert!(!queue.contains(Ticket(last)) && queue.contains(Ticket(last - 2)));
        assert!(!queue.contains(Ticket(2)), "the oldest was dropped");
        assert_eq!(queue.take(usize::MAX).len(), MAX_QUEUED_HINTS - 2);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn copies_of_one_packet_take_one_place() {
        let mut queue = ScanQueue::default();
        assert_eq!(push(&mut queue, 1, 40), 0);
        let dropped: usize = (0..8192).map(|_| push(&mut queue, 2, 40)).sum();
        assert_eq!(dropped, 8192 - MAX_PACKETS_PER_HINT);
        assert_eq!(queue.len(), 1 + MAX_PACKETS_PER_HINT);
        let taken = queue.take(1);
        assert_eq!(taken.len(), MAX_PACKETS_PER_HINT);
        assert!(taken.is_sorted_by_key(|queued| queued.ticket));
        assert_eq!(queue.take(1).len(), 1);
    }
}
