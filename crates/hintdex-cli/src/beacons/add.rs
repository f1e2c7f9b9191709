//! `hintdex import-keys`, and `hintdex beacon add`

use std::io::Read;

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::{Changes, Registration, Scheme};

use super::gaen_export::{self, ExportedKey, FIRST_LEN_BYTES};
use super::outcome::{counted, publish};
use super::registrations::{daily_key, registration, table};
use crate::args::ImportKeysArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::input::BadRecord;
use crate::input::lists::{self, BadLines};

pub fn run(args: &ImportKeysArgs, call: &Call<'_>) -> Result<(), Failure> {
    let now = call.run.time.clock().now_unix_s();
    let mut input = lists::open(&args.file, &call.console)?;
    let mut changes = Changes::open(&args.beacons, now)?;
    let options = args.list.options(args.format);
    let first = input.peek(FIRST_LEN_BYTES);
    let first = first.map_err(|error| Failure::io("reading keys", &args.file, &error))?;
    let bad = if args.scheme == Scheme::Gaen && gaen_export::is_export(first) {
        read_export(args, input, &mut changes)?
    } else if args.first_id.is_some() {
        return Err(Failure::usage(
            "--first-id: only an export of --scheme gaen has no ids; remove the option",
        ));
    } else {
        lists::read(&args.file, input, table(args.scheme), &options, |_, fields| {
            Ok(add(&mut changes, &registration(fields, args.scheme, now)?)?)
        })?
    };
    bad.finish(&args.file, &call.console)?;
    let added = changes.added();
    if added == 0 {
        return Err(Failure::data(&args.file, &"the file holds no beacon; nothing was imported"));
    }
    let all = publish(changes)?;
    println!("registered {} in {}: {all} in all", counted(added.into()), args.beacons.display());
    Ok(())
}

fn add(changes: &mut Changes, registration: &Registration) -> Result<(), BadRecord> {
    changes.add(registration).map_err(|refusal| BadRecord::Refused(refusal.to_string()))
}

/// Adds the keys of an export. Each has an id of its own: an export does not show which keys
/// are of one device.
fn read_export(
    args: &ImportKeysArgs,
    input: impl Read,
    changes: &mut Changes,
) -> Result<BadLines, Failure> {
    let failed = |why| Failure::data(&args.file, &format!("{why}; nothing was imported"));
    let mut bad = BadLines::new("key", args.list.skip_bad);
    let mut next = args.first_id.map(DeviceId).or_else(|| changes.next_device());
    let message = gaen_export::read(input).map_err(failed)?;
    for (number, exported) in (1..).zip(gaen_export::keys(&message)) {
        let exported: ExportedKey<'_> = exported.map_err(failed)?;
        let device = next.ok_or_else(|| {
            Failure::usage("no id follows the greatest registered one; choose ids with --first-id")
        })?;
        match daily_key(device, &exported).and_then(|key| add(changes, &key)) {
            Ok(()) => next = device.0.checked_add(1).map(DeviceId),
            Err(why) => bad.add(number, &why),
        }
    }
    Ok(bad)
}
