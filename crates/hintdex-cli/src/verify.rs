//! `hintdex verify`

use hintdex::{Durability, Station};

use crate::args::{RunArgs, VerifyArgs};
use crate::failure::Failure;
use crate::progress;

pub fn run(args: &VerifyArgs, run: &RunArgs) -> Result<(), Failure> {
    let station = Station::open(&args.path, &run.station(Durability::ProcessCrash))?;
    let bar = progress::bar("verifying", "devices");
    let verified = station.verify(Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    println!(
        "{}: sound: {} keys, {} live hints found, {} buckets of {} entries, {} rows read with their checksums",
        args.path.display(),
        verified.slots,
        verified.hints,
        verified.buckets,
        verified.entries,
        verified.rows,
    );
    Ok(())
}
