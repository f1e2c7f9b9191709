//! `hintdex decode`

mod summary;
mod waiting;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hintdex::FIRST_SET_UNIX_S;
use hintdex::wire::{DeviceId, NonceKind};
use hintdex::{ClockMove, Received, Station, StationOptions, Ticket, Unknown, Verdict};
use indicatif::ProgressBar;

use crate::args::{DecodeArgs, RunArgs, time_text};
use crate::failure::Failure;
use crate::input::{Batch, Behind, Line, Lines};
use crate::open;
use crate::progress;
use crate::timeline::{self, Follower, Stamp, Timeline};
use summary::Summary;
use waiting::{WaitingLine, WaitingLines};

/// Lines that are decoded together where the window of their time is not there: as many as
/// one pass over all devices looks for. The first of them that are authentic may bring the
/// station's clock to where they are, and the window with it.
const LINES_WITHOUT_WINDOW: usize = 32;

/// How far the system's clock may be behind the fleet's making before one of the two was
/// wrong, in seconds: so far it may have been set back.
const MOST_BEFORE_S: u64 = 86_400;

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
    let behind = if nonces.is_clocked() { Behind::Time } else { Behind::Ignored };
    if nonces.is_clocked()
        && let Some(said) = clock_text(timeline.system_unix_s(), station.created_unix_s())
    {
        eprintln!("hintdex: {said}");
    }
    tell_out_of_service(&station);
    let mut decoder = Decoder::new(station, timeline);
    let started = Instant::now();
    loop {
        let batch = lines
            .next_packets(behind, decoder.patience())
            .map_err(|error| Failure::io("reading packets", &args.file, &error))?;
        match batch {
            Batch::End => break,
            Batch::Silence => decoder.scan_waiting()?,
            Batch::Lines(batch) => {
                decoder.decode_lines(&batch)?;
                bar.inc(batch.len() as u64);
            }
        }
        if !write_out(&mut output, &decoder.text)? {
            decoder.summary.closed_early = true;
            break;
        }
        decoder.text.clear();
    }
    if !decoder.summary.closed_early {
        decoder.scan_all_waiting()?;
        write_out(&mut output, &decoder.text)?;
    }
    bar.finish_and_clear();
    decoder.summary.print(started.elapsed());
    match (decoder.summary.nothing_was_a_packet(), lines.first()) {
        (Some(reason), Some(first)) => Err(no_packets(&args.file, &format!("{first}: {reason}"))),
        _ => Ok(()),
    }
}

/// Devices out of service that are named one by one.
const MOST_NAMED: usize = 5;

/// Says which devices are out of service.
fn tell_out_of_service(station: &Station) {
    let devices = station.out_of_service();
    for (device, why) in devices.iter().take(MOST_NAMED) {
        eprintln!("hintdex: device {device} is out of service: {why}");
    }
    if let Some(more @ 1..) = devices.len().checked_sub(MOST_NAMED) {
        eprintln!("hintdex: {more} more devices are out of service");
    }
}

/// The input is something else than packets.
fn no_packets(path: &Path, first: &str) -> Failure {
    let name = if path.as_os_str() == "-" { Path::new("standard input") } else { path };
    let said = format!(
        "no line is a packet; the first is {first}; give the hex digits of one packet a line"
    );
    Failure::data(name, &said)
}

/// A station, and what is said of the lines it is given.
struct Decoder {
    station: Station,
    timeline: Arc<Timeline>,
    follower: Follower,
    summary: Summary,
    waiting: WaitingLines,
    /// Verdicts that the last scan of those that wait told.
    told: usize,
    /// What is to be written out.
    text: String,
}

impl Decoder {
    fn new(station: Station, timeline: Arc<Timeline>) -> Self {
        let follower = Follower::new(timeline.clone(), &station.timing());
        let summary = Summary::new(station.params().nonces);
        let (waiting, text) = (WaitingLines::default(), String::new());
        Self { station, timeline, follower, summary, waiting, told: 0, text }
    }

    /// How long the next lines may be waited for: no longer than packets that wait for a
    /// scan can wait.
    fn patience(&mut self) -> Option<Duration> {
        let any_wait = self.station.scan_stats().waiting > 0;
        any_wait.then(|| self.waiting.patience(self.told))
    }

    /// The time of reception that a line carries. A receiver whose clock was never set
    /// knows none, and counters need none.
    fn time_of(&self, line: &Line) -> Option<u64> {
        let first_s = FIRST_SET_UNIX_S.min(self.station.created_unix_s());
        match line {
            Line::Packet { at_unix_s, .. } if self.station.params().nonces.is_clocked() => {
                at_unix_s.filter(|unix_s| *unix_s >= first_s)
            }
            _ => None,
        }
    }

    /// Decodes a batch of lines, in runs that one moment of the clock serves.
    fn decode_lines(&mut self, batch: &[Line]) -> Result<(), Failure> {
        let tolerance_s = self.station.timing_tolerance_s();
        let stamp = |line: &Line| match (line, self.time_of(line)) {
            (Line::Bad(_), _) => Stamp::Any,
            (_, None) => Stamp::Present,
            (_, Some(unix_s)) => Stamp::At(unix_s),
        };
        for (stamp, mut run) in timeline::runs(batch, tolerance_s, stamp) {
            while !run.is_empty() {
                let has_window = match stamp {
                    Stamp::Any => true,
                    Stamp::Present => self.station.has_window_of(self.present_s()),
                    Stamp::At(unix_s) => self.station.has_window_of(unix_s),
                };
                let len = if has_window { run.len() } else { LINES_WITHOUT_WINDOW.min(run.len()) };
                let (part, behind) = run.split_at(len);
                self.decode_run(part)?;
                run = behind;
            }
        }
        Ok(())
    }

    /// When a packet is received that carries no time: now by the system's clock, and by
    /// what the station goes by while nobody has set that.
    fn present_s(&self) -> u64 {
        self.timeline.system_unix_s().unwrap_or_else(|| self.station.now_s())
    }

    /// Decodes the packets of a run of lines, and what waited and may be scanned for now.
    fn decode_run(&mut self, batch: &[Line]) -> Result<(), Failure> {
        let present_s = self.present_s();
        let received = |line| Some((line, self.received(line, present_s)?));
        let (lines, packets): (Vec<&Line>, Vec<Received<'_>>) =
            batch.iter().filter_map(received).unzip();
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

    /// The packet of a line, received when the line says or now.
    fn received<'a>(&self, line: &'a Line, present_s: u64) -> Option<Received<'a>> {
        match line {
            Line::Packet { bytes, .. } => {
                let at_unix_s = self.time_of(line).unwrap_or(present_s);
                Some(Received { packet: bytes, at_unix_s })
            }
            Line::Bad(_) => None,
        }
    }

    /// Whether a packet vouches for the time at which it is said to have been received. One
    /// that was accepted does. Any other authentic packet may be a recording that somebody
    /// sends again at any time: it does if it was made at about that time.
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

    /// Takes in when authentic packets were received: the station's clock goes by them.
    fn follow(&mut self, times: &[u64]) {
        if !self.station.params().nonces.is_clocked() {
            return;
        }
        let moves = times.iter().filter(|unix_s| self.follower.hear(**unix_s)).count();
        if moves > 0 {
            self.station.keep_windows();
        }
    }

    /// Scans for packets that waited as far as the budget allows one now, and says what
    /// became of them.
    fn scan_waiting(&mut self) -> Result<(), Failure> {
        let told = self.station.scan_waiting()?;
        self.tell_late(told);
        self.tell_news();
        Ok(())
    }

    /// Scans for all packets that waited.
    fn scan_all_waiting(&mut self) -> Result<(), Failure> {
        let told = self.station.scan_all_waiting()?;
        self.tell_late(told);
        self.tell_news();
        Ok(())
    }

    /// Says what is to be said at last of packets that waited.
    fn tell_late(&mut self, told: Vec<(Ticket, Verdict)>) {
        self.told = told.len();
        let mut heard = Vec::new();
        for (ticket, verdict) in told {
            let Some(waited) = self.waiting.take(ticket) else { continue };
            self.summary.late(waited.line, &verdict, &mut self.text);
            let at_unix_s = waited.at_unix_s;
            heard.extend(at_unix_s.filter(|at_unix_s| self.is_witness(&verdict, *at_unix_s)));
        }
        self.follow(&heard);
    }

    /// Says what happened beside the verdicts.
    fn tell_news(&mut self) {
        for (device, moved) in self.station.take_clock_moves() {
            eprintln!("hintdex: {}", move_text(device, &moved, self.station.params().nonces));
        }
        open::write_notes(&self.station);
        if let Some(failed) = self.station.take_upkeep_failure() {
            eprintln!("hintdex: a roll in the background failed: {failed}");
        }
        if let Some((distance_s, is_ahead)) = self.follower.take_distance() {
            let way = if is_ahead { "ahead of" } else { "behind" };
            eprintln!(
                "hintdex: authentic packets are {} days {way} the system's clock: windows go by the packets",
                distance_s / 86_400
            );
        }
    }
}

/// Writes verdicts out; whether anybody reads on.
pub fn write_out(output: &mut impl Write, text: &str) -> Result<bool, Failure> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::io("writing answers", Path::new("standard output"), &error)),
    }
}

/// Opens a file of lines, or standard input, past the buffer that the language keeps
/// before it: nothing is in that when somebody waits for more.
pub fn open(path: &Path) -> Result<File, Failure> {
    let opened = if path.as_os_str() == "-" {
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        File::open(path)
    };
    opened
        .map_err(|error| Failure::usage(format!("{}: opening it failed: {error}", path.display())))
}

/// Says that the system's clock or the one the fleet was made by is wrong, if one must be.
fn clock_text(system_s: Option<u64>, created_s: u64) -> Option<String> {
    let going = "packets are judged by the times behind them, where they have any";
    let created = time_text(created_s);
    match system_s {
        None => Some(format!(
            "nobody has set the system's clock, so it is {created} for now, when the fleet was made: {going}"
        )),
        Some(system_s) if system_s.saturating_add(MOST_BEFORE_S) < created_s => Some(format!(
            "the system's clock shows {}, and the fleet was made at {created}: one of the two clocks was wrong; see that this one is right; {going}",
            time_text(system_s)
        )),
        Some(_) => None,
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
