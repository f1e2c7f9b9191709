//! `hintdex import-keys`

use hintdex_beacon::Import;

use super::args::ImportKeysArgs;
use super::rows;
use crate::args::RunArgs;
use crate::failure::Failure;
use crate::rows::{BadLines, Rows};
use crate::secret_input::open;

pub fn run(args: &ImportKeysArgs, run: &RunArgs) -> Result<(), Failure> {
    let now = run.time.clock().now_unix_s();
    let mut rows = Rows::new(open(&args.file)?, rows::table(args.scheme), args.format);
    let mut import = Import::open(&args.beacons, now)?;
    let mut bad = BadLines::default();
    loop {
        let row = rows.next_row(|cells| rows::registration(cells, args.scheme, now));
        let row = row.map_err(|error| Failure::io("reading keys", &args.file, &error))?;
        match row {
            None => break,
            Some(Ok(registration)) => {
                if let Err(refusal) = import.add(&registration) {
                    bad.add(rows.line_number(), &refusal);
                }
            }
            Some(Err(row)) => bad.add(rows.line_number(), &row),
        }
        if rows.lacks_header() {
            break;
        }
    }
    if let Some(message) = bad.message() {
        return Err(Failure::data(&args.file, &message));
    }
    let added = import.added();
    if added == 0 {
        return Err(Failure::data(&args.file, &"no beacons in it; nothing was imported"));
    }
    let all = import.publish()?;
    println!(
        "registered {added} {} in {}: {all} in all",
        if added == 1 { "beacon" } else { "beacons" },
        args.beacons.display()
    );
    Ok(())
}
