//! `hintdex device import`

use std::path::Path;

use hintdex::{DeviceTransfer, Station, WrapKey};

use super::export::{check_value, wrap_key};
use super::fleet::{counted, device_count, open_changed, report};
use super::transfer_line::{Header, Line, VERSION};
use crate::args::DeviceImportArgs;
use crate::call::Call;
use crate::failure::Failure;
use crate::id_map::IdMap;
use crate::progress;
use crate::transfer_file::read_export;

pub fn run(args: &DeviceImportArgs, call: &Call<'_>) -> Result<(), Failure> {
    let station = open_changed(&args.changed, call)?;
    let wrap = wrap_key(args.wrap_key.as_ref(), call)?;
    let Export { devices, euis } = read(&call.console.path(&args.file)?, &station, wrap.as_ref())?;
    let mut map = IdMap::open(&call.console.path(&args.changed.fleet.index)?)?;
    map.take_all(&euis).map_err(|eui| {
        let why = format!("the EUI {eui:016x} or its id stands for another device in this fleet");
        Failure::data(&args.file, &format!("{why}; nothing was imported"))
    })?;
    map.publish()?;
    let bar = progress::bar(&call.console, "importing", "devices");
    station.import(&devices, wrap.as_ref(), Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    let what = format!("imported {} with their states", counted(device_count(&devices)));
    report(call, &station, &args.changed.fleet.index, &what);
    Ok(())
}

/// An export, after every check.
struct Export {
    devices: Vec<DeviceTransfer>,
    /// The EUIs of devices, with their ids.
    euis: Vec<(u64, u32)>,
}

/// Reads a whole export.
fn read(path: &Path, station: &Station, wrap: Option<&WrapKey>) -> Result<Export, Failure> {
    let mut export = Export { devices: Vec::new(), euis: Vec::new() };
    let take = |line: u64, text: &str| {
        if line == 1 {
            let header = serde_json::from_str(text)
                .map_err(|_| "it is no export; write one with hintdex device export")?;
            return check_header(&header, station, wrap);
        }
        // The text of a line is not quoted: it may hold keys.
        let parsed = serde_json::from_str::<Line>(text);
        let parsed = parsed.map_err(|_| "it is no line of an export")?;
        export.euis.extend(parsed.eui()?.map(|eui| (eui, parsed.device)));
        export.devices.push(parsed.transfer()?);
        Ok(())
    };
    let check = |digest: &[u8]| check_value(wrap, station.key_source().as_ref(), digest);
    read_export(path, take, check, WRONG_CHECK)?;
    Ok(export)
}

const WRONG_CHECK: &str = "the export was changed, or is of a fleet with another master key; \
    export it again, with --wrap-key for a fleet with another master key";

fn check_header(header: &Header, station: &Station, wrap: Option<&WrapKey>) -> Result<(), String> {
    let Header {
        hint,
        nonce,
        suite,
        associated_data,
        lead,
        station_point,
        schedule,
        ratchet_bits: bits,
        ..
    } = Header::of(&station.params(), header.wrapped);
    if header.hintdex_devices != VERSION {
        let found = header.hintdex_devices;
        return Err(format!("it is an export of version {found}, this program reads {VERSION}"));
    }
    if (&header.hint, &header.nonce) != (&hint, &nonce) {
        let Header { hint: its_hint, nonce: its_nonce, .. } = header;
        let is_known = |text: &str| text.len() <= 24 && text.is_ascii();
        if !is_known(its_hint) || !is_known(its_nonce) {
            return Err("its hint scheme is unknown".to_owned());
        }
        return Err(format!(
            "its devices send {its_hint} hints of {its_nonce} nonces, and this fleet has {hint} \
             and {nonce}; provision a fleet of that kind"
        ));
    }
    if (&header.suite, &header.associated_data, &header.lead) != (&suite, &associated_data, &lead) {
        return Err("its devices have another suite, other associated data or another lead than this fleet; \
             provision a fleet with the --suite, --associated-data and --lead of the exporting one"
            .to_owned());
    }
    if header.station_point != station_point {
        return Err(
            "its devices seal their packets for another station; provision a fleet with the \
              --station-key of the exporting one"
                .to_owned(),
        );
    }
    if header.schedule != schedule {
        let of = |schedule: Option<&str>| match schedule {
            None => "without a schedule".to_owned(),
            Some(text) if text.len() <= 24 && text.is_ascii() => format!("by the schedule {text}"),
            Some(_) => "by an unknown schedule".to_owned(),
        };
        return Err(format!(
            "its devices send {}, and those of this fleet {}; provision a fleet with the --schedule \
             of the exporting one, or without",
            of(header.schedule.as_deref()),
            of(schedule.as_deref())
        ));
    }
    if header.ratchet_bits != bits {
        let of = |bits: u8| match bits {
            0 => "keys that do not move on".to_owned(),
            bits => format!("key epochs of 2^{bits} nonces"),
        };
        return Err(format!(
            "its devices have {}, and this fleet has {}; provision a fleet with the same \
             --ratchet-bits, or without",
            of(header.ratchet_bits),
            of(bits)
        ));
    }
    match (header.wrapped, wrap) {
        (true, None) => Err("its keys are wrapped; give the --wrap-key of the export".to_owned()),
        (false, Some(_)) => Err("its keys are not wrapped; leave --wrap-key out".to_owned()),
        _ => Ok(()),
    }
}
