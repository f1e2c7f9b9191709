//! `hintdex verify`

use hintdex::Durability;
use hintdex::snapshot::Snapshot;

use crate::args::{RunArgs, VerifyArgs};
use crate::failure::Failure;
use crate::open;
use crate::progress;

pub fn run(args: &VerifyArgs, run: &RunArgs) -> Result<(), Failure> {
    if args.path.is_file() {
        return verify_snapshot(args, run);
    }
    let station = open::station(&args.path, Durability::ProcessCrash, run)?;
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

fn verify_snapshot(args: &VerifyArgs, run: &RunArgs) -> Result<(), Failure> {
    let snapshot = Snapshot::open_unauthenticated(&args.path);
    let snapshot = snapshot.map_err(|error| Failure::data(&args.path, &error))?;
    open::warn_if_exposed(&args.path);
    snapshot.verify().map_err(|error| Failure::data(&args.path, &error))?;
    let origin = match &args.index {
        None => "not authenticated: give --index DIR to authenticate it",
        Some(index) => {
            let station = open::station(index, Durability::ProcessCrash, run)?;
            station.attach(&args.path)?;
            "authentic, and this fleet's"
        }
    };
    println!(
        "{}: sound: {} hints, every block; {origin}",
        args.path.display(),
        snapshot.stats().hints
    );
    Ok(())
}
