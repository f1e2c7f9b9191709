//! `hintdex device retire`, `revoke`, `replace` and `rotate`

use hintdex::wire::DeviceId;
use hintdex::{KeyStatus, Station};

use super::fleet::{counted, devices_of, each_device, open_changed, report};
use super::later_keys;
use crate::args::{DeviceReplaceArgs, DeviceRetireArgs, DeviceRevokeArgs, DeviceRotateArgs};
use crate::call::Call;
use crate::failure::Failure;
use crate::progress;
use crate::unix_time::time_text;

pub fn retire(args: &DeviceRetireArgs, call: &Call<'_>) -> Result<(), Failure> {
    let station = open_changed(&args.changed, call)?;
    let devices = devices_of(&args.ids.ids)?;
    let what = match args.at {
        None => {
            station.retire_all(&devices)?;
            format!("retired {}", counted(devices.len()))
        }
        Some(unix_s) => {
            station.retire_at(&devices, unix_s)?;
            format!("{} will retire at {} at the latest", counted(devices.len()), time_text(unix_s))
        }
    };
    report(call, &station, &args.changed.fleet.index, &what);
    Ok(())
}

pub fn revoke(args: &DeviceRevokeArgs, call: &Call<'_>) -> Result<(), Failure> {
    let station = open_changed(&args.changed, call)?;
    let devices = devices_of(&args.ids.ids)?;
    station.revoke(&devices, args.generation)?;
    let what = format!("revoked the keys of {}", counted(devices.len()));
    report(call, &station, &args.changed.fleet.index, &what);
    Ok(())
}

pub fn replace(args: &DeviceReplaceArgs, call: &Call<'_>) -> Result<(), Failure> {
    if let Some(path) = &args.keys {
        return later_keys::replace(&args.changed, path, &args.list, call);
    }
    let station = open_changed(&args.changed, call)?;
    let devices = devices_of(&args.ids)?;
    let bar = progress::bar(&call.console, "replacing", "devices");
    station.replace(&devices, Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    let what = format!("replaced {}; the new units use their next keys", counted(devices.len()));
    report(call, &station, &args.changed.fleet.index, &what);
    Ok(())
}

pub fn rotate(args: &DeviceRotateArgs, call: &Call<'_>) -> Result<(), Failure> {
    let station = open_changed(&args.changed, call)?;
    let devices =
        if args.all { all_that_rotate(&station)? } else { those_that_rotate(&station, args)? };
    let bar = progress::bar(&call.console, "rotating", "devices");
    station.rotate(&devices, args.grace.grace, Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    let what = format!("the next keys of {} are awaited", counted(devices.len()));
    report(call, &station, &args.changed.fleet.index, &what);
    Ok(())
}

/// The devices of the fleet whose next key may be added: a device that is to retire, or whose
/// next key is awaited already, is left out.
fn all_that_rotate(station: &Station) -> Result<Vec<DeviceId>, Failure> {
    let mut devices = Vec::new();
    each_device(station, |keys, present| {
        let newest = keys.last().map(|key| key.status);
        devices.extend((newest == Some(KeyStatus::Active)).then_some(present.key.device));
        Ok(())
    })?;
    if devices.is_empty() {
        return Err(Failure::usage(
            "--all: no device has a key to change: each is retired, is to retire, or its next key \
             is awaited already",
        ));
    }
    Ok(devices)
}

/// The named devices, none of which is retired or has a next key that is awaited already.
fn those_that_rotate(station: &Station, args: &DeviceRotateArgs) -> Result<Vec<DeviceId>, Failure> {
    let devices = devices_of(&args.ids)?;
    for device in &devices {
        let keys = station.keys_of(*device);
        if keys.last().is_some_and(|key| key.status == KeyStatus::Awaited) {
            return Err(Failure::usage(format!(
                "the next key of device {device} is awaited already; nothing was changed; leave the \
                 device out"
            )));
        }
        if !keys.is_empty() && !keys.iter().any(|key| key.status.is_in_service()) {
            return Err(Failure::usage(format!(
                "device {device} is retired; give its id to a new unit with hintdex device replace"
            )));
        }
    }
    Ok(devices)
}
