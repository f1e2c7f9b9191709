//! `hintdex provision`

pub mod device_list;
mod ids;
mod keys;

use std::time::Instant;

use hintdex::wire::HintScheme;
use hintdex::{DeviceRange, DeviceSettings, Durability, IndexError, Params, Protection, Station};

use crate::args::{KeyKind, ProvisionArgs, RunArgs, SecretArgs};
use crate::failure::Failure;
use crate::key;
use crate::open;
use crate::progress;

const DEFAULT_LOOKAHEAD: u32 = 16;

pub fn run(args: &ProvisionArgs, run: &RunArgs) -> Result<(), Failure> {
    let ranges = ids::ranges_of(args)?;
    let started = Instant::now();
    let (station, is_new) = open_or_create(args, run)?;
    let late = args.late.map_or(Ok(()), |late| set_late(&station, late));
    let provisioned = late.and_then(|()| match &args.keys {
        Some(path) => keys::provision(&station, &args.index, path, &args.list.options(None)),
        None => provision(&station, &ranges),
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
            if is_new {
                // If the removal fails, the next call reports the parameters of this fleet.
                let _ = station.discard_empty();
            }
            return Err(failure);
        }
    };

    if let Some(failed) = station.take_maintenance_failure() {
        eprintln!("hintdex: the devices are added, and their snapshot is not in use: {failed}");
    }
    let stats = station.stats()?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "provisioned devices {} in {} in {seconds:.2} s: {} hints of {} devices, {:.2} bytes a hint",
        ids::describe(&station, slots),
        args.index.display(),
        stats.hints,
        stats.devices,
        stats.hint_bytes() as f64 / stats.hints.max(1) as f64,
    );
    Ok(())
}

fn provision(
    station: &Station,
    ranges: &[DeviceRange],
) -> Result<std::ops::Range<hintdex::wire::Slot>, Failure> {
    let bar = progress::bar("provisioning", "devices");
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
fn open_or_create(args: &ProvisionArgs, run: &RunArgs) -> Result<(Station, bool), Failure> {
    let protection = protection(args, run)?;
    if !Station::exists(&args.index) {
        match create(args, &protection, run) {
            // Another process has created the fleet in between, and has closed it.
            Err(hintdex::Error::Index(IndexError::AlreadyAnIndex { .. })) => {}
            created => {
                let station = created?;
                open::write_notes("", &station);
                return Ok((station, true));
            }
        }
    }
    if args.protect.is_some() && !Station::is_key_kept_as(&args.index, &protection)? {
        let kept = key::describe(&Station::kept_key(&args.index)?);
        return Err(Failure::usage(format!("--protect: {kept}; hintdex key rewrap changes that")));
    }
    let options = args.form.of(run.station(Durability::Sync));
    let station = open::with_options(&args.index, &options, run)?;
    let has = station.params();
    let same_scheme =
        args.hint.is_none_or(|scheme| scheme.for_nonces(has.nonces) == Some(has.scheme));
    let same_nonces = args.nonce.is_none_or(|nonces| nonces == has.nonces);
    let same_lookahead = args.lookahead.is_none_or(|lookahead| lookahead == has.lookahead);
    let same_derivation = args.derivation.is_none_or(|derivation| derivation == has.derivation);
    let same_suite = args.suite.is_none_or(|suite| suite == has.suite);
    let same_data = args.associated_data.as_deref().is_none_or(|data| *data == has.associated_data);
    let same_ratchet = args.ratchet_bits.is_none_or(|bits| Some(bits) == has.ratchet);
    let is_same = [
        same_scheme,
        same_nonces,
        same_lookahead,
        same_derivation,
        same_suite,
        same_data,
        same_ratchet,
    ];
    if is_same == [true; 7] {
        Ok((station, false))
    } else {
        Err(hintdex::Error::OtherParams { has: Box::new(has) }.into())
    }
}

/// How a new fleet keeps its master key.
fn protection(args: &ProvisionArgs, run: &RunArgs) -> Result<Protection, Failure> {
    let SecretArgs { master_key, passphrase } = &run.secrets;
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
    run: &RunArgs,
) -> Result<Station, hintdex::Error> {
    let scheme = args.hint.unwrap_or(HintScheme::Aes128);
    let nonces = args.nonce.unwrap_or_default();
    let params = Params::clocked(scheme, nonces, args.lookahead.unwrap_or(DEFAULT_LOOKAHEAD));
    let params = params.ok_or(IndexError::NoRoomForNonces { scheme, nonces })?;
    let (derivation, ratchet) = (args.derivation.unwrap_or_default(), args.ratchet_bits);
    let suite = args.suite.unwrap_or_default();
    let associated_data = args.associated_data.as_deref().copied().unwrap_or_default();
    let params = Params { derivation, ratchet, suite, associated_data, ..params };
    let options = args.form.of(run.station(Durability::Sync));
    let (access, clock) = (run.secrets.access(), run.time.clock());
    Station::create_by(&args.index, &access, protection, params, &options, clock)
}
