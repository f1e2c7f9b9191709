//! Decoding packets of a schedule.
//!
//! Packets are tried in input order, and each one that is authentic moves the queue at once, as
//! its admission will. So several packets of one device in a batch are found. Admission follows
//! for all of them together, in one write, and the queue takes over the states that result where
//! they differ.
//!
//! A device that the queue does not expect at the time of its packet needs the state that admission
//! leaves, which may be a packet that waits. So the packets before it are admitted first.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hintdex_core::{
    Admission, Arrival, LiveIndex, Request, ScheduleClock, ScheduleState, Sighting,
};
use hintdex_wire::{Hint, HintKey, HintScheme, KeyId, Nonce, Slot};

use super::devices::{Format, Opener, Tries};
use super::placing::{Delays, Pace, Standing, Step};
use super::queue::{DueDevice, DueQueue};
use super::search::{FoundDevice, Search, search};
use crate::decode::BatchOutcome;
use crate::scans::{Cached, PASS_TIME, Pass};
use crate::{EarlyReason, Error, Malformed, Received, Source, Station, Unknown, Verdict};

/// A time of reception that is this far ahead of the queue moves the queue as a whole. Below, the
/// devices that are passed move one by one.
const LEAP_MS: u64 = 600_000;

/// What decoding packets of a schedule has cost since the station was opened.
///
/// See the example of [`Station::schedule_stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleStats {
    /// Packets that were tried.
    pub packets: u64,
    /// Tags that were computed for them, without those of searches.
    pub tags: u64,
    /// Packets whose device was due.
    pub found_due: u64,
    /// Tags that were computed for packets whose device was due.
    pub tags_found_due: u64,
    /// Packets for which silent devices were searched through.
    pub searches: u64,
    /// Tags that were computed in searches.
    pub tags_searched: u64,
    /// Times that the queue was moved to a distant time.
    pub moves: u64,
    /// Devices that are searched for now: never heard, or silent.
    pub silent: u64,
    /// Memory of the queue, in bytes.
    pub queue_bytes: u64,
}

/// The part of a station that decodes packets of a schedule.
#[derive(Debug)]
pub(crate) struct Scheduled {
    format: Format,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: DueQueue,
    /// The generation of the keys whose states the queue has.
    key_generation: Option<u64>,
    stats: ScheduleStats,
}

/// A packet whose tag has verified, before its admission.
struct Opened {
    /// The place of the packet in the batch.
    at: usize,
    slot: Slot,
    key: KeyId,
    nonce: Nonce,
    seen: Sighting,
    source: Source,
    payload: Vec<u8>,
}

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

impl Scheduled {
    /// `None` unless the packets of the index follow a schedule.
    pub(crate) fn of(index: &LiveIndex) -> Option<Self> {
        let format = Format::of(&index.params())?;
        let queue = DueQueue::new(Pace::new(format.schedule, format.tolerance));
        let (key_generation, stats) = (None, ScheduleStats::default());
        Some(Self { format, inner: Mutex::new(Inner { queue, key_generation, stats }) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked can have lost an arrival of the queue; the search finds its device.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    /// };
    /// let clock = ScheduleClock::heard_first(1_764_000_000_250, 0, tolerance);
    /// let delay_ms = schedule.delay_ms(&key, 0).unwrap();
    /// let next_ms = clock.arrival(delay_ms.into(), tolerance).at_ms + 20;
    /// let next = Received {
    ///     packet: &radio[1],
    ///     at_unix_s: next_ms / 1000,
    ///     at_ms: (next_ms % 1000) as u16,
    ///     associated_data: None,
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
    ) -> Result<Vec<BatchOutcome>, Error> {
        let table = scheduled.format.head.map(|_| self.hint_keys.slot_keys()).transpose()?;
        let opener = Opener {
            format: scheduled.format,
            keys: self.key_source().as_ref(),
            table: table.as_ref(),
        };
        let mut budget = Budget { on_budget, spent: Duration::ZERO };
        let mut outcomes: Vec<Option<BatchOutcome>> = packets.iter().map(|_| None).collect();
        let mut opened = Vec::new();
        let mut rest = packets.iter().enumerate();
        loop {
            let mut inner = scheduled.lock();
            inner.refresh(self, &opener);
            let mut unexpected = None;
            for (at, received) in rest.by_ref() {
                let outcome =
                    match self.try_packet(&mut inner, &opener, (at, received), &mut budget) {
                        Err(verdict) => BatchOutcome::Verdict(verdict),
                        Ok(Tried::Expected(packet)) => {
                            opened.push(packet);
                            continue;
                        }
                        Ok(Tried::Unexpected(packet)) => {
                            unexpected = Some(packet);
                            break;
                        }
                        Ok(Tried::Nobody { has_confirmed: true }) => {
                            BatchOutcome::Verdict(Verdict::Forged)
                        }
                        Ok(Tried::Nobody { .. }) => {
                            BatchOutcome::Verdict(Verdict::Unknown(Unknown::NotDue))
                        }
                        Ok(Tried::NeedsScan) => BatchOutcome::NeedsScan(wait_key(received.packet)),
                    };
                set(&mut outcomes, at, outcome);
            }
            drop(inner);
            let is_done = unexpected.is_none();
            opened.extend(unexpected);
            self.admit_opened(scheduled, &opener, std::mem::take(&mut opened), &mut outcomes)?;
            if is_done {
                break;
            }
        }
        self.drop_keys();
        let no_device = || BatchOutcome::Verdict(Verdict::Unknown(Unknown::NotDue));
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
        let parts = opener.format.split(received.packet).map_err(|short| {
            let (len_bytes, least_bytes) = (short.len_bytes, short.least_bytes);
            Verdict::Malformed(Malformed::TooShort { len_bytes, least_bytes })
        })?;
        let received_ms = received.at_unix_ms();
        // A line with a time in the future would take the queue away from all others, and a device
        // that is not heard yet from its place.
        if received_ms > self.now_s().saturating_mul(1000).saturating_add(LEAP_MS) {
            return Ok(Tried::Nobody { has_confirmed: false });
        }
        if !self.move_queue(inner, opener, received_ms, budget) {
            return Ok(Tried::NeedsScan);
        }
        inner.stats.packets += 1;
        let mut tries = Tries::default();
        let found = inner.find_due(
            opener,
            received_ms,
            |due, tries| {
                opener.opens(&parts, (due.slot, due.key), [due.step.nonce], tries).is_some()
            },
            &mut tries,
        );
        inner.stats.tags += tries.tags;
        let opened = |slot, key, step: Step, source, payload| Opened {
            at,
            slot,
            key,
            nonce: step.nonce,
            seen: Sighting { received_ms, clock_ms: step.clock_ms },
            source,
            payload,
        };
        if let Some((due, is_repeat)) = found {
            let payload = std::mem::take(&mut tries.payload);
            let opened = opened(due.slot, due.key, due.step, Source::Schedule, payload);
            if !is_repeat {
                inner.stats.found_due += 1;
                inner.stats.tags_found_due += tries.tags;
                inner.take_in(opener, &opened);
            }
            return Ok(Tried::Expected(opened));
        }
        let has_confirmed = tries.has_confirmed;
        if inner.queue.silent().next().is_none() {
            return Ok(Tried::Nobody { has_confirmed });
        }
        if !budget.allows(self) {
            return Ok(Tried::NeedsScan);
        }
        let started = Instant::now();
        let mut outcome = search(&inner.queue, opener, &parts);
        budget.charge(self, started.elapsed(), outcome.tries, wait_key(received.packet));
        inner.stats.searches += 1;
        inner.stats.tags_searched += outcome.tags;
        let has_confirmed = has_confirmed || outcome.has_confirmed;
        let Some((found, step)) = inner.step_of(opener, &outcome) else {
            return Ok(Tried::Nobody { has_confirmed });
        };
        let payload = std::mem::take(&mut outcome.payload);
        let opened = opened(found.slot, found.key, step, Source::Scan, payload);
        let was_heard =
            inner.queue.standing(found.slot).is_some_and(|standing| standing.clock.is_some());
        if was_heard {
            return Ok(Tried::Unexpected(opened));
        }
        inner.take_in(opener, &opened);
        Ok(Tried::Expected(opened))
    }

    /// Moves the queue to a time of reception. Returns whether it is there: a distant time costs
    /// a pass over all devices, which the budget may not allow.
    fn move_queue(
        &self,
        inner: &mut Inner,
        opener: &Opener<'_>,
        received_ms: u64,
        budget: &mut Budget,
    ) -> bool {
        let queue = &mut inner.queue;
        let is_near = received_ms <= queue.now_ms().saturating_add(LEAP_MS);
        if queue.has_kept(received_ms) && is_near {
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
        budget.charge(self, started.elapsed(), queue.len(), wait_key(&[]));
        true
    }

    /// Admits packets in order, sets their outcomes, and takes over the states that result.
    fn admit_opened(
        &self,
        scheduled: &Scheduled,
        opener: &Opener<'_>,
        opened: Vec<Opened>,
        outcomes: &mut [Option<BatchOutcome>],
    ) -> Result<(), Error> {
        if opened.is_empty() {
            return Ok(());
        }
        // No hints are added.
        let no_key = &HintKey::from_bytes([0; 16]);
        let arrival = |opened: &Opened| Arrival {
            slot: opened.slot,
            key: opened.key,
            nonce: opened.nonce,
            hint_key: no_key,
            received_unix_s: opened.seen.received_ms / 1000,
        };
        let arrivals: Vec<Arrival<'_>> = opened.iter().map(arrival).collect();
        let requests: Vec<Request> =
            opened.iter().map(|opened| Request::AdmitSeen(opened.seen)).collect();
        let admissions = self.index.admit_requests(&arrivals, &requests);
        let mut inner = scheduled.lock();
        for opened in &opened {
            let state = self.index.schedule_state(opened.slot);
            inner.take_over(opener, opened.slot, state);
        }
        drop(inner);
        for (opened, admission) in opened.into_iter().zip(admissions?) {
            let (at, verdict) = (opened.at, opened.verdict(admission));
            set(outcomes, at, BatchOutcome::Verdict(verdict));
        }
        Ok(())
    }
}

impl Inner {
    /// Takes over the states of the index if keys were added or removed since the last call.
    fn refresh(&mut self, station: &Station, opener: &Opener<'_>) {
        let key_generation = station.scans.key_generation();
        if self.key_generation == Some(key_generation) {
            return;
        }
        let states = station.index.schedule_states();
        self.queue.reserve(states.len());
        for (slot, state) in (0..).map(Slot).zip(states) {
            self.take_over(opener, slot, state);
        }
        self.key_generation = Some(key_generation);
    }

    /// Takes over the state of a slot, if the queue has another one.
    fn take_over(&mut self, opener: &Opener<'_>, slot: Slot, state: Option<ScheduleState>) {
        let standing = state.map(|ScheduleState { key, next_nonce, clock }| Standing {
            key,
            next: next_nonce,
            clock,
        });
        if self.queue.standing(slot).copied() != standing {
            self.queue.set(slot, standing, opener);
        }
    }

    /// The first device for which `opens` returns true, of those that are due and then of those
    /// that were heard just now; and whether it was heard.
    fn find_due(
        &self,
        opener: &Opener<'_>,
        received_ms: u64,
        opens: impl Fn(&DueDevice, &mut Tries) -> bool,
        tries: &mut Tries,
    ) -> Option<(DueDevice, bool)> {
        let due = self.queue.due(received_ms, opener);
        if let Some(due) = due.into_iter().find(|due| opens(due, tries)) {
            return Some((due, false));
        }
        let repeats = self.queue.repeats(received_ms);
        repeats.into_iter().find(|due| opens(due, tries)).map(|due| (due, true))
    }

    /// The device that a search has found, and the reading of its clock.
    fn step_of(&self, opener: &Opener<'_>, outcome: &Search) -> Option<(FoundDevice, Step)> {
        let found = outcome.found?;
        let standing = self.queue.standing(found.slot)?;
        // Without a clock, the readings count from the packet found: only their distances matter.
        let Some(clock) = standing.clock else {
            return Some((found, Step { nonce: found.nonce, clock_ms: 0 }));
        };
        let mut step = Step { nonce: standing.next.checked_sub(1)?, clock_ms: clock.clock_ms };
        while step.nonce < found.nonce {
            step = standing.after(step, opener)?;
        }
        Some((found, step))
    }

    /// Moves a device on, as the admission of its packet will.
    fn take_in(&mut self, opener: &Opener<'_>, opened: &Opened) {
        let Some(mut standing) = self.queue.standing(opened.slot).copied() else { return };
        let Sighting { received_ms, clock_ms } = opened.seen;
        let tolerance = opener.format.tolerance;
        match &mut standing.clock {
            None => {
                let first = ScheduleClock::heard_first(received_ms, clock_ms, tolerance);
                standing.clock = Some(first);
            }
            Some(clock) => clock.observe(received_ms, clock_ms, tolerance),
        }
        standing.next = opened.nonce.saturating_add(1);
        self.queue.set(opened.slot, Some(standing), opener as &dyn Delays);
    }
}

impl Opened {
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
}

impl Budget {
    fn allows(&self, station: &Station) -> bool {
        let devices = station.index.slot_count() as usize;
        !self.on_budget || self.spent < PASS_TIME && station.scans.hints_allowed(devices) > 0
    }

    fn charge(&mut self, station: &Station, took: Duration, keys: usize, hint: Hint) {
        self.spent += took;
        station.scans.record(&Pass {
            hints: &[hint],
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

fn set(outcomes: &mut [Option<BatchOutcome>], at: usize, outcome: BatchOutcome) {
    if let Some(place) = outcomes.get_mut(at) {
        *place = Some(outcome);
    }
}
