//! `hintdex beacon import`

use hintdex::WrapKey;
use hintdex_beacon::Changes;

use super::export::check_value;
use super::outcome::{counted, publish};
use super::transfer_line::{Header, Line, VERSION};
use crate::args::BeaconImportArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::transfer_file::read_export;

const WRONG_CHECK: &str = "the export was changed, or was written with another wrap key; export \
    it again, or give that wrap key";

pub fn run(args: &BeaconImportArgs, call: &Call<'_>) -> Result<(), Failure> {
    let wrap = WrapKey::read(&args.wrap_key)?;
    let mut changes = Changes::open(&args.beacons, call.run.time.clock().now_unix_s())?;
    let take = |line: u64, text: &str| {
        if line == 1 {
            return check_header(text);
        }
        // The text of a line is not quoted: it may hold keys.
        let parsed = serde_json::from_str::<Line>(text);
        let parsed = parsed.map_err(|_| "it is no line of an export")?;
        let beacon = parsed.transfer(&wrap)?;
        changes.add_transfer(&beacon).map_err(|refusal| refusal.to_string())
    };
    read_export(&args.file, take, |digest| check_value(&wrap, digest), WRONG_CHECK)?;
    let added = changes.added();
    let all = publish(changes)?;
    println!(
        "imported {} with their clocks in {}: {all} in all",
        counted(added.into()),
        args.beacons.display()
    );
    Ok(())
}

fn check_header(text: &str) -> Result<(), String> {
    let header: Header = serde_json::from_str(text)
        .map_err(|_| "it is no export of beacons; write one with hintdex beacon export")?;
    match header.hintdex_beacons {
        VERSION => Ok(()),
        found => Err(format!("it is an export of version {found}, this program reads {VERSION}")),
    }
}
