//! `hintdex device export`

use hintdex::wire::KeySource;
use hintdex::{Durability, SecretSource, WrapKey};

use super::fleet::{counted, device_count};
use super::transfer_line::{Header, Line};
use crate::args::DeviceExportArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::id_map::IdMap;
use crate::open;
use crate::transfer_file::ExportWriter;

pub fn run(args: &DeviceExportArgs, call: &Call<'_>) -> Result<(), Failure> {
    let station = open::station(&args.fleet.index, Durability::ProcessCrash, call)?;
    let wrap = wrap_key(args.wrap_key.as_ref(), call)?;
    let devices = station.export(wrap.as_ref())?;
    let header = Header::of(&station.params(), wrap.is_some());
    let mut file = ExportWriter::create(&call.console.path(&args.out)?, &header)?;
    let euis = IdMap::open(&call.console.path(&args.fleet.index)?)?.euis();
    for device in &devices {
        file.write(&Line::from(device).with_eui(euis.get(&device.state.key.device.0)))?;
    }
    file.publish(|digest| check_value(wrap.as_ref(), station.key_source().as_ref(), digest))?;
    let what = counted(device_count(&devices));
    let text = format!("exported {what} with their states to {}\n", args.out.display());
    call.console.print(&text)
}

/// The wrap key of an export, if the call names one.
pub fn wrap_key(
    source: Option<&SecretSource>,
    call: &Call<'_>,
) -> Result<Option<WrapKey>, Failure> {
    let Some(source) = source else { return Ok(None) };
    Ok(Some(WrapKey::read(&call.console.secret(source)?)?))
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
