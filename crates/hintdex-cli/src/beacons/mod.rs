//! Beacons: registered, listed, changed, and resolved by their identifiers.

pub mod add;
mod answers;
mod change;
mod export;
mod forget_clock;
pub mod gaen_export;
pub mod identify;
mod import;
mod list;
mod outcome;
pub mod registrations;
pub mod sightings;
mod sync;
mod transfer_line;
mod units;

use crate::args::{BeaconCommand, RunArgs};
use crate::failure::Failure;

pub fn run(command: &BeaconCommand, run: &RunArgs) -> Result<(), Failure> {
    match command {
        BeaconCommand::List(args) => list::list(args),
        BeaconCommand::Show(args) => list::show(args),
        BeaconCommand::Add(args) => add::run(args, run),
        BeaconCommand::Sync(args) => sync::run(args, run),
        BeaconCommand::Retire(args) => change::retire(args, run),
        BeaconCommand::Revoke(args) => change::revoke(args, run),
        BeaconCommand::Replace(args) => units::replace(args, run),
        BeaconCommand::Rekey(args) => units::rekey(args, run),
        BeaconCommand::Set(args) => change::set(args, run),
        BeaconCommand::Export(args) => export::run(args),
        BeaconCommand::Import(args) => import::run(args, run),
        BeaconCommand::ForgetClock(args) => forget_clock::run(args, run),
    }
}
