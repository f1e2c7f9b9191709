//! Measuring builds: provisioning, the next window, a snapshot.

use hintdex::wire::DeviceId;
use hintdex::{DeviceRange, Params, RebuildOptions, Station, Stats};

use super::process::{
    Measurement, Stopwatch, dial, memory_now, options, print_and_wait, snapshot_path,
};
use crate::args::{RunArgs, TakeArgs};
use crate::failure::Failure;

/// Measures provisioning: a new fleet in `--index`, from a new master key to a synced index.
pub fn provision(args: &TakeArgs, run: &RunArgs, before_bytes: u64) -> Result<(), Failure> {
    let params = Params::counters(args.hint, args.lookahead);
    let station = Station::create(&args.index, None, params, &options(run))?;
    let watch = Stopwatch::start();
    station.provision(&[DeviceRange::new(DeviceId(0), args.devices)], None)?;
    let measured = built(&watch, before_bytes)?;
    print_and_wait(&with_stats(measured, &station.stats()?))
}

/// Measures building the next window of the fleet in `--index`.
pub fn roll(args: &TakeArgs, run: &RunArgs, before_bytes: u64) -> Result<(), Failure> {
    let station = Station::open(&args.index, &options(run))?;
    let watch = Stopwatch::start();
    station.roll(None)?;
    let measured = built(&watch, before_bytes)?;
    print_and_wait(&with_stats(measured, &station.stats()?))
}

/// Measures building a snapshot of the fleet, as far ahead as its index.
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
    let measured = built(&watch, before_bytes)?;
    print_and_wait(&Measurement { hints: report.hints, bytes: report.bytes, ..measured })
}

fn built(watch: &Stopwatch, before_bytes: u64) -> Result<Measurement, Failure> {
    Ok(Measurement {
        wall_s: watch.wall().as_secs_f64(),
        cpu_s: watch.cpu().as_secs_f64(),
        memory: memory_now(before_bytes, None)?,
        ..Measurement::default()
    })
}

fn with_stats(measured: Measurement, stats: &Stats) -> Measurement {
    let sections = stats.sections.iter();
    Measurement {
        hints: stats.hints,
        bytes: stats.disk_bytes(),
        sections: sections.map(|section| (section.name.to_owned(), section.disk_bytes)).collect(),
        ..measured
    }
}
