//! `hintdex identify`

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use hintdex_beacon::{
    Answer, Identification, Identifier, NotAnIdentifier, Options, Resolver, Sighting, Source,
};
use indicatif::ProgressBar;

use super::args::IdentifyArgs;
use crate::args::{RunArgs, parse_time};
use crate::decode::{open, write_out};
use crate::failure::Failure;
use crate::input::Lines;
use crate::open::warn_if_exposed_in;
use crate::progress;

/// What stood on a line: an identifier, and when it was heard, if that is said.
type Line = Result<(Identifier, Option<u64>), BadLine>;

/// Why a line is no sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BadLine {
    TooLong,
    NotHex,
    NotAnIdentifier(NotAnIdentifier),
    NotATime,
    InTheFuture,
}

impl std::fmt::Display for BadLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong => f.write_str("too long"),
            Self::InTheFuture => f.write_str("the time behind it is more than a year ahead"),
            Self::NotHex => f.write_str("not pairs of hex digits"),
            Self::NotAnIdentifier(why) => write!(f, "{why}"),
            Self::NotATime => f.write_str(
                "the time is neither unix seconds nor like 2026-11-23T07:00:00Z, or out of range",
            ),
        }
    }
}

pub fn run(args: &IdentifyArgs, run: &RunArgs) -> Result<(), Failure> {
    let clock = run.time.clock();
    let mut lines = Lines::new(open(&args.file)?);
    warn_if_exposed_in(&args.beacons);
    let mut resolver = Resolver::open(&args.beacons, options(args, run), Box::new(clock))?;
    let bar = if io::stderr().is_terminal() {
        progress::bar("identifying", "identifiers")
    } else {
        ProgressBar::hidden()
    };
    let mut told = Run { search_left: Duration::from_secs(args.search.into()), ..Run::default() };
    let mut output = io::stdout().lock();
    let started = Instant::now();
    loop {
        let latest_s = run.time.latest_unix_s(resolver.now_unix_s());
        let batch = lines
            .next_batch_of(|line| line.map_or(Err(BadLine::TooLong), |line| parse(line, latest_s)))
            .map_err(|error| Failure::io("reading identifiers", &args.file, &error))?;
        if batch.is_empty() {
            break;
        }
        told.text.clear();
        told.identify(&mut resolver, &batch)?;
        for event in resolver.take_events() {
            eprintln!("hintdex: {event}");
        }
        if !write_out(&mut output, &told.text)? {
            told.closed_early = true;
            break;
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    told.print(started.elapsed());
    Ok(resolver.close()?)
}

fn options(args: &IdentifyArgs, run: &RunArgs) -> Options {
    let usual = Options::default();
    let or = |given: Option<u32>, usual: u64| given.map_or(usual, u64::from);
    let span_s = or(run.time.span, usual.span_s);
    Options {
        span_s,
        before_s: or(run.time.before, usual.before_s),
        after_s: or(run.time.after, usual.after_s),
        max_drift_ppm: run.time.max_drift.unwrap_or(usual.max_drift_ppm),
        lead_s: or(run.time.lead, span_s / 6),
        search_reach_s: args.search_reach.into(),
        ..usual
    }
}

fn parse(line: &[u8], latest_s: u64) -> Line {
    let line = line.trim_ascii();
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t' | b','));
    let (digits, rest) = line.split_at(end.unwrap_or(line.len()));
    let bytes = hex::decode(digits).map_err(|_| BadLine::NotHex)?;
    let identifier = Identifier::from_bytes(&bytes).map_err(BadLine::NotAnIdentifier)?;
    let rest = std::str::from_utf8(rest).map_err(|_| BadLine::NotATime)?;
    let time = rest.trim_matches([' ', '\t', ',']);
    if time.is_empty() {
        return Ok((identifier, None));
    }
    match parse_time(time) {
        Ok(unix_s) if unix_s > latest_s => Err(BadLine::InTheFuture),
        Ok(unix_s) => Ok((identifier, Some(unix_s))),
        Err(_) => Err(BadLine::NotATime),
    }
}

/// What was said so far.
#[derive(Default)]
struct Run {
    text: String,
    lines: u64,
    malformed: u64,
    several: u64,
    nobody: u64,
    by_snapshot: u64,
    by_epoch: u64,
    by_search: u64,
    by_scan: u64,
    search_left: Duration,
    closed_early: bool,
}

impl Run {
    fn identify(&mut self, resolver: &mut Resolver, batch: &[Line]) -> Result<(), Failure> {
        let now = resolver.now_unix_s();
        let is_live = batch.iter().any(|line| matches!(line, Ok((_, None))));
        if is_live {
            resolver.advance()?;
        }
        let sighting = |(identifier, time): &(_, Option<u64>)| Sighting {
            identifier: *identifier,
            time_unix_s: time.unwrap_or(now),
        };
        let heard: Vec<_> =
            batch.iter().filter_map(|line| line.as_ref().ok()).map(sighting).collect();
        let mut answers = resolver.resolve_batch(&heard)?;
        self.search(resolver, &heard, &mut answers);
        let mut said = heard.iter().zip(&answers);
        for line in batch {
            self.lines += 1;
            match line {
                Err(why) => self.malformed(*why),
                Ok(_) => {
                    said.next().into_iter().for_each(|(heard, answer)| self.say(heard, answer))
                }
            }
        }
        Ok(())
    }

    /// Searches for those that nobody was expected to send, while there is time for it.
    fn search(&mut self, resolver: &mut Resolver, heard: &[Sighting], answers: &mut [Answer]) {
        if self.search_left.is_zero() {
            return;
        }
        let unknown: Vec<_> = (0..answers.len())
            .filter(|at| answers.get(*at) == Some(&Answer::Unknown))
            .filter_map(|at| Some((at, *heard.get(at)?)))
            .collect();
        let wanted: Vec<_> = unknown.iter().map(|(_, sighting)| *sighting).collect();
        let started = Instant::now();
        let searched = resolver.search(&wanted, self.search_left);
        self.search_left = self.search_left.saturating_sub(started.elapsed());
        for ((at, _), found) in unknown.into_iter().zip(searched.answers) {
            if let Some(answer) = answers.get_mut(at) {
                *answer = found;
            }
        }
    }

    // Writing to a string does not fail.
    fn malformed(&mut self, why: BadLine) {
        self.malformed += 1;
        let line = self.lines;
        let _ =
            writeln!(self.text, r#"{{"line":{line},"device":null,"reason":"malformed: {why}"}}"#);
    }

    fn say(&mut self, heard: &Sighting, answer: &Answer) {
        let (line, time) = (self.lines, heard.time_unix_s);
        let _ = match answer {
            Answer::Identified(Identification { device, clock_s, source, .. }) => {
                *self.count(*source) += 1;
                let clock =
                    clock_s.map_or_else(String::new, |clock| format!(r#","clock":{clock}"#));
                let source = source.name();
                writeln!(
                    self.text,
                    r#"{{"line":{line},"device":{device},"time":{time}{clock},"source":"{source}"}}"#
                )
            }
            Answer::Ambiguous(devices) => {
                self.several += 1;
                let devices: Vec<_> = devices.iter().map(|device| device.0).collect();
                writeln!(
                    self.text,
                    r#"{{"line":{line},"device":null,"time":{time},"reason":"the keys of several fit","devices":{devices:?}}}"#
                )
            }
            Answer::Unknown | Answer::OutOfRange => {
                self.nobody += 1;
                let reason = match (answer, heard.identifier) {
                    (Answer::OutOfRange, _) => {
                        "the time is too far from the present to look for anything; check the \
                         receiver's clock, or give the present with --now"
                    }
                    (_, Identifier::Address(_)) => "no registered key made this address",
                    _ => "no registered beacon sends this at about this time",
                };
                writeln!(
                    self.text,
                    r#"{{"line":{line},"device":null,"time":{time},"reason":"{reason}"}}"#
                )
            }
        };
    }

    const fn count(&mut self, source: Source) -> &mut u64 {
        match source {
            Source::Snapshot => &mut self.by_snapshot,
            Source::Epoch => &mut self.by_epoch,
            Source::Search => &mut self.by_search,
            _ => &mut self.by_scan,
        }
    }

    fn print(&self, elapsed: Duration) {
        let Self {
            lines,
            malformed,
            several,
            nobody,
            by_snapshot,
            by_epoch,
            by_search,
            by_scan,
            ..
        } = self;
        let rate = *lines as f64 / elapsed.as_secs_f64().max(1e-9);
        eprintln!(
            "{lines} identifiers in {:.2} s, {rate:.0} a second: {} identified, {nobody} of nobody, \
             {several} of several, {malformed} malformed; found by snapshot {by_snapshot}, \
             by epoch {by_epoch}, by search {by_search}, by scan {by_scan}",
            elapsed.as_secs_f64(),
            by_snapshot + by_epoch + by_search + by_scan,
        );
        if self.closed_early {
            eprintln!(
                "hintdex: the output was closed by its reader; identifiers up to line {lines} were \
                 taken, the rest of the input was not read"
            );
        }
    }
}
