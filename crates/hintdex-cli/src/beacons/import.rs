//! `hintdex import-keys`

use hintdex_beacon::Import;

use super::registrations::{registration, table};
use crate::args::{ImportKeysArgs, RunArgs};
use crate::failure::Failure;
use crate::input::{BadLines, InputRecords, open_secret};

pub fn run(args: &ImportKeysArgs, run: &RunArgs) -> Result<(), Failure> {
    let now = run.time.clock().now_unix_s();
    let input = open_secret(&args.file)?;
    let mut records = InputRecords::new(input, table(args.scheme), args.format);
    let mut import = Import::open(&args.beacons, now)?;
    let mut bad = BadLines::default();
    loop {
        let record = records.next_record(|fields| registration(fields, args.scheme, now));
        let record = record.map_err(|error| Failure::io("reading keys", &args.file, &error))?;
        match record {
            None => break,
            Some(Ok(registration)) => {
                if let Err(refusal) = import.add(&registration) {
                    bad.add(records.line_number(), &refusal);
                }
            }
            Some(Err(why)) => bad.add(records.line_number(), &why),
        }
        if records.lacks_header() {
            break;
        }
    }
    if let Some(message) = bad.message() {
        return Err(Failure::data(&args.file, &message));
    }
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
