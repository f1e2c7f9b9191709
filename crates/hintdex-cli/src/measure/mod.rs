//! `hintdex measure`: every figure on this machine, in one page.
//!
//! The command provisions a fleet in the folder of the report, builds every form of its
//! index, and measures lookups. Each figure is from fresh processes: [`runner`] starts them,
//! [`take`] measures in them. The figures ([`figures`]) become `results.json`, and [`page`]
//! writes them to `index.html`.

mod figures;
mod forms;
mod growth;
mod labels;
mod machine;
mod memory;
mod page;
mod plots;
mod runner;
mod table;
pub mod take;

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use hintdex::wire::HintScheme;
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::TempDir;

use self::figures::{Comparison, Peer, Report, Workload};
use self::forms::Plan;
use self::machine::Machine;
use self::runner::COLD_BY;
use crate::args::{MeasureArgs, RunArgs, What};
use crate::failure::Failure;

pub use self::memory::Memory;
pub use self::runner::{Fleet, Runner};

/// The file of peers' figures, without `--peers`.
const PEERS_FILE: &str = "docs/results/compare.json";

/// The number of processes for each figure, and how long each process measures one kind of
/// lookup, in milliseconds.
const RUNS: (u8, u64) = (3, 150);
const QUICK_RUNS: (u8, u64) = (2, 60);

pub fn run(args: &MeasureArgs, run: &RunArgs) -> Result<(), Failure> {
    let peers = peers(args)?;
    fs::create_dir_all(&args.out).map_err(|error| Failure::io("creating", &args.out, &error))?;
    let (runs, each_ms) = if args.quick { QUICK_RUNS } else { RUNS };
    let runs = args.runs.unwrap_or(runs);
    let machine = Machine::describe();
    let plan = Plan::new(args);
    let sizes = growth::sizes(args);
    let bar = bar(plan.processes(runs) + growth::processes(&sizes, runs));
    let runner = Runner::new(run, runs, each_ms, &bar)?;

    let folder = tempfile::Builder::new().prefix(".fleets-").tempdir_in(&args.out);
    let folder = folder.map_err(|error| Failure::io("creating a folder", &args.out, &error))?;
    let (mut forms, mut station, mut ns_per_try) = (Vec::new(), None, 0.0);
    if !args.growth_only {
        let fleet = fleet(&folder, args, args.devices);
        let provisioned = runner.once(What::Provision, &fleet, &[])?;
        forms = forms::measure(&runner, &fleet, &plan, &provisioned)?;
        ns_per_try = forms::ns_per_try(&forms);
        station = Some(forms::measure_station(&runner, &fleet)?);
        remove(&fleet)?;
    }
    let mut growth = Vec::new();
    for devices in sizes {
        let fleet = fleet(&folder, args, devices);
        growth.push(growth::measure(&runner, &fleet)?);
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

/// Writes both files, and prints the table.
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

/// Removes a measured fleet, to make room for the next.
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

/// The command line, so that the call can be repeated.
fn command() -> String {
    let words = std::env::args().skip(1);
    std::iter::once("hintdex".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// The peers of `--peers`, or of the usual file if it exists.
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
