//! `hintdex beacon sync`: the beacons of a scheme are brought to a list

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io;

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::{Change, Changes, Registration, Rule, Scheme, Selection};
use serde_json::{Map, Value};

use super::outcome::{publish, refused};
use super::registrations::{registration, table};
use crate::args::BeaconSyncArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::input::BadRecord;
use crate::input::lists;
use crate::output::write_out;
use crate::retire_missing;

/// The name of a beacon in its scheme: the id, and the rolling start of a daily key.
type Name = (DeviceId, Option<u32>);

pub fn run(args: &BeaconSyncArgs, call: &Call<'_>) -> Result<(), Failure> {
    let (list, now_unix_s) = (&args.list, call.run.time.clock().now_unix_s());
    let mut changes = Changes::open(&list.folder.beacons, now_unix_s)?;
    let (mut listed, mut text) = (HashSet::<Name>::new(), String::new());
    let [mut added, mut changed, mut unchanged] = [0_u64; 3];
    let input = lists::open(&list.file, &call.console)?;
    let options = list.list.options(None);
    let bad = lists::read(&list.file, input, table(list.scheme), &options, |line, fields| {
        let beacon = registration(fields, list.scheme, now_unix_s)?;
        if !listed.insert(name(&beacon)) {
            return Err(BadRecord::Other("its beacon is in the list twice").into());
        }
        let change = match changes.put(&beacon).map_err(refused)? {
            Change::Added => (&mut added, "added"),
            Change::Changed => (&mut changed, "changed"),
            Change::Unchanged => (&mut unchanged, ""),
        };
        *change.0 += 1;
        if args.json && !change.1.is_empty() {
            write_change(&mut text, Some(line), name(&beacon), change.1);
        }
        Ok(())
    })?;
    let bad = bad.finish(&list.file, &call.console)?;
    if listed.is_empty() {
        return Err(Failure::data(&list.file, &"the list has no beacon; nothing was changed"));
    }
    let missing = if args.retire_missing {
        missing(&changes, list.scheme, &listed, bad)?
    } else {
        Vec::new()
    };
    for beacon in &missing {
        let which =
            Selection { device: beacon.0, scheme: Some(list.scheme), start_interval: beacon.1 };
        changes.retire(&which).map_err(|refusal| Failure::usage(refusal.to_string()))?;
        if args.json {
            write_change(&mut text, None, *beacon, "retired");
        }
    }
    if !args.dry_run {
        publish(changes)?;
    }
    write_out(&mut io::stdout().lock(), &text)?;
    let what = if args.dry_run { "would be " } else { "" };
    eprintln!(
        "hintdex: {}: {what}{added} added, {changed} changed, {unchanged} unchanged, {} retired, \
         {bad} refused",
        list.folder.beacons.display(),
        missing.len(),
    );
    Ok(())
}

fn name(beacon: &Registration) -> Name {
    match beacon.rule {
        Rule::Gaen { start_interval, .. } => (beacon.device, Some(start_interval)),
        Rule::EddystoneEid { .. } | Rule::BleRpa => (beacon.device, None),
    }
}

fn write_change(text: &mut String, line: Option<u64>, (device, start): Name, change: &str) {
    let mut object = Map::new();
    object.extend(line.map(|line| ("line".to_owned(), Value::from(line))));
    object.insert("device".to_owned(), device.0.into());
    object.extend(start.map(|start| ("start_interval".to_owned(), Value::from(start))));
    object.insert("change".to_owned(), change.into());
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}", Value::Object(object));
}

/// The active beacons of the scheme that the list lacks.
///
/// # Errors
/// A line was refused: its beacon may be one of them. Or they are more than half of the beacons:
/// the list is rather cut off.
fn missing(
    changes: &Changes,
    scheme: Scheme,
    listed: &HashSet<Name>,
    refused: u64,
) -> Result<Vec<Name>, Failure> {
    retire_missing::check_refused(refused, "beacons")?;
    let active: Vec<Name> = changes.active(scheme).collect();
    let missing: Vec<Name> =
        active.iter().filter(|beacon| !listed.contains(beacon)).copied().collect();
    retire_missing::check_count(missing.len(), active.len(), "beacon")?;
    Ok(missing)
}
