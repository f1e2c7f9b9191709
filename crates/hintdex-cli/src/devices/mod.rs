//! `hintdex device …`: the devices of a fleet, listed and changed.

mod change;
mod export;
mod fleet;
mod import;
mod later_keys;
mod list;
mod set;
mod sync;
mod transfer_line;

use crate::args::{DeviceCommand, RunArgs};
use crate::failure::Failure;
use crate::provision;

pub fn run(command: &DeviceCommand, run: &RunArgs) -> Result<(), Failure> {
    match command {
        DeviceCommand::List(args) => list::list(args, run),
        DeviceCommand::Show(args) => list::show(args, run),
        DeviceCommand::Add(args) => provision::run(args, run),
        DeviceCommand::Sync(args) => sync::run(args, run),
        DeviceCommand::Retire(args) => change::retire(args, run),
        DeviceCommand::Revoke(args) => change::revoke(args, run),
        DeviceCommand::Replace(args) => change::replace(args, run),
        DeviceCommand::Rekey(args) => later_keys::rekey(args, run),
        DeviceCommand::Rotate(args) => change::rotate(args, run),
        DeviceCommand::Set(args) => set::run(args, run),
        DeviceCommand::Export(args) => export::run(args, run),
        DeviceCommand::Import(args) => import::run(args, run),
    }
}
