//! `hintdex roll`

use hintdex::{Durability, Station, StationOptions};

use crate::args::{RollArgs, RunArgs};
use crate::failure::Failure;
use crate::open;
use crate::progress;

pub fn run(args: &RollArgs, run: &RunArgs) -> Result<(), Failure> {
    let options = StationOptions { lean: args.lean, refill: true, ..run.station(Durability::Sync) };
    let station = Station::open_with(&args.index, &options, run.time.clock())?;
    open::write_notes(&station);
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
