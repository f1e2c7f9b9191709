//! `hintdex device rekey`, and `hintdex device replace --keys`: later keys from a list

use std::path::Path;

use hintdex::wire::DeviceId;
use hintdex::{Error, KeyImport, Station};

use super::fleet::{counted, open_changed, report};
use crate::args::{ChangedFleetArgs, DeviceRekeyArgs, ListArgs};
use crate::call::Call;
use crate::failure::Failure;
use crate::given_ids::GivenIds;
use crate::input::lists::{self, Rejected};
use crate::input::{BadRecord, Fields};
use crate::progress;
use crate::provision::device_list::{GivenKeys, TABLE, device};

pub fn rekey(args: &DeviceRekeyArgs, call: &Call<'_>) -> Result<(), Failure> {
    let station = open_changed(&args.changed, call)?;
    let (import, count) = read(call, &station, &args.changed, &args.file, &args.list)?;
    let bar = progress::bar(&call.console, "rekeying", "devices");
    import.rekey(args.grace.grace, Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    let what = format!("the new keys of {} are awaited", counted(count));
    report(call, &station, &args.changed.fleet.index, &what);
    Ok(())
}

pub fn replace(
    changed: &ChangedFleetArgs,
    path: &Path,
    list: &ListArgs,
    call: &Call<'_>,
) -> Result<(), Failure> {
    let station = open_changed(changed, call)?;
    let (import, count) = read(call, &station, changed, path, list)?;
    let bar = progress::bar(&call.console, "replacing", "devices");
    import.replace(Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    report(call, &station, &changed.fleet.index, &format!("replaced {}", counted(count)));
    Ok(())
}

/// The import of the later keys of a list, and the number of its devices.
fn read<'a>(
    call: &Call<'_>,
    station: &'a Station,
    changed: &ChangedFleetArgs,
    path: &Path,
    list: &ListArgs,
) -> Result<(KeyImport<'a>, usize), Failure> {
    let mut given = GivenIds::open(station, &call.console.path(&changed.fleet.index)?)?;
    let mut import = station.import_later_keys()?;
    let mut count = 0;
    let add = |_: u64, fields: &Fields<'_>| {
        let device = device(fields)?;
        let id = given.id_of(device.id)?;
        let why = "it has no keys; give hint_key and dev_key, or a chain_key where keys move on, \
            or use hintdex device rotate";
        add_to(&mut import, id, &device.keys.ok_or(BadRecord::Other(why))?)?;
        count += 1;
        Ok(())
    };
    let input = lists::open(path, &call.console)?;
    let bad = lists::read(path, input, &TABLE, &list.options(None), add)?;
    bad.finish(path, &call.console)?;
    if count == 0 {
        return Err(Failure::data(path, &"the list has no device; nothing was changed"));
    }
    Ok((import, count))
}

/// Adds the keys of a device to an import. A fault of the line rejects the line.
pub fn add_to(import: &mut KeyImport<'_>, id: DeviceId, keys: &GivenKeys) -> Result<(), Rejected> {
    match keys.add_to(import, id) {
        Ok(()) => Ok(()),
        Err(why @ (Error::ZeroKey { .. } | Error::SharedKey { .. } | Error::Index(_))) => {
            Err(BadRecord::Refused(why.to_string()).into())
        }
        Err(error) => Err(Failure::from(error).into()),
    }
}
