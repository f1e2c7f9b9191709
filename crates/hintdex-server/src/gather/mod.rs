//! Copies of a packet from many gateways become one packet with all its receptions.

mod agreed_time;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

pub use agreed_time::agreed_time_ms;

use crate::uplink::{GatheredPacket, MAX_RECEPTIONS, Uplink};

/// How long after a packet was passed on its copies are late copies and no packets.
const LATE: Duration = Duration::from_secs(5);

/// The most packets whose late copies are recognized.
const MAX_PASSED: usize = 1 << 16;

/// The most packets that wait for further copies. With more, the oldest is passed on early.
const MAX_HELD: usize = 1 << 14;

/// What the gatherer did with an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathered {
    /// The first copy of a packet.
    First,
    /// A further copy, which joined the first.
    Joined,
    /// A copy of a packet that was passed on already; dropped.
    Late,
}

/// Holds each packet for some time, so that the receptions of all gateways join it.
///
/// A pure state: the caller passes the time in. Memory is bounded by [`MAX_HELD`] packets and
/// [`MAX_PASSED`] digests.
#[derive(Debug)]
pub struct Gatherer {
    hold: Duration,
    /// The packets that are held, by their numbers, which are consecutive.
    held: VecDeque<Held>,
    first_number: u64,
    /// The number of the held packet with these bytes.
    numbers: HashMap<Vec<u8>, u64>,
    /// Digests of packets that were passed on, under a random key, and when.
    passed: HashMap<u64, Instant>,
    passed_order: VecDeque<(Instant, u64)>,
    random: RandomState,
}

#[derive(Debug)]
struct Held {
    due: Instant,
    packet: GatheredPacket,
}

impl Gatherer {
    /// A gatherer that holds packets for `hold`. With no time, every copy is a packet.
    pub fn new(hold: Duration) -> Self {
        Self {
            hold,
            held: VecDeque::new(),
            first_number: 0,
            numbers: HashMap::new(),
            passed: HashMap::new(),
            passed_order: VecDeque::new(),
            random: RandomState::new(),
        }
    }

    /// Changes how long further packets are held.
    pub const fn set_hold(&mut self, hold: Duration) {
        self.hold = hold;
    }

    /// Takes an uplink that arrived at `now`, which is `arrival_ms` by the server's clock.
    pub fn push(&mut self, uplink: Uplink, now: Instant, arrival_ms: u64) -> Gathered {
        let Uplink { packet, reception } = uplink;
        if self.hold.is_zero() {
            self.hold_packet(packet, reception, now, arrival_ms);
            return Gathered::First;
        }
        let number =
            self.numbers.get(&packet).and_then(|number| number.checked_sub(self.first_number));
        let held = number.and_then(|place| self.held.get_mut(usize::try_from(place).ok()?));
        if let Some(held) = held {
            let receptions = &mut held.packet.receptions;
            let is_known = |gateway: &Option<String>| {
                gateway.is_some() && receptions.iter().any(|known| known.gateway == *gateway)
            };
            // A datagram that the network doubled is one reception.
            if !is_known(&reception.gateway) && receptions.len() < MAX_RECEPTIONS {
                receptions.push(reception);
            }
            return Gathered::Joined;
        }
        self.forget_passed(now);
        if self.passed.contains_key(&self.random.hash_one(&packet)) {
            return Gathered::Late;
        }
        self.numbers.insert(packet.clone(), self.first_number + self.held.len() as u64);
        self.hold_packet(packet, reception, now, arrival_ms);
        Gathered::First
    }

    fn hold_packet(
        &mut self,
        packet: Vec<u8>,
        reception: crate::uplink::Reception,
        now: Instant,
        arrival_ms: u64,
    ) {
        let packet = GatheredPacket { packet, arrival_ms, receptions: vec![reception] };
        self.held.push_back(Held { due: now + self.hold, packet });
    }

    /// The next packet that has been held long enough at `now`, or that lacks room.
    pub fn pop(&mut self, now: Instant) -> Option<GatheredPacket> {
        let first = self.held.front()?;
        if first.due > now && self.held.len() <= MAX_HELD {
            return None;
        }
        self.pop_first(now)
    }

    /// The next packet, however long it was held: for the end of the input.
    pub fn pop_first(&mut self, now: Instant) -> Option<GatheredPacket> {
        let Held { packet, .. } = self.held.pop_front()?;
        self.first_number += 1;
        if self.numbers.remove(&packet.packet).is_some() {
            let digest = self.random.hash_one(&packet.packet);
            self.passed.insert(digest, now);
            self.passed_order.push_back((now, digest));
        }
        Some(packet)
    }

    /// When the next packet is due; `None` if none is held.
    pub fn next_due(&self) -> Option<Instant> {
        self.held.front().map(|held| held.due)
    }

    fn forget_passed(&mut self, now: Instant) {
        while let Some((at, digest)) = self.passed_order.front().copied() {
            if now.saturating_duration_since(at) < LATE && self.passed_order.len() <= MAX_PASSED {
                break;
            }
            self.passed_order.pop_front();
            // A newer entry of the same packet stays.
            if self.passed.get(&digest) == Some(&at) {
                self.passed.remove(&digest);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::uplink::Reception;

    fn uplink(packet: u8, gateway: u8) -> Uplink {
        let gateway = Some(format!("gateway-{gateway}"));
        Uplink { packet: vec![packet], reception: Reception { gateway, ..Reception::default() } }
    }

    fn after_ms(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn copies_join_the_first_and_late_copies_are_dropped() {
        let start = Instant::now();
        let mut gatherer = Gatherer::new(Duration::from_millis(200));
        assert_eq!(gatherer.push(uplink(7, 1), start, 5), Gathered::First);
        assert_eq!(gatherer.push(uplink(7, 2), after_ms(start, 199), 6), Gathered::Joined);
        assert_eq!(gatherer.push(uplink(7, 2), after_ms(start, 199), 6), Gathered::Joined);
        assert_eq!(gatherer.pop(after_ms(start, 199)), None);
        let packet = gatherer.pop(after_ms(start, 200)).map(|packet| packet.receptions.len());
        assert_eq!(packet, Some(2));
        assert_eq!(gatherer.push(uplink(7, 3), after_ms(start, 5199), 7), Gathered::Late);
        assert_eq!(gatherer.push(uplink(7, 3), after_ms(start, 5200), 7), Gathered::First);
    }

    #[test]
    fn without_time_every_copy_is_a_packet() {
        let start = Instant::now();
        let mut gatherer = Gatherer::new(Duration::ZERO);
        assert_eq!(gatherer.push(uplink(7, 1), start, 0), Gathered::First);
        assert_eq!(gatherer.push(uplink(7, 2), start, 0), Gathered::First);
        assert!(gatherer.pop(start).is_some() && gatherer.pop(start).is_some());
        assert_eq!(gatherer.pop(start), None);
    }

    #[test]
    fn what_is_held_and_what_is_known_are_bounded() {
        let start = Instant::now();
        let mut gatherer = Gatherer::new(Duration::from_secs(3600));
        let mut passed = 0;
        for number in 0..200_000_u32 {
            let packet = number.to_be_bytes().to_vec();
            let reception = Reception::default();
            gatherer.push(Uplink { packet, reception }, start, 0);
            passed += usize::from(gatherer.pop(start).is_some());
        }
        assert_eq!(gatherer.held.len(), MAX_HELD);
        assert_eq!(passed, 200_000 - MAX_HELD);
        assert!(gatherer.passed.len() <= MAX_PASSED + 1);
        assert_eq!(gatherer.numbers.len(), MAX_HELD);
    }

    /// The plain model: a list of everything, searched from the front.
    #[derive(Default)]
    struct Model {
        held: Vec<(u64, u8, Vec<u8>)>,
        passed: Vec<(u64, u8)>,
        out: Vec<(u8, Vec<u8>)>,
    }

    impl Model {
        fn pop(&mut self, now_ms: u64, hold_ms: u64) {
            while self.held.first().is_some_and(|held| held.0 + hold_ms <= now_ms) {
                let (_, packet, gateways) = self.held.remove(0);
                self.passed.push((now_ms, packet));
                self.out.push((packet, gateways));
            }
        }

        fn push(&mut self, now_ms: u64, packet: u8, gateway: u8) {
            if let Some(held) = self.held.iter_mut().find(|held| held.1 == packet) {
                if !held.2.contains(&gateway) {
                    held.2.push(gateway);
                }
            } else if !self.passed.iter().any(|(at, known)| *known == packet && now_ms - at < 5000)
            {
                self.held.push((now_ms, packet, vec![gateway]));
            }
        }
    }

    proptest! {
        #[test]
        fn the_gatherer_is_its_plain_model(
            events in proptest::collection::vec((0..2500_u64, 0..6_u8, 0..4_u8), 0..120),
            hold_ms in 1..2000_u64,
        ) {
            let start = Instant::now();
            let mut gatherer = Gatherer::new(Duration::from_millis(hold_ms));
            let (mut model, mut out) = (Model::default(), Vec::new());
            let mut now_ms = 0;
            for (wait_ms, packet, gateway) in events {
                now_ms += wait_ms * u64::from(wait_ms % 3 == 0);
                let now = after_ms(start, now_ms);
                model.pop(now_ms, hold_ms);
                while let Some(packet) = gatherer.pop(now) {
                    out.push(packet);
                }
                model.push(now_ms, packet, gateway);
                gatherer.push(uplink(packet, gateway), now, now_ms);
            }
            let now = after_ms(start, now_ms + hold_ms);
            model.pop(now_ms + hold_ms, hold_ms);
            while let Some(packet) = gatherer.pop(now) {
                out.push(packet);
            }
            let out: Vec<(u8, Vec<String>)> = out
                .into_iter()
                .map(|packet| {
                    let gateways = packet.receptions.into_iter().filter_map(|one| one.gateway);
                    (packet.packet[0], gateways.collect())
                })
                .collect();
            let name = |gateway: &u8| format!("gateway-{gateway}");
            let model: Vec<(u8, Vec<String>)> = model
                .out
                .iter()
                .map(|(packet, gateways)| (*packet, gateways.iter().map(name).collect()))
                .collect();
            prop_assert_eq!(out, model);
        }
    }
}
