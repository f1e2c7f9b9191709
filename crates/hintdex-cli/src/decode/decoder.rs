//! Decoding lines: packets to the station, and verdicts to lines of JSON.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hintdex::{FIRST_SET_UNIX_S, Received, ScheduleStats, Station, Ticket, Unknown, Verdict};

use super::notices::{report_clock_move, report_distance};
use super::summary::{Hop, Summary};
use super::waiting::{WaitingLine, WaitingLines};
use crate::failure::Failure;
use crate::input::Line;
use crate::open;
use crate::timeline::{Follower, Stamp, Timeline, runs};

/// The most lines that are decoded together if the window of their time is missing: as many
/// hints as one pass over all devices searches for. The first authentic packets among them
/// may move the station clock to their time, and so build the window.
const LINES_WITHOUT_WINDOW: usize = 32;

/// A station, and the verdicts on the lines it is given.
pub struct Decoder {
    station: Station,
    timeline: Arc<Timeline>,
    follower: Follower,
    pub summary: Summary,
    waiting: WaitingLines,
    /// The number of verdicts that the last scan for waiting packets returned.
    late_verdicts: usize,
    /// The lines of JSON that are not written out yet.
    pub text: String,
}

impl Decoder {
    pub fn new(
        station: Station,
        timeline: Arc<Timeline>,
        euis: HashMap<u32, u64>,
        hop: Option<Hop>,
    ) -> Self {
        let follower = Follower::new(timeline.clone(), &station.timing());
        let summary = Summary::new(station.params().nonces, euis, hop);
        let (waiting, text) = (WaitingLines::default(), String::new());
        Self { station, timeline, follower, summary, waiting, late_verdicts: 0, text }
    }

    /// How long to wait for the next lines: without a bound, unless packets wait for a scan.
    pub fn timeout(&mut self) -> Option<Duration> {
        let any_wait = self.station.scan_stats().waiting > 0;
        any_wait.then(|| self.waiting.timeout(self.late_verdicts))
    }

    /// Whether the packets of the fleet follow a schedule.
    fn is_scheduled(&self) -> bool {
        self.station.params().naming.is_schedule()
    }

    /// What the decoding of a schedule has cost; `None` for other packets.
    pub fn schedule_stats(&self) -> Option<ScheduleStats> {
        self.station.schedule_stats()
    }

    /// The time of reception that a line carries. `None` with counter nonces, and for a time
    /// of a receiver whose clock was never set.
    fn time_of(&self, line: &Line) -> Option<u64> {
        let first_s = FIRST_SET_UNIX_S.min(self.station.created_unix_s());
        match line {
            Line::Packet { at_unix_s, .. } if self.station.params().nonces.is_clocked() => {
                at_unix_s.filter(|unix_s| *unix_s >= first_s)
            }
            Line::Packet { at_unix_s, .. } if self.is_scheduled() => *at_unix_s,
            _ => None,
        }
    }

    /// Decodes a batch of lines, in runs that one reading of the clock serves.
    pub fn decode_lines(&mut self, batch: &[Line]) -> Result<(), Failure> {
        let tolerance_s = self.station.timing_tolerance_s();
        let stamp = |line: &Line| match (line, self.time_of(line)) {
            (Line::Bad(_), _) => Stamp::Any,
            // No window is of a time.
            _ if self.is_scheduled() => Stamp::Any,
            (_, None) => Stamp::Present,
            (_, Some(unix_s)) => Stamp::At(unix_s),
        };
        for (stamp, mut run) in runs(batch, tolerance_s, stamp) {
            while !run.is_empty() {
                let has_window = match stamp {
                    Stamp::Any => true,
                    Stamp::Present => self.station.has_window_of(self.present_s()),
                    Stamp::At(unix_s) => self.station.has_window_of(unix_s),
                };
                let len = if has_window { run.len() } else { LINES_WITHOUT_WINDOW.min(run.len()) };
                let (part, rest) = run.split_at(len);
                self.decode_run(part)?;
                run = rest;
            }
        }
        Ok(())
    }

    /// The time of reception of a packet whose line carries no time: the system clock, or
    /// station time while the system clock is not set.
    fn present_s(&self) -> u64 {
        self.timeline.system_unix_s().unwrap_or_else(|| self.station.now_s())
    }

    /// Decodes the packets of a run of lines, then scans for waiting packets.
    fn decode_run(&mut self, batch: &[Line]) -> Result<(), Failure> {
        let present_s = self.present_s();
        let (lines, packets): (Vec<&Line>, Vec<Received<'_>>) =
            batch.iter().filter_map(|line| Some((line, self.received(line, present_s)?))).unzip();
        let verdicts =
            if packets.is_empty() { Vec::new() } else { self.station.decode_received(&packets)? };
        let times = lines.iter().map(|line| self.time_of(line).or(self.timeline.system_unix_s()));
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
            if let Verdict::Unknown(Unknown::ScanBudget { ticket }) = verdict {
                let line = WaitingLine { line: self.summary.lines, at_unix_s };
                self.waiting.push(&self.station, ticket, line);
            }
            heard.extend(at_unix_s.filter(|at_unix_s| self.is_witness(&verdict, *at_unix_s)));
        }
        self.follow(&heard);
        self.scan_waiting()
    }

    /// The packet of a line with its time of reception; `None` for a bad line.
    fn received<'a>(&self, line: &'a Line, present_s: u64) -> Option<Received<'a>> {
        match line {
            Line::Packet { bytes, at_ms, .. } => {
                let at_ms = if self.is_scheduled() { *at_ms } else { 0 };
                let at_unix_s = self.time_of(line).unwrap_or(present_s);
                Some(Received { packet: bytes, at_unix_s, at_ms, associated_data: None })
            }
            Line::Bad(_) => None,
        }
    }

    /// Whether a packet proves its time of reception. An accepted packet does. Any other
    /// authentic packet may be a recording that is sent again, so it does only if it was
    /// built at about that time.
    fn is_witness(&self, verdict: &Verdict, at_unix_s: u64) -> bool {
        let nonce = match verdict {
            Verdict::Accepted { .. } => return true,
            Verdict::Replay { nonce, .. }
            | Verdict::Stale { nonce, .. }
            | Verdict::Early { nonce, .. } => *nonce,
            _ => return false,
        };
        let near_s = u64::from(self.station.timing().span_s);
        let made = self.station.params().nonces.device_time_s(nonce);
        made.is_some_and(|made| {
            (made.start.saturating_sub(near_s)..made.end.saturating_add(near_s))
                .contains(&at_unix_s)
        })
    }

    /// Moves the station clock to the times of reception of authentic packets, and builds the
    /// windows of its new time.
    fn follow(&mut self, times: &[u64]) {
        if !self.station.params().nonces.is_clocked() {
            return;
        }
        let moves = times.iter().filter(|unix_s| self.follower.hear(**unix_s)).count();
        if moves > 0 {
            self.station.keep_windows();
        }
    }

    /// Scans for waiting packets as far as the budget allows now, and writes their verdicts.
    pub fn scan_waiting(&mut self) -> Result<(), Failure> {
        let verdicts = self.station.scan_waiting()?;
        self.write_late(verdicts);
        self.report_events();
        Ok(())
    }

    /// Scans for all waiting packets, and writes their verdicts.
    pub fn scan_all_waiting(&mut self) -> Result<(), Failure> {
        let verdicts = self.station.scan_all_waiting()?;
        self.write_late(verdicts);
        self.report_events();
        Ok(())
    }

    /// Writes the final verdicts on packets that waited for a scan.
    fn write_late(&mut self, verdicts: Vec<(Ticket, Verdict)>) {
        self.late_verdicts = verdicts.len();
        let mut heard = Vec::new();
        for (ticket, verdict) in verdicts {
            let Some(waiting) = self.waiting.take(ticket) else { continue };
            self.summary.late(waiting.line, &verdict, &mut self.text);
            let at_unix_s = waiting.at_unix_s;
            heard.extend(at_unix_s.filter(|at_unix_s| self.is_witness(&verdict, *at_unix_s)));
        }
        self.follow(&heard);
    }

    /// Reports events beside the verdicts: moved clocks, notes, and failed maintenance.
    fn report_events(&mut self) {
        for (device, moved) in self.station.take_clock_moves() {
            report_clock_move(device, &moved, self.station.params().nonces);
        }
        open::write_notes(&self.station);
        if let Some(failed) = self.station.take_maintenance_failure() {
            eprintln!("hintdex: a maintenance pass in the background failed: {failed}");
        }
        if let Some((distance_s, is_ahead)) = self.follower.take_distance() {
            report_distance(distance_s, is_ahead);
        }
    }
}
