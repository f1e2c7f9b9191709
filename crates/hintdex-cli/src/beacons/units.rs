//! `hintdex beacon replace` and `rekey`

use std::io::{self, Write};
use std::path::Path;

use hintdex_beacon::wire::{DeviceId, HintKey};
use hintdex_beacon::{Changes, Scheme};

use super::outcome::{counted, publish, refused};
use super::registrations::{device, registration, table};
use crate::args::{BeaconRekeyArgs, BeaconReplaceArgs, ListArgs};
use crate::call::Call;
use crate::console::Console;
use crate::failure::Failure;
use crate::input::lists::{self, Rejected};
use crate::input::{Column, Fields, Table};

/// Beacons with their new keys.
const KEYS: Table = Table {
    name: "rekey",
    columns: &[Column::ID, Column::required("key").or(&["irk", "identity_key"])],
};

pub fn replace(args: &BeaconReplaceArgs, call: &Call<'_>) -> Result<(), Failure> {
    let args = &args.list;
    let now_unix_s = call.run.time.clock().now_unix_s();
    let list = List { folder: &args.folder.beacons, file: &args.file, options: &args.list };
    list.apply(&call.console, now_unix_s, table(args.scheme), "replaced", |changes, fields| {
        let unit = registration(fields, args.scheme, now_unix_s)?;
        changes.replace(&unit).map_err(refused)?;
        Ok(())
    })
}

pub fn rekey(args: &BeaconRekeyArgs, call: &Call<'_>) -> Result<(), Failure> {
    if args.scheme == Scheme::Gaen {
        return Err(Failure::usage(
            "--scheme gaen: a new daily key is no change of the old one; use hintdex beacon add",
        ));
    }
    let now_unix_s = call.run.time.clock().now_unix_s();
    let list = List { folder: &args.folder.beacons, file: &args.file, options: &args.list };
    list.apply(&call.console, now_unix_s, &KEYS, "rekeyed", |changes, fields| {
        let id: DeviceId = device(fields)?;
        let key = HintKey::from_bytes(*fields.key("key")?);
        changes.rekey(id, args.scheme, &key).map_err(refused)?;
        Ok(())
    })
}

/// A list of changes.
struct List<'a> {
    folder: &'a Path,
    file: &'a Path,
    options: &'a ListArgs,
}

impl List<'_> {
    /// Applies a change for each line: for all of them, or with `--skip-bad` for the good ones.
    fn apply(
        &self,
        console: &Console<'_>,
        now_unix_s: u64,
        table: &'static Table,
        done: &str,
        mut each: impl FnMut(&mut Changes, &Fields<'_>) -> Result<(), Rejected>,
    ) -> Result<(), Failure> {
        let mut changes = Changes::open_registered(self.folder, now_unix_s)?;
        let input = lists::open(self.file, console)?;
        let mut changed = 0;
        let bad =
            lists::read(self.file, input, table, &self.options.options(None), |_, fields| {
                each(&mut changes, fields)?;
                changed += 1;
                Ok(())
            })?;
        bad.finish(self.file, console)?;
        if changed == 0 {
            return Err(Failure::data(self.file, &"the list has no beacon; nothing was changed"));
        }
        publish(changes)?;
        // A reader that has closed the pipe needs no more.
        let _ = writeln!(io::stdout(), "{done} {} in {}", counted(changed), self.folder.display());
        Ok(())
    }
}
