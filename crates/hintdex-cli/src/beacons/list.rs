//! `hintdex beacon list` and `hintdex beacon show`

use std::io::{self, BufWriter};
use std::path::Path;

use hintdex_beacon::{BeaconClock, BeaconInfo, Inventory, Rule, Status};
use serde_json::{Map, Value, json};

use super::outcome::report;
use crate::args::{BeaconListArgs, BeaconShowArgs, IdRange};
use crate::call::Call;
use crate::failure::Failure;
use crate::open;
use crate::output::write_out;
use crate::unix_time::time_text;

/// Text that is written at a time.
const BUFFER_LEN_BYTES: usize = 1 << 16;

pub fn list(args: &BeaconListArgs, call: &Call<'_>) -> Result<(), Failure> {
    let inventory = opened(&args.folder.beacons, call)?;
    print(inventory.beacons().filter(|beacon| is_listed(args, beacon)), args.json)
}

pub fn show(args: &BeaconShowArgs, call: &Call<'_>) -> Result<(), Failure> {
    let inventory = opened(&args.folder.beacons, call)?;
    let mut of_id = inventory.beacons().filter(|beacon| beacon.device.0 == args.id).peekable();
    if of_id.peek().is_none() {
        let (id, folder) = (args.id, args.folder.beacons.display());
        return Err(Failure::usage(format!(
            "{folder}: no beacon of id {id} is registered; hintdex beacon list names all"
        )));
    }
    print(of_id, args.json)
}

fn opened(folder: &Path, call: &Call<'_>) -> Result<Inventory, Failure> {
    open::warn_if_exposed_in(folder, &call.console);
    let mut inventory = Inventory::open(folder)?;
    report(inventory.take_events());
    Ok(inventory)
}

fn print(beacons: impl Iterator<Item = BeaconInfo>, is_json: bool) -> Result<(), Failure> {
    let mut output = BufWriter::with_capacity(BUFFER_LEN_BYTES, io::stdout().lock());
    let header = ["device", "scheme", "state", "rule", "last heard", "clock offset"];
    let mut text = if is_json { String::new() } else { line(header) };
    let mut is_open = true;
    for beacon in beacons {
        text.push_str(&if is_json { object(&beacon) } else { row(&beacon) });
        if text.len() >= BUFFER_LEN_BYTES && is_open {
            is_open = write_out(&mut output, &text)?;
            text.clear();
        }
    }
    if is_open {
        write_out(&mut output, &text)?;
    }
    Ok(())
}

fn is_listed(args: &BeaconListArgs, beacon: &BeaconInfo) -> bool {
    let is_named = IdRange::name(&args.ids, beacon.device.0);
    let is_of_scheme = args.scheme.is_none_or(|scheme| beacon.rule.scheme() == scheme);
    let is_silent = |since_s: u64| {
        beacon.clock.is_some_and(|clock| clock.heard_unix_s.is_none_or(|heard_s| heard_s < since_s))
    };
    let is_retired = beacon.status != Status::Active;
    is_named
        && is_of_scheme
        && is_retired == args.retired
        && args.not_heard_since.is_none_or(is_silent)
}

fn line([device, scheme, state, rule, heard, clock]: [&str; 6]) -> String {
    let line = format!("{device:>10} {scheme:<13} {state:<8} {rule:<32} {heard:<20} {clock}");
    format!("{}\n", line.trim_end())
}

fn row(beacon: &BeaconInfo) -> String {
    let rule = match beacon.rule {
        Rule::EddystoneEid { k, is_randomized, .. } => {
            format!("k {}{}", k.get(), if is_randomized { ", randomized" } else { "" })
        }
        Rule::Gaen { start_interval, rolling_period } => {
            format!("{} intervals from {start_interval}", rolling_period.get())
        }
        Rule::BleRpa => String::new(),
    };
    let (heard, clock) = match &beacon.clock {
        None => (String::new(), String::new()),
        Some(BeaconClock { offset_s: (low_s, high_s), heard_unix_s, .. }) => (
            heard_unix_s.map_or_else(|| "never".to_owned(), time_text),
            format!("{low_s} to {high_s} s"),
        ),
    };
    let (scheme, state) = (beacon.rule.scheme().name(), beacon.status.name());
    line([&beacon.device.to_string(), scheme, state, &rule, &heard, &clock])
}

fn object(beacon: &BeaconInfo) -> String {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("device", beacon.device.0.into());
    put("scheme", beacon.rule.scheme().name().into());
    put("state", beacon.status.name().into());
    match beacon.rule {
        Rule::EddystoneEid { k, clock_offset_s, measured_unix_s, is_randomized } => {
            put("k", k.get().into());
            put("randomized", is_randomized.into());
            put("clock_offset_s", clock_offset_s.into());
            put("measured", time_text(measured_unix_s).into());
        }
        Rule::Gaen { start_interval, rolling_period } => {
            put("start_interval", start_interval.into());
            put("rolling_period", rolling_period.get().into());
        }
        Rule::BleRpa => {}
    }
    if let Some(BeaconClock { offset_s, heard_unix_s, has_former, suspected }) = &beacon.clock {
        put("last_heard", heard_unix_s.map(time_text).into());
        put("offset_bounds_s", json!([offset_s.0, offset_s.1]));
        put("has_former_clock", (*has_former).into());
        put("suspected_clocks", (*suspected).into());
    }
    format!("{}\n", Value::Object(object))
}
