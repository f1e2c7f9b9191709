//! `hintdex import-keys`

use hintdex_beacon::Import;

use super::args::ImportKeysArgs;
use super::rows::Rows;
use crate::args::RunArgs;
use crate::decode::open;
use crate::failure::Failure;

pub fn run(args: &ImportKeysArgs, run: &RunArgs) -> Result<(), Failure> {
    let now = run.time.clock().now_unix_s();
    let mut rows = Rows::new(open(&args.file)?, args.scheme, args.format, now);
    let mut import = Import::open(&args.beacons, now)?;
    let mut bad = BadLines::default();
    loop {
        let row =
            rows.next_row().map_err(|error| Failure::io("reading keys", &args.file, &error))?;
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

/// What is told of bad lines: the first, and how many more there are.
#[derive(Default)]
struct BadLines {
    first: Option<String>,
    more: u64,
}

impl BadLines {
    fn add(&mut self, line: u64, why: &dyn std::fmt::Display) {
        match &self.first {
            None => self.first = Some(format!("line {line}: {why}")),
            Some(_) => self.more += 1,
        }
    }

    fn message(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        let more = match self.more {
            0 => String::new(),
            1 => "; 1 more line is bad".to_owned(),
            more => format!("; {more} more lines are bad"),
        };
        Some(format!("{first}{more}; nothing was imported"))
    }
}
