//! `hintdex beacon export`

use hintdex::WrapKey;
use hintdex_beacon::Inventory;

use super::outcome::{counted, report};
use super::transfer_line::{Header, Line, VERSION};
use crate::args::BeaconExportArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::open;
use crate::transfer_file::ExportWriter;

pub fn run(args: &BeaconExportArgs, call: &Call<'_>) -> Result<(), Failure> {
    open::warn_if_exposed_in(&args.folder.beacons, &call.console);
    let wrap = WrapKey::read(&args.wrap_key)?;
    let mut inventory = Inventory::open(&args.folder.beacons)?;
    report(inventory.take_events());
    let mut file = ExportWriter::create(&args.out, &Header { hintdex_beacons: VERSION })?;
    let mut beacons = 0;
    for beacon in inventory.transfers() {
        let line = Line::of(&beacon, &wrap);
        file.write(&line.ok_or_else(|| Failure::data(&args.out, &"a key cannot be wrapped"))?)?;
        beacons += 1;
    }
    file.publish(|digest| check_value(&wrap, digest))?;
    println!("exported {} with their clocks to {}", counted(beacons), args.out.display());
    Ok(())
}

/// The check value of an export with this digest, in hex.
pub fn check_value(wrap: &WrapKey, digest: &[u8]) -> String {
    hex::encode(wrap.check_value(&[b"beacon-export:", digest].concat()))
}
