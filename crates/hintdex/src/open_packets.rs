//! The open packets of a batch: neither snapshots nor the live index resolved their hints.
//!
//! The packets of a batch are looked up together, before any of them is admitted. A device
//! may send more packets in a batch than the index looks ahead; packet by packet, each
//! admission would have added the hints of the next. So every authentic packet is
//! *followed*: the hints that its admission will add are computed now and matched against
//! the open packets. Hints that stay open are scanned for, each hint once however many
//! packets carry it. Each device that a scan finds is followed in turn.
//!
//! A truncated hint is found only near the expected nonce of its device, and a batch moves
//! that nonce. So with truncated hints a device is followed as far as a scan reaches, and a
//! scan starts from the nonce to which the batch will have moved the device. This may reach
//! further than packet by packet; admission holds each packet to its own reach.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::ops::{Range, RangeInclusive};
use std::time::{Duration, Instant};

use hintdex_wire::{Hint, Nonce, NonceKind, Slot};

use crate::attempt::{Attempt, BoundPacket, Opener};
use crate::resolve::{NextNonces, SCAN_EPOCHS};
use crate::resolved::is_certain;
use crate::scans::{Cached, MAX_HINTS_PER_CHAIN_PASS, MAX_HINTS_PER_PASS, PASS_TIME, Pass};
use crate::slot_keys::SlotKeys;
use crate::{Params, Resolved, ResolvedSlots, Source, Station};

/// The most nonces of one device that are matched against a batch after the device's clock
/// was found away from its bounds.
const MAX_CLOCKED_NONCES: u64 = 1 << 16;

/// The packets of a batch, and the attempts to open them.
pub(crate) struct OpenPackets<'a, 'p> {
    station: &'a Station,
    opener: Opener<'a>,
    packets: Vec<BoundPacket<'p>>,
    /// The time of reception of each packet, in seconds since 1970.
    times: Vec<u64>,
    attempts: Vec<Attempt>,
    /// The generation of the keys in `opener`.
    key_generation: u64,
    /// The places in the batch of the open packets, by hint.
    open: HashMap<Hint, Vec<usize>>,
    /// For each followed slot and unit of time, the end of the hints that the slot's packets
    /// will have added.
    ends: HashMap<(Slot, u64), Nonce>,
    /// The next nonces of devices that the batch moves. Used with truncated hints.
    next_nonces: NextNonces,
}

impl<'a, 'p> OpenPackets<'a, 'p> {
    /// The packets whose attempt is open, among packets that snapshots and live index were asked
    /// for.
    pub(crate) fn new(
        station: &'a Station,
        opener: Opener<'a>,
        packets: Vec<BoundPacket<'p>>,
        times: Vec<u64>,
        attempts: Vec<Attempt>,
        key_generation: u64,
    ) -> Self {
        let mut open: HashMap<Hint, Vec<usize>> = HashMap::new();
        let scheme = station.params().scheme;
        for (at, (packet, attempt)) in packets.iter().zip(&attempts).enumerate() {
            if attempt.is_open(scheme) {
                open.entry(*packet.hint()).or_default().push(at);
            }
        }
        let (ends, next_nonces) = (HashMap::new(), NextNonces::new());
        Self { station, opener, packets, times, attempts, key_generation, open, ends, next_nonces }
    }

    /// Follows the authentic packets, and tries the cached results of earlier scans.
    pub(crate) fn resolve_known(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let known: Vec<(usize, Resolved)> = self.senders(0..self.packets.len());
        self.follow(known, 1);
        let cached = self.apply_cached();
        self.follow(cached, self.lookaheads_followed());
    }

    /// The packets, their times of reception and the attempts to open them.
    pub(crate) fn parts(&mut self) -> (&[BoundPacket<'p>], &[u64], &mut [Attempt]) {
        (&self.packets, &self.times, &mut self.attempts)
    }

    pub(crate) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    pub(crate) fn into_attempts(self) -> Vec<Attempt> {
        self.attempts
    }

    /// The hint of the packet at this place.
    pub(crate) fn hint_at(&self, at: usize) -> Option<Hint> {
        self.packets.get(at).map(|packet| *packet.hint())
    }

    /// Leaves the packet at this place out from here on.
    pub(crate) fn leave_out(&mut self, at: usize) {
        let Some((hint, attempt)) = self.hint_at(at).zip(self.attempts.get_mut(at)) else { return };
        *attempt = Attempt::new();
        if let Some(places) = self.open.get_mut(&hint) {
            places.retain(|other| *other != at);
            if places.is_empty() {
                self.open.remove(&hint);
            }
        }
    }

    /// The authentic packets at these places, and their senders.
    fn senders(&self, places: impl IntoIterator<Item = usize>) -> Vec<(usize, Resolved)> {
        let sender = |at: usize| Some((at, *self.attempts.get(at)?.sender()?));
        places.into_iter().filter_map(sender).collect()
    }

    /// How many lookaheads a device is followed that a scan found.
    fn lookaheads_followed(&self) -> u64 {
        let station = self.station;
        if station.params().scheme.is_reversible() {
            return 1;
        }
        station.reach().ahead_nonces / u64::from(station.params().lookahead.max(1))
    }

    /// Tries candidates for the open packets with this hint. Returns the packets that are
    /// authentic now.
    fn try_candidates(&mut self, hint: &Hint, candidates: &[Resolved]) -> Vec<(usize, Resolved)> {
        let Some(places) = self.open.remove(hint) else { return Vec::new() };
        let scheme = self.station.params().scheme;
        let mut still_open = Vec::new();
        for at in &places {
            let pair = self.packets.get(*at).zip(self.attempts.get_mut(*at));
            let Some((packet, attempt)) = pair else { continue };
            attempt.try_candidates(self.opener, packet, candidates);
            if attempt.is_open(scheme) {
                still_open.push(*at);
            }
        }
        if !still_open.is_empty() {
            self.open.insert(*hint, still_open);
        }
        self.senders(places)
    }

    /// Tries the cached results of earlier scans, and closes the packets whose hints are in
    /// the cache: a further scan would return the same.
    fn apply_cached(&mut self) -> Vec<(usize, Resolved)> {
        let hints: Vec<Hint> = self.open.keys().copied().collect();
        let mut authentic = Vec::new();
        for hint in hints {
            let packets = self.open.get(&hint).map_or(0, Vec::len);
            let Some(matches) = self.station.scans.cached(&hint, packets) else { continue };
            let mut candidates = ResolvedSlots::new();
            self.station.add_matches(&matches, Source::Scan, &mut candidates);
            authentic.extend(self.try_candidates(&hint, &candidates));
            self.open.remove(&hint);
        }
        authentic
    }

    /// Opens the packets whose hints the admission of the `authentic` packets will add, and
    /// follows the packets opened so in turn, each for so many lookaheads.
    ///
    /// Costs one hint and one hash lookup for each of these nonces, and nothing while no
    /// packet is open.
    fn follow(&mut self, authentic: Vec<(usize, Resolved)>, lookaheads: u64) {
        if self.open.is_empty() {
            return;
        }
        // In ascending order of nonces: each admission moves the device on, and the hints
        // below its highest nonce would be skipped.
        let mut pending = authentic;
        pending.sort_unstable_by_key(|(_, sender)| Reverse(sender.nonce));
        while let Some((at, sender)) = pending.pop() {
            self.record_next_nonce(&sender);
            for nonces in [self.added_nonces(&sender, lookaheads), self.clocked_nonces(at, &sender)]
            {
                pending.extend(self.open_by(&sender, nonces));
            }
        }
    }

    /// Records the next nonce of the sender of an authentic packet.
    fn record_next_nonce(&mut self, sender: &Resolved) {
        let params = self.station.params();
        let has_bound = !params.scheme.is_reversible() || params.ratchet.is_some();
        if has_bound && params.nonces == NonceKind::Counter {
            let next = self.next_nonces.entry(sender.slot).or_default();
            *next = (*next).max(sender.nonce.saturating_add(1));
        }
    }

    /// Opens the packets that `sender` made from one of these nonces.
    fn open_by(&mut self, sender: &Resolved, nonces: Range<Nonce>) -> Vec<(usize, Resolved)> {
        if nonces.is_empty() {
            return Vec::new();
        }
        let mut matched = Vec::new();
        let mut nonce = nonces.start;
        let matches = |hint: Hint| {
            if self.open.contains_key(&hint) {
                matched.push((hint, nonce));
            }
            nonce += 1;
        };
        self.opener.table.each_hint(self.opener.keys, sender, nonces, matches);
        let mut opened = Vec::new();
        for (hint, nonce) in matched {
            let candidate = Resolved { nonce, source: Source::Index, ..*sender };
            opened.extend(self.try_candidates(&hint, &[candidate]));
        }
        opened
    }

    /// The nonces whose hints the admission of a packet of `sender` will add, or which a
    /// scan would reach after it.
    fn added_nonces(&mut self, sender: &Resolved, lookaheads: u64) -> Range<Nonce> {
        let Resolved { slot, nonce, .. } = *sender;
        let params = self.station.params();
        let index = &self.station.index;
        let of_unit = (slot, params.nonces.unit_of(nonce));
        let end = self.ends.entry(of_unit).or_insert_with(|| index.live_end(slot, nonce));
        let ahead = lookaheads.saturating_mul(params.lookahead.into());
        let new_end = nonce.saturating_add(1).saturating_add(ahead);
        let added = nonce.saturating_add(1).max(*end)..new_end;
        *end = new_end.max(*end);
        if added.is_empty() { 0..0 } else { added }
    }

    /// The nonces that the sender of an authentic packet uses in the time that the batch
    /// covers, if its clock shows what the packet implies. Empty where the packet's nonce
    /// was expected, as the index or a scan finds such nonces anyway.
    fn clocked_nonces(&self, at: usize, sender: &Resolved) -> Range<Nonce> {
        let params = self.station.params();
        let (NonceKind::Step(step), false) = (params.nonces, params.scheme.is_reversible()) else {
            return 0..0;
        };
        let received = self.times.get(at).copied().unwrap_or(0);
        let expected = self.station.index.expected_nonces(sender.slot, &(received..=received));
        if expected.contains(&sender.nonce) {
            return 0..0;
        }
        let steps = |seconds: u64| seconds.div_ceil(step.seconds().into());
        let (first_s, last_s) = (self.times.iter().min(), self.times.iter().max());
        let before = steps(received.saturating_sub(first_s.copied().unwrap_or(received)));
        let after = steps(last_s.copied().unwrap_or(received).saturating_sub(received));
        let timing = self.station.index.timing();
        let tolerance = steps(timing.before_s.max(timing.after_s).into()) + 2;
        let first = sender.nonce.saturating_sub(before + tolerance);
        let end = sender.nonce.saturating_add(after + tolerance + 1);
        first..end.min(first.saturating_add(MAX_CLOCKED_NONCES))
    }

    /// Scans for the open hints, some at a time: a device that leapt ahead is found by its
    /// first hint, and following it finds its others. Returns the places for which the
    /// budget allowed no scan, or no further stage of one.
    pub(crate) fn scan(&mut self, on_budget: bool) -> Vec<usize> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let (station, table) = (self.station, self.opener.table);
        let stages = station.scan_stages();
        let mut order: Vec<(usize, Hint)> =
            self.open.iter().filter_map(|(hint, at)| Some((*at.first()?, *hint))).collect();
        order.sort_unstable_by_key(|(at, _)| *at);
        let mut waiting = StagedHints::new(stages.len());
        for (_, hint) in order {
            waiting.push(station.scans.stage(&hint), hint);
        }
        let (mut scanned, mut refused) = (Duration::ZERO, Vec::new());
        while let Some(stage) = waiting.first_stage(|hint| self.open.contains_key(hint)) {
            let ahead_nonces = stages.get(stage).copied().unwrap_or(station.reach().ahead_nonces);
            let epochs = SCAN_EPOCHS.get(stage).filter(|_| !stages.is_empty()).copied();
            let epochs = usize::try_from(epochs.unwrap_or(1)).unwrap_or(1);
            let tries = table.len().saturating_mul(epochs);
            // The rest of the batch waits for these passes, so one batch spends at most
            // `PASS_TIME`, even if the bucket is full.
            let allowed = match on_budget {
                false if stages.is_empty() => MAX_HINTS_PER_PASS,
                // The keys are derived once for all hints of a pass.
                false => MAX_HINTS_PER_CHAIN_PASS,
                true if scanned >= PASS_TIME => 0,
                true => station.scans.hints_allowed(tries),
            };
            if allowed == 0 {
                break;
            }
            let unknown = waiting.take(stage, allowed, |hint| self.open.contains_key(hint));
            scanned += self.scan_for(&unknown, ahead_nonces, tries);
            let left = unknown.into_iter().filter(|hint| self.open.contains_key(hint));
            let left: Vec<Hint> = left.collect();
            match stage + 1 {
                next if next >= stages.len() => left.iter().for_each(|hint| {
                    station.scans.set_stage(hint, 0);
                }),
                // A further stage costs more than a batch may wait for.
                next if on_budget => refused.extend(left.into_iter().map(|hint| (next, hint))),
                next => left.into_iter().for_each(|hint| waiting.push(next, hint)),
            }
        }
        refused.extend(waiting.rest());
        let mut places = Vec::new();
        for (stage, hint) in refused {
            if let Some(of_hint) = self.open.remove(&hint) {
                places.extend(of_hint);
                station.scans.set_stage(&hint, stage);
            }
        }
        places.sort_unstable();
        places
    }

    /// Scans for these hints, tries the devices found for the packets, and follows them.
    /// Returns how long the scan took.
    fn scan_for(&mut self, hints: &[Hint], ahead_nonces: u64, tries: usize) -> Duration {
        let station = self.station;
        let times: RangeInclusive<u64> = self.times.iter().min().copied().unwrap_or(0)
            ..=self.times.iter().max().copied().unwrap_or(0);
        let started = Instant::now();
        let table = self.opener.table;
        let matches = station.scan(table, hints, &times, &self.next_nonces, ahead_nonces);
        let took = started.elapsed();
        let mut authentic = Vec::new();
        for (hint, matches) in hints.iter().zip(&matches) {
            let mut candidates = ResolvedSlots::new();
            station.add_matches(matches, Source::Scan, &mut candidates);
            authentic.extend(self.try_candidates(hint, &candidates));
        }
        let pass = Pass {
            hints,
            found: &matches,
            keys: tries,
            took,
            cached: self.cached(),
            key_generation: self.key_generation,
        };
        station.scans.record(&pass);
        let lookaheads = self.lookaheads_followed();
        let found: Vec<Resolved> = authentic.iter().map(|(_, sender)| *sender).collect();
        self.follow(authentic, lookaheads);
        self.follow_epochs(found);
        took
    }

    /// Which results of a scan are cached. Only keys decide which device made a reversible hint.
    /// The result for a truncated hint depends on device states, and so does it that no device was
    /// found where keys move on with the nonces.
    fn cached(&self) -> Cached {
        let Params { scheme, ratchet, .. } = self.station.params();
        match ratchet {
            _ if !scheme.is_reversible() => Cached::Nothing,
            None => Cached::All,
            Some(_) if is_certain(scheme) => Cached::Found,
            Some(_) => Cached::Nothing,
        }
    }

    /// Opens the packets that devices sent which a scan has found, as far ahead of the packets
    /// found as a scan for the next packet would reach. Only where keys move on with the nonces:
    /// without a bound, a scan has found all of them.
    fn follow_epochs(&mut self, found: Vec<Resolved>) {
        let SlotKeys::Chains(chains) = self.opener.table else { return };
        let ahead_nonces = self.station.reach().ahead_nonces;
        let mut pending = found;
        while let Some(sender) = pending.pop() {
            if self.open.is_empty() || !self.station.params().scheme.is_reversible() {
                return;
            }
            let hints: Vec<Hint> = self.open.keys().copied().collect();
            let next = self.next_nonces.get(&sender.slot).copied().unwrap_or(0);
            let search = chains.within(|_| 0..next.saturating_add(ahead_nonces));
            let mut matched = Vec::new();
            search.confirm_slot(sender.slot, &hints, |at, nonce| matched.push((at, nonce)));
            matched.sort_unstable_by_key(|(_, nonce)| *nonce);
            let mut opened = Vec::new();
            for (at, nonce) in matched {
                let candidate = Resolved { nonce, source: Source::Scan, ..sender };
                let Some(hint) = hints.get(at) else { continue };
                opened.extend(self.try_candidates(hint, &[candidate]));
            }
            let furthest =
                opened.iter().map(|(_, sender)| *sender).max_by_key(|sender| sender.nonce);
            self.follow(opened, 1);
            pending.extend(furthest);
        }
    }
}

/// Hints that are to be scanned for, by the stage that comes next for each.
struct StagedHints(Vec<VecDeque<Hint>>);

impl StagedHints {
    fn new(stages: usize) -> Self {
        Self(vec![VecDeque::new(); stages.max(1)])
    }

    fn push(&mut self, stage: usize, hint: Hint) {
        let last = self.0.len().saturating_sub(1);
        let of_stage = self.0.get_mut(stage.min(last));
        of_stage.into_iter().for_each(|hints| hints.push_back(hint));
    }

    /// The first stage with a hint that is still open. Drops the hints before it.
    fn first_stage(&mut self, is_open: impl Fn(&Hint) -> bool) -> Option<usize> {
        for (stage, hints) in self.0.iter_mut().enumerate() {
            while hints.front().is_some_and(|hint| !is_open(hint)) {
                hints.pop_front();
            }
            if !hints.is_empty() {
                return Some(stage);
            }
        }
        None
    }

    /// Takes the first open hints of a stage, at most `most`.
    fn take(&mut self, stage: usize, most: usize, is_open: impl Fn(&Hint) -> bool) -> Vec<Hint> {
        let mut taken = Vec::new();
        let Some(hints) = self.0.get_mut(stage) else { return taken };
        while taken.len() < most
            && let Some(hint) = hints.pop_front()
        {
            if is_open(&hint) {
                taken.push(hint);
            }
        }
        taken
    }

    /// The hints that are left, each with its stage.
    fn rest(self) -> impl Iterator<Item = (usize, Hint)> {
        let stages = self.0.into_iter().enumerate();
        stages.flat_map(|(stage, hints)| hints.into_iter().map(move |hint| (stage, hint)))
    }
}
