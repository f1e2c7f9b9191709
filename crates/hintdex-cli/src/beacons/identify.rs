//! `hintdex identify`

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::{Answer, Identifier, Options, Resolver, Sighting};
use indicatif::ProgressBar;

use super::answers::Answers;
use super::sightings::{Line, parse};
use crate::args::IdentifyArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::input::{Lines, open};
use crate::open::warn_if_exposed_in;
use crate::output::write_out;
use crate::progress;

pub fn run(args: &IdentifyArgs, call: &Call<'_>) -> Result<(), Failure> {
    let clock = call.run.time.clock();
    let mut lines = Lines::new(open(&args.file)?);
    warn_if_exposed_in(&args.beacons, &call.console);
    let mut resolver = Resolver::open(&args.beacons, options(args, call), Box::new(clock))?;
    let bar = if io::stderr().is_terminal() {
        progress::bar(&call.console, "identifying", "identifiers")
    } else {
        ProgressBar::hidden()
    };
    let mut answers = Answers::default();
    let mut search_left = Duration::from_secs(args.search.into());
    let mut reversed = ReversedKeys::new(resolver.stats().beacons);
    let mut output = io::stdout().lock();
    let started = Instant::now();
    loop {
        let latest_s = call.run.time.latest_unix_s(resolver.now_unix_s());
        let batch = lines
            .next_batch(|line| parse(line, latest_s))
            .map_err(|error| Failure::io("reading identifiers", &args.file, &error))?;
        if batch.is_empty() {
            break;
        }
        answers.text.clear();
        identify(&mut resolver, &batch, (&mut search_left, &mut reversed), &mut answers)?;
        for event in resolver.take_events() {
            eprintln!("hintdex: {event}");
        }
        if !write_out(&mut output, &answers.text)? {
            answers.closed_early = true;
            break;
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    answers.print_summary(started.elapsed());
    Ok(resolver.close()?)
}

fn options(args: &IdentifyArgs, call: &Call<'_>) -> Options {
    let usual = Options::default();
    let or = |given: Option<u32>, usual: u64| given.map_or(usual, u64::from);
    let span_s = or(call.run.time.span, usual.span_s);
    Options {
        span_s,
        before_s: or(call.run.time.before, usual.before_s),
        after_s: or(call.run.time.after, usual.after_s),
        max_drift_ppm: call.run.time.max_drift.unwrap_or(usual.max_drift_ppm),
        lead_s: or(call.run.time.window_lead, span_s / 6),
        search_reach_s: args.search_reach.into(),
        ..usual
    }
}

/// Resolves the sightings of a batch, and writes an answer for each line.
fn identify(
    resolver: &mut Resolver,
    batch: &[Line],
    (search_left, reversed): (&mut Duration, &mut ReversedKeys),
    answers: &mut Answers,
) -> Result<(), Failure> {
    let now = resolver.now_unix_s();
    let is_live = batch.iter().any(|line| matches!(line, Ok((_, None))));
    if is_live {
        resolver.advance()?;
    }
    let sighting = |(identifier, time): &(_, Option<u64>)| Sighting {
        identifier: *identifier,
        time_unix_s: time.unwrap_or(now),
    };
    let heard: Vec<_> = batch.iter().filter_map(|line| line.as_ref().ok()).map(sighting).collect();
    let mut resolved = resolver.resolve_batch(&heard)?;
    search(resolver, &heard, &mut resolved, search_left);
    let matches = reversed.find(resolver, &heard, &resolved);
    let mut resolved = heard.iter().zip(&resolved).enumerate();
    for line in batch {
        answers.lines += 1;
        match line {
            Err(why) => answers.write_malformed(*why),
            Ok(_) => {
                let Some((at, (heard, answer))) = resolved.next() else { continue };
                answers.write(heard, answer, matches.get(&at).copied());
            }
        }
    }
    Ok(())
}

/// The search for beacons whose keys were imported with their bytes reversed.
struct ReversedKeys {
    /// How many more addresses are tried.
    left: usize,
}

impl ReversedKeys {
    /// The most addresses that are tried in one call of the program.
    const MAX_ADDRESSES: u32 = 256;

    /// A wrong key matches an address once in 2^24. So few addresses are tried that a match
    /// by chance occurs in one of a hundred calls at most.
    fn new(beacons: u32) -> Self {
        let without_chance = (1 << 24) / 100 / beacons.max(1);
        Self { left: without_chance.min(Self::MAX_ADDRESSES) as usize }
    }

    /// The beacons whose reversed keys made unknown addresses, by the place of the sighting.
    fn find(
        &mut self,
        resolver: &Resolver,
        heard: &[Sighting],
        answers: &[Answer],
    ) -> HashMap<usize, DeviceId> {
        let is_unknown_address = |(_, (heard, answer)): &(usize, (&Sighting, &Answer))| {
            matches!(heard.identifier, Identifier::Address(_)) && **answer == Answer::Unknown
        };
        let unknown = heard.iter().zip(answers).enumerate().filter(is_unknown_address);
        let (places, unknown): (Vec<usize>, Vec<Sighting>) =
            unknown.map(|(at, (heard, _))| (at, *heard)).take(self.left).unzip();
        if unknown.is_empty() {
            return HashMap::new();
        }
        self.left -= unknown.len();
        let matches = resolver.resolve_reversed(&unknown);
        let device = |answer: &Answer| answer.identification().map(|found| found.device);
        let found = places.into_iter().zip(matches.iter().map(device));
        found.filter_map(|(at, device)| Some((at, device?))).collect()
    }
}

/// Searches for the beacons of unknown identifiers while search time is left.
fn search(
    resolver: &mut Resolver,
    heard: &[Sighting],
    answers: &mut [Answer],
    search_left: &mut Duration,
) {
    if search_left.is_zero() {
        return;
    }
    let unknown: Vec<_> = (0..answers.len())
        .filter(|at| answers.get(*at) == Some(&Answer::Unknown))
        .filter_map(|at| Some((at, *heard.get(at)?)))
        .collect();
    let wanted: Vec<_> = unknown.iter().map(|(_, sighting)| *sighting).collect();
    let started = Instant::now();
    let searched = resolver.search(&wanted, *search_left);
    *search_left = search_left.saturating_sub(started.elapsed());
    for ((at, _), found) in unknown.into_iter().zip(searched.answers) {
        if let Some(answer) = answers.get_mut(at) {
            *answer = found;
        }
    }
}
