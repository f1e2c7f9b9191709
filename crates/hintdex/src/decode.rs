//! Decoding: from packets to verdicts.

use hintdex_core::{Admission, Arrival, Reach, Request};
use hintdex_wire::{Hint, HintKey, Packet, PacketError};
use rayon::prelude::*;

use crate::attempt::{Attempt, Authentic, Opener, Outcome};
use crate::hunt::Hunt;
use crate::resolve::HINTS_PER_TASK;
use crate::waiting::Ticket;
use crate::{Error, Malformed, Params, Resolved, Source, Station, Unknown, Verdict};

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
        self.decode_received(&received)
    }

    /// [`decode_batch`](Self::decode_batch) of packets that were received not now but
    /// each at its time, by the station's clock or not long before: the windows of
    /// that time must still be there.
    ///
    /// # Errors
    /// Those of [`decode_batch`](Self::decode_batch).
    pub fn decode_received(&self, packets: &[Received<'_>]) -> Result<Vec<Verdict>, Error> {
        let said = self.judge_batch(packets, self.scans.is_bounded())?;
        let verdict = |(received, said): (&Received<'_>, Said)| match said {
            Said::Verdict(verdict) => verdict,
            Said::Waits(hint) => {
                Verdict::Unknown(Unknown::ScanBudget { ticket: self.scans.wait(hint, received) })
            }
        };
        Ok(packets.iter().zip(said).map(verdict).collect())
    }

    /// Decodes packets that waited for a scan, the newest first, as far as the
    /// budget allows one now; each ticket with the verdict at last. After a
    /// flood the newest are the likeliest to be somebody's.
    ///
    /// For the moments in which no packet comes in. About 10 ms of passes over all
    /// devices.
    ///
    /// # Errors
    /// Those of [`decode_batch`](Self::decode_batch).
    pub fn scan_waiting(&self) -> Result<Vec<(Ticket, Verdict)>, Error> {
        let most_hints = self.scans.hints_allowed(self.index.slot_count() as usize);
        self.judge_waiting(most_hints, self.scans.is_bounded())
    }

    /// Decodes every packet that waits for a scan, whatever the budget says: for the
    /// end, when nothing is left that could be kept waiting.
    ///
    /// # Errors
    /// Those of [`decode_batch`](Self::decode_batch).
    pub fn scan_all_waiting(&self) -> Result<Vec<(Ticket, Verdict)>, Error> {
        self.judge_waiting(usize::MAX, false)
    }

    /// Whether the packet with this ticket still waits for a scan: it has no verdict yet, and
    /// newer packets have not taken its room.
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        self.scans.is_waiting(ticket)
    }

    fn judge_waiting(
        &self,
        most_hints: usize,
        on_budget: bool,
    ) -> Result<Vec<(Ticket, Verdict)>, Error> {
        let waited = self.scans.take_waiting(most_hints);
        if waited.is_empty() {
            self.roll_if_due();
            return Ok(Vec::new());
        }
        let received = received_each(&waited, |waited| Received {
            packet: &waited.packet,
            at_unix_s: waited.at_unix_s,
        });
        let said = self.judge_batch(&received, on_budget)?;
        let mut verdicts = Vec::with_capacity(waited.len());
        for (waited, said) in waited.into_iter().zip(said) {
            match said {
                Said::Verdict(verdict) => verdicts.push((waited.ticket, verdict)),
                Said::Waits(hint) => self.scans.wait_on(hint, waited),
            }
        }
        Ok(verdicts)
    }

    /// Decodes a batch, its scans on a budget or not.
    ///
    /// A clock that a hint does not tell is searched for in all of the time that the packets
    /// at hand were received in, and anybody may name any time. So such packets are decoded
    /// in runs of a window's length at most.
    fn judge_batch(&self, packets: &[Received<'_>], on_budget: bool) -> Result<Vec<Said>, Error> {
        let Params { scheme, nonces, .. } = self.params();
        if scheme.is_reversible() || !nonces.is_clocked() {
            return self.judge_run(packets, on_budget);
        }
        let mut said = Vec::with_capacity(packets.len());
        let mut rest = packets;
        while !rest.is_empty() {
            let (run, behind) = rest.split_at(run_len(rest, self.timing().span_s.into()));
            said.extend(self.judge_run(run, on_budget)?);
            rest = behind;
        }
        Ok(said)
    }

    /// Decodes packets that are searched for together.
    fn judge_run(&self, packets: &[Received<'_>], on_budget: bool) -> Result<Vec<Said>, Error> {
        self.keep_the_present();
        let scheme = self.params().scheme;
        let parsed: Vec<_> =
            packets.iter().map(|received| Packet::parse(scheme, received.packet)).collect();
        let times = packets.iter().zip(&parsed).filter(|(_, packet)| packet.is_ok());
        let times: Vec<u64> = times.map(|(received, _)| received.at_unix_s).collect();
        let whole: Vec<Packet<'_>> =
            parsed.iter().filter_map(|packet| packet.as_ref().ok().copied()).collect();
        let generation = self.scans.generation();
        let table = self.table()?;
        let opener = Opener { keys: self.key_source().as_ref(), table: &table };
        let mut attempts = self.attempt_known(opener, &whole, &times)?;
        let refused = {
            let hunt = Hunt::new(self, opener, &whole, &times, &mut attempts, generation);
            hunt.run(on_budget)
        };
        let mut said = self.admit(attempts, &times)?;
        for at in refused {
            // Nothing was admitted for it: it was not authentic under any key tried.
            if let Some((said, packet)) = said.get_mut(at).zip(whole.get(at)) {
                *said = Said::Waits(*packet.hint());
            }
        }
        let mut said = said.into_iter();
        let of_packet = |packet: Result<Packet<'_>, PacketError>| match packet {
            Ok(_) => said.next().unwrap_or(Said::Verdict(Verdict::Unknown(Unknown::NoDevice))),
            Err(PacketError { len_bytes, least_bytes }) => {
                let why = Malformed::TooShort { len_bytes, least_bytes };
                Said::Verdict(Verdict::Malformed(why))
            }
        };
        let said = parsed.into_iter().map(of_packet).collect();
        self.roll_if_due();
        Ok(said)
    }

    /// Tries to open packets by what snapshots and live index know, on all threads.
    fn attempt_known(
        &self,
        opener: Opener<'_>,
        packets: &[Packet<'_>],
        times: &[u64],
    ) -> Result<Vec<Attempt>, Error> {
        let scheme = self.params().scheme;
        let (first_s, last_s) = (times.iter().min(), times.iter().max());
        let asked_s = first_s.copied().unwrap_or(0)..=last_s.copied().unwrap_or(0);
        let mut attempts: Vec<Attempt> = packets.iter().map(|_| Attempt::new()).collect();
        let tasks = packets.par_chunks(HINTS_PER_TASK).zip(attempts.par_chunks_mut(HINTS_PER_TASK));
        tasks.try_for_each(|(packets, attempts)| {
            let hints: Vec<Hint> = packets.iter().map(|packet| *packet.hint()).collect();
            self.ask_known(opener.table, &hints, &asked_s, |at, found| {
                let pair = packets.get(at).zip(attempts.get_mut(at));
                pair.is_none_or(|(packet, attempt)| {
                    attempt.offer(opener, packet, &found);
                    !attempt.is_open(scheme)
                })
            })
        })?;
        Ok(attempts)
    }

    /// Judges the nonces of the authentic packets, in order, and says of the others why they
    /// are not.
    ///
    /// Where hints do not tell their nonce, the packets of a batch were searched for further
    /// than each of them would be at its turn. So a candidate whose tag did not verify is
    /// asked about, too: a packet is forged only if its hint was a device's then.
    fn admit(&self, attempts: Vec<Attempt>, times: &[u64]) -> Result<Vec<Said>, Error> {
        let (mut arrivals, mut requests, no_key) = (Vec::new(), Vec::new(), NO_KEY);
        for (attempt, received_unix_s) in attempts.iter().zip(times) {
            let received_unix_s = *received_unix_s;
            if let Outcome::Authentic(authentic) = &attempt.outcome {
                let Resolved { slot, nonce, source, .. } = authentic.resolved;
                let hint_key = &authentic.hint_key;
                arrivals.push(Arrival { slot, nonce, hint_key, received_unix_s });
                requests.push(self.reach_of(source).map_or(Request::Admit, Request::AdmitWithin));
            } else if self.is_probed(attempt) {
                for Resolved { slot, nonce, source, .. } in attempt.tried() {
                    let (slot, nonce, hint_key) = (*slot, *nonce, &no_key);
                    arrivals.push(Arrival { slot, nonce, hint_key, received_unix_s });
                    requests.extend(self.reach_of(*source).map(Request::Probe));
                }
            }
        }
        let mut admissions = self.index.admit_requests(&arrivals, &requests)?.into_iter();
        let said = |attempt| Said::Verdict(self.verdict(attempt, &mut admissions));
        Ok(attempts.into_iter().map(said).collect())
    }

    /// The verdict on an attempt, with the admissions that are its own at the head of all.
    fn verdict(
        &self,
        attempt: Attempt,
        admissions: &mut impl Iterator<Item = Admission>,
    ) -> Verdict {
        let is_probed = self.is_probed(&attempt);
        let was_tried = attempt.was_tried();
        let probes = if is_probed { attempt.tried().len() } else { 0 };
        match attempt.outcome {
            Outcome::Authentic(Authentic { resolved, payload, .. }) => {
                let Resolved { nonce, source, .. } = resolved;
                let device = resolved.device();
                match admissions.next() {
                    Some(Admission::Accepted) => {
                        Verdict::Accepted { device, nonce, payload, source }
                    }
                    Some(Admission::Replay) => Verdict::Replay { device, nonce, source },
                    Some(Admission::Stale) => Verdict::Stale { device, nonce, source },
                    Some(Admission::Early) => Verdict::Early { device, nonce, source },
                    Some(Admission::OutOfService) => {
                        Verdict::Unknown(Unknown::OutOfService { device })
                    }
                    _ => Verdict::Unknown(Unknown::NoDevice),
                }
            }
            Outcome::Open => {
                let mut probed = admissions.take(probes);
                let in_reach = probed.by_ref().filter(|said| *said == Admission::InReach).count();
                let is_forged = if is_probed { in_reach > 0 } else { was_tried };
                if is_forged { Verdict::Forged } else { Verdict::Unknown(Unknown::NoDevice) }
            }
            Outcome::KeyMissing(Resolved { key, .. }) => {
                Verdict::Unknown(Unknown::OutOfService { device: key.device })
            }
            Outcome::Crowded => {
                self.scans.count_crowded();
                Verdict::Unknown(Unknown::TooManyCandidates)
            }
        }
    }

    /// Whether the candidates of an attempt have to be within reach at the packet's turn.
    fn is_probed(&self, attempt: &Attempt) -> bool {
        matches!(attempt.outcome, Outcome::Open) && !self.params().scheme.is_reversible()
    }

    /// How far from where its device is expected a packet may be that this source found:
    /// anywhere if its hint tells its nonce. A snapshot knows hints further ahead.
    fn reach_of(&self, source: Source) -> Option<Reach> {
        if self.params().scheme.is_reversible() {
            return None;
        }
        let reach = self.reach();
        Some(match source {
            Source::Snapshot => Reach { ahead_nonces: u64::MAX, ..reach },
            Source::Index | Source::Scan => reach,
        })
    }
}

/// The key of a probe, under which nothing is made.
const NO_KEY: HintKey = HintKey::from_bytes([0; 16]);

/// How many packets from the first on were received within `span_s` of one another.
fn run_len(packets: &[Received<'_>], span_s: u64) -> usize {
    let (mut first_s, mut last_s) = (u64::MAX, 0);
    let mut is_near = |received: &Received<'_>| {
        first_s = received.at_unix_s.min(first_s);
        last_s = received.at_unix_s.max(last_s);
        last_s - first_s <= span_s
    };
    packets.iter().take_while(|received| is_near(received)).count()
}

/// What is said of a packet.
enum Said {
    Verdict(Verdict),
    /// Nothing yet: its hint has to be scanned for, and the budget is spent.
    Waits(Hint),
}

/// Packets as they were received.
fn received_each<'a, P>(
    packets: &'a [P],
    received: impl Fn(&'a P) -> Received<'a>,
) -> Vec<Received<'a>> {
    packets.iter().map(received).collect()
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
    use crate::attempt::MAX_CANDIDATES;
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
