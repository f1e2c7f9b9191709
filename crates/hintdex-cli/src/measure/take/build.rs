//! Building: a fleet provisioned, its next window, a snapshot of it.

use hintdex::wire::DeviceId;
use hintdex::{DeviceRange, Params, RebuildOptions, Station, Stats};

use super::{Stopwatch, Taken, dial, memory_now, options, snapshot_path, tell};
use crate::args::{RunArgs, TakeArgs};
use crate::failure::Failure;

/// A new fleet in `--index`, from a new master key to a synced index.
pub fn provision(args: &TakeArgs, run: &RunArgs, before_bytes: u64) -> Result<(), Failure> {
    let params = Params::counters(args.hint, args.lookahead);
    let station = Station::create(&args.index, None, params, &options(run))?;
    let watch = Stopwatch::start();
    station.provision(&[DeviceRange::new(DeviceId(0), args.devices)], None)?;
    let taken = built(&watch, before_bytes)?;
    tell(&with_stats(taken, &station.stats()?))
}

/// The next window of the fleet in `--index`.
pub fn roll(args: &TakeArgs, run: &RunArgs, before_bytes: u64) -> Result<(), Failure> {
    let station = Station::open(&args.index, &options(run))?;
    let watch = Stopwatch::start();
    station.roll(None)?;
    let taken = built(&watch, before_bytes)?;
    tell(&with_stats(taken, &station.stats()?))
}

/// A snapshot of the fleet, as far ahead as its index.
pub fn rebuild(args: &TakeArgs, run: &RunArgs, before_bytes: u64) -> Result<(), Failure> {
    let station = Station::open(&args.index, &options(run))?;
    let options = RebuildOptions {
        encoding: args.encoding,
        dial: dial(args),
        horizon_nonces: args.lookahead.into(),
        memory_bytes: run.memory,
        ..RebuildOptions::default()
    };
    let watch = Stopwatch::start();
    let report = station.rebuild(snapshot_path(args)?, &options, None)?;
    let taken = built(&watch, before_bytes)?;
    tell(&Taken { hints: report.hints, bytes: report.bytes, ..taken })
}

fn built(watch: &Stopwatch, before_bytes: u64) -> Result<Taken, Failure> {
    Ok(Taken {
        wall_s: watch.wall().as_secs_f64(),
        cpu_s: watch.cpu().as_secs_f64(),
        memory: memory_now(before_bytes, None)?,
        ..Taken::default()
    })
}

fn with_stats(taken: Taken, stats: &Stats) -> Taken {
    let sections = stats.sections.iter();
    Taken {
        hints: stats.hints,
        bytes: stats.disk_bytes(),
        sections: sections.map(|section| (section.name.to_owned(), section.disk_bytes)).collect(),
        ..taken
    }
}
