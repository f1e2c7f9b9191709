//! The hunt for the senders of a batch that neither snapshots nor the index know.
//!
//! Packets of a batch are looked up together, before any of them is admitted. A
//! device that sends more of them than the index looks ahead would have moved its
//! hints on with each, had they come one by one. So every authentic packet is
//! *followed*: the hints that its admission will add are made now, and looked for
//! among the open packets. What is still open is scanned for, each hint once however many
//! packets have it, and each device that a scan finds is followed in turn.
//!
//! A hint that does not tell its nonce is found only near where its device is expected, and
//! a batch moves its devices. So such a device is followed as far as a scan would reach,
//! and a scan reaches from where the batch will have moved it. That may be further than one
//! packet after the other would be found: admission holds each packet to its own reach.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::time::{Duration, Instant};

use hintdex_wire::{Hint, HintCipher, Nonce, NonceKind, Packet, Slot};

use crate::attempt::{Attempt, Opener};
use crate::resolve::Ahead;
use crate::scans::{MAX_HINTS_PER_PASS, PASS_TIME, Pass};
use crate::{Found, Resolved, Source, Station};

/// Nonces of a device whose clock was found elsewhere that are looked for in a batch at most.
const MAX_CLOCKED_NONCES: u64 = 1 << 16;

/// The packets of a batch and the attempts to open them.
pub(crate) struct Hunt<'a, 'p> {
    station: &'a Station,
    opener: Opener<'a>,
    packets: &'a [Packet<'p>],
    /// When each packet was received, in seconds since 1970.
    times: &'a [u64],
    attempts: &'a mut [Attempt],
    /// The generation of the keys at hand.
    generation: u64,
    /// The places of the packets that are open, by hint.
    open: HashMap<Hint, Vec<usize>>,
    /// The end of each followed device's hints, of each unit of time, as its packets will
    /// have moved it.
    ends: HashMap<(Slot, u64), Nonce>,
    /// Where the batch moves its devices to, where hints do not tell their nonce.
    ahead: Ahead,
}

impl<'a, 'p> Hunt<'a, 'p> {
    /// The hunt for the senders of those packets whose attempt is open.
    pub(crate) fn new(
        station: &'a Station,
        opener: Opener<'a>,
        packets: &'a [Packet<'p>],
        times: &'a [u64],
        attempts: &'a mut [Attempt],
        generation: u64,
    ) -> Self {
        let mut open: HashMap<Hint, Vec<usize>> = HashMap::new();
        let scheme = station.params().scheme;
        for (at, (packet, attempt)) in packets.iter().zip(&*attempts).enumerate() {
            if attempt.is_open(scheme) {
                open.entry(*packet.hint()).or_default().push(at);
            }
        }
        let (ends, ahead) = (HashMap::new(), Ahead::new());
        Self { station, opener, packets, times, attempts, generation, open, ends, ahead }
    }

    /// Follows the authentic packets, and scans for what is open then. Returns the places
    /// for which the budget allowed no scan.
    pub(crate) fn run(mut self, on_budget: bool) -> Vec<usize> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let known: Vec<(usize, Resolved)> = self.senders(0..self.packets.len());
        self.follow(known, 1);
        let recalled = self.recall();
        self.follow(recalled, self.lookaheads_followed());
        self.scan(on_budget)
    }

    /// The authentic packets among these places, and their senders.
    fn senders(&self, places: impl IntoIterator<Item = usize>) -> Vec<(usize, Resolved)> {
        let sender = |at: usize| Some((at, *self.attempts.get(at)?.sender()?));
        places.into_iter().filter_map(sender).collect()
    }

    /// How many lookaheads ahead a device is followed that a scan found.
    fn lookaheads_followed(&self) -> u64 {
        let station = self.station;
        if station.params().scheme.is_reversible() {
            return 1;
        }
        station.reach().ahead_nonces / u64::from(station.params().lookahead.max(1))
    }

    /// Offers candidates to the open packets with this hint. Returns those that are
    /// authentic now.
    fn offer(&mut self, hint: &Hint, found: &[Resolved]) -> Vec<(usize, Resolved)> {
        let Some(places) = self.open.remove(hint) else { return Vec::new() };
        let scheme = self.station.params().scheme;
        let mut still_open = Vec::new();
        for at in &places {
            let pair = self.packets.get(*at).zip(self.attempts.get_mut(*at));
            let Some((packet, attempt)) = pair else { continue };
            attempt.offer(self.opener, packet, found);
            if attempt.is_open(scheme) {
                still_open.push(*at);
            }
        }
        if !still_open.is_empty() {
            self.open.insert(*hint, still_open);
        }
        self.senders(places)
    }

    /// Offers the open packets what earlier scans found of their hints, and takes those
    /// that need no scan out of the hunt.
    fn recall(&mut self) -> Vec<(usize, Resolved)> {
        let hints: Vec<Hint> = self.open.keys().copied().collect();
        let mut authentic = Vec::new();
        for hint in hints {
            let packets = self.open.get(&hint).map_or(0, Vec::len);
            let Some(matches) = self.station.scans.cached(&hint, packets) else { continue };
            let mut found = Found::new();
            self.station.name_each(&matches, Source::Scan, &mut found);
            authentic.extend(self.offer(&hint, &found));
            self.open.remove(&hint);
        }
        authentic
    }

    /// Opens the packets whose hints the authentic packets in `found`, and those they lead
    /// to, will make live, each followed so many lookaheads.
    ///
    /// Costs a hint and a probe for each of these nonces, and nothing if no packet is open.
    fn follow(&mut self, found: Vec<(usize, Resolved)>, lookaheads: u64) {
        if self.open.is_empty() {
            return;
        }
        // Each device from its lowest nonce on: its hints move on with every packet,
        // and those below the highest one would be passed over.
        let mut ahead = found;
        ahead.sort_unstable_by_key(|(_, found)| Reverse(found.nonce));
        while let Some((at, found)) = ahead.pop() {
            self.note_ahead(&found);
            for nonces in [self.coming(&found, lookaheads), self.at_its_clock(at, &found)] {
                ahead.extend(self.open_by(&found, nonces));
            }
        }
    }

    /// Notes where the device of an authentic packet will be.
    fn note_ahead(&mut self, found: &Resolved) {
        let params = self.station.params();
        if !params.scheme.is_reversible() && params.nonces == NonceKind::Counter {
            let next = self.ahead.entry(found.slot).or_default();
            *next = (*next).max(found.nonce.saturating_add(1));
        }
    }

    /// Opens the packets that the device of `found` sent under one of these nonces.
    fn open_by(&mut self, found: &Resolved, nonces: Range<Nonce>) -> Vec<(usize, Resolved)> {
        let Some(key) = self.opener.table.key(found.slot).filter(|_| !nonces.is_empty()) else {
            return Vec::new();
        };
        let mut waited_for = Vec::new();
        let mut nonce = nonces.start;
        HintCipher::new(self.station.params().scheme, &key).each_hint(nonces, |hint| {
            if self.open.contains_key(&hint) {
                waited_for.push((hint, nonce));
            }
            nonce += 1;
        });
        let mut opened = Vec::new();
        for (hint, nonce) in waited_for {
            let next = Resolved { nonce, source: Source::Index, ..*found };
            opened.extend(self.offer(&hint, &[next]));
        }
        opened
    }

    /// The nonces whose hints the admission of `found` will add, or that a scan would reach
    /// then.
    fn coming(&mut self, found: &Resolved, lookaheads: u64) -> Range<Nonce> {
        let Resolved { slot, nonce, .. } = *found;
        let params = self.station.params();
        let index = &self.station.index;
        let of_unit = (slot, params.nonces.unit_of(nonce));
        let end = self.ends.entry(of_unit).or_insert_with(|| index.live_end(slot, nonce));
        let ahead = lookaheads.saturating_mul(params.lookahead.into());
        let new_end = nonce.saturating_add(1).saturating_add(ahead);
        let new = nonce.saturating_add(1).max(*end)..new_end;
        *end = new_end.max(*end);
        if new.is_empty() { 0..0 } else { new }
    }

    /// The nonces that the device of an authentic packet will have used in the time of the
    /// batch, if its clock is where the packet says; none where a scan would find it anyway.
    fn at_its_clock(&self, at: usize, found: &Resolved) -> Range<Nonce> {
        let params = self.station.params();
        let (NonceKind::Step(step), false) = (params.nonces, params.scheme.is_reversible()) else {
            return 0..0;
        };
        let received = self.times.get(at).copied().unwrap_or(0);
        let expected = self.station.index.expected_nonces(found.slot, &(received..=received));
        if expected.contains(&found.nonce) {
            return 0..0;
        }
        let steps = |seconds: u64| seconds.div_ceil(step.seconds().into());
        let (first_s, last_s) = (self.times.iter().min(), self.times.iter().max());
        let before = steps(received.saturating_sub(first_s.copied().unwrap_or(received)));
        let after = steps(last_s.copied().unwrap_or(received).saturating_sub(received));
        let timing = self.station.index.timing();
        let tolerance = steps(timing.before_s.max(timing.after_s).into()) + 2;
        let first = found.nonce.saturating_sub(before + tolerance);
        let end = found.nonce.saturating_add(after + tolerance + 1);
        first..end.min(first.saturating_add(MAX_CLOCKED_NONCES))
    }

    /// Scans for the open hints, some at a time: a device that leapt ahead is found by its
    /// first hint, and following it tells the others. Returns the places for which the
    /// budget allowed no scan.
    fn scan(&mut self, on_budget: bool) -> Vec<usize> {
        let (station, table) = (self.station, self.opener.table);
        let mut order: Vec<(usize, Hint)> =
            self.open.iter().filter_map(|(hint, at)| Some((*at.first()?, *hint))).collect();
        order.sort_unstable_by_key(|(at, _)| *at);
        let mut hints = order.into_iter().map(|(_, hint)| hint).peekable();
        let mut scanned = Duration::ZERO;
        loop {
            while hints.next_if(|hint| !self.open.contains_key(hint)).is_some() {}
            // The others of the batch wait: a bucket that is full is not emptied at once.
            let allowed = match on_budget {
                _ if hints.peek().is_none() => 0,
                false => MAX_HINTS_PER_PASS,
                true if scanned >= PASS_TIME => 0,
                true => station.scans.hints_allowed(table.len()),
            };
            if allowed == 0 {
                let refused = hints.filter_map(|hint| self.open.remove(&hint));
                let mut refused: Vec<usize> = refused.flatten().collect();
                refused.sort_unstable();
                return refused;
            }
            let open = &self.open;
            let unknown: Vec<Hint> =
                hints.by_ref().filter(|hint| open.contains_key(hint)).take(allowed).collect();
            scanned += self.scan_for(&unknown);
        }
    }

    /// Scans for these hints, offers their packets what that finds, and follows the devices
    /// found. Returns how long the scan took.
    fn scan_for(&mut self, hints: &[Hint]) -> Duration {
        let (station, table) = (self.station, self.opener.table);
        let times: RangeInclusive<u64> = self.times.iter().min().copied().unwrap_or(0)
            ..=self.times.iter().max().copied().unwrap_or(0);
        let started = Instant::now();
        let matches = station.scan(table, hints, &times, &self.ahead);
        let took = started.elapsed();
        let mut authentic = Vec::new();
        for (hint, matches) in hints.iter().zip(&matches) {
            let mut found = Found::new();
            station.name_each(matches, Source::Scan, &mut found);
            authentic.extend(self.offer(hint, &found));
        }
        // Only keys decide who made a reversible hint, so the result is cached. A truncated
        // hint's result depends on device state and is not cached.
        let is_cached = station.params().scheme.is_reversible();
        let (devices, generation) = (table.len(), self.generation);
        let pass = Pass { hints, found: &matches, devices, took, is_cached, generation };
        station.scans.passed(&pass);
        let lookaheads = self.lookaheads_followed();
        self.follow(authentic, lookaheads);
        took
    }
}
