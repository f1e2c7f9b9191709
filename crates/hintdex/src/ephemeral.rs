//! Packets without a hint: opened by a key that the station agrees on for each of them.
//!
//! No index resolves such a packet. A scalar multiplication, 50 to 100 µs, shows which device
//! claims to have sent it, and garbage costs as much as a packet. So multiplications draw on the
//! scan budget, and a packet for which the budget has no more waits like one that needs a scan.

use std::time::{Duration, Instant};

use hintdex_core::PointHead;
use hintdex_wire::{Agreed, EphemeralPacket, Hint, HintScheme};
use rayon::prelude::*;

use crate::attempt::{Attempt, Authentic};
use crate::scans::PASS_TIME;
use crate::{Malformed, Resolved, Source, Station};

/// The packets of a batch, and the attempts to open them.
pub(crate) struct EphemeralPackets<'a, 'p> {
    station: &'a Station,
    packets: Vec<EphemeralPacket<'p>>,
    attempts: Vec<Attempt>,
    /// Whether each packet is still to be opened.
    is_open: Vec<bool>,
}

impl<'a, 'p> EphemeralPackets<'a, 'p> {
    pub(crate) fn new(station: &'a Station, packets: Vec<EphemeralPacket<'p>>) -> Self {
        let attempts = packets.iter().map(|_| Attempt::new()).collect();
        let is_open = vec![true; packets.len()];
        Self { station, packets, attempts, is_open }
    }

    pub(crate) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    pub(crate) fn into_attempts(self) -> Vec<Attempt> {
        self.attempts
    }

    /// The place of a packet in the queue of those that wait: copies of one packet share it.
    pub(crate) fn hint_at(&self, at: usize) -> Option<Hint> {
        Hint::read(HintScheme::Aes128, self.packets.get(at)?.point())
    }

    /// Leaves the packet at this place out from here on.
    pub(crate) fn leave_out(&mut self, at: usize) {
        self.is_open.get_mut(at).into_iter().for_each(|is_open| *is_open = false);
        if let Some(attempt) = self.attempts.get_mut(at) {
            *attempt = Attempt::new();
        }
    }

    /// Opens the packets, on all threads and many at a time. Returns the places of those for which
    /// the budget allowed no multiplication.
    pub(crate) fn agree(&mut self, on_budget: bool) -> Vec<usize> {
        let (station, scans) = (self.station, &self.station.scans);
        let open = std::mem::take(&mut self.is_open);
        let open = open.into_iter().enumerate().filter_map(|(at, is_open)| is_open.then_some(at));
        let open: Vec<usize> = open.collect();
        let (mut rest, mut spent) = (&open[..], Duration::ZERO);
        while !rest.is_empty() {
            let allowed = match on_budget {
                false => usize::MAX,
                // The rest of the batch waits for these multiplications.
                true if spent >= PASS_TIME => 0,
                true => scans.agreements_allowed(),
            };
            let (run, later) = rest.split_at(allowed.min(rest.len()));
            if run.is_empty() {
                break;
            }
            let (started, packets) = (Instant::now(), &self.packets);
            let agree = |at: &usize| Some((*at, station.agree(packets.get(*at)?)));
            let made: Vec<(usize, Attempt)> = run.par_iter().filter_map(agree).collect();
            let took = started.elapsed();
            scans.record_agreements(run.len(), took);
            for (at, made) in made {
                if let Some(attempt) = self.attempts.get_mut(at) {
                    *attempt = made;
                }
            }
            (rest, spent) = (later, spent + took);
        }
        rest.to_vec()
    }
}

impl Station {
    /// The attempt to open one packet: one scalar multiplication, and a tag for each key in service
    /// of the device that the packet names.
    fn agree(&self, packet: &EphemeralPacket<'_>) -> Attempt {
        let Some(secret) = &self.station_secret else { return Attempt::new() };
        match secret.agree(packet) {
            Some(agreed) => self.try_keys(packet, &agreed),
            None => Attempt::malformed(Malformed::WeakPoint),
        }
    }

    fn try_keys(&self, packet: &EphemeralPacket<'_>, agreed: &Agreed<'_>) -> Attempt {
        let mut attempt = Attempt::new();
        // A device usually seals under its newest key.
        let slots = self.index.slots(agreed.device()).into_iter().rev();
        for slot in slots.filter(|slot| !self.index.is_retired(*slot)) {
            let Some(key) = self.index.key(slot) else { continue };
            let Some(mac_key) = self.key_source().mac_key(key) else {
                attempt.keyless = Some(key.device);
                continue;
            };
            let nonce = agreed.nonce().unwrap_or(0);
            let candidate = Resolved { slot, key, nonce, source: Source::Packet };
            let mut payload = vec![0; packet.payload_len_bytes()];
            if agreed.open(&mac_key, &mut payload).is_none() {
                attempt.reject(candidate);
                continue;
            }
            let point = agreed.nonce().is_none().then(|| head_of(packet));
            attempt.accept(Authentic { resolved: candidate, hint_key: None, point, payload });
            break;
        }
        attempt
    }
}

/// The part of the point by which a repeat is recognized.
fn head_of(packet: &EphemeralPacket<'_>) -> PointHead {
    packet.point().first_chunk().copied().unwrap_or_default()
}
