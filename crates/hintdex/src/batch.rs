//! The batch: packets that one station, or the stations of a group, decode together.
//!
//! A packet is of the fleet whose tag verifies. So each packet is tried in every fleet until one
//! opens it: first in the cheap sources of every fleet, then in the scans of every fleet. All
//! admissions follow at the end, each fleet's in input order. So the verdicts of a fleet are those
//! of decoding its packets alone, one by one.

use std::cmp::Reverse;

use hintdex_core::Naming;
use hintdex_wire::AssociatedDataBuf;

use crate::finding::Finding;
use crate::fleet_run::{FleetRun, RunKeys};
use crate::scan_queue::Ticket;
use crate::waiting::WaitingPackets;
use crate::{Error, Malformed, Params, Received, Station, Unknown, Verdict};

/// A verdict, and the number of the station whose finding it is.
pub(crate) struct Judged {
    pub(crate) station: usize,
    pub(crate) verdict: Verdict,
}

/// The verdict on each packet. Packets for which the budget allows no scan are queued, each with
/// a ticket.
pub(crate) fn judge(
    stations: &[&Station],
    waiting: &WaitingPackets,
    packets: &[Received<'_>],
) -> Result<Vec<Judged>, Error> {
    let found = find_batch(stations, packets, true)?;
    let judged = |(received, Found { station, finding }): (&Received<'_>, Found)| {
        let verdict = match finding {
            Finding::Verdict(verdict) => verdict,
            Finding::NeedsScan(hint) => {
                let ticket = waiting.enqueue(hint, received);
                Verdict::Unknown(Unknown::ScanBudget { ticket })
            }
        };
        Judged { station, verdict }
    };
    Ok(packets.iter().zip(found).map(judged).collect())
}

/// The verdicts on the packets of the newest hints that wait, as far as the budget of every
/// station allows scans now.
pub(crate) fn judge_waiting(
    stations: &[&Station],
    waiting: &WaitingPackets,
) -> Result<Vec<(Ticket, Judged)>, Error> {
    let allowed = |station: &&Station| match station.params().naming {
        Naming::Ephemeral { .. } => station.scans.agreements_allowed(),
        _ => station.scans.hints_allowed(station.index.slot_count() as usize),
    };
    let max_hints = stations.iter().map(allowed).min().unwrap_or(0);
    judge_queued(stations, waiting, max_hints, true)
}

/// The verdicts on all packets that wait, without a budget.
pub(crate) fn judge_all_waiting(
    stations: &[&Station],
    waiting: &WaitingPackets,
) -> Result<Vec<(Ticket, Judged)>, Error> {
    judge_queued(stations, waiting, usize::MAX, false)
}

fn judge_queued(
    stations: &[&Station],
    waiting: &WaitingPackets,
    max_hints: usize,
    on_budget: bool,
) -> Result<Vec<(Ticket, Judged)>, Error> {
    let queued = waiting.take(max_hints);
    if queued.is_empty() {
        stations.iter().for_each(|station| station.roll_if_due());
        return Ok(Vec::new());
    }
    let received = queued.iter().map(|queued| Received {
        packet: &queued.packet,
        at_unix_s: queued.at_unix_s,
        at_ms: queued.at_ms,
        associated_data: queued.associated_data.as_deref().map(AssociatedDataBuf::borrow),
        context: &queued.context,
    });
    let received: Vec<Received<'_>> = received.collect();
    let found = match find_batch(stations, &received, on_budget) {
        Ok(found) => found,
        Err(error) => {
            // A full outbox refuses for now: the packets go on waiting.
            queued.into_iter().for_each(|queued| waiting.requeue(queued.hint, queued));
            return Err(error);
        }
    };
    let mut judged = Vec::with_capacity(queued.len());
    for (queued, Found { station, finding }) in queued.into_iter().zip(found) {
        match finding {
            Finding::Verdict(verdict) => judged.push((queued.ticket, Judged { station, verdict })),
            Finding::NeedsScan(hint) => waiting.requeue(hint, queued),
        }
    }
    Ok(judged)
}

/// The finding that counts for a packet, and the number of the station it is from.
struct Found {
    station: usize,
    finding: Finding,
}

/// Decodes a batch, with or without budgets for its scans.
///
/// With truncated hints and clocked nonces, a scan tries the nonces of the whole time in
/// which the packets were received, and any sender of lines can name any time. So such
/// packets are decoded in runs that cover one window's length at most.
fn find_batch(
    stations: &[&Station],
    packets: &[Received<'_>],
    on_budget: bool,
) -> Result<Vec<Found>, Error> {
    let span_s = |station: &&Station| {
        let Params { scheme, nonces, .. } = station.params();
        let is_bounded = !scheme.is_reversible() && nonces.is_clocked();
        is_bounded.then(|| u64::from(station.timing().span_s))
    };
    let Some(span_s) = stations.iter().filter_map(span_s).min() else {
        return find_run(stations, packets, on_budget);
    };
    let mut found = Vec::with_capacity(packets.len());
    let mut rest = packets;
    while !rest.is_empty() {
        let (run, later) = rest.split_at(run_len(rest, span_s));
        found.extend(find_run(stations, run, on_budget)?);
        rest = later;
    }
    Ok(found)
}

/// Decodes packets that are resolved together.
fn find_run(
    stations: &[&Station],
    packets: &[Received<'_>],
    on_budget: bool,
) -> Result<Vec<Found>, Error> {
    let of_turn = |number: usize| stations.get(number).map(|station| RunKeys::of(station));
    let keys = in_turn(stations).filter_map(of_turn).collect::<Result<Vec<_>, _>>()?;
    let mut openers = Openers(vec![None; packets.len()]);
    let mut runs = Vec::with_capacity(keys.len());
    for (station, keys) in in_turn(stations).zip(&keys) {
        let is_opened = |place| openers.of(place).is_some();
        let run = FleetRun::begin(keys, packets, is_opened, on_budget)?;
        openers.record(station, run.opened());
        runs.push((station, run));
    }
    for (station, run) in &mut runs {
        run.leave_out(|place| openers.is_other(place, *station));
        run.scan(on_budget);
        openers.record(*station, run.opened());
    }
    let mut best: Vec<Option<Found>> = packets.iter().map(|_| None).collect();
    for (station, mut run) in runs {
        run.leave_out(|place| openers.is_other(place, station));
        for (place, finding) in run.finish()? {
            let Some(best) = best.get_mut(place) else { continue };
            let counts = match openers.of(place) {
                Some(opener) => opener == station,
                None => best.as_ref().is_none_or(|best| rank(&finding) > rank(&best.finding)),
            };
            if counts {
                *best = Some(Found { station, finding });
            }
        }
    }
    let no_device =
        || Found { station: 0, finding: Finding::Verdict(Verdict::Unknown(Unknown::NoDevice)) };
    Ok(best.into_iter().map(|found| found.unwrap_or_else(no_device)).collect())
}

/// The numbers of the stations in the order in which they are asked: those with an index first.
/// Without one, each packet costs tries.
fn in_turn(stations: &[&Station]) -> impl Iterator<Item = usize> {
    let has_index = |number: &usize| {
        stations.get(*number).is_some_and(|station| station.params().naming.has_index())
    };
    let (first, last): (Vec<usize>, Vec<usize>) = (0..stations.len()).partition(has_index);
    first.into_iter().chain(last)
}

/// The number of the station that has opened each packet of a run.
struct Openers(Vec<Option<usize>>);

impl Openers {
    fn of(&self, place: usize) -> Option<usize> {
        self.0.get(place).copied().flatten()
    }

    fn is_other(&self, place: usize, station: usize) -> bool {
        self.of(place).is_some_and(|opener| opener != station)
    }

    fn record(&mut self, station: usize, places: impl Iterator<Item = usize>) {
        for place in places {
            if let Some(opener) = self.0.get_mut(place) {
                opener.get_or_insert(station);
            }
        }
    }
}

/// Which of the findings of several stations counts for a packet that none of them opened: the
/// greatest, and of equal ones the first. A scan that is still to come may open the packet, so it
/// counts before `forged`.
fn rank(finding: &Finding) -> (u8, Reverse<usize>) {
    let rank = match finding {
        Finding::NeedsScan(_) => 5,
        Finding::Verdict(Verdict::Malformed(Malformed::TooShort { least_bytes, .. })) => {
            return (0, Reverse(*least_bytes));
        }
        Finding::Verdict(Verdict::Malformed(Malformed::WrongLead(_))) => 0,
        Finding::Verdict(Verdict::Unknown(Unknown::TooManyCandidates)) => 2,
        Finding::Verdict(Verdict::Unknown(Unknown::OutOfService { .. })) => 3,
        Finding::Verdict(Verdict::Forged) => 4,
        Finding::Verdict(_) => 1,
    };
    (rank, Reverse(0))
}

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
