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

use crate::args::BeaconCommand;
use crate::call::Call;
use crate::failure::Failure;

pub fn run(command: &BeaconCommand, call: &Call<'_>) -> Result<(), Failure> {
    match command {
        BeaconCommand::List(args) => list::list(args, call),
        BeaconCommand::Show(args) => list::show(args, call),
        BeaconCommand::Add(args) => add::run(args, call),
        BeaconCommand::Sync(args) => sync::run(args, call),
        BeaconCommand::Retire(args) => change::retire(args, call),
        BeaconCommand::Revoke(args) => change::revoke(args, call),
        BeaconCommand::Replace(args) => units::replace(args, call),
        BeaconCommand::Rekey(args) => units::rekey(args, call),
        BeaconCommand::Set(args) => change::set(args, call),
        BeaconCommand::Export(args) => export::run(args, call),
        BeaconCommand::Import(args) => import::run(args, call),
        BeaconCommand::ForgetClock(args) => forget_clock::run(args, call),
    }
}
