//! `hintdex roll`

use hintdex::Durability;

use crate::args::{RollArgs, RunArgs};
use crate::failure::Failure;
use crate::open;
use crate::progress;

pub fn run(args: &RollArgs, run: &RunArgs) -> Result<(), Failure> {
    let options = args.form.of(run.station(Durability::Sync));
    let station = open::with_options(&args.index, &options, run)?;
    let bar = progress::bar("rolling", "devices");
    station.roll(Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    let stats = station.stats()?;
    eprintln!(
        "hintdex: {}: epoch {}, {} entries in the window{}",
        args.index.display(),
        stats.epoch,
        stats.entries,
        if stats.lean_snapshot.is_some() { ", the rest in the snapshot" } else { "" },
    );
    Ok(())
}
