//! The side of the station: commands of callers run in its process.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use clap::{CommandFactory, FromArgMatches};
use hintdex::StationGroup;
use hintdex_server::control::{Answer, ControlError, Listener, Request};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::options;
use crate::args::Args;
use crate::call::{Call, Running};
use crate::console::Console;
use crate::failure::Failure;
use crate::fleet_commands;

/// The fleet of a control socket.
pub struct Fleet {
    /// The folder of the fleet.
    pub folder: PathBuf,
    /// The stations of the process, and the place of the fleet's station among them.
    pub group: Arc<StationGroup>,
    pub number: usize,
    /// How many commands may have changed the fleet. When the count has grown, a file of the folder
    /// that was read before has to be read again.
    pub changes: Arc<AtomicU64>,
}

/// Listens on the control socket of a fleet, which this process has open in `command`.
///
/// # Errors
/// The socket cannot be made.
pub fn listen(command: &str, fleet: Fleet) -> Result<Listener, ControlError> {
    let folder = fleet.folder.clone();
    let changing = Mutex::new(());
    Listener::start(&folder, command, move |request: &Request<'_>| {
        let ran =
            behind_packets().and_then(|pool| pool.install(|| run(request, &fleet, &changing)));
        match ran {
            Ok(()) => Answer { code: 0, failure: None },
            Err(failure) => Answer { code: failure.code(), failure: Some(failure.to_string()) },
        }
    })
}

/// By how much the threads of a command rank below those that decode, as `nice` counts.
const COMMAND_NICENESS: i32 = 10;

/// The threads of a command. They rank below those that decode, so that packets wait for no command that
/// uses every core; a thread that they start ranks as they do.
fn behind_packets() -> Result<ThreadPool, Failure> {
    let pool = ThreadPoolBuilder::new().num_threads(rayon::current_num_threads());
    // Where the system refuses, the command works all the same.
    let pool = pool.start_handler(|_| {
        let _ = rustix::process::nice(COMMAND_NICENESS);
    });
    pool.build().map_err(|error| Failure::failed(format!("starting threads failed: {error}")))
}

/// Runs the command of a caller on the running station.
fn run(request: &Request<'_>, fleet: &Fleet, changing: &Mutex<()>) -> Result<(), Failure> {
    let unknown = |error: clap::Error| {
        let why = error.kind();
        Failure::usage(format!("the running station does not understand the call: {why}"))
    };
    let matches = Args::command().try_get_matches_from(request.arguments()).map_err(unknown)?;
    let args = Args::from_arg_matches(&matches).map_err(unknown)?;
    // The library serializes changes of the fleet. The id map beside it has no lock of its own.
    let is_change = args.command.changes();
    let _turn = is_change.then(|| changing.lock().unwrap_or_else(PoisonError::into_inner));
    let console = Console::of_caller(request);
    let ignored = options::ignored(&matches);
    if !ignored.is_empty() {
        console.report(&format!(
            "note: {ignored}: the running station keeps its own; such options count when a station \
             starts"
        ));
    }
    let call = Call { run: &args.run, console, running: running(fleet) };
    let ran = fleet_commands::run(&args.command, &call);
    if is_change {
        fleet.changes.fetch_add(1, Ordering::Release);
    }
    ran.map_err(|failure| failure.in_words(|text| call.console.in_words_of_caller(text)))
}

fn running(fleet: &Fleet) -> Option<Running<'_>> {
    let station = fleet.group.stations().get(fleet.number)?;
    Some(Running { station, folder: Path::new(&fleet.folder) })
}
