//! `hintdex beacon forget-clock`

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::{Options, Resolver};

use crate::args::ForgetClockArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::open;

pub fn run(args: &ForgetClockArgs, call: &Call<'_>) -> Result<(), Failure> {
    let clock = Box::new(call.run.time.clock());
    open::warn_if_exposed_in(&args.folder.beacons, &call.console);
    let mut resolver = Resolver::open(&args.folder.beacons, Options::default(), clock)?;
    for event in resolver.take_events() {
        eprintln!("hintdex: {event}");
    }
    resolver.forget_clock(DeviceId(args.id))?;
    println!("the clock of beacon {} is what its registration says", args.id);
    Ok(resolver.close()?)
}
