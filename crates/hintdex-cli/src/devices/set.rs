//! `hintdex device set`

use hintdex::DeviceSettings;

use super::fleet::{counted, devices_of, open_changed, report};
use crate::args::DeviceSetArgs;
use crate::call::Call;
use crate::failure::Failure;

pub fn run(args: &DeviceSetArgs, call: &Call<'_>) -> Result<(), Failure> {
    let station = open_changed(&args.changed, call)?;
    let settings =
        DeviceSettings { late_nonces: args.late, max_gap: args.max_gap, rate: args.rate };
    let devices = devices_of(&args.ids)?;
    match (args.all, args.default) {
        (true, false) => station.set_fleet_settings(&settings)?,
        (true, true) => station.reset_fleet_settings()?,
        (false, false) => station.set_devices(&devices, &settings)?,
        (false, true) => station.reset_devices(&devices)?,
    }
    let whose =
        if args.all { "of the fleet".into() } else { format!("of {}", counted(devices.len())) };
    let what = if args.default { "dropped the settings" } else { "changed the settings" };
    report(call, &station, &args.changed.fleet.index, &format!("{what} {whose}"));
    Ok(())
}
