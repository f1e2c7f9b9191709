//! The part of a batch that one station decodes, in three steps.
//!
//! 1. [`begin`](FleetRun::begin): snapshots, live index, followed devices and the scan cache.
//! 2. [`scan`](FleetRun::scan): the keys of all slots; or, without hints, a key that is agreed on for
//!    each packet.
//! 3. [`finish`](FleetRun::finish): admission, which writes.
//!
//! Several stations take each step in turn, so a packet that one of them opens costs no scan of
//! another.

use hintdex_core::Naming;
use hintdex_scan::PacketOpener;
use hintdex_wire::{EphemeralPacket, Hint, Lead, PacketError, Slot};
use rayon::prelude::*;

use crate::attempt::{Attempt, BoundPacket, Opener, Outcome};
use crate::ephemeral::EphemeralPackets;
use crate::finding::Finding;
use crate::first_candidates::try_first_candidates;
use crate::open_packets::OpenPackets;
use crate::received::Reception;
use crate::resolve::HINTS_PER_TASK;
use crate::slot_keys::SlotKeys;
use crate::{Error, IndexError, Malformed, Params, Received, Station, Verdict};

/// A station, and the keys under which it opens the packets of a batch.
pub(crate) struct RunKeys<'a> {
    station: &'a Station,
    params: Params,
    /// The generation of the keys in `table`, or an earlier one.
    key_generation: u64,
    /// The hint keys; `None` where packets have no hints.
    table: Option<SlotKeys<'a>>,
}

/// The packets of a batch that one station decodes.
pub(crate) struct FleetRun<'a, 'p> {
    keys: &'a RunKeys<'a>,
    /// The places of the packets in the batch.
    places: Vec<usize>,
    receptions: Vec<Reception<'p>>,
    packets: RunPackets<'a, 'p>,
    /// The places in the batch of what is no packet of this fleet.
    malformed: Vec<(usize, Malformed)>,
    /// The places in the batch, and the hints, for which the budget allowed no scan.
    refused: Vec<(usize, Hint)>,
}

/// The packets of a run, by how they name their devices.
enum RunPackets<'a, 'p> {
    Hinted(Box<OpenPackets<'a, 'p>>),
    Ephemeral(EphemeralPackets<'a, 'p>),
    /// Packets of a schedule, judged in the first step: each moves the queue of arrivals that the
    /// next one is tried by.
    Judged(Vec<Finding>),
}

impl RunPackets<'_, '_> {
    /// Whether the packet at this place is open no longer: a tag has verified.
    fn is_opened(&self, at: usize) -> bool {
        let is_opened = |attempts: &[Attempt]| {
            attempts.get(at).is_some_and(|attempt| attempt.sender().is_some())
        };
        match self {
            Self::Hinted(packets) => is_opened(packets.attempts()),
            Self::Ephemeral(packets) => is_opened(packets.attempts()),
            Self::Judged(findings) => findings.get(at).is_some_and(Finding::is_authentic),
        }
    }

    /// The hint of the packet at this place, or what stands for it in the queue of packets that
    /// wait.
    fn hint_at(&self, at: usize) -> Option<Hint> {
        match self {
            Self::Hinted(packets) => packets.hint_at(at),
            Self::Ephemeral(packets) => packets.hint_at(at),
            Self::Judged(_) => None,
        }
    }

    fn leave_out(&mut self, at: usize) {
        match self {
            Self::Hinted(packets) => packets.leave_out(at),
            Self::Ephemeral(packets) => packets.leave_out(at),
            // The finding of the station that opened the packet counts.
            Self::Judged(_) => {}
        }
    }

    /// Opens packets in the costly way of their kind. Returns the places of those for which the
    /// budget allowed none.
    fn scan(&mut self, on_budget: bool) -> Vec<usize> {
        match self {
            Self::Hinted(packets) => packets.scan(on_budget),
            Self::Ephemeral(packets) => packets.agree(on_budget),
            Self::Judged(_) => Vec::new(),
        }
    }

    /// Admits the packets that are opened, and returns the finding for each.
    fn finish(
        self,
        keys: &RunKeys<'_>,
        receptions: &[Reception<'_>],
    ) -> Result<Vec<Finding>, Error> {
        let station = keys.station;
        let attempts = match self {
            Self::Judged(findings) => return Ok(findings),
            Self::Ephemeral(packets) => packets.into_attempts(),
            Self::Hinted(mut packets) => {
                if let Some(opener) = keys.opener() {
                    let (packets, times, attempts) = packets.parts();
                    find_keyless(station, opener, packets, times, attempts)?;
                }
                packets.into_attempts()
            }
        };
        station.lookups.count_tags(attempts.iter().map(|attempt| attempt.tried().len()).sum());
        Ok(station.admit(attempts, receptions)?.into_iter().map(Finding::Verdict).collect())
    }
}

/// The packets of a batch that one station has not opened yet, split.
struct Split<'p, T> {
    /// The places of the packets in the batch.
    places: Vec<usize>,
    packets: Vec<T>,
    receptions: Vec<Reception<'p>>,
    malformed: Vec<(usize, Malformed)>,
}

impl<'p, T> Split<'p, T> {
    /// Splits the packets at places that are not opened yet, each behind the lead of the fleet.
    fn of(
        lead: Option<Lead>,
        batch: &[Received<'p>],
        is_opened: impl Fn(usize) -> bool,
        parse: impl Fn(Received<'p>) -> Result<T, PacketError>,
    ) -> Self {
        let parse = |received: &Received<'p>| -> Result<T, Malformed> {
            let packet = lead.map_or(Ok(received.packet), |lead| lead.strip(received.packet))?;
            Ok(parse(Received { packet, ..*received })?)
        };
        let (places, packets) = (Vec::new(), Vec::new());
        let mut split = Self { places, packets, receptions: Vec::new(), malformed: Vec::new() };
        for (place, received) in batch.iter().enumerate().filter(|(place, _)| !is_opened(*place)) {
            match parse(received) {
                Ok(packet) => {
                    split.places.push(place);
                    split.packets.push(packet);
                    split.receptions.push(received.reception());
                }
                Err(error) => split.malformed.push((place, error)),
            }
        }
        split
    }
}

impl<'a> RunKeys<'a> {
    /// Builds the window of the present time if it is missing, and derives the keys if they are
    /// not derived yet.
    pub(crate) fn of(station: &'a Station) -> Result<Self, Error> {
        station.ensure_present_window();
        let key_generation = station.scans.key_generation();
        let params = station.params();
        let has_index = params.naming.has_index();
        let table = has_index.then(|| station.hint_keys.slot_keys()).transpose()?;
        Ok(Self { station, params, key_generation, table })
    }

    fn opener(&self) -> Option<Opener<'_>> {
        let table = self.table.as_ref()?;
        let keys = self.station.key_source().as_ref();
        // A packet adds nothing to a window whose snapshot holds the coming hints.
        let adds_hints = self.station.index.lean_snapshot().is_none();
        Some(Opener { keys, table, packets: PacketOpener::new(), adds_hints })
    }
}

impl<'a, 'p> FleetRun<'a, 'p> {
    /// Looks packets up in all sources but the scan: those of `batch` at places that are not
    /// opened yet. Packets of a schedule are judged here, on the budget.
    pub(crate) fn begin(
        keys: &'a RunKeys<'a>,
        batch: &'p [Received<'p>],
        is_opened: impl Fn(usize) -> bool,
        on_budget: bool,
    ) -> Result<Self, Error>
    where
        'a: 'p,
    {
        if let Some(scheduled) = &keys.station.scheduled {
            let split = Split::of(keys.params.lead, batch, is_opened, Ok);
            let on_budget = on_budget && keys.station.scans.is_bounded();
            let findings = keys.station.judge_scheduled(scheduled, &split.packets, on_budget)?;
            let Split { places, receptions, malformed, .. } = split;
            let packets = RunPackets::Judged(findings);
            return Ok(Self { keys, places, receptions, packets, malformed, refused: Vec::new() });
        }
        match keys.params.naming {
            Naming::Ephemeral { suite, .. } => {
                let parse = |received: Received<'p>| EphemeralPacket::parse(suite, received.packet);
                let split = Split::of(keys.params.lead, batch, is_opened, parse);
                let Split { places, packets, receptions, malformed } = split;
                let packets = EphemeralPackets::new(keys.station, packets);
                let packets = RunPackets::Ephemeral(packets);
                Ok(Self { keys, places, receptions, packets, malformed, refused: Vec::new() })
            }
            _ => Self::begin_hinted(keys, batch, is_opened),
        }
    }

    fn begin_hinted(
        keys: &'a RunKeys<'a>,
        batch: &'p [Received<'p>],
        is_opened: impl Fn(usize) -> bool,
    ) -> Result<Self, Error>
    where
        'a: 'p,
    {
        let parse = |received: Received<'p>| BoundPacket::parse(&keys.params, received);
        let split = Split::of(keys.params.lead, batch, is_opened, parse);
        let Split { places, packets, receptions, malformed } = split;
        let times: Vec<u64> = receptions.iter().map(|reception| reception.at_unix_s).collect();
        let station = keys.station;
        let opener = keys.opener().ok_or(IndexError::NotForThisIndex {
            call: "decode",
            why: "its packets have no hints",
        })?;
        let attempts = attempt_known(station, opener, &packets, &times)?;
        let generation = keys.key_generation;
        let mut packets = OpenPackets::new(station, opener, packets, times, attempts, generation);
        packets.resolve_known();
        let packets = RunPackets::Hinted(Box::new(packets));
        Ok(Self { keys, places, receptions, packets, malformed, refused: Vec::new() })
    }

    /// The places in the batch of the packets that this station has opened.
    pub(crate) fn opened(&self) -> impl Iterator<Item = usize> {
        let places = self.places.iter().enumerate();
        places.filter(|(at, _)| self.packets.is_opened(*at)).map(|(_, place)| *place)
    }

    /// Leaves packets out from here on: another station has opened them.
    pub(crate) fn leave_out(&mut self, is_left_out: impl Fn(usize) -> bool) {
        for (at, place) in self.places.iter().enumerate() {
            if is_left_out(*place) {
                self.packets.leave_out(at);
            }
        }
    }

    /// Scans for the packets that are still open, as far as the budget allows, or all of them.
    pub(crate) fn scan(&mut self, on_budget: bool) {
        let refused = self.packets.scan(on_budget && self.keys.station.scans.is_bounded());
        let of_batch = |at: usize| Some((*self.places.get(at)?, self.packets.hint_at(at)?));
        self.refused = refused.into_iter().filter_map(of_batch).collect();
    }

    /// Admits the packets that this station has opened. Returns the place in the batch of each
    /// packet with its finding.
    pub(crate) fn finish(self) -> Result<Vec<(usize, Finding)>, Error> {
        let findings = self.packets.finish(self.keys, &self.receptions)?;
        let station = self.keys.station;
        station.drop_keys();
        station.roll_if_due();
        let verdict = |why| Finding::Verdict(Verdict::Malformed(why));
        let malformed = self.malformed.into_iter().map(|(place, why)| (place, verdict(why)));
        // Such a packet was authentic under no key that was tried, so nothing was admitted for it.
        let refused =
            self.refused.into_iter().map(|(place, hint)| (place, Finding::NeedsScan(hint)));
        Ok(self.places.into_iter().zip(findings).chain(malformed).chain(refused).collect())
    }
}

/// Tries to open packets by the candidates of snapshots and live index, on all threads.
fn attempt_known(
    station: &Station,
    opener: Opener<'_>,
    packets: &[BoundPacket<'_>],
    times: &[u64],
) -> Result<Vec<Attempt>, Error> {
    let scheme = station.params().scheme;
    let (first_s, last_s) = (times.iter().min(), times.iter().max());
    let asked_s = first_s.copied().unwrap_or(0)..=last_s.copied().unwrap_or(0);
    let mut attempts: Vec<Attempt> = packets.iter().map(|_| Attempt::new()).collect();
    let tasks = packets.par_chunks(HINTS_PER_TASK).zip(attempts.par_chunks_mut(HINTS_PER_TASK));
    tasks.try_for_each(|(packets, attempts)| {
        let hints: Vec<Hint> = packets.iter().map(|packet| *packet.hint()).collect();
        station.ask_known(opener.table, &hints, &asked_s, |open, found| {
            try_first_candidates(opener, packets, attempts, open, &found);
            let mut found = found.into_iter();
            open.retain(|at| {
                let found = found.next().unwrap_or_default();
                let pair = packets.get(*at).zip(attempts.get_mut(*at));
                pair.is_some_and(|(packet, attempt)| {
                    attempt.try_candidates(opener, packet, &found);
                    attempt.is_open(scheme)
                })
            });
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
    station: &Station,
    opener: Opener<'_>,
    packets: &[BoundPacket<'_>],
    times: &[u64],
    attempts: &mut [Attempt],
) -> Result<(), Error> {
    if station.index.out_of_service().is_empty() {
        return Ok(());
    }
    let is_keyless =
        |slot: &&Slot| station.index.is_out_of_service(**slot) && !opener.table.has_key(**slot);
    for ((packet, received_unix_s), attempt) in packets.iter().zip(times).zip(attempts) {
        if !matches!(attempt.outcome, Outcome::Open) || attempt.was_tried() {
            continue;
        }
        let received = *received_unix_s..=*received_unix_s;
        let candidates = station.index.candidates_received(&[*packet.hint()], &received)?;
        let keyless = candidates.iter().flatten().find(is_keyless);
        attempt.keyless = keyless.and_then(|slot| station.device(*slot));
    }
    Ok(())
}
