//! The part of a batch that one station decodes, in three steps.
//!
//! 1. [`begin`](FleetRun::begin): snapshots, live index, followed devices and the scan cache.
//! 2. [`scan`](FleetRun::scan): the keys of all slots.
//! 3. [`finish`](FleetRun::finish): admission, which writes.
//!
//! Several stations take each step in turn, so a packet that one of them opens costs no scan of
//! another.

use hintdex_wire::{Hint, PacketError, Slot};
use rayon::prelude::*;

use crate::attempt::{Attempt, BoundPacket, Opener, Outcome};
use crate::open_packets::OpenPackets;
use crate::resolve::HINTS_PER_TASK;
use crate::slot_keys::SlotKeys;
use crate::{Error, Malformed, Params, Received, Station, Verdict};

/// A station, and the keys under which it opens the packets of a batch.
pub(crate) struct RunKeys<'a> {
    station: &'a Station,
    params: Params,
    /// The generation of the keys in `table`, or an earlier one.
    key_generation: u64,
    table: SlotKeys<'a>,
}

/// The packets of a batch that one station decodes.
pub(crate) struct FleetRun<'a, 'p> {
    keys: &'a RunKeys<'a>,
    /// The places of the packets in the batch.
    places: Vec<usize>,
    packets: OpenPackets<'a, 'p>,
    /// The places in the batch of what is no packet of this fleet.
    malformed: Vec<(usize, PacketError)>,
    /// The places in the batch, and the hints, for which the budget allowed no scan.
    refused: Vec<(usize, Hint)>,
}

/// The result of a station for one packet.
pub(crate) enum Finding {
    Verdict(Verdict),
    /// No verdict yet: this hint must be scanned for, and the budget is spent.
    NeedsScan(Hint),
}

impl<'a> RunKeys<'a> {
    /// Builds the window of the present time if it is missing, and derives the keys if they are
    /// not derived yet.
    pub(crate) fn of(station: &'a Station) -> Result<Self, Error> {
        station.ensure_present_window();
        let key_generation = station.scans.key_generation();
        let table = station.hint_keys.slot_keys()?;
        Ok(Self { station, params: station.params(), key_generation, table })
    }

    fn opener(&self) -> Opener<'_> {
        Opener { keys: self.station.key_source().as_ref(), table: &self.table }
    }
}

impl<'a, 'p> FleetRun<'a, 'p> {
    /// Looks packets up in all sources but the scan: those of `batch` at places that are not
    /// `opened` yet.
    pub(crate) fn begin(
        keys: &'a RunKeys<'a>,
        batch: &'p [Received<'p>],
        is_opened: impl Fn(usize) -> bool,
    ) -> Result<Self, Error>
    where
        'a: 'p,
    {
        let (mut places, mut malformed) = (Vec::new(), Vec::new());
        let (mut packets, mut times) = (Vec::new(), Vec::new());
        for (place, received) in batch.iter().enumerate().filter(|(place, _)| !is_opened(*place)) {
            match BoundPacket::parse(&keys.params, received) {
                Ok(packet) => {
                    places.push(place);
                    packets.push(packet);
                    times.push(received.at_unix_s);
                }
                Err(error) => malformed.push((place, error)),
            }
        }
        let (station, opener) = (keys.station, keys.opener());
        let attempts = attempt_known(station, opener, &packets, &times)?;
        let mut packets =
            OpenPackets::new(station, opener, packets, times, attempts, keys.key_generation);
        packets.resolve_known();
        Ok(Self { keys, places, packets, malformed, refused: Vec::new() })
    }

    /// The places in the batch of the packets that this station has opened.
    pub(crate) fn opened(&self) -> impl Iterator<Item = usize> {
        let attempts = self.places.iter().zip(self.packets.attempts());
        attempts.filter(|(_, attempt)| attempt.sender().is_some()).map(|(place, _)| *place)
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
    pub(crate) fn finish(mut self) -> Result<Vec<(usize, Finding)>, Error> {
        let (station, opener) = (self.keys.station, self.keys.opener());
        let (packets, times, attempts) = self.packets.parts();
        find_keyless(station, opener, packets, times, attempts)?;
        let (attempts, times) = self.packets.into_attempts();
        let verdicts = station.admit(attempts, &times)?;
        station.drop_keys();
        station.roll_if_due();
        let too_short = |(place, PacketError { len_bytes, least_bytes })| {
            (place, Verdict::Malformed(Malformed::TooShort { len_bytes, least_bytes }))
        };
        let malformed = self.malformed.into_iter().map(too_short);
        let verdicts = self.places.into_iter().zip(verdicts).chain(malformed);
        let found = verdicts.map(|(place, verdict)| (place, Finding::Verdict(verdict)));
        // Such a packet was authentic under no key that was tried, so nothing was admitted for it.
        let refused =
            self.refused.into_iter().map(|(place, hint)| (place, Finding::NeedsScan(hint)));
        Ok(found.chain(refused).collect())
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
        station.ask_known(opener.table, &hints, &asked_s, |at, found| {
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
