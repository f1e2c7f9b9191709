//! `hintdex beacon retire`, `revoke` and `set`

use std::io::{self, Write};

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::wire::beacon::eddystone::RotationExponent;
use hintdex_beacon::{Changes, Refusal, RollingPeriod, Selection, Setting};

use super::outcome::{counted, publish};
use crate::args::{BeaconSetArgs, SelectionArgs};
use crate::call::Call;
use crate::failure::Failure;

pub fn retire(args: &SelectionArgs, call: &Call<'_>) -> Result<(), Failure> {
    change(args, call, "retired", Changes::retire)
}

pub fn revoke(args: &SelectionArgs, call: &Call<'_>) -> Result<(), Failure> {
    change(args, call, "revoked", Changes::revoke)
}

pub fn set(args: &BeaconSetArgs, call: &Call<'_>) -> Result<(), Failure> {
    let setting = Setting {
        clock_offset_s: args.clock_offset,
        measured_unix_s: args.measured,
        k: args.exponent.and_then(RotationExponent::new),
        is_randomized: args.randomized,
        rolling_period: args.rolling_period.and_then(RollingPeriod::new),
    };
    change(&args.which, call, "changed", |changes, which| changes.set(which, &setting))
}

/// Applies a change to each selected id: to all of them, or to none.
fn change(
    args: &SelectionArgs,
    call: &Call<'_>,
    done: &str,
    mut each: impl FnMut(&mut Changes, &Selection) -> Result<u32, Refusal>,
) -> Result<(), Failure> {
    let mut changes =
        Changes::open_registered(&args.folder.beacons, call.run.time.clock().now_unix_s())?;
    let ids = args.ids.iter().flat_map(|range| range.first..=range.last);
    let (scheme, start_interval) = (args.scheme, args.start_interval);
    let mut changed = 0;
    for id in ids {
        let which = Selection { device: DeviceId(id), scheme, start_interval };
        let count = each(&mut changes, &which);
        changed += u64::from(
            count.map_err(|refusal| Failure::usage(format!("{refusal}; nothing was changed")))?,
        );
    }
    publish(changes)?;
    // A reader that has closed the pipe needs no more.
    let _ =
        writeln!(io::stdout(), "{done} {} in {}", counted(changed), args.folder.beacons.display());
    Ok(())
}
