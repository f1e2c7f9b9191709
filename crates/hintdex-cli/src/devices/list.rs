//! `hintdex device list` and `hintdex device show`

use std::collections::HashMap;
use std::fmt::Write;
use std::io::BufWriter;

use hintdex::wire::DeviceId;
use hintdex::{DeviceSettings, Durability, KeyOrigin, KeyStatus, SlotInfo, Station};
use serde_json::{Map, Value, json};

use super::fleet::each_device;
use crate::args::{DeviceListArgs, DeviceShowArgs, IdRange};
use crate::call::Call;
use crate::failure::Failure;
use crate::id_map::IdMap;
use crate::open;
use crate::output::write_out;
use crate::settings_text::{settings_object, settings_text};
use crate::unix_time::time_text;

/// Text that is written at a time.
const BUFFER_LEN_BYTES: usize = 1 << 16;

pub fn list(args: &DeviceListArgs, call: &Call<'_>) -> Result<(), Failure> {
    let station = open::station(&args.fleet.index, Durability::ProcessCrash, call)?;
    let euis = IdMap::open(&call.console.path(&args.fleet.index)?)?.euis();
    let mut output = BufWriter::with_capacity(BUFFER_LEN_BYTES, call.console.out());
    let mut is_open = true;
    if !args.json {
        is_open = write_out(&mut output, &format!("{}\n", header()))?;
    }
    let mut text = String::new();
    each_device(&station, |keys, present| {
        if is_open && is_listed(args, present) {
            let settings = station.settings_in_use(present.key.device);
            let object = || object(keys, present, &euis, &settings);
            text.push_str(&if args.json { object() } else { row(present) });
            if text.len() >= BUFFER_LEN_BYTES {
                is_open = write_out(&mut output, &text)?;
                text.clear();
            }
        }
        Ok(())
    })?;
    if is_open {
        write_out(&mut output, &text)?;
    }
    Ok(())
}

pub fn show(args: &DeviceShowArgs, call: &Call<'_>) -> Result<(), Failure> {
    let station = open::station(&args.fleet.index, Durability::ProcessCrash, call)?;
    let keys = known_keys(&station, DeviceId(args.id))?;
    let euis = IdMap::open(&call.console.path(&args.fleet.index)?)?.euis();
    let mut text = if args.json { String::new() } else { format!("{}\n", header()) };
    let settings = station.settings_in_use(DeviceId(args.id));
    for key in keys.iter().rev() {
        text.push_str(&if args.json { object(&[], key, &euis, &settings) } else { row(key) });
    }
    if !args.json && !settings.is_empty() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "settings: {}", settings_text(&settings));
    }
    write_out(&mut call.console.out(), &text)?;
    Ok(())
}

/// The keys of a device of the fleet.
fn known_keys(station: &Station, device: DeviceId) -> Result<Vec<SlotInfo>, Failure> {
    let keys = station.keys_of(device);
    if keys.is_empty() {
        return Err(hintdex::Error::from(hintdex::IndexError::UnknownDevice(device)).into());
    }
    Ok(keys)
}

fn is_listed(args: &DeviceListArgs, present: &SlotInfo) -> bool {
    let id = present.key.device.0;
    let is_retired = present.status.is_retired();
    let is_named = IdRange::name(&args.ids, id);
    let is_silent = args
        .not_heard_since
        .is_none_or(|since_s| present.heard_unix_s.is_none_or(|heard_s| heard_s < since_s));
    let is_of_generation =
        args.generation.is_none_or(|generation| present.key.generation == generation);
    is_named && is_silent && is_of_generation && is_retired == args.retired
}

fn header() -> String {
    line(["device", "generation", "key", "state", "next nonce", "last heard", "clock offset"])
}

fn line([device, generation, origin, state, nonce, heard, clock]: [&str; 7]) -> String {
    let line = format!(
        "{device:>10} {generation:>10} {origin:<8} {state:<28} {nonce:>12} {heard:<20} {clock}"
    );
    line.trim_end().to_owned()
}

fn row(key: &SlotInfo) -> String {
    let state = match key.status {
        KeyStatus::Ending(unix_s) => format!("until {}", time_text(unix_s)),
        status => status.name().to_owned(),
    };
    let heard = key.heard_unix_s.map_or_else(|| "never".to_owned(), time_text);
    let clock = key
        .clock_offset_s
        .map_or_else(String::new, |(low_s, high_s)| format!("{low_s} to {high_s} s"));
    let fields = [
        &key.key.device.to_string(),
        &key.key.generation.to_string(),
        origin(key),
        &state,
        &key.next_nonce.to_string(),
        &heard,
        &clock,
    ];
    format!("{}\n", line(fields))
}

const fn origin(key: &SlotInfo) -> &'static str {
    match key.origin {
        KeyOrigin::Derived => "derived",
        KeyOrigin::Imported => "imported",
    }
}

/// The JSON object of a key, with the other keys of the device in short, and the settings of the
/// device.
fn object(
    all: &[SlotInfo],
    key: &SlotInfo,
    euis: &HashMap<u32, u64>,
    settings: &DeviceSettings,
) -> String {
    let mut object = short(key);
    object.insert("device".to_owned(), key.key.device.0.into());
    if let Some(eui) = euis.get(&key.key.device.0) {
        object.insert("eui".to_owned(), format!("{eui:016x}").into());
    }
    object.insert("next_nonce".to_owned(), key.next_nonce.into());
    object.insert("added".to_owned(), time_text(key.provisioned_unix_s).into());
    object.insert("last_heard".to_owned(), key.heard_unix_s.map(time_text).into());
    if let Some((low_s, high_s)) = key.clock_offset_s {
        object.insert("clock_offset_s".to_owned(), json!([low_s, high_s]));
    }
    if !settings.is_empty() {
        object.insert("settings".to_owned(), settings_object(settings).into());
    }
    let others: Vec<Value> = all
        .iter()
        .filter(|other| other.slot != key.slot)
        .map(|other| short(other).into())
        .collect();
    if !others.is_empty() {
        object.insert("other_keys".to_owned(), others.into());
    }
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}", Value::Object(object));
    text
}

fn short(key: &SlotInfo) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("generation".to_owned(), key.key.generation.into());
    object.insert("key".to_owned(), origin(key).into());
    object.insert("state".to_owned(), key.status.name().into());
    if let KeyStatus::Ending(unix_s) = key.status {
        object.insert("until".to_owned(), time_text(unix_s).into());
    }
    object
}
