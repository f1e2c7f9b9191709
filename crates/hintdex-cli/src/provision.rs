//! `hintdex provision`

use std::time::Instant;

use hintdex::wire::{DeviceId, HintScheme};
use hintdex::{DeviceRange, Durability, Params, Station};

use crate::args::{ProvisionArgs, RunArgs};
use crate::failure::Failure;
use crate::progress;

const DEFAULT_LOOKAHEAD: u32 = 16;

pub fn run(args: &ProvisionArgs, run: &RunArgs) -> Result<(), Failure> {
    let range = range_of(args)?;
    let started = Instant::now();
    let station = open_or_create(args, run)?;
    let bar = progress::bar("provisioning", "devices");
    let slots = station.provision(&[range], Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();

    let stats = station.stats()?;
    let hints = stats.hints * u64::from(slots.end.0 - slots.start.0) / stats.slots.max(1);
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "provisioned devices {} to {} in {}: {hints} hints in {seconds:.2} s, {:.2} bytes a hint in the index",
        range.first,
        range.last(),
        args.index.display(),
        stats.section_bytes("hints") as f64 / stats.hints as f64,
    );
    Ok(())
}

fn range_of(args: &ProvisionArgs) -> Result<DeviceRange, Failure> {
    if args.devices == 0 {
        return Err(Failure::usage("--devices 0: there must be at least one device"));
    }
    let last = args.first_device.saturating_add(args.devices - 1);
    match (u32::try_from(args.first_device), u32::try_from(args.devices), u32::try_from(last)) {
        (Ok(first), Ok(count), Ok(_)) => Ok(DeviceRange::new(DeviceId(first), count)),
        _ => Err(Failure::usage(format!(
            "{} devices from id {} on go past the last id {} or fill every slot; choose fewer or lower ids",
            args.devices,
            args.first_device,
            u32::MAX
        ))),
    }
}

fn open_or_create(args: &ProvisionArgs, run: &RunArgs) -> Result<Station, Failure> {
    let options = run.station(Durability::Sync);
    if !Station::exists(&args.index) {
        let scheme = args.hint.unwrap_or(HintScheme::Aes128);
        let nonces = args.nonce.unwrap_or_default();
        let params = Params::clocked(scheme, nonces, args.lookahead.unwrap_or(DEFAULT_LOOKAHEAD));
        let params = params.ok_or(hintdex::IndexError::NoRoomForNonces { scheme, nonces });
        let params = params.map_err(hintdex::Error::from)?;
        let key = args.master_key.as_deref();
        return Ok(Station::create_with(&args.index, key, params, &options, run.time.clock())?);
    }
    if let Some(path) = &args.master_key {
        Station::check_master_key(&args.index, path)?;
    }
    let station = Station::open_with(&args.index, &options, run.time.clock())?;
    let has = station.params();
    let same_scheme =
        args.hint.is_none_or(|scheme| scheme.for_nonces(has.nonces) == Some(has.scheme));
    let same_nonces = args.nonce.is_none_or(|nonces| nonces == has.nonces);
    let same_lookahead = args.lookahead.is_none_or(|lookahead| lookahead == has.lookahead);
    if same_scheme && same_nonces && same_lookahead {
        Ok(station)
    } else {
        Err(hintdex::Error::OtherParams { has }.into())
    }
}
