//! `hintdex measure`: every figure on this machine, in one page.
//!
//! A fleet is made in the report's folder and every form of its index is built and
//! looked up in, each figure in a fresh process ([`taker`] starts them, [`take`] is
//! what they do). The figures ([`figures`]) become `results.json` and, by [`page`],
//! `index.html`.

mod figures;
mod forms;
mod growth;
mod machine;
mod memory;
mod page;
mod plots;
mod table;
pub mod take;
mod taker;

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use hintdex::wire::HintScheme;
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::TempDir;

use self::figures::{Comparison, Peer, Report, Workload};
use self::forms::Plan;
use self::machine::Machine;
use self::taker::COLD_BY;
use crate::args::{MeasureArgs, RunArgs, What};
use crate::failure::Failure;

pub use self::memory::Memory;
pub use self::taker::{Fleet, Taker};

/// Where figures of peers are, if nobody says.
const PEERS_FILE: &str = "docs/results/compare.json";

/// Runs of each figure, and how long a kind of lookup is measured in each.
const RUNS: (u8, u64) = (3, 150);
const QUICK_RUNS: (u8, u64) = (2, 60);

pub fn run(args: &MeasureArgs, run: &RunArgs) -> Result<(), Failure> {
    let peers = peers(args)?;
    fs::create_dir_all(&args.out).map_err(|error| Failure::io("making", &args.out, &error))?;
    let (runs, each_ms) = if args.quick { QUICK_RUNS } else { RUNS };
    let runs = args.runs.unwrap_or(runs);
    let machine = Machine::describe();
    let plan = Plan::new(args);
    let sizes = growth::sizes(args);
    let bar = bar(plan.processes(runs) + growth::processes(&sizes, runs));
    let taker = Taker::new(run, runs, each_ms, &bar)?;

    let folder = tempfile::Builder::new().prefix(".fleets-").tempdir_in(&args.out);
    let folder = folder.map_err(|error| Failure::io("making a folder", &args.out, &error))?;
    let (mut forms, mut station, mut ns_per_try) = (Vec::new(), None, 0.0);
    if !args.growth_only {
        let fleet = fleet(&folder, args, args.devices);
        let provisioned = taker.once(What::Provision, &fleet, &[])?;
        forms = forms::take(&taker, &fleet, &plan, &provisioned)?;
        ns_per_try = forms::ns_per_try(&forms);
        station = Some(forms::take_station(&taker, &fleet)?);
        remove(&fleet)?;
    }
    let mut growth = Vec::new();
    for devices in sizes {
        let fleet = fleet(&folder, args, devices);
        growth.push(growth::take(&taker, &fleet)?);
        remove(&fleet)?;
    }
    bar.finish_and_clear();
    let report = Report {
        program: format!("hintdex {}", env!("CARGO_PKG_VERSION")),
        command: command(),
        taken_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()),
        machine,
        workload: workload(args, run, runs),
        ns_per_try,
        forms,
        station,
        growth,
        peers,
    };
    write(&report, &args.out)
}

/// Writes both files, and the table to standard output.
fn write(report: &Report, folder: &Path) -> Result<(), Failure> {
    let results = serde_json::to_string_pretty(report)
        .map_err(|error| Failure::usage(format!("the results cannot be written: {error}")))?;
    let page = page::html(report).map_err(Failure::usage)?;
    let (results_path, page_path) = (folder.join("results.json"), folder.join("index.html"));
    for (path, text) in [(&results_path, results + "\n"), (&page_path, page)] {
        fs::write(path, text).map_err(|error| Failure::io("writing", path, &error))?;
    }
    print!("{}", table::markdown(report));
    println!("\nthe page: {}\nthe figures: {}", page_path.display(), results_path.display());
    Ok(())
}

fn fleet(folder: &TempDir, args: &MeasureArgs, devices: u32) -> Fleet {
    Fleet {
        path: folder.path().join(devices.to_string()),
        devices,
        lookahead: args.lookahead,
        hint: args.hint.name(),
    }
}

/// Removes a fleet that was measured: the next one may need its room.
fn remove(fleet: &Fleet) -> Result<(), Failure> {
    let removed = fs::remove_dir_all(&fleet.path);
    let _ = fs::remove_file(fleet.snapshot());
    removed.map_err(|error| Failure::io("removing", &fleet.path, &error))
}

fn workload(args: &MeasureArgs, run: &RunArgs, runs: u8) -> Workload {
    Workload {
        devices: args.devices,
        lookahead: args.lookahead,
        hints: u64::from(args.devices) * u64::from(args.lookahead),
        hint_scheme: HintScheme::name(args.hint).to_owned(),
        memory_bytes: run.memory as u64,
        threads: rayon::current_num_threads(),
        runs,
        cold_by: COLD_BY.to_owned(),
    }
}

/// The call as it can be made again.
fn command() -> String {
    let words = std::env::args().skip(1);
    std::iter::once("hintdex".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Peers from the file that was named, or from the usual one if it is there.
fn peers(args: &MeasureArgs) -> Result<Vec<Peer>, Failure> {
    let usual = Path::new(PEERS_FILE);
    let path = match &args.peers {
        Some(path) => path,
        None if usual.is_file() => usual,
        None => return Ok(Vec::new()),
    };
    let text = fs::read(path).map_err(|error| Failure::io("reading", path, &error))?;
    let comparison: Comparison =
        serde_json::from_slice(&text).map_err(|error| Failure::data(path, &error))?;
    Ok(comparison.peers())
}

fn bar(processes: u64) -> ProgressBar {
    let bar = ProgressBar::new(processes);
    let template = "measuring {wide_bar} {pos}/{len}, {elapsed} of about {duration}  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
