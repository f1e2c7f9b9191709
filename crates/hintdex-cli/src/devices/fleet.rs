//! The fleet of a command, its devices, and what is reported of a change.

use std::path::Path;

use hintdex::wire::DeviceId;
use hintdex::{Durability, KeyStatus, SlotInfo, Station};

use crate::args::{ChangedFleetArgs, IdRange, RunArgs};
use crate::failure::Failure;
use crate::open;

/// Opens the fleet of a command that changes it.
pub fn open_changed(args: &ChangedFleetArgs, run: &RunArgs) -> Result<Station, Failure> {
    let options = args.form.of(run.station(Durability::Sync));
    Ok(open::with_options(&args.fleet.index, &options, run)?)
}

/// The devices of ranges of ids, each once.
pub fn devices_of(ids: &[IdRange]) -> Vec<DeviceId> {
    let mut ids: Vec<u32> = ids.iter().flat_map(|range| range.first..=range.last).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(DeviceId).collect()
}

/// The present key of a device among all of its keys, the oldest first: the newest one that it
/// has used, or could have used.
fn present_key(keys: &[SlotInfo]) -> Option<&SlotInfo> {
    let is_present =
        |key: &&SlotInfo| key.status.is_in_service() && key.status != KeyStatus::Awaited;
    keys.iter().rev().find(is_present).or(keys.last())
}

/// Calls `each` with the keys of every device, the oldest first, and the place of the present
/// one among them. Devices come in the order of the slots of their present keys.
pub fn each_device(
    station: &Station,
    mut each: impl FnMut(&[SlotInfo], &SlotInfo) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let has_generations = station.has_generations();
    station.each_keys(|keys| {
        for key in keys {
            let all =
                if has_generations { station.keys_of(key.key.device) } else { vec![key.clone()] };
            match present_key(&all) {
                Some(present) if present.slot == key.slot => each(&all, present)?,
                _ => {}
            }
        }
        Ok(())
    })
}

/// Reports a change of the fleet in one line, and what failed after it.
pub fn report(station: &Station, index: &Path, what: &str) {
    if let Some(failed) = station.take_maintenance_failure() {
        eprintln!("hintdex: the change is made, and the snapshot is not in use: {failed}");
    }
    println!("{what} in {}", index.display());
}

/// `1 device`, or `2 devices`.
pub fn counted(devices: usize) -> String {
    if devices == 1 { "1 device".to_owned() } else { format!("{devices} devices") }
}
