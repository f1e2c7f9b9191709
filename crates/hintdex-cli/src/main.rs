//! The program `hintdex`: fleets and beacons from the command line.
#![forbid(unsafe_code)]

mod args;
mod backup;
mod beacons;
mod call;
mod caller_terminal;
mod console;
mod control;
mod cose;
mod decode;
mod devices;
mod dial;
mod estimate;
mod failure;
mod fleet_commands;
mod generate;
mod given_ids;
mod id_map;
mod input;
mod inspect;
mod key;
mod measure;
mod naming_text;
mod open;
mod output;
mod progress;
mod provision;
mod rebuild;
mod resolve;
mod retire_missing;
mod roll;
mod serve;
mod settings_text;
mod timeline;
mod transfer_file;
mod unix_time;
mod verify;

use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use hintdex_host::forbid_core_dumps;
use rustix::fs::Mode;

use crate::args::{Args, Command, CoseCommand, RunArgs};
use crate::call::Call;
use crate::failure::Failure;
use crate::input::shown;

/// The variable that, set to 1, lets a debugger look at this process.
const DUMPABLE_VARIABLE: &str = "HINTDEX_DUMPABLE";

fn main() -> ExitCode {
    // A panic prints one line as well. Acknowledged packets are on disk.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |at| format!(" at {at}"));
        eprintln!("hintdex: internal error{place}; nothing acknowledged is lost; please report it");
    }));
    // RocksDB and the plotter create files with the umask; a fleet's files are private.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    match parse().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hintdex: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// Reads the command line. A fault in it is reported in one line; help and version are
/// printed as they are.
fn parse() -> Result<Args, Failure> {
    Args::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => Failure::usage(format!("{}; try hintdex --help", wrong_call(error))),
    })
}

/// The fault in a command line. A value may be a key that the user gave in the wrong place,
/// so only short values are quoted.
fn wrong_call(mut error: clap::Error) -> String {
    let text_of = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let argument = text_of(&error, ContextKind::InvalidArg).unwrap_or_default();
    let value = text_of(&error, ContextKind::InvalidValue).unwrap_or_default();
    // The name of a known option is quoted as in the help.
    let is_known = error.kind() != ErrorKind::UnknownArgument;
    if error.kind() == ErrorKind::ValueValidation {
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        // A reason may quote the value.
        let is_shown = |reason: &String| shown(&value).contains(&value) || !reason.contains(&value);
        let why = reason.filter(is_shown).map_or_else(String::new, |why| format!(": {why}"));
        return format!("invalid value {} for {argument}{why}", shown(&value));
    }
    for kind in [ContextKind::InvalidValue, ContextKind::InvalidSubcommand, ContextKind::InvalidArg]
    {
        let is_name =
            |text: &String| kind == ContextKind::InvalidArg && (is_known || is_option_name(text));
        if let Some(text) = text_of(&error, kind).filter(|text| !is_name(text)) {
            // The message adds quotes of its own.
            let text = shown(&text).trim_matches('"').to_owned();
            error.insert(kind, ContextValue::String(text));
        }
    }
    let text = error.to_string();
    // The first paragraph is the fault; usage and hints follow.
    let fault = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = fault.trim_start_matches("error:").split_ascii_whitespace().collect();
    words.join(" ")
}

/// Whether a word has the form of an option, which no spelling of a key has.
fn is_option_name(word: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    word.len() <= 24 && word.strip_prefix("--").is_some_and(|name| name.bytes().all(is_allowed))
}

fn run(mut args: Args) -> Result<(), Failure> {
    keep_memory_private(&args.command);
    if control::ask_station(&args.command)?.is_some() {
        return Ok(());
    }
    set_threads(&args.run)?;
    args.run.secrets.read_environment().map_err(Failure::usage)?;
    let call = Call::of_process(&args.run);
    match &args.command {
        Command::Decode(command) => decode::run(command, &call),
        Command::Serve(command) => serve::run(command, &args.run),
        Command::Cose(CoseCommand::Open(command)) => cose::open(command, &call),
        Command::ImportKeys(command) => beacons::add::run(command, &call),
        Command::Identify(command) => beacons::identify::run(command, &call),
        Command::Beacon(command) => beacons::run(command, &call),
        Command::Measure(command) => measure::run(command, &args.run),
        Command::Estimate(command) => estimate::run(command, &args.run),
        Command::Generate(command) => generate::run(command, &call),
        Command::Take(command) => measure::take::run(command, &args.run),
        on_fleet => fleet_commands::run(on_fleet, &call),
    }
}

/// Keeps the keys of a fleet or of beacons out of core dumps, and out of the reach of other
/// processes of this user. Measurements read their own memory, and hold no keys of anybody.
fn keep_memory_private(command: &Command) {
    let is_wanted =
        !matches!(command, Command::Measure(_) | Command::Take(_) | Command::Estimate(_));
    let is_debugged = std::env::var_os(DUMPABLE_VARIABLE).is_some_and(|value| value == "1");
    if is_wanted
        && !is_debugged
        && let Err(error) = forbid_core_dumps()
    {
        eprintln!("hintdex: note: core dumps of this process cannot be forbidden: {error}");
    }
}

fn set_threads(run: &RunArgs) -> Result<(), Failure> {
    let Some(threads) = run.threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get());
    pool.build_global().map_err(|error| Failure::usage(format!("--threads {threads}: {error}")))
}
