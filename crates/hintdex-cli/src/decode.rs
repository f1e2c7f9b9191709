//! `hintdex decode`

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hintdex::wire::{DeviceId, Nonce, NonceKind};
use hintdex::{ClockMove, Received, Source, Station, StationOptions, Ticket, Unknown, Verdict};
use indicatif::ProgressBar;

use crate::args::{DecodeArgs, RunArgs, time_text};
use crate::failure::Failure;
use crate::input::{BadLine, Line, Lines};
use crate::progress;
use crate::timeline::{self, Stamp, Timeline};

pub fn run(args: &DecodeArgs, run: &RunArgs) -> Result<(), Failure> {
    let mut lines = Lines::new(open(&args.file)?);
    let options = StationOptions {
        lean: args.lean,
        refill: true,
        roll_in_background: true,
        scan_core_share: args.scan_share.unwrap_or(f64::INFINITY),
        ..run.station(args.sync.into())
    };
    if args.snapshot.len() > 2 {
        return Err(Failure::usage("--snapshot: two are asked at most; give the newest two"));
    }
    let timeline = Arc::new(Timeline::new(run.time.clock()));
    let station = Station::open_with(&args.index, &options, timeline.clone())?;
    args.snapshot.iter().rev().try_for_each(|path| station.attach(path))?;
    if let Some(refused) = station.refused_snapshot() {
        eprintln!("hintdex: the fleet's own snapshot is not used: {refused}");
    }
    let bar = if io::stderr().is_terminal() {
        progress::bar("decoding", "packets")
    } else {
        ProgressBar::hidden()
    };
    let mut output = io::stdout().lock();
    let nonces = station.params().nonces;
    let mut summary = Summary { nonces, ..Summary::default() };
    let mut waiting = WaitingLines::default();
    let started = Instant::now();
    let mut text = String::new();
    loop {
        let mut batch = lines
            .next_batch()
            .map_err(|error| Failure::io("reading packets", &args.file, &error))?;
        if batch.is_empty() {
            break;
        }
        text.clear();
        let latest_s = run.time.latest_unix_s(timeline.base_unix_s());
        for line in &mut batch {
            if line.time().is_some_and(|unix_s| unix_s > latest_s) {
                *line = Line::Bad(BadLine::InTheFuture);
            }
        }
        decode_lines(&station, &timeline, &batch, &mut summary, &mut waiting, &mut text)?;
        if !write_out(&mut output, &text)? {
            summary.closed_early = true;
            break;
        }
        bar.inc(batch.len() as u64);
    }
    if !summary.closed_early {
        text.clear();
        waiting.tell(station.scan_all_waiting()?, &mut summary, &mut text);
        write_out(&mut output, &text)?;
    }
    bar.finish_and_clear();
    summary.print(started.elapsed());
    Ok(())
}

/// Decodes a batch of lines, in runs that one moment of the clock serves.
fn decode_lines(
    station: &Station,
    timeline: &Timeline,
    batch: &[Line],
    summary: &mut Summary,
    waiting: &mut WaitingLines,
    text: &mut String,
) -> Result<(), Failure> {
    // Counters tell no time: then there is one run.
    let tells_time = station.params().nonces.tells_time();
    let tolerance_s = station.timing_tolerance_s();
    let stamp = |line: &Line| match line {
        Line::Bad(_) => Stamp::Any,
        Line::Packet { at_unix_s: Some(at), .. } if tells_time => Stamp::At(*at),
        Line::Packet { .. } => Stamp::Present,
    };
    for (stamp, run) in timeline::runs(batch, tolerance_s, stamp) {
        match stamp {
            Stamp::Any => {}
            Stamp::Present => timeline.follow(None, run.len(), tolerance_s),
            Stamp::At(at) => timeline.follow(Some(at), run.len(), tolerance_s),
        }
        decode_run(station, run, timeline.base_unix_s(), summary, waiting, text)?;
    }
    Ok(())
}

/// Decodes the packets of a run of lines, and what waited and may be scanned for now.
fn decode_run(
    station: &Station,
    batch: &[Line],
    now_s: u64,
    summary: &mut Summary,
    waiting: &mut WaitingLines,
    text: &mut String,
) -> Result<(), Failure> {
    let packets: Vec<Received<'_>> = batch.iter().filter_map(|line| line.received(now_s)).collect();
    let verdicts =
        if packets.is_empty() { Vec::new() } else { station.decode_received(&packets)? };
    let mut verdicts = verdicts.into_iter();
    for line in batch {
        summary.lines += 1;
        match line {
            Line::Bad(why) => summary.bad_line(*why, text),
            Line::Packet { .. } => {
                let Some(verdict) = verdicts.next() else { continue };
                summary.verdict(&verdict, text);
                if let Verdict::Unknown(Unknown::ScanBudget { ticket }) = verdict {
                    waiting.push(station, ticket, summary.lines);
                }
            }
        }
    }
    waiting.tell(station.scan_waiting()?, summary, text);
    for (device, moved) in station.take_clock_moves() {
        eprintln!("hintdex: {}", move_text(device, &moved, station.params().nonces));
    }
    if let Some(failed) = station.take_upkeep_failure() {
        eprintln!("hintdex: a roll in the background failed: {failed}");
    }
    Ok(())
}

/// Writes verdicts out; whether anybody reads on.
pub fn write_out(output: &mut impl Write, text: &str) -> Result<bool, Failure> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::io("writing answers", Path::new("standard output"), &error)),
    }
}

/// The lines of packets that wait for a scan.
#[derive(Default)]
struct WaitingLines(HashMap<Ticket, u64>);

/// Lines that wait before those are looked for that wait no longer: more packets than a
/// station lets wait.
const MOST_WAITING_LINES: usize = 1 << 17;

impl WaitingLines {
    fn push(&mut self, station: &Station, ticket: Ticket, line: u64) {
        if self.0.len() >= MOST_WAITING_LINES {
            self.0.retain(|ticket, _| station.is_waiting(*ticket));
        }
        self.0.insert(ticket, line);
    }

    /// Writes the verdicts of packets that waited.
    fn tell(&mut self, told: Vec<(Ticket, Verdict)>, summary: &mut Summary, text: &mut String) {
        for (ticket, verdict) in told {
            if let Some(line) = self.0.remove(&ticket) {
                summary.late(line, &verdict, text);
            }
        }
    }
}

/// Opens a file of lines, or standard input.
pub fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin()));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => {
            Err(Failure::usage(format!("{}: opening it failed: {error}", path.display())))
        }
    }
}

impl Line {
    /// The packet, received when the line says or now.
    fn received(&self, now_s: u64) -> Option<Received<'_>> {
        match self {
            Self::Packet { bytes, at_unix_s } => {
                Some(Received { packet: bytes, at_unix_s: at_unix_s.unwrap_or(now_s) })
            }
            Self::Bad(_) => None,
        }
    }

    const fn time(&self) -> Option<u64> {
        match self {
            Self::Packet { at_unix_s, .. } => *at_unix_s,
            Self::Bad(_) => None,
        }
    }
}

/// Clocks that show less than ten years since 1970 were not set since they have power.
const EPOCH_UNIX_S: u64 = 10 * 365 * 86_400;

/// What was done with a device whose clock jumped, and why.
fn move_text(device: DeviceId, moved: &ClockMove, nonces: NonceKind) -> String {
    let device_s = nonces.device_time_s(moved.nonce).map_or(0, |made| made.start);
    let reason = if device_s < EPOCH_UNIX_S {
        "its clock is back at its epoch, as after a new battery"
    } else {
        "two packets agree on it"
    };
    format!(
        "device {device}: moved to {} by its own clock, {} s from the station's at {} ({} s before): {reason}",
        time_text(device_s),
        moved.to_s,
        time_text(moved.received_unix_s),
        moved.from_s,
    )
}

/// Counts what was said, and says it.
#[derive(Default)]
struct Summary {
    /// How the fleet's nonces are made: whether they tell a time.
    nonces: NonceKind,
    lines: u64,
    accepted: u64,
    replay: u64,
    stale: u64,
    early: u64,
    forged: u64,
    unknown: u64,
    malformed: u64,
    by_snapshot: u64,
    by_index: u64,
    by_scan: u64,
    closed_early: bool,
}

impl Summary {
    /// Counts the verdict of the present line and appends its line of JSON.
    fn verdict(&mut self, verdict: &Verdict, out: &mut String) {
        self.say(self.lines, verdict, "", out);
    }

    /// The same of a line that was told `unknown` until a scan was allowed.
    fn late(&mut self, line: u64, verdict: &Verdict, out: &mut String) {
        self.unknown -= 1;
        self.say(line, verdict, r#","late":true"#, out);
    }

    fn say(&mut self, line: u64, verdict: &Verdict, more: &str, out: &mut String) {
        let name = verdict.name();
        *self.count(verdict) += 1;
        let time = |nonce: Nonce| {
            let made = self.nonces.device_time_s(nonce);
            made.map_or_else(String::new, |made| format!(r#","time":"{}""#, time_text(made.start)))
        };
        let written = match verdict {
            Verdict::Accepted { device, nonce, payload, source } => {
                let time = time(*nonce);
                self.count_source(*source);
                let (payload, source) = (hex::encode(payload), source.name());
                writeln!(
                    out,
                    r#"{{"line":{line},"verdict":"{name}","device":{device},"nonce":{nonce}{time},"payload":"{payload}","source":"{source}"{more}}}"#
                )
            }
            Verdict::Replay { device, nonce, source }
            | Verdict::Stale { device, nonce, source }
            | Verdict::Early { device, nonce, source } => {
                let time = time(*nonce);
                self.count_source(*source);
                let (source, reason) = (source.name(), verdict.reason());
                writeln!(
                    out,
                    r#"{{"line":{line},"verdict":"{name}","device":{device},"nonce":{nonce}{time},"source":"{source}","reason":"{reason}"{more}}}"#
                )
            }
            _ => writeln!(
                out,
                r#"{{"line":{line},"verdict":"{name}","reason":"{}"{more}}}"#,
                verdict.reason()
            ),
        };
        // Writing to a string does not fail.
        let _ = written;
    }

    fn bad_line(&mut self, why: BadLine, out: &mut String) {
        self.malformed += 1;
        // Writing to a string does not fail.
        let _ =
            writeln!(out, r#"{{"line":{},"verdict":"malformed","reason":"{why}"}}"#, self.lines);
    }

    const fn count(&mut self, verdict: &Verdict) -> &mut u64 {
        match verdict {
            Verdict::Accepted { .. } => &mut self.accepted,
            Verdict::Replay { .. } => &mut self.replay,
            Verdict::Stale { .. } => &mut self.stale,
            Verdict::Early { .. } => &mut self.early,
            Verdict::Forged => &mut self.forged,
            Verdict::Malformed(_) => &mut self.malformed,
            _ => &mut self.unknown,
        }
    }

    const fn count_source(&mut self, source: Source) {
        match source {
            Source::Snapshot => self.by_snapshot += 1,
            Source::Index => self.by_index += 1,
            _ => self.by_scan += 1,
        }
    }

    fn print(&self, elapsed: Duration) {
        let rate = self.lines as f64 / elapsed.as_secs_f64().max(1e-9);
        let Self {
            lines,
            accepted,
            replay,
            stale,
            early,
            forged,
            unknown,
            malformed,
            by_snapshot,
            by_index,
            by_scan,
            ..
        } = self;
        eprintln!(
            "{lines} packets in {:.2} s, {rate:.0} a second: {accepted} accepted, {replay} replay, {stale} stale, {}\
             {forged} forged, {unknown} unknown, {malformed} malformed; found by snapshot {by_snapshot}, by index {by_index}, by scan {by_scan}",
            elapsed.as_secs_f64(),
            if self.nonces.tells_time() { format!("{early} early, ") } else { String::new() },
        );
        if self.closed_early {
            eprintln!(
                "hintdex: the output was closed by its reader; packets up to line {lines} were taken, \
                 the rest of the input was not read"
            );
        }
    }
}
