//! `hintdex verify`

use hintdex::Durability;
use hintdex::snapshot::Snapshot;

use crate::args::VerifyArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::open;
use crate::progress;

pub fn run(args: &VerifyArgs, call: &Call<'_>) -> Result<(), Failure> {
    if call.console.path(&args.path)?.is_file() {
        return verify_snapshot(args, call);
    }
    let station = open::station(&args.path, Durability::ProcessCrash, call)?;
    let bar = progress::bar(&call.console, "verifying", "devices");
    let verified = station.verify(Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    call.console.print(&format!(
        "{}: sound: {} keys, {} live hints found, {} buckets of {} entries, {} rows read with their checksums\n",
        args.path.display(),
        verified.slots,
        verified.hints,
        verified.buckets,
        verified.entries,
        verified.rows,
    ))
}

fn verify_snapshot(args: &VerifyArgs, call: &Call<'_>) -> Result<(), Failure> {
    let path = call.console.path(&args.path)?;
    let snapshot = Snapshot::open_unauthenticated(&path);
    let snapshot = snapshot.map_err(|error| Failure::data(&args.path, &error))?;
    open::warn_if_exposed(&path, &call.console);
    snapshot.verify().map_err(|error| Failure::data(&args.path, &error))?;
    let origin = match &args.index {
        None => "not authenticated: give --index DIR to authenticate it",
        Some(index) => {
            let station = open::station(index, Durability::ProcessCrash, call)?;
            station.check_snapshot(&path)?;
            "authentic, and this fleet's"
        }
    };
    call.console.print(&format!(
        "{}: sound: {} hints, every block; {origin}\n",
        args.path.display(),
        snapshot.stats().hints
    ))
}
