//! Packets without a hint: opened by a key that the station agrees on for each of them.
//!
//! No index resolves such a packet. A scalar multiplication, 50 to 100 µs, shows which device
//! claims to have sent it, and garbage costs as much as a packet. So multiplications draw on the
//! scan budget, and a packet for which the budget has no more waits like one that needs a scan.

use std::time::{Duration, Instant};

use hintdex_core::PointHead;
use hintdex_wire::{Agreed, EphemeralPacket, EphemeralSuite, Hint, HintKey, HintScheme};
use rayon::prelude::*;

use crate::attempt::{Attempt, Authentic, Opened};
use crate::scans::PASS_TIME;
use crate::{Malformed, Received, Resolved, Source, Station};

impl Station {
    /// Opens packets of `suite`, on all threads and many at a time.
    pub(crate) fn open_ephemeral(
        &self,
        suite: EphemeralSuite,
        packets: &[Received<'_>],
        on_budget: bool,
    ) -> Opened {
        let (mut attempts, mut refused) = (Vec::with_capacity(packets.len()), Vec::new());
        let (mut rest, mut spent) = (packets, Duration::ZERO);
        while !rest.is_empty() {
            let allowed = match on_budget {
                false => usize::MAX,
                true if spent >= PASS_TIME => 0,
                true => self.scans.agreements_allowed(),
            };
            let (run, later) = rest.split_at(allowed.min(rest.len()));
            if run.is_empty() {
                break;
            }
            let started = Instant::now();
            attempts.par_extend(run.par_iter().map(|received| self.agree(suite, received)));
            let took = started.elapsed();
            self.scans.record_agreements(run.len(), took);
            (rest, spent) = (later, spent + took);
        }
        for received in rest {
            // A packet that is too short costs no multiplication.
            let (attempt, place) = match EphemeralPacket::parse(suite, received.packet) {
                Ok(packet) => (Attempt::new(), place_of(&packet)),
                Err(error) => (Attempt::malformed(error.into()), None),
            };
            refused.extend(place.map(|hint| (attempts.len(), hint)));
            attempts.push(attempt);
        }
        Opened { attempts, refused }
    }

    /// The attempt to open one packet: one scalar multiplication, and a tag for each key in service
    /// of the device that the packet names.
    fn agree(&self, suite: EphemeralSuite, received: &Received<'_>) -> Attempt {
        let packet = match EphemeralPacket::parse(suite, received.packet) {
            Ok(packet) => packet,
            Err(error) => return Attempt::malformed(error.into()),
        };
        let Some(secret) = &self.station_secret else { return Attempt::new() };
        match secret.agree(&packet) {
            Some(agreed) => self.try_keys(&packet, &agreed),
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
            let hint_key = HintKey::from_bytes([0; 16]);
            attempt.accept(Authentic { resolved: candidate, hint_key, point, payload });
            break;
        }
        attempt
    }
}

/// The place in the queue of waiting packets: copies of one packet share it.
fn place_of(packet: &EphemeralPacket<'_>) -> Option<Hint> {
    Hint::read(HintScheme::Aes128, packet.point())
}

/// The part of the point by which a repeat is told.
fn head_of(packet: &EphemeralPacket<'_>) -> PointHead {
    packet.point().first_chunk().copied().unwrap_or_default()
}
