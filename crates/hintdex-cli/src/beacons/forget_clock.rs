//! `hintdex beacon forget-clock`

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::{Options, Resolver};

use crate::args::{ForgetClockArgs, RunArgs};
use crate::failure::Failure;
use crate::open;

pub fn run(args: &ForgetClockArgs, run: &RunArgs) -> Result<(), Failure> {
    let clock = Box::new(run.time.clock());
    open::warn_if_exposed_in(&args.folder.beacons);
    let mut resolver = Resolver::open(&args.folder.beacons, Options::default(), clock)?;
    for event in resolver.take_events() {
        eprintln!("hintdex: {event}");
    }
    resolver.forget_clock(DeviceId(args.id))?;
    println!("the clock of beacon {} is what its registration says", args.id);
    Ok(resolver.close()?)
}
