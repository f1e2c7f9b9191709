//! `hintdex device rekey`, and `hintdex device replace --keys`: later keys from a list

use std::path::Path;

use hintdex::wire::DeviceId;
use hintdex::{Error, KeyImport, Station};

use super::fleet::{counted, open_changed, report};
use crate::args::{ChangedFleetArgs, DeviceRekeyArgs, ListArgs, RunArgs};
use crate::failure::Failure;
use crate::given_ids::GivenIds;
use crate::input::lists::{self, Rejected};
use crate::input::{BadRecord, Fields};
use crate::progress;
use crate::provision::device_list::{GivenKeys, TABLE, device};

pub fn rekey(args: &DeviceRekeyArgs, run: &RunArgs) -> Result<(), Failure> {
    let station = open_changed(&args.changed, run)?;
    let (import, count) = read(&station, &args.changed, &args.file, &args.list)?;
    let bar = progress::bar("rekeying", "devices");
    import.rekey(args.grace.grace, Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    let what = format!("the new keys of {} are awaited", counted(count));
    report(&station, &args.changed.fleet.index, &what);
    Ok(())
}

pub fn replace(
    changed: &ChangedFleetArgs,
    path: &Path,
    list: &ListArgs,
    run: &RunArgs,
) -> Result<(), Failure> {
    let station = open_changed(changed, run)?;
    let (import, count) = read(&station, changed, path, list)?;
    let bar = progress::bar("replacing", "devices");
    import.replace(Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    report(&station, &changed.fleet.index, &format!("replaced {}", counted(count)));
    Ok(())
}

/// The import of the later keys of a list, and the number of its devices.
fn read<'a>(
    station: &'a Station,
    changed: &ChangedFleetArgs,
    path: &Path,
    list: &ListArgs,
) -> Result<(KeyImport<'a>, usize), Failure> {
    let mut given = GivenIds::open(station, &changed.fleet.index)?;
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
    let bad = lists::read(path, lists::open(path)?, &TABLE, &list.options(None), add)?;
    bad.finish(path)?;
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
