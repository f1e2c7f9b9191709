//! The fleet of a command, its devices, and what is reported of a change.

use std::path::Path;

use hintdex::wire::DeviceId;
use hintdex::{DeviceTransfer, Durability, KeyStatus, SlotInfo, Station};

use crate::args::{ChangedFleetArgs, IdRange};
use crate::call::Call;
use crate::failure::Failure;
use crate::open::{self, Opened};

/// Opens the fleet of a command that changes it.
pub fn open_changed<'a>(args: &ChangedFleetArgs, call: &Call<'a>) -> Result<Opened<'a>, Failure> {
    let options = args.form.of(call.run.station(Durability::Sync));
    open::with_options(&args.fleet.index, &options, call)
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
pub fn report(call: &Call<'_>, station: &Station, index: &Path, what: &str) {
    if let Some(failed) = station.take_maintenance_failure() {
        let what = format!("the change is made, and the snapshot is not in use: {failed}");
        call.console.report(&what);
    }
    // The change is made, whether or not its report is read.
    let _ = call.console.print(&format!("{what} in {}\n", index.display()));
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
