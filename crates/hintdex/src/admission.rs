//! Admission: the nonces of authentic packets are judged, and each attempt gets its verdict.

use hintdex_core::{Admission, Arrival, Reach, Request};
use hintdex_wire::KeyId;

use crate::attempt::{Attempt, Authentic, Outcome};
use crate::outbox::{Body, Posts};
use crate::received::Reception;
use crate::{EarlyReason, Error, Params, Resolved, Source, Station, Unknown, Verdict};

impl Station {
    /// Judges the nonces of the authentic packets, in input order, and returns the verdict on
    /// each packet.
    ///
    /// With truncated hints, the packets of a batch are searched for further ahead than each
    /// packet would be at its turn. Where devices have later keys, a packet may retire the key
    /// of the next one. So admission is *probed* about candidates whose tag did not verify,
    /// too: a packet is forged only if a device could have made its hint at its turn.
    pub(crate) fn admit(
        &self,
        attempts: Vec<Attempt>,
        receptions: &[Reception<'_>],
    ) -> Result<Vec<Verdict>, Error> {
        let (mut arrivals, mut requests) = (Vec::new(), Vec::new());
        let mut posts = Posts::of(self);
        let Params { scheme, ratchet, .. } = self.params();
        let probes = !scheme.is_reversible() || ratchet.is_some() || self.index.may_retire_keys();
        for (attempt, reception) in attempts.iter().zip(receptions) {
            let received_unix_s = reception.at_unix_s;
            if let Outcome::Authentic(authentic) = &attempt.outcome {
                let Resolved { slot, key, nonce, source } = authentic.resolved;
                let hint_key = authentic.hint_key.as_ref();
                posts.push(arrivals.len(), key, nonce, || {
                    Body::new(source, *reception, &authentic.payload)
                });
                arrivals.push(Arrival { slot, key, nonce, hint_key, received_unix_s });
                requests.push(match (authentic.point, self.reach_of(source)) {
                    (Some(point), _) => Request::AdmitPoint(point),
                    (None, Some(reach)) => Request::AdmitWithin(reach),
                    (None, None) => Request::Admit,
                });
            } else if probes && is_open(attempt) {
                for Resolved { slot, key, nonce, source } in attempt.tried() {
                    let (slot, key, nonce, hint_key) = (*slot, *key, *nonce, None);
                    arrivals.push(Arrival { slot, key, nonce, hint_key, received_unix_s });
                    requests.push(self.reach_of(*source).map_or(Request::ProbeKey, Request::Probe));
                }
            }
        }
        let admissions = posts.admit(&arrivals, &requests)?;
        self.move_chains(&arrivals, &admissions);
        let mut admissions = admissions.into_iter();
        let verdict = |attempt| self.verdict(attempt, probes, &mut admissions);
        Ok(attempts.into_iter().map(verdict).collect())
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
