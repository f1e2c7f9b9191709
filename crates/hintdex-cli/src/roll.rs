//! `hintdex roll`

use hintdex::Durability;

use crate::args::RollArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::open;
use crate::progress;

pub fn run(args: &RollArgs, call: &Call<'_>) -> Result<(), Failure> {
    let options = args.form.of(call.run.station(Durability::Sync));
    let station = open::with_options(&args.index, &options, call)?;
    let bar = progress::bar(&call.console, "rolling", "devices");
    station.roll(Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    let stats = station.stats()?;
    call.console.report(&format!(
        "{}: epoch {}, {} entries in the window{}",
        args.index.display(),
        stats.epoch,
        stats.entries,
        if stats.lean_snapshot.is_some() { ", the rest in the snapshot" } else { "" },
    ));
    Ok(())
}
