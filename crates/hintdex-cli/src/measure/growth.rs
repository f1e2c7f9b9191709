//! Measuring growth: the same fleet at several sizes.

use super::figures::{Point, Size};
use super::forms::build;
use super::runner::{Fleet, Runner, Runs};
use super::take::Measurement;
use crate::args::{MeasureArgs, What};
use crate::failure::Failure;

/// The smallest fleet of the curves, without `--growth`.
const MIN_DEVICES: u32 = 10_000;

/// The sizes of `--growth`, or powers of ten up to `--devices`.
pub fn sizes(args: &MeasureArgs) -> Vec<u32> {
    let mut sizes = args.growth.clone().unwrap_or_else(|| {
        let decades = std::iter::successors(Some(MIN_DEVICES), |size| size.checked_mul(10));
        decades.take_while(|size| *size < args.devices).chain([args.devices]).collect()
    });
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// The number of processes that [`measure`] starts for these sizes.
pub fn processes(sizes: &[u32], runs: u8) -> u64 {
    sizes.len() as u64 * (3 + 2 * u64::from(runs))
}

/// Builds a fleet of one size and measures lookups in it.
pub fn measure(runner: &Runner<'_>, fleet: &Fleet) -> Result<Size, Failure> {
    let provisioned = runner.once(What::Provision, fleet, &[])?;
    let live = runner.several(What::Live, fleet, &[])?;
    let built = runner.once(What::Rebuild, fleet, &["--encoding", "ribbon", "--tries", "32"])?;
    let ribbon = runner.several(What::Snapshot, fleet, &[])?;
    let rolled = runner.once(What::Roll, fleet, &[])?;
    Ok(Size {
        devices: fleet.devices,
        hints: fleet.hints(),
        live: point(&provisioned, &live),
        ribbon: point(&built, &ribbon),
        roll_cpu_ns_per_hint: build(&rolled).cpu_ns_per_hint,
    })
}

fn point(built: &Measurement, looked_up: &Runs) -> Point {
    let any = looked_up.any();
    let build = build(built);
    Point {
        bytes_per_hint: any.bytes as f64 / any.hints.max(1) as f64,
        ns_per_lookup: looked_up.spread(|measured| measured.cpu_ns),
        batch_ns_per_lookup: looked_up.spread(|measured| measured.batch_cpu_ns),
        build_cpu_ns_per_hint: build.cpu_ns_per_hint,
        build_wall_s: build.wall_s,
        build_peak_resident_bytes: build.peak_resident_bytes,
        resident_bytes: any.memory.resident_bytes,
    }
}
