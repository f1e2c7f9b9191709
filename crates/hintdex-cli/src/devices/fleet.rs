//! The fleet of a command, its devices, and what is reported of a change.

use std::io::{self, Write};
use std::path::Path;

use hintdex::wire::DeviceId;
use hintdex::{DeviceTransfer, Durability, KeyStatus, SlotInfo, Station};

use crate::args::{ChangedFleetArgs, IdRange, RunArgs};
use crate::failure::Failure;
use crate::open;

/// Opens the fleet of a command that changes it.
pub fn open_changed(args: &ChangedFleetArgs, run: &RunArgs) -> Result<Station, Failure> {
    let options = args.form.of(run.station(Durability::Sync));
    Ok(open::with_options(&args.fleet.index, &options, run)?)
}

/// The most ids of a call.
const MAX_IDS: u64 = 1 << 26;

/// The devices of ranges of ids, each once.
///
/// # Errors
/// There are so many that they would not fit into memory.
pub fn devices_of(ids: &[IdRange]) -> Result<Vec<DeviceId>, Failure> {
    let count: u64 = ids.iter().map(|range| u64::from(range.last - range.first) + 1).sum();
    if count > MAX_IDS {
        return Err(Failure::usage(format!(
            "{count} ids at once; give at most {MAX_IDS} in a call"
        )));
    }
    let mut ids: Vec<u32> = ids.iter().flat_map(|range| range.first..=range.last).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids.into_iter().map(DeviceId).collect())
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
            let of_device = has_generations.then(|| station.keys_of(key.key.device));
            let all = of_device.as_deref().unwrap_or(std::slice::from_ref(key));
            match present_key(all) {
                Some(present) if present.slot == key.slot => each(all, present)?,
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
    // A reader that has closed the pipe needs no more.
    let _ = writeln!(io::stdout(), "{what} in {}", index.display());
}

/// `1 device`, or `2 devices`.
pub fn counted(devices: usize) -> String {
    if devices == 1 { "1 device".to_owned() } else { format!("{devices} devices") }
}

/// The number of devices with these keys.
pub fn device_count(keys: &[DeviceTransfer]) -> usize {
    let mut devices: Vec<DeviceId> = keys.iter().map(|key| key.state.key.device).collect();
    devices.sort_unstable();
    devices.dedup();
    devices.len()
}
