//! `hintdex provision`

pub mod device_list;
mod ids;
mod keys;
mod params;

use std::time::Instant;

use hintdex::{
    DeviceRange, DeviceSettings, Durability, IndexError, KeyAccess, Naming, Protection, Station,
    StationKey,
};

use crate::args::{KeyKind, ProvisionArgs, SecretArgs, SuiteName};
use crate::call::Call;
use crate::control::in_use;
use crate::failure::Failure;
use crate::key;
use crate::open::{self, Opened};
use crate::progress;

pub fn run(args: &ProvisionArgs, call: &Call<'_>) -> Result<(), Failure> {
    let ranges = ids::ranges_of(args)?;
    let started = Instant::now();
    let (station, is_new) = open_or_create(args, call)?;
    let late = args.late.map_or(Ok(()), |late| set_late(&station, late));
    let provisioned = late.and_then(|()| match &args.keys {
        Some(path) => keys::provision(&station, args, path, call),
        None => provision(&station, &ranges, call),
    });
    let slots = match provisioned {
        Ok(slots) => slots,
        Err(failure) if station.is_poisoned() => {
            return Err(failure.and(
                "it is not known whether the devices were added, and nothing was undone; \
                 the same call adds them, or reports that they are in the index",
            ));
        }
        Err(failure) => {
            // The next call may give other parameters for a fleet that has no device.
            if let (true, Opened::Own(station)) = (is_new, station) {
                // If the removal fails, the next call reports the parameters of this fleet.
                let _ = station.discard_empty();
            }
            return Err(failure);
        }
    };

    if let Some(failed) = station.take_maintenance_failure() {
        let what = format!("the devices are added, and their snapshot is not in use: {failed}");
        call.console.report(&what);
    }
    let devices = ids::describe(&station, slots);
    report(call, &station, args, &devices, started.elapsed().as_secs_f64())
}

fn provision(
    station: &Station,
    ranges: &[DeviceRange],
    call: &Call<'_>,
) -> Result<std::ops::Range<hintdex::wire::Slot>, Failure> {
    let bar = progress::bar(&call.console, "provisioning", "devices");
    let slots = station.provision(ranges, Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    Ok(slots)
}

/// Sets the late window of a fleet without devices, or checks that the fleet has this one.
fn set_late(station: &Station, late_nonces: u32) -> Result<(), Failure> {
    let has = station.fleet_settings().late_nonces.unwrap_or(64);
    if late_nonces == has {
        return Ok(());
    }
    if station.stats()?.slots > 0 {
        return Err(Failure::usage(format!(
            "--late {late_nonces}: the fleet has a late window of {has} nonces; leave --late out, or \
             change the window with hintdex device set --all --late {late_nonces}"
        )));
    }
    let settings = DeviceSettings { late_nonces: Some(late_nonces), ..DeviceSettings::default() };
    Ok(station.set_fleet_settings(&settings)?)
}

/// The fleet, and whether this call created it.
fn open_or_create<'a>(
    args: &ProvisionArgs,
    call: &Call<'a>,
) -> Result<(Opened<'a>, bool), Failure> {
    if let Some(station) = call.running_in(&args.index)? {
        return running(args, station).map(|station| (station, false));
    }
    let protection = protection(args, call)?;
    if !Station::exists(&args.index) {
        match create(args, &protection, call) {
            // Another process has created the fleet in between, and has closed it.
            Err(hintdex::Error::Index(IndexError::AlreadyAnIndex { .. })) => {}
            created => {
                let station = created.map_err(|error| in_use(&args.index, error))?;
                open::write_notes("", &station, &call.console);
                return Ok((Opened::Own(Box::new(station)), true));
            }
        }
    }
    if args.protect.is_some() && !Station::is_key_kept_as(&args.index, &protection)? {
        let kept = key::describe(&Station::kept_key(&args.index)?);
        return Err(Failure::usage(format!("--protect: {kept}; hintdex key rewrap changes that")));
    }
    let access =
        KeyAccess { station_key: given_station_key(args, call)?, ..call.run.secrets.access() };
    let options = args.form.of(call.run.station(Durability::Sync));
    let station = open::with_access(&args.index, &access, &options, call)?;
    if params::are_those_of(args, &station.params()) {
        Ok((station, false))
    } else {
        Err(hintdex::Error::OtherParams { has: Box::new(station.params()) }.into())
    }
}

/// The running station, if it has the parameters that the arguments name.
fn running<'a>(args: &ProvisionArgs, station: &'a Station) -> Result<Opened<'a>, Failure> {
    if args.protect.is_some() {
        return Err(Failure::usage(
            "--protect: a running station keeps its master key as it is; stop the station, then \
             hintdex key rewrap changes that",
        ));
    }
    if params::are_those_of(args, &station.params()) {
        Ok(Opened::Running(station))
    } else {
        Err(hintdex::Error::OtherParams { has: Box::new(station.params()) }.into())
    }
}

/// The station key that the arguments name.
fn given_station_key(
    args: &ProvisionArgs,
    call: &Call<'_>,
) -> Result<Option<StationKey>, hintdex::Error> {
    let read = |source| open::station_key(source, &call.console);
    args.station_key.as_ref().map(read).transpose()
}

/// How a new fleet keeps its master key.
fn protection(args: &ProvisionArgs, call: &Call<'_>) -> Result<Protection, Failure> {
    let SecretArgs { master_key, passphrase } = &call.run.secrets;
    let kind = args.protect.unwrap_or(match (passphrase, master_key) {
        (Some(_), _) => KeyKind::Passphrase,
        (None, Some(source)) if !source.is_file() => KeyKind::External,
        _ => KeyKind::File,
    });
    let options = ["--passphrase", "--master-key"];
    let protection = kind.protection(passphrase.as_ref(), master_key.as_ref(), options);
    protection.map_err(|why| Failure::usage(format!("--protect {why}")))
}

fn create(
    args: &ProvisionArgs,
    protection: &Protection,
    call: &Call<'_>,
) -> Result<Station, hintdex::Error> {
    let mut station_key = given_station_key(args, call)?;
    if matches!(args.suite, Some(SuiteName::Ephemeral(_))) && station_key.is_none() {
        station_key = Some(StationKey::generate()?);
    }
    let point = station_key.as_ref().map(StationKey::point);
    let params = params::of_new_fleet(args, point, call.run.time.max_drift)?;
    let options = args.form.of(call.run.station(Durability::Sync));
    let access = KeyAccess { station_key, ..call.run.secrets.access() };
    Station::create_by(&args.index, &access, protection, params, &options, call.run.time.clock())
}

/// What the call added, and what devices have to know.
fn report(
    call: &Call<'_>,
    station: &Station,
    args: &ProvisionArgs,
    devices: &str,
    seconds: f64,
) -> Result<(), Failure> {
    let (stats, folder) = (station.stats()?, args.index.display());
    let hints = match station.params().naming.name() {
        None => format!(
            "{} hints of {} devices, {:.2} bytes a hint",
            stats.hints,
            stats.devices,
            stats.hint_bytes() as f64 / stats.hints.max(1) as f64,
        ),
        Some(naming) => {
            format!("{} devices with {naming} packets, which have no hints", stats.devices)
        }
    };
    let mut text =
        format!("provisioned devices {devices} in {folder} in {seconds:.2} s: {hints}\n");
    if let Naming::Ephemeral { station, .. } = station.params().naming {
        let point = hex::encode(station.0);
        text.push_str(&format!("the point of the station, for the devices: {point}\n"));
    }
    // The devices are added, whether or not the report is read.
    let _ = call.console.print(&text);
    Ok(())
}
