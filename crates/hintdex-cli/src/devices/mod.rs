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

use crate::args::DeviceCommand;
use crate::call::Call;
use crate::failure::Failure;
use crate::provision;

pub fn run(command: &DeviceCommand, call: &Call<'_>) -> Result<(), Failure> {
    match command {
        DeviceCommand::List(args) => list::list(args, call),
        DeviceCommand::Show(args) => list::show(args, call),
        DeviceCommand::Add(args) => provision::run(args, call),
        DeviceCommand::Sync(args) => sync::run(args, call),
        DeviceCommand::Retire(args) => change::retire(args, call),
        DeviceCommand::Revoke(args) => change::revoke(args, call),
        DeviceCommand::Replace(args) => change::replace(args, call),
        DeviceCommand::Rekey(args) => later_keys::rekey(args, call),
        DeviceCommand::Rotate(args) => change::rotate(args, call),
        DeviceCommand::Set(args) => set::run(args, call),
        DeviceCommand::Export(args) => export::run(args, call),
        DeviceCommand::Import(args) => import::run(args, call),
    }
}
