//! `hintdex device export`

use hintdex::wire::{KeySource, RatchetBits};
use hintdex::{Durability, WrapKey};
use hintdex_host::Draft;
use sha2::{Digest, Sha256};

use super::fleet::{counted, device_count};
use super::transfer_line::{Header, Line, Trailer, VERSION};
use crate::args::{DeviceExportArgs, RunArgs};
use crate::failure::Failure;
use crate::id_map::IdMap;
use crate::open;

pub fn run(args: &DeviceExportArgs, run: &RunArgs) -> Result<(), Failure> {
    let station = open::station(&args.fleet.index, Durability::ProcessCrash, run)?;
    let wrap = args.wrap_key.as_ref().map(WrapKey::read).transpose()?;
    let devices = station.export(wrap.as_ref())?;
    let params = station.params();
    let failed = |error: &dyn std::fmt::Display| Failure::data(&args.out, error);
    let mut draft = Draft::beside(&args.out).map_err(|error| failed(&error))?;
    let mut digest = Sha256::new();
    let mut write = |line: Result<String, serde_json::Error>| {
        let mut line = line.map_err(|error| failed(&error))?;
        line.push('\n');
        digest.update(line.as_bytes());
        draft.write(line.as_bytes()).map_err(|error| failed(&error))
    };
    write(serde_json::to_string(&Header {
        hintdex_devices: VERSION,
        hint: params.scheme.name().to_owned(),
        nonce: params.nonces.to_string(),
        ratchet_bits: params.ratchet.map_or(0, RatchetBits::bits),
        wrapped: wrap.is_some(),
    }))?;
    let euis = IdMap::open(&args.fleet.index)?.euis();
    for device in &devices {
        let line = Line::from(device).with_eui(euis.get(&device.state.key.device.0));
        write(serde_json::to_string(&line))?;
    }
    let digest = digest.finalize();
    let check = check_value(wrap.as_ref(), station.key_source().as_ref(), &digest);
    let trailer = Trailer { keys: devices.len() as u64, check };
    let trailer = serde_json::to_string(&trailer).map_err(|error| failed(&error))?;
    draft.write(format!("{trailer}\n").as_bytes()).map_err(|error| failed(&error))?;
    draft.publish().map_err(|error| failed(&error))?;
    let what = counted(device_count(&devices));
    println!("exported {what} with their states to {}", args.out.display());
    Ok(())
}

/// The check value of an export with this digest, in hex: under the wrap key, or under the master
/// key of the fleet.
pub fn check_value(wrap: Option<&WrapKey>, keys: &dyn KeySource, digest: &[u8]) -> String {
    let context = [b"device-export:", digest].concat();
    hex::encode(match wrap {
        Some(wrap) => wrap.check_value(&context),
        None => keys.check_value(&context),
    })
}
