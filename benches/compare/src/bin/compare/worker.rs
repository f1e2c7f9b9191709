//! A process for one contestant: it loads, and then answers turn by turn.
//!
//! Each has a process of its own, so that what is resident is its own, and all of
//! them live through the whole run, so that a round is as long as its turns. Who
//! drives them writes a line for each turn to their standard input.

use std::io::{BufRead, Write};
use std::str::FromStr;
use std::time::{Duration, Instant};

use hintdex_wire::Hint;

use crate::Outcome;
use crate::gauge::{self, Stopwatch, Took};
use crate::peers::{Clock, Entry, Home, Peer, Way};
use crate::workload::Site;

/// How long lookups go on, at most, that warm a way up and check its answers.
const WARM_LIMIT: Duration = Duration::from_secs(12);
/// Lookups between two looks at the clock meanwhile.
const WARM_STEP: usize = 1 << 14;
/// How long a turn takes, about.
const TURN_NS: f64 = 200e6;
/// Lookups of a turn, at least.
const LEAST_LOOKUPS: usize = 1 << 10;
/// The part of a turn's lookups that are made before its clock starts, because
/// the turns of others have emptied the caches.
const LEAD_IN: usize = 8;

/// What a contestant costs before its first turn.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Loading or opening.
    pub took: Took,
    pub stored_bytes: u64,
    pub resident_bytes: u64,
}

impl Ready {
    /// As a line.
    fn to_line(self) -> String {
        let Took { wall_ns, cpu_ns } = self.took;
        format!("{wall_ns} {cpu_ns} {} {}", self.stored_bytes, self.resident_bytes)
    }

    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let took = Took { wall_ns: next(&mut words)?, cpu_ns: next(&mut words)? };
        let (stored_bytes, resident_bytes) = (next(&mut words)?, next(&mut words)?);
        Some(Self { took, stored_bytes, resident_bytes })
    }
}

fn next<'a, T: FromStr>(words: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    words.next()?.parse().ok()
}

/// Loads a contestant that lives in files, and says what that took.
pub fn load(entry: &Entry, site: &Site) -> Outcome<()> {
    let Home::Files { load, .. } = entry.home else {
        return Err(format!("{} has no files", entry.name).into());
    };
    let rows = site.rows(entry.order)?;
    let watch = Stopwatch::start();
    load(site, rows)?;
    let took = watch.took();
    say(&Ready { took, stored_bytes: 0, resident_bytes: 0 }.to_line())
}

/// Opens a contestant, checks its answers, and takes turns until its input ends.
pub fn serve(entry: &Entry, site: &Site) -> Outcome<()> {
    let mut turns = Turns::new(entry, site)?;
    let before_bytes = gauge::resident_bytes();
    let (mut peer, took) = open(entry, site)?;
    for way in entry.ways() {
        turns.warm_up(peer.as_mut(), way)?;
    }
    let resident_bytes = match peer.resident_bytes()? {
        Some(bytes) => bytes,
        None => gauge::resident_bytes().saturating_sub(before_bytes),
    };
    let stored_bytes = match (peer.stored_bytes()?, entry.home) {
        (Some(bytes), _) => bytes,
        (None, Home::Files { .. }) => gauge::file_bytes(&site.path(entry.name))?,
        (None, Home::Process(_)) => resident_bytes,
    };
    say(&Ready { took, stored_bytes, resident_bytes }.to_line())?;
    for line in std::io::stdin().lock().lines() {
        let number: usize = line?.trim().parse()?;
        let way = *Way::ALL.get(number).ok_or("no such way")?;
        say(&turns.take(peer.as_mut(), way)?.to_string())?;
    }
    Ok(())
}

/// Opens a contestant's files, or makes it.
fn open(entry: &Entry, site: &Site) -> Outcome<(Box<dyn Peer>, Took)> {
    match entry.home {
        Home::Files { open, .. } => {
            let watch = Stopwatch::start();
            Ok((open(site)?, watch.took()))
        }
        Home::Process(make) => {
            let rows = site.rows(entry.order)?;
            let watch = Stopwatch::start();
            Ok((make(site, rows)?, watch.took()))
        }
    }
}

fn say(line: &str) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// What is asked, and how far that has gone.
struct Turns {
    clock: Clock,
    title: &'static str,
    hints: Vec<Hint>,
    expected: Vec<u32>,
    devices: Vec<u32>,
    /// Where the next turn begins.
    at: usize,
    /// What a lookup takes each way, as far as is known.
    ns: [f64; Way::ALL.len()],
}

impl Turns {
    fn new(entry: &Entry, site: &Site) -> Outcome<Self> {
        let (hints, expected) = site.queries()?;
        // Touched now, so that it is resident before the contestant is.
        let mut devices = vec![u32::MAX; hints.len()];
        devices.clear();
        let (clock, title) = (entry.clock, entry.title);
        Ok(Self { clock, title, hints, expected, devices, at: 0, ns: [0.0; Way::ALL.len()] })
    }

    /// Asks for everything, or for as much as there is time, and checks it.
    fn warm_up(&mut self, peer: &mut dyn Peer, way: Way) -> Outcome<()> {
        let started = Instant::now();
        let mut asked = 0;
        let mut ns = 0.0;
        while asked < self.hints.len() && started.elapsed() < WARM_LIMIT {
            let end = self.hints.len().min(asked + WARM_STEP);
            let each = self.ask(peer, way, asked..end)?;
            // The last steps are the warm ones.
            ns = if asked == 0 { each } else { 0.8 * ns + 0.2 * each };
            asked = end;
        }
        self.ns[number(way)] = ns;
        Ok(())
    }

    /// A turn: nanoseconds a lookup.
    fn take(&mut self, peer: &mut dyn Peer, way: Way) -> Outcome<f64> {
        let ns = self.ns[number(way)].max(1.0);
        let most = self.hints.len();
        let count = ((TURN_NS / ns) as usize).clamp(LEAST_LOOKUPS.min(most), most);
        let lead_in = (count / LEAD_IN).max(1);
        let (first, second) = (self.next(lead_in), self.next(count));
        self.ask(peer, way, first)?;
        let ns = self.ask(peer, way, second)?;
        self.ns[number(way)] = ns;
        Ok(ns)
    }

    /// The next `count` places; from the first one again where too few are left.
    fn next(&mut self, count: usize) -> std::ops::Range<usize> {
        let start = if self.at + count > self.hints.len() { 0 } else { self.at };
        self.at = start + count;
        start..self.at
    }

    /// Looks up the hints of `places`, checks the answers, and returns the
    /// nanoseconds of one.
    fn ask(
        &mut self,
        peer: &mut dyn Peer,
        way: Way,
        places: std::ops::Range<usize>,
    ) -> Outcome<f64> {
        self.devices.clear();
        let (hints, expected) = (&self.hints[places.clone()], &self.expected[places]);
        let watch = Stopwatch::start();
        peer.look_up(way, hints, &mut self.devices)?;
        let took = watch.took();
        if self.devices.len() != hints.len() || way.confirmed && self.devices != expected {
            return Err(format!("{}: wrong answers", self.title).into());
        }
        let ns = match self.clock {
            Clock::Cpu => took.cpu_ns,
            Clock::Wall => took.wall_ns,
        };
        Ok(ns / hints.len().max(1) as f64)
    }
}

/// The place of a way among all.
pub fn number(way: Way) -> usize {
    usize::from(way.batch) + 2 * usize::from(!way.confirmed)
}
