//! Decoding: from packets to verdicts.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use hintdex_core::{Admission, Arrival};
use hintdex_scan::KeyTable;
use hintdex_wire::{Hint, HintKey, Packet, PacketError};
use rayon::prelude::*;

use crate::follow::Follower;
use crate::scans::{MAX_HINTS_PER_PASS, PASS_TIME, Pass};
use crate::strangers::Waited;
use crate::{Error, Found, Malformed, Resolved, Station, Unknown, Verdict};

/// Devices whose tag is tried for one packet. Each try is a chance of 2⁻⁶⁴ for a
/// forger, and the cost of a flood of hints that many devices share.
const MAX_CANDIDATES: usize = 16;

/// A packet and when it was received, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The packet.
    pub packet: &'a [u8],
    /// When it was received. Only looked at where nonces tell time.
    pub at_unix_s: u64,
}

impl Station {
    /// What is to be said of one packet. If that is [`Verdict::Accepted`], its
    /// nonce is taken, durably, before this returns.
    ///
    /// Takes about 10 µs; [`decode_batch`](Self::decode_batch) takes less a packet.
    ///
    /// # Errors
    /// What the index says. The packet is not accepted then, and after a failed
    /// write the station has to be opened again.
    pub fn decode(&self, packet: &[u8]) -> Result<Verdict, Error> {
        let verdicts = self.decode_batch(&[packet])?;
        // One packet, one verdict.
        Ok(verdicts.into_iter().next().unwrap_or(Verdict::Unknown(Unknown::NoDevice)))
    }

    /// What is to be said of each packet, as if they came one by one in this
    /// order. The fast path: lookups, tags and writes are shared between threads,
    /// and one sync covers the batch.
    ///
    /// # Errors
    /// What the index says. Some packets of the batch may have been accepted
    /// then, and the station has to be opened again.
    pub fn decode_batch<P: AsRef<[u8]> + Sync>(
        &self,
        packets: &[P],
    ) -> Result<Vec<Verdict>, Error> {
        let at_unix_s = self.index.now_s();
        let received =
            received_each(packets, |packet| Received { packet: packet.as_ref(), at_unix_s });
        self.decode_on(&received, self.scans.is_bounded())
    }

    /// [`decode_batch`](Self::decode_batch) of packets that were received not now but
    /// each at its time, by the station's clock or not long before: the windows of
    /// that time must still be there.
    ///
    /// # Errors
    /// Those of [`decode_batch`](Self::decode_batch).
    pub fn decode_received(&self, packets: &[Received<'_>]) -> Result<Vec<Verdict>, Error> {
        self.decode_on(packets, self.scans.is_bounded())
    }

    /// Decodes a batch, its scans on a budget or not.
    fn decode_on(&self, packets: &[Received<'_>], on_budget: bool) -> Result<Vec<Verdict>, Error> {
        self.keep_the_present();
        let scheme = self.params().scheme;
        let parsed: Vec<_> =
            packets.iter().map(|received| Packet::parse(scheme, received.packet)).collect();
        let times = packets.iter().zip(&parsed).filter(|(_, packet)| packet.is_ok());
        let times: Vec<u64> = times.map(|(received, _)| received.at_unix_s).collect();
        let whole: Vec<&Packet<'_>> =
            parsed.iter().filter_map(|packet| packet.as_ref().ok()).collect();
        let hints: Vec<Hint> = whole.iter().map(|packet| *packet.hint()).collect();
        let table = self.table()?;
        let (first_s, last_s) = (times.iter().min(), times.iter().max());
        let asked_s = first_s.copied().unwrap_or(0)..=last_s.copied().unwrap_or(0);
        let mut resolved = self.look_up(&table, &hints, &asked_s)?;
        let forged = self.forget_unverified(&whole, &mut resolved);
        let mut follower = Follower::new(self, &table, &hints, &resolved);
        let known: Vec<_> = resolved.iter().flatten().copied().collect();
        follower.follow(&known, &mut resolved);
        let refused = self.scan_for_the_rest(
            &table,
            &hints,
            &asked_s,
            &mut resolved,
            &mut follower,
            on_budget,
        );
        let mut opened: Vec<_> = whole
            .par_iter()
            .zip(&resolved)
            .map(|(packet, found)| self.open_packet(&table, packet, found))
            .collect();
        for at in refused {
            let place = opened.get_mut(at).filter(|opened| matches!(opened, Opened::Unknown(_)));
            place.into_iter().for_each(|place| *place = Opened::Unknown(Unknown::ScanBudget));
        }
        for at in forged {
            let place = opened
                .get_mut(at)
                .filter(|opened| matches!(opened, Opened::Unknown(Unknown::NoDevice)));
            place.into_iter().for_each(|place| *place = Opened::Forged);
        }
        let mut judged = self.admit(opened, &times)?.into_iter();
        let verdict = |packet: Result<Packet<'_>, PacketError>| match packet {
            Ok(_) => judged.next().unwrap_or(Verdict::Unknown(Unknown::NoDevice)),
            Err(PacketError { len_bytes, least_bytes }) => {
                Verdict::Malformed(Malformed::TooShort { len_bytes, least_bytes })
            }
        };
        let verdicts: Vec<Verdict> = parsed.into_iter().map(verdict).collect();
        for (received, verdict) in packets.iter().zip(&verdicts) {
            if *verdict == Verdict::Unknown(Unknown::ScanBudget) {
                self.scans.wait(received);
            }
        }
        self.roll_if_due();
        Ok(verdicts)
    }

    /// Decodes packets that waited for a scan, the newest first, as far as the
    /// budget allows one now; each with what is to be said of it at last. After a
    /// flood the newest are the likeliest to be somebody's.
    ///
    /// For the moments in which no packet comes in. About 10 ms of passes over all
    /// devices.
    ///
    /// # Errors
    /// Those of [`decode_batch`](Self::decode_batch).
    pub fn scan_waiting(&self) -> Result<Vec<(Vec<u8>, Verdict)>, Error> {
        let most = self.scans.hints_allowed(self.index.slot_count() as usize);
        let waited = self.scans.take_waiting(most);
        let verdicts = self.decode_on(&again(&waited), self.scans.is_bounded())?;
        let decided = |(_, verdict): &(_, Verdict)| {
            // Refused once more, it waits again.
            *verdict != Verdict::Unknown(Unknown::ScanBudget)
        };
        let packets = waited.into_iter().map(|waited| waited.packet);
        Ok(packets.zip(verdicts).filter(decided).collect())
    }

    /// Decodes every packet that waits for a scan, whatever the budget says: for the
    /// end, when nothing is left that could be kept waiting.
    ///
    /// # Errors
    /// Those of [`decode_batch`](Self::decode_batch).
    pub fn scan_all_waiting(&self) -> Result<Vec<(Vec<u8>, Verdict)>, Error> {
        let waited = self.scans.take_waiting(usize::MAX);
        let verdicts = self.decode_on(&again(&waited), false)?;
        Ok(waited.into_iter().map(|waited| waited.packet).zip(verdicts).collect())
    }

    /// Where hints collide, empties the places of packets whose tag verifies under
    /// none of the devices found, so that others are looked for. Returns these places.
    fn forget_unverified(&self, packets: &[&Packet<'_>], resolved: &mut [Found]) -> Vec<usize> {
        if !self.hints_collide() {
            return Vec::new();
        }
        let is_one = |packet: &Packet<'_>, found: &Resolved| {
            let key = self.key_source().packet_key(found.key);
            key.is_some_and(|key| key.verify(packet).is_some())
        };
        let places = packets.par_iter().zip(resolved).enumerate();
        let forged = places.filter_map(|(at, (packet, place))| {
            let found = place.iter().take(MAX_CANDIDATES);
            if place.len() > MAX_CANDIDATES || place.is_empty() {
                return None;
            }
            if found.clone().any(|found| is_one(packet, found)) {
                return None;
            }
            place.clear();
            Some(at)
        });
        forged.collect()
    }

    /// Scans for the hints that nobody was found for, some at a time: a device
    /// that leapt ahead is found by its first hint, and the follower knows the
    /// others. Returns the places for which the budget allowed no scan.
    fn scan_for_the_rest(
        &self,
        table: &KeyTable,
        hints: &[Hint],
        times: &RangeInclusive<u64>,
        resolved: &mut [Found],
        follower: &mut Follower<'_>,
        on_budget: bool,
    ) -> Vec<usize> {
        let is_open =
            |at: usize, resolved: &[Found]| resolved.get(at).is_some_and(|found| found.is_empty());
        let mut strangers: VecDeque<usize> = hints
            .iter()
            .enumerate()
            .filter(|(at, hint)| is_open(*at, resolved) && !self.scans.is_remembered(hint))
            .map(|(at, _)| at)
            .collect();
        let mut scanned = Duration::ZERO;
        loop {
            strangers.retain(|at| is_open(*at, resolved));
            // The others of the batch wait: a bucket that is full is not emptied at once.
            let allowed = match on_budget {
                _ if strangers.is_empty() => 0,
                false => MAX_HINTS_PER_PASS,
                true if scanned >= PASS_TIME => 0,
                true => self.scans.hints_allowed(table.len()),
            };
            if allowed == 0 {
                return strangers.into();
            }
            let places: Vec<usize> = strangers.drain(..allowed.min(strangers.len())).collect();
            let unknown: Vec<Hint> =
                places.iter().filter_map(|at| hints.get(*at).copied()).collect();
            let started = Instant::now();
            let found = self.scan(table, &unknown, times);
            let took = started.elapsed();
            scanned += took;
            let ahead: Vec<Resolved> = found.iter().flatten().copied().collect();
            for (at, found) in places.iter().zip(found) {
                if let Some(place) = resolved.get_mut(*at) {
                    *place = found;
                }
            }
            follower.follow(&ahead, resolved);
            let found: Vec<bool> = places.iter().map(|at| !is_open(*at, resolved)).collect();
            let pass = Pass { hints: &unknown, found: &found, devices: table.len(), took };
            self.scans.passed(&pass);
        }
    }

    /// Verifies a packet's tag under the key of each device its hint may be of.
    fn open_packet(&self, table: &KeyTable, packet: &Packet<'_>, found: &[Resolved]) -> Opened {
        for resolved in found.iter().take(MAX_CANDIDATES) {
            let Some(key) = self.key_source().packet_key(resolved.key) else { continue };
            let Some(authentic) = key.verify(packet) else { continue };
            let Some(hint_key) = table.key(resolved.slot) else { continue };
            let mut payload = vec![0; packet.payload_len_bytes()];
            // The buffer has the payload's length, so it is always filled.
            let _ = authentic.decrypt(resolved.nonce, &mut payload);
            return Opened::Authentic { resolved: *resolved, hint_key, payload };
        }
        match found.len() {
            0 => Opened::Unknown(Unknown::NoDevice),
            1..=MAX_CANDIDATES => Opened::Forged,
            _ => {
                self.scans.count_crowded();
                Opened::Unknown(Unknown::TooManyCandidates)
            }
        }
    }

    /// Judges the nonces of the authentic packets, in order.
    fn admit(&self, opened: Vec<Opened>, times: &[u64]) -> Result<Vec<Verdict>, Error> {
        let arrivals = opened.iter().zip(times);
        let arrivals: Vec<_> =
            arrivals.filter_map(|(opened, at_unix_s)| opened.arrival(*at_unix_s)).collect();
        let mut admissions = self.index.admit_batch(&arrivals)?.into_iter();
        let verdict = |opened: Opened| match opened {
            Opened::Unknown(why) => Verdict::Unknown(why),
            Opened::Forged => Verdict::Forged,
            Opened::Authentic { resolved, payload, .. } => {
                let Resolved { nonce, source, .. } = resolved;
                let device = resolved.device();
                match admissions.next() {
                    Some(Admission::Accepted) => {
                        Verdict::Accepted { device, nonce, payload, source }
                    }
                    Some(Admission::Replay) => Verdict::Replay { device, nonce, source },
                    Some(Admission::Stale) => Verdict::Stale { device, nonce, source },
                    Some(Admission::Early) => Verdict::Early { device, nonce, source },
                    Some(Admission::Retired) | None => Verdict::Unknown(Unknown::NoDevice),
                }
            }
        };
        Ok(opened.into_iter().map(verdict).collect())
    }
}

/// A packet after its tag was looked at.
enum Opened {
    Unknown(Unknown),
    Forged,
    Authentic { resolved: Resolved, hint_key: HintKey, payload: Vec<u8> },
}

impl Opened {
    /// What is to be admitted, if anything is.
    const fn arrival(&self, received_unix_s: u64) -> Option<Arrival<'_>> {
        match self {
            Self::Authentic { resolved: Resolved { slot, nonce, .. }, hint_key, .. } => {
                Some(Arrival { slot: *slot, nonce: *nonce, hint_key, received_unix_s })
            }
            _ => None,
        }
    }
}

/// Packets as they were received.
fn received_each<'a, P>(
    packets: &'a [P],
    received: impl Fn(&'a P) -> Received<'a>,
) -> Vec<Received<'a>> {
    packets.iter().map(received).collect()
}

/// Packets that waited, as they were received.
fn again(waited: &[Waited]) -> Vec<Received<'_>> {
    received_each(waited, |waited| Received { packet: &waited.packet, at_unix_s: waited.at_unix_s })
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::sync::Arc;

    use hintdex_core::{DeviceRange, LiveIndex, Params};
    use hintdex_wire::{
        CheckValue, DeviceId, HintScheme, KeyId, KeySource, MasterKey, PacketKey, Sealer,
    };

    use super::*;
    use crate::StationOptions;
    use crate::keys::FleetKeys;

    /// Devices that all have one hint key.
    struct Twins(MasterKey);

    impl KeySource for Twins {
        fn hint_key(&self, _: KeyId) -> Option<HintKey> {
            self.0.hint_key(KeyId::first(DeviceId(0)))
        }

        fn packet_key(&self, key: KeyId) -> Option<PacketKey> {
            self.0.packet_key(key)
        }

        fn check_value(&self, context: &[u8]) -> CheckValue {
            self.0.check_value(context)
        }
    }

    fn packet(keys: &Twins, device: u32) -> Vec<u8> {
        let key = KeyId::first(DeviceId(device));
        let hint_key = keys.hint_key(key).expect("every device has one");
        let packet_key = keys.packet_key(key).expect("every device has one");
        let mut sealer = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, 3);
        let mut packet = vec![0; sealer.packet_len_bytes(1)];
        sealer.seal(b"?", &mut packet).expect("the buffer fits");
        packet
    }

    #[test]
    fn no_more_than_sixteen_tags_are_tried_for_a_packet() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = Arc::new(Twins(MasterKey::new(&[7; 32])));
        let params = Params::counters(HintScheme::Aes128, 4);
        let options = StationOptions::default();
        let path = folder.path().join("index");
        let index = LiveIndex::create(&path, keys.clone(), params, &options.of_index());
        let index = index.expect("it can be made");
        index.provision(&[DeviceRange::new(DeviceId(0), 20)], None).expect("ids are free");
        let of_fleet = FleetKeys::open(folder.path(), MasterKey::new(&[7; 32]));
        let of_fleet = of_fleet.expect("there is no file");
        let owned = crate::folder::FleetFolder::open(folder.path()).expect("nobody has it");
        let station =
            Station::with(folder.path(), owned, index, of_fleet, &options).expect("it opens");
        let senders = |device| station.decode(&packet(&keys, device)).expect("it decodes");
        let tried: Vec<Verdict> = (0..20).map(senders).collect();
        let accepted = tried.iter().filter(|said| matches!(said, Verdict::Accepted { .. })).count();
        let crowded = Verdict::Unknown(Unknown::TooManyCandidates);
        assert_eq!(accepted, MAX_CANDIDATES);
        assert_eq!(tried.iter().filter(|said| **said == crowded).count(), 20 - MAX_CANDIDATES);
        assert_eq!(station.scan_stats().crowded, 20 - MAX_CANDIDATES as u64);
    }
}
