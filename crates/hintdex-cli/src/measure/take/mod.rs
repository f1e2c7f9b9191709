//! `hintdex take`: takes one measurement in this process and prints it as one line of JSON.
//! `hintdex measure` starts it, in a fresh process for each measurement.
//!
//! After printing, the process waits until its standard input is closed, so that another
//! process can look at it from outside.

mod build;
mod lookups;
mod packets;
mod process;
mod sample;

use super::memory;
use crate::args::{RunArgs, TakeArgs, What};
use crate::failure::Failure;

pub use process::Measurement;

/// Takes the measurement of `args` and prints it.
pub fn run(args: &TakeArgs, run: &RunArgs) -> Result<(), Failure> {
    let before_bytes = memory::resident_bytes();
    match args.what {
        What::Provision => build::provision(args, run, before_bytes),
        What::Roll => build::roll(args, run, before_bytes),
        What::Rebuild => build::rebuild(args, run, before_bytes),
        What::Live => lookups::live(args, run, before_bytes),
        What::Snapshot => lookups::snapshot(args, before_bytes),
        What::Scan => lookups::scan(args, before_bytes),
        What::Station => packets::station(args, run, before_bytes),
        What::Decode => packets::decode(args, run, before_bytes),
    }
}
