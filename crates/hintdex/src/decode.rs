//! Decoding: from packets to verdicts.

use hintdex_core::{Admission, Arrival, Naming, Reach, Request};
use hintdex_wire::{AssociatedDataBuf, Hint, HintKey, KeyId, Slot};
use rayon::prelude::*;

use crate::attempt::{Attempt, Authentic, BoundPacket, Opened, Opener, Outcome};
use crate::batch_outcome::BatchOutcome;
use crate::open_packets::OpenPackets;
use crate::resolve::HINTS_PER_TASK;
use crate::scan_queue::Ticket;
use crate::{EarlyReason, Error, Params, Received, Resolved, Source, Station, Unknown, Verdict};

impl Station {
    /// The verdict on one packet. For [`Verdict::Accepted`], the nonce is recorded as used,
    /// as durably as [`StationOptions`](crate::StationOptions) ask, before this returns.
    ///
    /// Takes about 10 µs; [`decode_batch`](Self::decode_batch) takes less a packet.
    ///
    /// # Errors
    /// [`Error::Index`]. The packet is then not accepted. After a failed write the station
    /// refuses everything until the fleet is opened again.
    pub fn decode(&self, packet: &[u8]) -> Result<Verdict, Error> {
        let verdicts = self.decode_batch(&[packet])?;
        // A batch of one packet yields one verdict.
        Ok(verdicts.into_iter().next().unwrap_or(Verdict::Unknown(Unknown::NoDevice)))
    }

    /// The verdict on each packet, as if the packets were decoded one by one in this order.
    ///
    /// This is the fast path: all threads share lookups, tags and writes, and one sync
    /// covers the batch.
    ///
    /// # Errors
    /// [`Error::Index`]. Some packets of the batch may then have been accepted, and the
    /// fleet must be opened again.
    pub fn decode_batch<P: AsRef<[u8]> + Sync>(
        &self,
        packets: &[P],
    ) -> Result<Vec<Verdict>, Error> {
        let at_unix_s = self.index.now_s();
        let received = received_each(packets, |packet| Received {
            packet: packet.as_ref(),
            at_unix_s,
            at_ms: 0,
            associated_data: None,
        });
        self.decode_received(&received)
    }

    /// [`decode_batch`](Self::decode_batch) of packets with their times of reception. Each
    /// time is by the station's clock and recent: packets are looked up in the windows of
    /// their time, and without such a window they are scanned for.
    ///
    /// # Errors
    /// Those of [`decode_batch`](Self::decode_batch).
    pub fn decode_received(&self, packets: &[Received<'_>]) -> Result<Vec<Verdict>, Error> {
        let outcomes = self.judge_batch(packets, self.scans.is_bounded())?;
        let verdict = |(received, outcome): (&Received<'_>, BatchOutcome)| match outcome {
            BatchOutcome::Verdict(verdict) => verdict,
            BatchOutcome::NeedsScan(hint) => {
                let ticket = self.scans.enqueue(hint, received);
                Verdict::Unknown(Unknown::ScanBudget { ticket })
            }
        };
        Ok(packets.iter().zip(outcomes).map(verdict).collect())
    }

    /// Decodes packets that wait for a scan, the newest first, as far as the budget allows
    /// scans now. Returns each ticket with its verdict. The newest packets come first because
    /// after a flood they are the likeliest to be from devices of the fleet.
    ///
    /// Call this while no packet comes in. Takes about 10 ms of passes over all devices.
    ///
    /// # Errors
    /// Those of [`decode_batch`](Self::decode_batch).
    pub fn scan_waiting(&self) -> Result<Vec<(Ticket, Verdict)>, Error> {
        let max_packets = match self.params().naming {
            Naming::Ephemeral { .. } => self.scans.agreements_allowed(),
            _ => self.scans.hints_allowed(self.index.slot_count() as usize),
        };
        self.judge_waiting(max_packets, self.scans.is_bounded())
    }

    /// Decodes every packet that waits for a scan, without a budget: for the end of the
    /// input, when a scan delays no further packet.
    ///
    /// # Errors
    /// Those of [`decode_batch`](Self::decode_batch).
    pub fn scan_all_waiting(&self) -> Result<Vec<(Ticket, Verdict)>, Error> {
        self.judge_waiting(usize::MAX, false)
    }

    /// Whether the packet with this ticket still waits for a scan: it has no verdict yet, and
    /// newer packets have not pushed it out.
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        self.scans.is_waiting(ticket)
    }

    fn judge_waiting(
        &self,
        max_hints: usize,
        on_budget: bool,
    ) -> Result<Vec<(Ticket, Verdict)>, Error> {
        let queued = self.scans.take_queued(max_hints);
        if queued.is_empty() {
            self.roll_if_due();
            return Ok(Vec::new());
        }
        let received = received_each(&queued, |queued| Received {
            packet: &queued.packet,
            at_unix_s: queued.at_unix_s,
            at_ms: queued.at_ms,
            associated_data: queued.associated_data.as_deref().map(AssociatedDataBuf::borrow),
        });
        let outcomes = self.judge_batch(&received, on_budget)?;
        let mut verdicts = Vec::with_capacity(queued.len());
        for (queued, outcome) in queued.into_iter().zip(outcomes) {
            match outcome {
                BatchOutcome::Verdict(verdict) => verdicts.push((queued.ticket, verdict)),
                BatchOutcome::NeedsScan(hint) => self.scans.requeue(hint, queued),
            }
        }
        Ok(verdicts)
    }

    /// Decodes a batch, with or without a budget for its scans.
    ///
    /// With truncated hints and clocked nonces, a scan tries the nonces of the whole time in
    /// which the packets were received, and any sender of lines can name any time. So such
    /// packets are decoded in runs that cover one window's length at most.
    fn judge_batch(
        &self,
        packets: &[Received<'_>],
        on_budget: bool,
    ) -> Result<Vec<BatchOutcome>, Error> {
        if let Some(scheduled) = &self.scheduled {
            return self.judge_scheduled(scheduled, packets, on_budget);
        }
        let Params { scheme, nonces, .. } = self.params();
        if scheme.is_reversible() || !nonces.is_clocked() {
            return self.judge_run(packets, on_budget);
        }
        let mut outcomes = Vec::with_capacity(packets.len());
        let mut rest = packets;
        while !rest.is_empty() {
            let (run, later) = rest.split_at(run_len(rest, self.timing().span_s.into()));
            outcomes.extend(self.judge_run(run, on_budget)?);
            rest = later;
        }
        Ok(outcomes)
    }

    /// Decodes packets that are resolved together.
    fn judge_run(
        &self,
        packets: &[Received<'_>],
        on_budget: bool,
    ) -> Result<Vec<BatchOutcome>, Error> {
        self.ensure_present_window();
        let Opened { attempts, refused } = match self.params().naming {
            Naming::Ephemeral { suite, .. } => self.open_ephemeral(suite, packets, on_budget),
            _ => self.open_hinted(packets, on_budget)?,
        };
        let times: Vec<u64> = packets.iter().map(|received| received.at_unix_s).collect();
        let mut outcomes = self.admit(attempts, &times)?;
        for (at, hint) in refused {
            // Such a packet was authentic under no key that was tried, so nothing was
            // admitted for it.
            let outcome = outcomes.get_mut(at).into_iter();
            outcome.for_each(|outcome| *outcome = BatchOutcome::NeedsScan(hint));
        }
        self.drop_keys();
        self.roll_if_due();
        Ok(outcomes)
    }

    /// Opens packets by their hints.
    fn open_hinted(&self, packets: &[Received<'_>], on_budget: bool) -> Result<Opened, Error> {
        let params = self.params();
        let (mut whole, mut places, mut times) = (Vec::new(), Vec::new(), Vec::new());
        let mut opened = Opened::of(packets.len());
        for (at, received) in packets.iter().enumerate() {
            match BoundPacket::parse(&params, received) {
                Ok(packet) => {
                    whole.push(packet);
                    places.push(at);
                    times.push(received.at_unix_s);
                }
                Err(error) => opened.set(at, Attempt::malformed(error.into())),
            }
        }
        let key_generation = self.scans.key_generation();
        let table = self.hint_keys.slot_keys()?;
        let opener = Opener { keys: self.key_source().as_ref(), table: &table };
        let mut attempts = self.attempt_known(opener, &whole, &times)?;
        let open = OpenPackets::new(self, opener, &whole, &times, &mut attempts, key_generation);
        let refused = open.resolve(on_budget).into_iter();
        opened
            .refused
            .extend(refused.filter_map(|at| Some((*places.get(at)?, *whole.get(at)?.hint()))));
        self.find_keyless(opener, &whole, &times, &mut attempts)?;
        places.iter().zip(attempts).for_each(|(at, attempt)| opened.set(*at, attempt));
        Ok(opened)
    }

    /// Tries to open packets by the candidates of snapshots and live index, on all threads.
    fn attempt_known(
        &self,
        opener: Opener<'_>,
        packets: &[BoundPacket<'_>],
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
                    attempt.try_candidates(opener, packet, &found);
                    !attempt.is_open(scheme)
                })
            })
        })?;
        Ok(attempts)
    }

    /// Notes devices without a usable hint key that the live index names for packets which
    /// no source resolved. The index holds the hints of such a device until the next roll,
    /// and the missing key can neither confirm nor reject them.
    ///
    /// Costs a second lookup of these packets' hints, and nothing while no device is out of
    /// service.
    fn find_keyless(
        &self,
        opener: Opener<'_>,
        packets: &[BoundPacket<'_>],
        times: &[u64],
        attempts: &mut [Attempt],
    ) -> Result<(), Error> {
        if self.index.out_of_service().is_empty() {
            return Ok(());
        }
        let is_keyless =
            |slot: &&Slot| self.index.is_out_of_service(**slot) && !opener.table.has_key(**slot);
        for ((packet, received_unix_s), attempt) in packets.iter().zip(times).zip(attempts) {
            if !matches!(attempt.outcome, Outcome::Open) || attempt.was_tried() {
                continue;
            }
            let received = *received_unix_s..=*received_unix_s;
            let candidates = self.index.candidates_received(&[*packet.hint()], &received)?;
            let keyless = candidates.iter().flatten().find(is_keyless);
            attempt.keyless = keyless.and_then(|slot| self.device(*slot));
        }
        Ok(())
    }

    /// Judges the nonces of the authentic packets, in input order, and returns the verdict on
    /// each packet.
    ///
    /// With truncated hints, the packets of a batch are searched for further ahead than each
    /// packet would be at its turn. Where devices have later keys, a packet may retire the key
    /// of the next one. So admission is *probed* about candidates whose tag did not verify,
    /// too: a packet is forged only if a device could have made its hint at its turn.
    fn admit(&self, attempts: Vec<Attempt>, times: &[u64]) -> Result<Vec<BatchOutcome>, Error> {
        let (mut arrivals, mut requests, no_key) = (Vec::new(), Vec::new(), NO_KEY);
        let Params { scheme, ratchet, .. } = self.params();
        let probes = !scheme.is_reversible() || ratchet.is_some() || self.index.may_retire_keys();
        for (attempt, received_unix_s) in attempts.iter().zip(times) {
            let received_unix_s = *received_unix_s;
            if let Outcome::Authentic(authentic) = &attempt.outcome {
                let Resolved { slot, key, nonce, source } = authentic.resolved;
                let hint_key = &authentic.hint_key;
                arrivals.push(Arrival { slot, key, nonce, hint_key, received_unix_s });
                requests.push(match (authentic.point, self.reach_of(source)) {
                    (Some(point), _) => Request::AdmitPoint(point),
                    (None, Some(reach)) => Request::AdmitWithin(reach),
                    (None, None) => Request::Admit,
                });
            } else if probes && is_open(attempt) {
                for Resolved { slot, key, nonce, source } in attempt.tried() {
                    let (slot, key, nonce, hint_key) = (*slot, *key, *nonce, &no_key);
                    arrivals.push(Arrival { slot, key, nonce, hint_key, received_unix_s });
                    requests.push(self.reach_of(*source).map_or(Request::ProbeKey, Request::Probe));
                }
            }
        }
        let admissions = self.index.admit_requests(&arrivals, &requests)?;
        self.move_chains(&arrivals, &admissions);
        let mut admissions = admissions.into_iter();
        let outcome =
            |attempt| BatchOutcome::Verdict(self.verdict(attempt, probes, &mut admissions));
        Ok(attempts.into_iter().map(outcome).collect())
    }

    /// Moves the chains of the accepted packets' slots on, and stores chains that have moved once
    /// they are many.
    fn move_chains(&self, arrivals: &[Arrival<'_>], admissions: &[Admission]) {
        if self.params().ratchet.is_none() {
            return;
        }
        let all = arrivals.iter().zip(admissions);
        let accepted = all.filter(|(_, admission)| **admission == Admission::Accepted);
        let slots = accepted.clone().filter_map(|(arrival, _)| {
            let epochs = self.index.epochs(arrival.slot, 0)?;
            Some((arrival.key, epochs.first))
        });
        self.keys.move_chains(slots);
        if self.keys.chains_are_due(accepted.count())
            && let Err(error) = self.keys.store_chains(&self.index)
        {
            // The chains that are stored lag behind, and the next call stores these.
            self.maintenance.record_failure(error);
        }
    }

    /// The verdict on an attempt. Takes the admissions of this attempt from the front of
    /// `admissions`, which `probes` tells whether they include those of open attempts.
    fn verdict(
        &self,
        attempt: Attempt,
        probes: bool,
        admissions: &mut impl Iterator<Item = Admission>,
    ) -> Verdict {
        let is_probed = probes && is_open(&attempt);
        let was_tried = attempt.was_tried();
        let probes = if is_probed { attempt.tried().len() } else { 0 };
        match attempt.outcome {
            Outcome::Authentic(Authentic { resolved, payload, .. }) => {
                let Resolved { nonce, source, key, .. } = resolved;
                let KeyId { device, generation } = key;
                let early = |why| Verdict::Early { device, nonce, source, why };
                match admissions.next() {
                    Some(Admission::Accepted) => {
                        Verdict::Accepted { device, generation, nonce, payload, source }
                    }
                    Some(Admission::AcceptedAs(nonce)) => {
                        Verdict::Accepted { device, generation, nonce, payload, source }
                    }
                    Some(Admission::Replay) => Verdict::Replay { device, nonce, source },
                    Some(Admission::ReplayOf(nonce)) => Verdict::Replay { device, nonce, source },
                    Some(Admission::Stale) => Verdict::Stale { device, nonce, source },
                    Some(Admission::Early) => early(EarlyReason::Clock),
                    Some(Admission::AwaitsSecond) => early(EarlyReason::AwaitsSecond),
                    Some(Admission::PastMaxGap) => early(EarlyReason::PastMaxGap),
                    Some(Admission::OutOfService) => {
                        Verdict::Unknown(Unknown::OutOfService { device })
                    }
                    _ => Verdict::Unknown(Unknown::NoDevice),
                }
            }
            Outcome::Open => {
                let mut probed = admissions.take(probes);
                let is_in_reach = |admission: &Admission| *admission == Admission::InReach;
                let in_reach = probed.by_ref().filter(is_in_reach).count();
                let is_forged = if is_probed { in_reach > 0 } else { was_tried };
                match attempt.keyless {
                    _ if is_forged => Verdict::Forged,
                    Some(device) => Verdict::Unknown(Unknown::OutOfService { device }),
                    None => Verdict::Unknown(Unknown::NoDevice),
                }
            }
            Outcome::KeyMissing(Resolved { key, .. }) => {
                Verdict::Unknown(Unknown::OutOfService { device: key.device })
            }
            Outcome::Malformed(why) => Verdict::Malformed(why),
            Outcome::Crowded => {
                self.scans.count_crowded();
                Verdict::Unknown(Unknown::TooManyCandidates)
            }
        }
    }

    /// How far from the expected nonce of its device a packet may be that this source
    /// resolved. `None` for reversible hints of one key a device, which have no bound. A snapshot
    /// holds hints further ahead than the index.
    fn reach_of(&self, source: Source) -> Option<Reach> {
        if self.params().scheme.is_reversible() && self.params().ratchet.is_none() {
            return None;
        }
        let reach = self.reach();
        Some(match source {
            Source::Snapshot => Reach { ahead_nonces: u64::MAX, ..reach },
            Source::Index | Source::Scan | Source::Packet | Source::Schedule => reach,
        })
    }
}

/// Whether no tag has verified.
const fn is_open(attempt: &Attempt) -> bool {
    matches!(attempt.outcome, Outcome::Open)
}

/// Stands in for the hint key of a probe, for which no hints are computed.
const NO_KEY: HintKey = HintKey::from_bytes([0; 16]);

/// How many packets, from the first on, were received within `span_s` of one another.
fn run_len(packets: &[Received<'_>], span_s: u64) -> usize {
    let (mut first_s, mut last_s) = (u64::MAX, 0);
    let mut is_near = |received: &Received<'_>| {
        first_s = received.at_unix_s.min(first_s);
        last_s = received.at_unix_s.max(last_s);
        last_s - first_s <= span_s
    };
    packets.iter().take_while(|received| is_near(received)).count()
}

/// The packets of a batch with their times of reception.
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
        let of_fleet = FleetKeys::open(folder.path(), &[7; 32]);
        let of_fleet = of_fleet.expect("there is no file");
        let owned = crate::folder::FleetFolder::open(folder.path()).expect("no process owns it");
        let station =
            Station::assemble(folder.path(), owned, index, of_fleet, &options).expect("it opens");
        let decode = |device| station.decode(&packet(&keys, device)).expect("it decodes");
        let tried: Vec<Verdict> = (0..20).map(decode).collect();
        let is_accepted = |verdict: &&Verdict| matches!(verdict, Verdict::Accepted { .. });
        let accepted = tried.iter().filter(is_accepted).count();
        let crowded = Verdict::Unknown(Unknown::TooManyCandidates);
        assert_eq!(accepted, MAX_CANDIDATES);
        let is_crowded = |verdict: &&Verdict| **verdict == crowded;
        assert_eq!(tried.iter().filter(is_crowded).count(), 20 - MAX_CANDIDATES);
        assert_eq!(station.scan_stats().crowded, 20 - MAX_CANDIDATES as u64);
    }
}
