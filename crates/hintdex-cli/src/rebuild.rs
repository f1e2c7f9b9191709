//! `hintdex rebuild`

use std::time::Instant;

use hintdex::{Durability, RebuildOptions};

use crate::args::RebuildArgs;
use crate::call::Call;
use crate::dial;
use crate::failure::Failure;
use crate::open;
use crate::progress;

/// The longest span of a snapshot, in seconds.
const MAX_SPAN_S: u64 = 366 * 86_400;

pub fn run(args: &RebuildArgs, call: &Call<'_>) -> Result<(), Failure> {
    let dial = dial::of(args.encoding, args.bits, args.tries, args.evaluations)?;
    let options = RebuildOptions {
        encoding: args.encoding,
        dial,
        horizon_nonces: args.horizon,
        span: args.from.zip(args.to),
        memory_bytes: call.run.memory,
        ..RebuildOptions::default()
    };
    if options.span.is_some_and(|(from, to)| from >= to) {
        return Err(Failure::usage("--from: give a time before --to"));
    }
    let started = Instant::now();
    let station = open::station(&args.index, Durability::ProcessCrash, call)?;
    if options.span.is_some() && !station.params().nonces.is_clocked() {
        return Err(Failure::usage(
            "--from: this fleet has counter nonces; give --horizon instead",
        ));
    }
    if options.span.is_some_and(|(from, to)| to.saturating_sub(from) > MAX_SPAN_S) {
        return Err(Failure::usage("--to: a snapshot spans a year at most; build several"));
    }
    let out = call.console.path(&args.out)?;
    let bar = progress::bar(&call.console, "rebuilding", "hints");
    let built = station.rebuild(&out, &options, Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    call.console.print(&format!(
        "wrote {}: {} hints in {} bytes, {:.3} bytes a hint, in {:.2} s\n",
        args.out.display(),
        built.hints,
        built.bytes,
        built.bytes as f64 / built.hints.max(1) as f64,
        started.elapsed().as_secs_f64(),
    ))
}
