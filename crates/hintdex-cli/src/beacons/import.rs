//! `hintdex import-keys`

use hintdex_beacon::Import;

use super::registrations::{registration, table};
use crate::args::{ImportKeysArgs, RunArgs};
use crate::failure::Failure;
use crate::input::BadRecord;
use crate::input::lists;

pub fn run(args: &ImportKeysArgs, run: &RunArgs) -> Result<(), Failure> {
    let now = run.time.clock().now_unix_s();
    let input = lists::open(&args.file)?;
    let mut import = Import::open(&args.beacons, now)?;
    let options = args.list.options(args.format);
    let bad = lists::read(&args.file, input, table(args.scheme), &options, |_, fields| {
        let registration = registration(fields, args.scheme, now)?;
        let added = import.add(&registration);
        Ok(added.map_err(|refusal| BadRecord::Refused(refusal.to_string()))?)
    })?;
    bad.finish(&args.file)?;
    let added = import.added();
    if added == 0 {
        return Err(Failure::data(&args.file, &"the file holds no beacon; nothing was imported"));
    }
    let all = import.publish()?;
    println!(
        "registered {added} {} in {}: {all} in all",
        if added == 1 { "beacon" } else { "beacons" },
        args.beacons.display()
    );
    Ok(())
}
