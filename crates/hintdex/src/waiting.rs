//! Packets that wait until the budget allows a scan for them.
//!
//! The room is for hints, not for packets: copies of one packet wait together, so that a
//! jammer that repeats itself cannot push out what others sent. When there is no room, the
//! hint that has waited longest goes: a flood must not keep out what comes after it.

use std::collections::{HashMap, HashSet, VecDeque};

use hintdex_wire::Hint;

/// Hints that may wait.
const MAX_WAITING_HINTS: usize = 4096;
/// Packets of one hint that may wait: a packet and its copies by other gateways.
const MAX_PACKETS_PER_HINT: usize = 8;
/// The longest packet that may wait: nobody sends longer ones by radio.
const MAX_WAITING_LEN_BYTES: usize = 256;

/// Names a packet that waits for a scan. No two packets of a station have one ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// A packet that waits, and when it was received, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waited {
    pub(crate) ticket: Ticket,
    pub(crate) packet: Vec<u8>,
    pub(crate) at_unix_s: u64,
}

/// Packets that wait for a scan, by hint.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// The hints that wait, the one that has waited longest first.
    order: VecDeque<Hint>,
    packets: HashMap<Hint, Vec<Waited>>,
    next_ticket: u64,
    /// The tickets of all packets that wait.
    tickets: HashSet<Ticket>,
}

impl Waiting {
    /// The next ticket.
    pub(crate) const fn issue(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Lets a packet with this hint wait; returns how many packets were dropped for that,
    /// this one or older ones.
    pub(crate) fn push(&mut self, hint: Hint, waited: Waited) -> usize {
        if waited.packet.len() > MAX_WAITING_LEN_BYTES {
            return 1;
        }
        if let Some(copies) = self.packets.get_mut(&hint) {
            if copies.len() == MAX_PACKETS_PER_HINT {
                return 1;
            }
            self.tickets.insert(waited.ticket);
            copies.push(waited);
            return 0;
        }
        let mut dropped = 0;
        if self.order.len() == MAX_WAITING_HINTS {
            let oldest = self.order.pop_front().and_then(|oldest| self.packets.remove(&oldest));
            for waited in oldest.into_iter().flatten() {
                dropped += 1;
                self.tickets.remove(&waited.ticket);
            }
        }
        self.order.push_back(hint);
        self.tickets.insert(waited.ticket);
        self.packets.insert(hint, vec![waited]);
        dropped
    }

    /// Takes the packets of the newest hints, at most so many of these, in the order in
    /// which the packets came.
    pub(crate) fn take(&mut self, most_hints: usize) -> Vec<Waited> {
        let rest = self.order.len().saturating_sub(most_hints);
        let hints = self.order.split_off(rest);
        let packets = hints.iter().filter_map(|hint| self.packets.remove(hint));
        let mut taken: Vec<Waited> = packets.flatten().collect();
        taken.sort_unstable_by_key(|waited| waited.ticket);
        for waited in &taken {
            self.tickets.remove(&waited.ticket);
        }
        taken
    }

    /// Whether the packet with this ticket waits.
    pub(crate) fn has(&self, ticket: Ticket) -> bool {
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

    /// Lets a packet wait and returns how many were dropped.
    fn push(waiting: &mut Waiting, number: usize, len_bytes: usize) -> usize {
        let ticket = waiting.issue();
        let packet = vec![0; len_bytes];
        waiting.push(hint(number), Waited { ticket, packet, at_unix_s: 7 })
    }

    #[test]
    fn the_newest_hints_wait_and_are_taken_first() {
        let mut waiting = Waiting::default();
        assert_eq!(push(&mut waiting, 0, MAX_WAITING_LEN_BYTES + 1), 1);
        for number in 0..MAX_WAITING_HINTS {
            assert_eq!(push(&mut waiting, number, 40), 0);
        }
        assert_eq!(push(&mut waiting, MAX_WAITING_HINTS, 40), 1);
        assert_eq!(waiting.len(), MAX_WAITING_HINTS);
        let newest: Vec<Ticket> = waiting.take(2).iter().map(|waited| waited.ticket).collect();
        let last = MAX_WAITING_HINTS as u64 + 2;
        assert_eq!(newest, [Ticket(last - 1), Ticket(last)]);
        assert!(!waiting.has(Ticket(last)) && waiting.has(Ticket(last - 2)));
        assert!(!waiting.has(Ticket(2)), "the oldest was dropped");
        assert_eq!(waiting.take(usize::MAX).len(), MAX_WAITING_HINTS - 2);
        assert_eq!(waiting.len(), 0);
    }

    #[test]
    fn copies_of_one_packet_take_one_place() {
        let mut waiting = Waiting::default();
        assert_eq!(push(&mut waiting, 1, 40), 0);
        let dropped: usize = (0..8192).map(|_| push(&mut waiting, 2, 40)).sum();
        assert_eq!(dropped, 8192 - MAX_PACKETS_PER_HINT);
        assert_eq!(waiting.len(), 1 + MAX_PACKETS_PER_HINT);
        let taken = waiting.take(1);
        assert_eq!(taken.len(), MAX_PACKETS_PER_HINT);
        assert!(taken.is_sorted_by_key(|waited| waited.ticket));
        assert_eq!(waiting.take(1).len(), 1);
    }
}
