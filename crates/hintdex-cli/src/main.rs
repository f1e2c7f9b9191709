//! The program `hintdex`: a fleet's index from the command line.
#![forbid(unsafe_code)]

mod args;
mod decode;
mod failure;
mod input;
mod inspect;
mod progress;
mod provision;
mod rebuild;
mod resolve;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command, RunArgs};
use crate::failure::Failure;

fn main() -> ExitCode {
    // A defect of ours is one line, too; what was acknowledged is on disk.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |at| format!(" at {at}"));
        eprintln!("hintdex: internal error{place}; nothing acknowledged is lost; please report it");
    }));
    let done = match Args::try_parse() {
        Ok(args) => run(args),
        Err(error) if error.use_stderr() => Err(Failure::usage(one_line(&error))),
        // Asked for: the help or the version.
        Err(error) => error.exit(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hintdex: {failure}");
            failure.code()
        }
    }
}

/// What is wrong with the command line, in one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let said: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let said = said.join(" ");
    format!("{}; see hintdex --help", said.strip_prefix("error: ").unwrap_or(&said))
}

fn run(args: Args) -> Result<(), Failure> {
    set_threads(&args.run)?;
    match args.command {
        Command::Provision(command) => provision::run(&command, &args.run),
        Command::Decode(command) => decode::run(&command, &args.run),
        Command::Rebuild(command) => rebuild::run(&command, &args.run),
        Command::Resolve(command) => resolve::run(&command, &args.run),
        Command::Inspect(command) => inspect::run(&command, &args.run),
        Command::Verify(command) => verify::run(&command, &args.run),
    }
}

fn set_threads(run: &RunArgs) -> Result<(), Failure> {
    let Some(threads) = run.threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get());
    pool.build_global().map_err(|error| Failure::usage(format!("--threads {threads}: {error}")))
}
