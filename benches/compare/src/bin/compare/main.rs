//! Everybody beside everybody: what a hint takes in bytes, and a lookup in time.
//!
//! ```text
//! cargo run --release --bin compare -- [--devices 1000000] [--horizon 10] [--quick]
//!                                      [--only NAME,NAME] [--out docs/results]
//! ```
//!
//! All have the same hints and are asked for the same ones in the same order, each
//! in a process of its own, in turns within one run. A wrong answer ends the run.

mod driver;
mod gauge;
mod peers;
mod report;
mod worker;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use driver::Plan;
use workload::{Site, Size};

/// Whatever went wrong, in words.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Measures hintdex beside its peers.
#[derive(Debug, Parser)]
struct Args {
    /// Devices of the fleet
    #[arg(long, default_value_t = 1_000_000)]
    devices: u32,
    /// Hints of each device
    #[arg(long, default_value_t = 10)]
    horizon: u32,
    /// What all keys are derived from
    #[arg(long, default_value_t = 22)]
    seed: u64,
    /// Rounds of turns
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// One round, and only those that need no server and no Python
    #[arg(long)]
    quick: bool,
    /// Only these, by name
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Says the names and ends
    #[arg(long)]
    list: bool,
    /// Where the files of the run go, and are removed from
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    /// Writes compare.md and compare.json there
    #[arg(long)]
    out: Option<PathBuf>,
    /// The run's commit, for the page
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// The run's date, for the page
    #[arg(long, default_value = "unknown")]
    date: String,
    /// Is one contestant's process: load or serve
    #[arg(long, hide = true)]
    worker: Option<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Outcome<()> {
    let size = Size { devices: args.devices, horizon: args.horizon, seed: args.seed };
    if size.hint_count() == 0 || u32::try_from(size.hint_count()).is_err() {
        return Err("--devices times --horizon has to be 1 to 4,294,967,295".into());
    }
    let mut entries = peers::all();
    if let Some(what) = &args.worker {
        let entry = entries.iter().find(|entry| args.only.iter().any(|name| name == entry.name));
        let entry = entry.ok_or("no such contestant")?;
        let site = Site::open(size, &args.folder);
        return match what.as_str() {
            "load" => worker::load(entry, &site),
            _ => worker::serve(entry, &site),
        };
    }
    if args.list {
        entries.iter().for_each(|entry| println!("{:20} {}", entry.name, entry.title));
        return Ok(());
    }
    if let Some(name) = args.only.iter().find(|name| entries.iter().all(|e| e.name != **name)) {
        return Err(format!("nobody is called {name}; --list says who there is").into());
    }
    if args.quick {
        entries.retain(|entry| entry.clock == peers::Clock::Cpu);
    }
    let rounds = if args.quick { 1 } else { args.rounds.max(1) };
    let plan = Plan { size, rounds, folder: args.folder.clone(), only: args.only.clone() };
    let found = driver::run(&plan, entries)?;
    let run = report::Run { size, rounds, commit: &args.commit, date: &args.date };
    let page = report::page(&run, &found);
    println!("{page}");
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out)?;
        std::fs::write(out.join("compare.md"), page)?;
        std::fs::write(out.join("compare.json"), report::json(&run, &found)?)?;
    }
    Ok(())
}
