//! What the run says: a page, and the same figures for programs.

mod lines;
mod wins;

use std::fmt::Write;

use hintdex_scan::KeyTable;
use hintdex_wire::HintScheme;
use serde_json::{Value, json};

use crate::Outcome;
use crate::driver::Found;
use crate::gauge::{self, Spread};
use crate::peers::{CACHE_BYTES, HINTS_PER_BATCH, Kind};
use crate::workload::Size;
use lines::{Line, Pace, lines};

/// What was run.
pub struct Run<'a> {
    pub size: Size,
    pub rounds: usize,
    pub commit: &'a str,
    pub date: &'a str,
}

impl Run<'_> {
    fn command(&self) -> String {
        let Size { devices, horizon, seed } = self.size;
        let rounds = self.rounds;
        format!("compare --devices {devices} --horizon {horizon} --seed {seed} --rounds {rounds}")
    }
}

/// Everything, in Markdown.
pub fn page(run: &Run<'_>, found: &Found) -> String {
    let lines = lines(run.size, &found.measured);
    [
        heading(run, found),
        sizes(&lines),
        lookups(&lines),
        wins::section(&lines),
        notes(found),
        missing(found),
    ]
    .concat()
}

/// Everything, for programs: a list of objects, one for each row of the tables.
pub fn json(run: &Run<'_>, found: &Found) -> Outcome<String> {
    let rows: Vec<Value> = lines(run.size, &found.measured).iter().map(row).collect();
    let whole = json!({
        "command": run.command(),
        "commit": run.commit,
        "date": run.date,
        "machine": gauge::machine(),
        "devices": run.size.devices,
        "hints_per_device": run.size.horizon,
        "seed": run.size.seed,
        "rounds": run.rounds,
        "hints_per_batch": HINTS_PER_BATCH,
        "rows": rows,
        "missing": found.missing.iter().map(|(title, why)| json!({"title": title, "lacks": why}))
            .collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&whole)? + "\n")
}

fn row(line: &Line<'_>) -> Value {
    let spread = |spread: Option<Spread>| {
        spread.map(|Spread { min, median, max }| json!({"median": median, "min": min, "max": max}))
    };
    json!({
        "name": line.entry.name,
        "title": line.title(),
        "kind": line.entry.kind.name(),
        "confirmed": line.confirmed,
        "clock": line.entry.clock.name(),
        "bytes_per_hint": line.stored_bytes,
        "resident_bytes_per_hint": line.resident_bytes,
        "ns_per_lookup": spread(line.spread(Pace::One)),
        "ns_per_lookup_batch": spread(line.spread(Pace::Batch)),
        "load_hints_per_s": line.loaded_per_s,
        "load_cpu_ns_per_hint": line.load_cpu_ns,
    })
}

fn heading(run: &Run<'_>, found: &Found) -> String {
    let backend = KeyTable::new(HintScheme::Aes128).backend();
    let (before, after) = found.load;
    format!(
        "# hintdex beside its peers\n\n\
         Written by `make compare` (`{command}`) on {date}, commit {commit}; {machine}; scan back \
         end {backend:?}; load {before:.1} before the run, {after:.1} at its end, this run \
         included.\n\n\
         {hints} hints of 16 bytes, {devices} devices × {horizon}. Every contestant holds the \
         same hints and is asked for the same hints, drawn from all, in the same order: hint \
         in, device out. Each runs in a process of its own, loaded alone, warmed up and \
         checked; then all take turns of about 0.2 s, {rounds} rounds. Every hint that is \
         asked for is known, and every answer is checked, outside the timed part. Everything \
         is warm: stores may keep {cache} MiB in memory, more than any needs.\n\n\
         A peer that stores whole hints is done when it has found one. A static function, and \
         each form of ours but a chain, names candidates, and the device's key decides. \
         *Confirmed* rows include that decision; rows of *retrieval alone* end before it. A \
         chain computes hints and ends with the device. Both take \
         the hint keys in memory, 16 bytes a device, which a station has anyway; *resident* \
         of confirmed rows includes them. In return no content of a file is trusted.\n\n\
         Times are processor time of the process: medians with least and greatest. Times \
         marked ⏱ are wall time, because another process does the work, and its time counts, \
         too. Other work used the machine: ratios, taken round by round, are more reliable \
         than times.\n\n",
        command = run.command(),
        date = run.date,
        commit = run.commit,
        machine = gauge::machine(),
        hints = thousands(run.size.hint_count() as f64),
        devices = thousands(run.size.devices.into()),
        horizon = run.size.horizon,
        rounds = run.rounds,
        cache = CACHE_BYTES >> 20,
    )
}

fn sizes(lines: &[Line<'_>]) -> String {
    let mut text = String::from(
        "## Bytes and loading\n\n\
         *Bytes a hint*: files, where there are any; the structure of static functions; what \
         servers report; else the growth of the process. *Resident*: the growth of the \
         process, mapped files included, or of the server.\n\n\
         | contestant | kind | bytes a hint | resident bytes a hint | hints loaded a second | \
         CPU ns a hint to load |\n| --- | --- | ---: | ---: | ---: | ---: |\n",
    );
    for line in lines.iter().filter(|line| line.confirmed) {
        let cpu = match line.entry.clock {
            crate::peers::Clock::Cpu => format!("{:.0}", line.load_cpu_ns),
            crate::peers::Clock::Wall => "–".into(),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {:.3} | {:.1} | {} | {cpu} |",
            ours_bold(line, line.entry.title),
            line.entry.kind.name(),
            line.stored_bytes,
            line.resident_bytes,
            thousands(line.loaded_per_s),
        );
    }
    text + "\n"
}

fn lookups(lines: &[Line<'_>]) -> String {
    let mut text = format!(
        "## Lookups\n\n\
         Batches are of {HINTS_PER_BATCH}; – marks contestants without a batch call. A ratio \
         is the row's time to ours, retrieval to retrieval and confirmed to confirmed, each \
         at its best pace (in batches where there are any) or one by one; **above 1 hintdex \
         is ahead**.\n\n\
         | contestant | ns, one by one | ns, in batches | lookups a second | ÷ live index, one \
         by one | at best | ÷ snapshot of 1 try, one by one | at best |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    );
    for line in lines {
        let best = line.spread(Pace::Best).map_or(f64::NAN, |spread| 1e9 / spread.median);
        let _ = write!(
            text,
            "| {} | {} | {} | {} |",
            ours_bold(line, &line.title()),
            times(line.spread(Pace::One)),
            times(line.spread(Pace::Batch)),
            thousands(best),
        );
        for ours in [wins::LIVE, wins::SNAPSHOT] {
            let ours = lines.iter().find(|l| l.entry.name == ours && l.confirmed == line.confirmed);
            for pace in [Pace::One, Pace::Best] {
                let ratio = ours.and_then(|ours| line.ratio(ours, pace));
                let _ = write!(text, " {} |", ratios(ratio));
            }
        }
        text.push('\n');
    }
    text + "\n"
}

fn ours_bold(line: &Line<'_>, title: &str) -> String {
    let clock = if line.entry.clock == crate::peers::Clock::Wall { " ⏱" } else { "" };
    if line.entry.kind == Kind::Ours { format!("**{title}**") } else { format!("{title}{clock}") }
}

fn times(spread: Option<Spread>) -> String {
    spread.map_or("–".into(), |Spread { min, median, max }| {
        format!("{} ({}–{})", thousands(median), thousands(min), thousands(max))
    })
}

fn ratios(spread: Option<Spread>) -> String {
    spread.map_or("–".into(), |Spread { min, median, max }| {
        format!("{} ({}–{})", ratio(median), ratio(min), ratio(max))
    })
}

/// Two digits, and more where there are more before the point.
fn ratio(value: f64) -> String {
    match value {
        _ if value < 10.0 => format!("{value:.2}"),
        _ if value < 100.0 => format!("{value:.1}"),
        _ => thousands(value),
    }
}

fn notes(found: &Found) -> String {
    let mut text = String::from("## How each is run\n\n");
    for measured in &found.measured {
        let entry = &measured.entry;
        let _ = writeln!(text, "- **{}**: {}.", entry.title, entry.note);
    }
    text + "\n"
}

fn missing(found: &Found) -> String {
    let mut text = String::new();
    if !found.missing.is_empty() {
        text.push_str("## Not run\n\n");
        for (title, why) in &found.missing {
            let _ = writeln!(text, "- **{title}**: {why}.");
        }
    }
    text
}

/// A whole number with commas between its thousands.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
