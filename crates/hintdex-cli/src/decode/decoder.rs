//! Decoding lines: packets to the stations, and verdicts to lines of JSON.

use std::time::Duration;

use hintdex::{GroupVerdict, OutboxPayload, Received, ScheduleStats, Ticket, Unknown, Verdict};

use super::fleets::Fleets;
use super::handing_on::HandingOn;
use super::summary::{Labels, Summary};
use super::waiting::{WaitingLine, WaitingLines};
use crate::failure::Failure;
use crate::input::Line;
use crate::timeline::{Stamp, runs};

/// The most lines that are decoded together if the window of their time is missing: as many
/// hints as one pass over all devices searches for. The first authentic packets among them
/// may move the station clock to their time, and so build the window.
const LINES_WITHOUT_WINDOW: usize = 32;

/// The fleets of a call, and the verdicts on the lines they are given.
pub struct Decoder {
    fleets: Fleets,
    pub summary: Summary,
    waiting: WaitingLines,
    /// The number of verdicts that the last scan for waiting packets returned.
    late_verdicts: usize,
    handing_on: HandingOn,
    /// The lines of JSON that are not written out yet.
    pub text: String,
}

impl Decoder {
    /// A decoder that labels the verdicts of each fleet.
    ///
    /// # Errors
    /// An outbox cannot be written to.
    pub fn new(fleets: Fleets, labels: Vec<Labels>) -> Result<Self, Failure> {
        let (waiting, text) = (WaitingLines::default(), String::new());
        let handing_on = HandingOn::begin(fleets.group.stations())?;
        let left = handing_on.left(fleets.group.stations());
        if left > 0 {
            eprintln!(
                "hintdex: note: up to {left} payloads that an earlier call did not hand on are \
                 written first, with \"again\""
            );
        }
        let summary = Summary::new(labels);
        Ok(Self { fleets, summary, waiting, late_verdicts: 0, handing_on, text })
    }

    /// Writes the next payloads that an earlier call has accepted and not handed on. Returns whether
    /// there were any left.
    pub fn write_again(&mut self) -> Result<bool, Failure> {
        let (summary, text) = (&self.summary, &mut self.text);
        let stations = self.fleets.group.stations();
        let write = |station, payload: &OutboxPayload| summary.again(station, payload, text);
        Ok(self.handing_on.again(stations, write)?)
    }

    /// Takes the payloads of the lines that are flushed out of the outboxes.
    pub fn acknowledge(&mut self) -> Result<(), Failure> {
        Ok(self.handing_on.acknowledge(self.fleets.group.stations())?)
    }

    /// How long to wait for the next lines: without a bound, unless packets wait for a scan.
    pub fn timeout(&mut self) -> Option<Duration> {
        let any_wait = self.fleets.group.waiting() > 0;
        any_wait.then(|| self.waiting.timeout(self.late_verdicts))
    }

    /// What the schedule of each fleet has cost; `None` for fleets without one.
    pub fn schedule_stats(&self) -> Vec<Option<ScheduleStats>> {
        self.fleets.schedule_stats()
    }

    /// The time of reception that a line carries. `None` where all nonces are counters, and for a
    /// time of a receiver whose clock was never set.
    fn time_of(&self, line: &Line) -> Option<u64> {
        match line {
            Line::Packet { at_unix_s, .. } if self.fleets.read_times() => {
                at_unix_s.filter(|unix_s| *unix_s >= self.fleets.first_unix_s())
            }
            Line::Packet { at_unix_s, .. } if self.fleets.have_schedule() => *at_unix_s,
            _ => None,
        }
    }

    /// Decodes a batch of lines, in runs that one reading of the clock serves.
    pub fn decode_lines(&mut self, batch: &[Line]) -> Result<(), Failure> {
        self.summary.refresh();
        let tolerance_s = self.fleets.tolerance_s();
        let stamp = |line: &Line| match (line, self.time_of(line)) {
            (Line::Bad(_), _) => Stamp::Any,
            // No window is of a time.
            _ if !self.fleets.read_times() && self.fleets.have_schedule() => Stamp::Any,
            (_, None) => Stamp::Present,
            (_, Some(unix_s)) => Stamp::At(unix_s),
        };
        for (stamp, mut run) in runs(batch, tolerance_s, stamp) {
            while !run.is_empty() {
                let has_window = match stamp {
                    Stamp::Any => true,
                    Stamp::Present => self.fleets.have_window_of(self.fleets.present_s()),
                    Stamp::At(unix_s) => self.fleets.have_window_of(unix_s),
                };
                let len = if has_window { run.len() } else { LINES_WITHOUT_WINDOW.min(run.len()) };
                let (part, rest) = run.split_at(len);
                self.decode_run(part)?;
                run = rest;
            }
        }
        Ok(())
    }

    /// Decodes the packets of a run of lines, then scans for waiting packets.
    fn decode_run(&mut self, batch: &[Line]) -> Result<(), Failure> {
        let present_s = self.fleets.present_s();
        let (lines, packets): (Vec<&Line>, Vec<Received<'_>>) =
            batch.iter().filter_map(|line| Some((line, self.received(line, present_s)?))).unzip();
        let group = &self.fleets.group;
        let verdicts =
            if packets.is_empty() { Vec::new() } else { group.decode_received(&packets)? };
        let times = lines.iter().map(|line| self.time_of(line).or(self.fleets.system_unix_s()));
        let times: Vec<Option<u64>> = times.collect();
        let mut verdicts = times.into_iter().zip(verdicts);
        let mut heard = Vec::new();
        for line in batch {
            self.summary.lines += 1;
            if let Line::Bad(why) = line {
                self.summary.bad_line(*why, &mut self.text);
                continue;
            }
            let Some((at_unix_s, verdict)) = verdicts.next() else { continue };
            self.summary.verdict(&verdict, &mut self.text);
            if let Verdict::Unknown(Unknown::ScanBudget { ticket }) = verdict.verdict {
                let line = WaitingLine { line: self.summary.lines, at_unix_s };
                self.waiting.push(&self.fleets.group, ticket, line);
            }
            heard.extend(at_unix_s.filter(|at_unix_s| self.is_witness(&verdict, *at_unix_s)));
        }
        self.fleets.follow(&heard);
        self.scan_waiting()
    }

    /// The packet of a line with its time of reception; `None` for a bad line.
    fn received<'a>(&self, line: &'a Line, present_s: u64) -> Option<Received<'a>> {
        match line {
            Line::Packet { bytes, at_ms, .. } => {
                let (at_unix_s, at_ms) = match self.time_of(line) {
                    Some(at_unix_s) => (at_unix_s, *at_ms),
                    None => (present_s, 0),
                };
                Some(Received {
                    packet: bytes,
                    at_unix_s,
                    at_ms,
                    associated_data: None,
                    context: &[],
                })
            }
            Line::Bad(_) => None,
        }
    }

    /// Whether a packet proves its time of reception. An accepted packet of a fleet that reads times
    /// does. Any other authentic packet may be a recording that is sent again, so it does only if it
    /// was built at about that time.
    fn is_witness(&self, GroupVerdict { station, verdict }: &GroupVerdict, at_unix_s: u64) -> bool {
        let station = station.and_then(|number| self.fleets.station(number));
        let Some(station) = station.filter(|station| station.params().nonces.is_clocked()) else {
            return false;
        };
        let nonce = match verdict {
            Verdict::Accepted { .. } => return true,
            Verdict::Replay { nonce, .. }
            | Verdict::Stale { nonce, .. }
            | Verdict::Early { nonce, .. } => *nonce,
            _ => return false,
        };
        let near_s = u64::from(station.timing().span_s);
        let made = station.params().nonces.device_time_s(nonce);
        made.is_some_and(|made| {
            (made.start.saturating_sub(near_s)..made.end.saturating_add(near_s))
                .contains(&at_unix_s)
        })
    }

    /// Scans for waiting packets as far as the budget allows now, and writes their verdicts.
    pub fn scan_waiting(&mut self) -> Result<(), Failure> {
        let verdicts = self.fleets.group.scan_waiting()?;
        self.write_late(verdicts);
        self.fleets.report_events();
        Ok(())
    }

    /// Scans for all waiting packets, and writes their verdicts.
    pub fn scan_all_waiting(&mut self) -> Result<(), Failure> {
        let verdicts = self.fleets.group.scan_all_waiting()?;
        self.write_late(verdicts);
        self.fleets.report_events();
        Ok(())
    }

    /// Writes the final verdicts on packets that waited for a scan.
    fn write_late(&mut self, verdicts: Vec<(Ticket, GroupVerdict)>) {
        self.late_verdicts = verdicts.len();
        let mut heard = Vec::new();
        for (ticket, verdict) in verdicts {
            let Some(waiting) = self.waiting.take(ticket) else { continue };
            self.summary.late(waiting.line, &verdict, &mut self.text);
            let at_unix_s = waiting.at_unix_s;
            heard.extend(at_unix_s.filter(|at_unix_s| self.is_witness(&verdict, *at_unix_s)));
        }
        self.fleets.follow(&heard);
        self.handing_on.all_written(self.fleets.group.stations());
    }
}
