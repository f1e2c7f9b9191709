//! Decoding packets of a schedule.
//!
//! Packets are tried in input order, and each one that is authentic moves the queue at once, as
//! its admission will. So several packets of one device in a batch are found. Admission follows
//! for all of them together, in one write, and the queue takes over the states that result where
//! they differ.
//!
//! A device that the queue does not expect at the time of its packet needs the state that admission
//! leaves, which may be a packet that waits. So the packets before it are admitted first.

use std::time::{Duration, Instant};

use hintdex_core::{Admission, Arrival, Request, Sighting};
use hintdex_wire::{Hint, HintScheme, KeyId};

use super::devices::{Opener, Parts, Tries};
use super::search::search;
use super::state::{Inner, Opened, ScheduleStats, Scheduled};
use crate::finding::Finding;
use crate::outbox::{Body, Posts};
use crate::scans::{Cached, PASS_TIME, Pass};
use crate::{EarlyReason, Error, Received, Source, Station, Unknown, Verdict};

/// A time of reception that is this far ahead of the queue moves the queue as a whole. Below, the
/// devices that are passed move one by one.
const LEAP_MS: u64 = 600_000;

/// How far a time of reception may be ahead of the station's clock.
const MAX_AHEAD_MS: u64 = 30_000;

/// What trying a packet has shown.
enum Tried {
    /// Its device, whose packet the queue expects at about this time.
    Expected(Opened),
    /// Its device, and the state of the device is not known before this packet is admitted.
    Unexpected(Opened),
    /// No device.
    Nobody { has_confirmed: bool },
    /// The budget allows no search, or no move of the queue.
    NeedsScan,
}

impl Station {
    /// What decoding packets of a schedule has cost since the station was opened; `None` unless
    /// the packets of the fleet follow one.
    ///
    /// ```
    /// use hintdex::wire::{DeviceId, KeyId, KeySource, Schedule};
    /// use hintdex::{
    ///     DeviceRange, Params, Received, ScheduleClock, ScheduleStats, ScheduleTolerance, Source,
    ///     Station, StationOptions, Verdict,
    /// };
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let dir = folder.path().join("fleet");
    ///
    /// // Devices that send every 10 to 70 minutes, with good crystals.
    /// let schedule = Schedule::new(600_000, 4_200_000).unwrap();
    /// let tolerance = ScheduleTolerance { jitter_ms: 50, max_drift_ppm: 30 };
    /// let params = Params::scheduled(schedule, None, tolerance);
    /// let station = Station::create(&dir, None, params, &StationOptions::default())?;
    /// station.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
    ///
    /// // The first packet of device 42, and the next one. A packet carries no hint at all.
    /// let key = station.key_source().packet_key(KeyId::first(DeviceId(42))).unwrap();
    /// let mut radio = [[0; 14]; 2];
    /// for (nonce, packet) in (0..).zip(&mut radio) {
    ///     schedule.seal(&key, nonce, b"21.5 C", packet).unwrap();
    /// }
    /// let first = Received {
    ///     packet: &radio[0],
    ///     at_unix_s: 1_764_000_000,
    ///     at_ms: 250,
    ///     associated_data: None,
    ///     context: &[],
    /// };
    /// let clock = ScheduleClock::heard_first(1_764_000_000_250, 0, tolerance);
    /// let delay_ms = schedule.delay_ms(&key, 0).unwrap();
    /// let next_ms = clock.arrival(delay_ms.into(), tolerance).at_ms + 20;
    /// let next = Received {
    ///     packet: &radio[1],
    ///     at_unix_s: next_ms / 1000,
    ///     at_ms: (next_ms % 1000) as u16,
    ///     associated_data: None,
    ///     context: &[],
    /// };
    /// let verdicts = station.decode_received(&[first, next])?;
    /// for (nonce, verdict) in (0..).zip(&verdicts) {
    ///     let Verdict::Accepted { device: DeviceId(42), nonce: sent, source, .. } = verdict else {
    ///         panic!("{verdict:?}");
    ///     };
    ///     assert_eq!(*sent, nonce);
    ///     // A device that was never heard is searched for.
    ///     assert_eq!(*source, if nonce == 0 { Source::Scan } else { Source::Schedule });
    /// }
    /// let ScheduleStats { found_due, tags_found_due, .. } = station.schedule_stats().unwrap();
    /// assert_eq!((found_due, tags_found_due), (1, 1));
    /// # Ok::<(), hintdex::Error>(())
    /// ```
    pub fn schedule_stats(&self) -> Option<ScheduleStats> {
        let inner = self.scheduled.as_ref()?.lock();
        let silent = inner.queue.silent().count() as u64;
        let queue_bytes = inner.queue.memory_bytes() as u64;
        Some(ScheduleStats { silent, queue_bytes, ..inner.stats })
    }

    /// Decodes packets of a schedule, with or without a budget for searches.
    pub(crate) fn judge_scheduled(
        &self,
        scheduled: &Scheduled,
        packets: &[Received<'_>],
        on_budget: bool,
    ) -> Result<Vec<Finding>, Error> {
        let table = scheduled.format.head.map(|_| self.hint_keys.slot_keys()).transpose()?;
        let opener = Opener {
            format: scheduled.format,
            keys: self.key_source().as_ref(),
            table: table.as_ref(),
        };
        let mut budget = Budget { on_budget, spent: Duration::ZERO, granted: None };
        let mut outcomes: Vec<Option<Finding>> = packets.iter().map(|_| None).collect();
        let mut opened = Vec::new();
        let mut rest = packets.iter().enumerate();
        loop {
            let mut inner = scheduled.lock();
            inner.queue.set_clock(self.set_clock_ms().unwrap_or(u64::MAX));
            inner.refresh(&self.index, self.scans.key_generation(), &opener);
            let mut unexpected = None;
            for (at, received) in rest.by_ref() {
                let outcome =
                    match self.try_packet(&mut inner, &opener, (at, received), &mut budget) {
                        Err(verdict) => Finding::Verdict(verdict),
                        Ok(Tried::Expected(packet)) => {
                            opened.push(packet);
                            continue;
                        }
                        Ok(Tried::Unexpected(packet)) => {
                            unexpected = Some(packet);
                            break;
                        }
                        Ok(Tried::Nobody { has_confirmed: true }) => {
                            Finding::Verdict(Verdict::Forged)
                        }
                        Ok(Tried::Nobody { .. }) => {
                            Finding::Verdict(Verdict::Unknown(Unknown::NotDue))
                        }
                        Ok(Tried::NeedsScan) => Finding::NeedsScan(wait_key(received.packet)),
                    };
                set(&mut outcomes, at, outcome);
            }
            drop(inner);
            let is_done = unexpected.is_none();
            opened.extend(unexpected);
            let opened = std::mem::take(&mut opened);
            self.admit_opened(scheduled, &opener, opened, packets, &mut outcomes)?;
            if is_done {
                break;
            }
        }
        let no_device = || Finding::Verdict(Verdict::Unknown(Unknown::NotDue));
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(no_device)).collect())
    }

    /// Tries one packet.
    ///
    /// # Errors
    /// The verdict on a packet that is malformed.
    fn try_packet(
        &self,
        inner: &mut Inner,
        opener: &Opener<'_>,
        (at, received): (usize, &Received<'_>),
        budget: &mut Budget,
    ) -> Result<Tried, Verdict> {
        let parts = opener.format.split(received.packet);
        let parts = parts.map_err(|short| Verdict::Malformed(short.into()))?;
        let received_ms = received.at_unix_ms();
        // A line with a time in the future would take the queue away from all others, and a device
        // that is not heard yet from its place.
        let latest_ms = self.set_clock_ms().map(|now_ms| now_ms.saturating_add(MAX_AHEAD_MS));
        if latest_ms.is_some_and(|latest_ms| received_ms > latest_ms) {
            return Ok(Tried::Nobody { has_confirmed: false });
        }
        budget.granted = None;
        let mut tries = Tries::default();
        let found = if inner.queue.has_kept(received_ms) {
            if !self.move_queue(inner, opener, received_ms, budget) {
                return Ok(Tried::NeedsScan);
            }
            inner.find_due(opener, received_ms, &parts, &mut tries)
        } else {
            if !budget.allows(self) {
                return Ok(Tried::NeedsScan);
            }
            let started = Instant::now();
            let found = inner.find_past(opener, received_ms, &parts, &mut tries);
            budget.charge(self, started.elapsed(), inner.queue.len());
            inner.stats.passes += 1;
            found.map(|due| (due, false))
        };
        inner.stats.packets += 1;
        inner.stats.tags += tries.tags;
        let Some((due, is_repeat)) = found else {
            return Ok(self.search_silent(inner, opener, &parts, (at, received), budget, &tries));
        };
        let opened = Opened {
            at,
            slot: due.slot,
            key: due.key,
            nonce: due.step.nonce,
            seen: Sighting { received_ms, clock_ms: due.step.clock_ms },
            source: Source::Schedule,
            tag: parts.tag(),
            payload: tries.payload,
        };
        if !is_repeat {
            inner.stats.found_due += 1;
            inner.stats.tags_found_due += tries.tags;
            inner.take_in(opener, &opened);
        }
        Ok(Tried::Expected(opened))
    }

    /// Searches silent devices for the packet of no due device.
    fn search_silent(
        &self,
        inner: &mut Inner,
        opener: &Opener<'_>,
        parts: &Parts<'_>,
        (at, received): (usize, &Received<'_>),
        budget: &mut Budget,
        tries: &Tries,
    ) -> Tried {
        let has_confirmed = tries.has_confirmed;
        if inner.queue.silent().next().is_none() {
            return Tried::Nobody { has_confirmed };
        }
        if !budget.allows(self) {
            return Tried::NeedsScan;
        }
        let started = Instant::now();
        let outcome = search(&inner.queue, opener, parts);
        budget.charge(self, started.elapsed(), outcome.tries);
        inner.stats.searches += 1;
        inner.stats.tags_searched += outcome.tags;
        let Some((found, step)) = inner.step_of(opener, &outcome) else {
            return Tried::Nobody { has_confirmed: has_confirmed || outcome.has_confirmed };
        };
        let received_ms = received.at_unix_ms();
        let opened = Opened {
            at,
            slot: found.slot,
            key: found.key,
            nonce: step.nonce,
            seen: Sighting { received_ms, clock_ms: step.clock_ms },
            source: Source::Scan,
            tag: parts.tag(),
            payload: outcome.payload,
        };
        let standing = inner.queue.standing(found.slot);
        if standing.is_some_and(|standing| standing.clock.is_some()) {
            return Tried::Unexpected(opened);
        }
        inner.take_in(opener, &opened);
        Tried::Expected(opened)
    }

    /// The station's clock in milliseconds since 1970; `None` if the clock was never set.
    fn set_clock_ms(&self) -> Option<u64> {
        let now_s = self.now_s();
        // A clock that was never set counts as the time of creation.
        (now_s > self.created_unix_s()).then(|| now_s.saturating_mul(1000))
    }

    /// Moves the queue forward to a time of reception. Returns whether it is there: a distant time
    /// costs a pass over all devices, which the budget may not allow.
    fn move_queue(
        &self,
        inner: &mut Inner,
        opener: &Opener<'_>,
        received_ms: u64,
        budget: &mut Budget,
    ) -> bool {
        let queue = &mut inner.queue;
        if received_ms <= queue.now_ms().saturating_add(LEAP_MS) {
            queue.advance(received_ms, opener);
            return true;
        }
        // The first time costs as much as opening the fleet does.
        if queue.now_ms() > 0 && !budget.allows(self) {
            return false;
        }
        let started = Instant::now();
        queue.move_to(received_ms, opener);
        inner.stats.moves += 1;
        budget.charge(self, started.elapsed(), queue.len());
        true
    }

    /// Admits packets in order, sets their outcomes, and takes over the states that result.
    fn admit_opened(
        &self,
        scheduled: &Scheduled,
        opener: &Opener<'_>,
        opened: Vec<Opened>,
        packets: &[Received<'_>],
        outcomes: &mut [Option<Finding>],
    ) -> Result<(), Error> {
        if opened.is_empty() {
            return Ok(());
        }
        let arrival = |opened: &Opened| Arrival {
            slot: opened.slot,
            key: opened.key,
            nonce: opened.nonce,
            hint_key: None,
            received_unix_s: opened.seen.received_ms / 1000,
        };
        let arrivals: Vec<Arrival<'_>> = opened.iter().map(arrival).collect();
        let requests: Vec<Request> =
            opened.iter().map(|opened| Request::AdmitSeen(opened.seen)).collect();
        let mut posts = Posts::of(self);
        for (position, opened) in opened.iter().enumerate() {
            posts.push(position, opened.key, opened.nonce, || opened.body(packets));
        }
        let admissions = posts.admit(&arrivals, &requests);
        let mut inner = scheduled.lock();
        for opened in &opened {
            // The first packet under a key retires the older keys of its device.
            for slot in self.index.slots(opened.key.device) {
                inner.take_over(opener, slot, self.index.schedule_state(slot));
            }
        }
        drop(inner);
        for (opened, admission) in opened.into_iter().zip(admissions?) {
            let (at, verdict) = (opened.at, opened.verdict(admission));
            set(outcomes, at, Finding::Verdict(verdict));
        }
        Ok(())
    }
}

impl Opened {
    /// What the outbox stores if the packet, one of these, is accepted.
    fn body<'a>(&'a self, packets: &[Received<'a>]) -> Body<'a> {
        let reception = packets.get(self.at).map(Received::reception).unwrap_or_default();
        Body::new(self.source, reception, &self.payload)
    }

    fn verdict(self, admission: Admission) -> Verdict {
        let Self { key: KeyId { device, generation }, nonce, source, payload, .. } = self;
        match admission {
            Admission::Accepted => Verdict::Accepted { device, generation, nonce, payload, source },
            Admission::Replay => Verdict::Replay { device, nonce, source },
            Admission::Stale => Verdict::Stale { device, nonce, source },
            Admission::Early => Verdict::Early { device, nonce, source, why: EarlyReason::Clock },
            Admission::OutOfService => Verdict::Unknown(Unknown::OutOfService { device }),
            _ => Verdict::Unknown(Unknown::NotDue),
        }
    }
}

/// What searches of a batch may cost: the packets behind them wait.
struct Budget {
    on_budget: bool,
    spent: Duration,
    /// The answer to the present packet, once it has asked: its steps are granted together, so that
    /// a packet that waits does not wait for the second one for ever.
    granted: Option<bool>,
}

impl Budget {
    fn allows(&mut self, station: &Station) -> bool {
        let devices = station.index.slot_count() as usize;
        let (on_budget, spent) = (self.on_budget, self.spent);
        let is_allowed =
            || !on_budget || spent < PASS_TIME && station.scans.hints_allowed(devices) > 0;
        *self.granted.get_or_insert_with(is_allowed)
    }

    fn charge(&mut self, station: &Station, took: Duration, keys: usize) {
        self.spent += took;
        station.scans.record(&Pass {
            // The result is not cached, so no hint is needed.
            hints: &[Hint::ZERO],
            found: &[Vec::new()],
            cached: Cached::Nothing,
            key_generation: 0,
            keys,
            took,
        });
    }
}

/// The key under which a packet waits for a search: its last bytes, so copies wait together.
fn wait_key(packet: &[u8]) -> Hint {
    let mut key = [0; 16];
    key.iter_mut().rev().zip(packet.iter().rev()).for_each(|(to, from)| *to = *from);
    Hint::read(HintScheme::Aes128, &key).unwrap_or(Hint::ZERO)
}

fn set(outcomes: &mut [Option<Finding>], at: usize, outcome: Finding) {
    if let Some(place) = outcomes.get_mut(at) {
        *place = Some(outcome);
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use hintdex_core::{Params, ScheduleTolerance};
    use hintdex_wire::Schedule;

    use super::*;
    use crate::StationOptions;

    /// A packet that waits needs a pass and then a search. If the pass used up the grant, the packet
    /// would wait for the search for ever.
    #[test]
    fn the_steps_of_a_packet_are_granted_together_and_the_next_packet_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let schedule = Schedule::new(1_000, 2_000).expect("a schedule");
        let params = Params::scheduled(schedule, None, ScheduleTolerance::DEFAULT);
        let options = StationOptions { scan_core_share: 0.5, ..StationOptions::default() };
        let station = Station::create(&folder.path().join("fleet"), None, params, &options);
        let station = station.expect("a new folder");
        let mut budget = Budget { on_budget: true, spent: Duration::ZERO, granted: None };
        assert!(budget.allows(&station));
        budget.charge(&station, 2 * PASS_TIME, 100);
        assert!(budget.allows(&station));
        budget.granted = None;
        assert!(!budget.allows(&station));
        let mut unbounded = Budget { on_budget: false, spent: PASS_TIME, granted: None };
        assert!(unbounded.allows(&station));
    }
}
