//! The commands on a fleet that run in a process of their own or in that of a running station.

use crate::args::{Command, KeyCommand};
use crate::call::Call;
use crate::failure::Failure;
use crate::{backup, devices, inspect, key, provision, rebuild, resolve, roll, verify};

/// Runs a command on a fleet.
///
/// # Errors
/// Those of the command; and the command does not work on a fleet, or is not for a running
/// station.
pub fn run(command: &Command, call: &Call<'_>) -> Result<(), Failure> {
    match command {
        Command::Provision(args) => provision::run(args, call),
        Command::Device(command) => devices::run(command, call),
        Command::Rebuild(args) => rebuild::run(args, call),
        Command::Roll(args) => roll::run(args, call),
        Command::Resolve(args) => resolve::run(args, call),
        Command::Inspect(args) => inspect::run(args, call),
        Command::Verify(args) => verify::run(args, call),
        Command::Backup(args) => backup::backup(args, call),
        Command::Restore(args) => backup::restore(args, call),
        Command::Key(KeyCommand::Rewrap(args)) => key::rewrap(args, call),
        Command::Key(KeyCommand::Show(args)) => key::show(args, call),
        Command::Decode(_)
        | Command::Serve(_)
        | Command::Cose(_)
        | Command::ImportKeys(_)
        | Command::Identify(_)
        | Command::Beacon(_)
        | Command::Measure(_)
        | Command::Estimate(_)
        | Command::Generate(_)
        | Command::Take(_) => {
            Err(Failure::usage("the command does not work on a fleet; call it by itself"))
        }
    }
}
