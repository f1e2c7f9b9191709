//! `hintdex device import`

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use hintdex::wire::RatchetBits;
use hintdex::{DeviceTransfer, Station, WrapKey};
use sha2::{Digest, Sha256};

use super::export::check_value;
use super::fleet::{counted, device_count, open_changed, report};
use super::transfer_line::{Header, Line, Trailer, VERSION};
use crate::args::{DeviceImportArgs, RunArgs};
use crate::failure::Failure;
use crate::id_map::IdMap;
use crate::progress;

pub fn run(args: &DeviceImportArgs, run: &RunArgs) -> Result<(), Failure> {
    let station = open_changed(&args.changed, run)?;
    let wrap = args.wrap_key.as_ref().map(WrapKey::read).transpose()?;
    let Export { devices, euis } = read(&args.file, &station, wrap.as_ref())?;
    let mut map = IdMap::open(&args.changed.fleet.index)?;
    map.take_all(&euis).map_err(|eui| {
        let why = format!("the EUI {eui:016x} or its id stands for another device in this fleet");
        Failure::data(&args.file, &format!("{why}; nothing was imported"))
    })?;
    map.publish()?;
    let bar = progress::bar("importing", "devices");
    station.import(&devices, wrap.as_ref(), Some(&progress::reporter(&bar)))?;
    bar.finish_and_clear();
    let what = format!("imported {} with their states", counted(device_count(&devices)));
    report(&station, &args.changed.fleet.index, &what);
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
    let failed = |error: std::io::Error| Failure::io("reading the export", path, &error);
    let bad = |line: usize, why: &dyn std::fmt::Display| {
        Failure::data(path, &format!("line {line}: {why}; nothing was imported"))
    };
    let mut input = BufReader::new(File::open(path).map_err(failed)?);
    let (mut digest, mut text) = (Sha256::new(), String::new());
    let (mut devices, mut euis) = (Vec::new(), Vec::new());
    for line in 1.. {
        text.clear();
        let read = input.by_ref().take(MAX_LINE_LEN_BYTES).read_line(&mut text).map_err(failed)?;
        if read == 0 {
            return Err(bad(line, &"the export ends without its last line; it was cut off"));
        }
        if line == 1 {
            let header = serde_json::from_str(&text)
                .map_err(|_| bad(1, &"it is no export; write one with hintdex device export"))?;
            check_header(&header, station, wrap).map_err(|why| bad(1, &why))?;
        } else if let Ok(Trailer { keys, check }) = serde_json::from_str(&text) {
            let is_whole = keys == devices.len() as u64;
            let expected = check_value(wrap, station.key_source().as_ref(), &digest.finalize());
            return match (is_whole, check == expected) {
                (true, true) => Ok(Export { devices, euis }),
                _ => Err(bad(line, &WRONG_CHECK)),
            };
        } else {
            // The text of a line is not quoted: it may hold keys.
            let parsed = serde_json::from_str::<Line>(&text);
            let parsed = parsed.map_err(|_| bad(line, &"it is no line of an export"))?;
            let eui = parsed.eui().map_err(|why| bad(line, &why))?;
            euis.extend(eui.map(|eui| (eui, parsed.device)));
            devices.push(parsed.transfer().map_err(|why| bad(line, &why))?);
        }
        digest.update(text.as_bytes());
    }
    Ok(Export { devices, euis })
}

/// The longest line that an export has.
const MAX_LINE_LEN_BYTES: u64 = 1 << 16;

const WRONG_CHECK: &str = "the export was changed, or is of a fleet with another master key; \
    export it again, with --wrap-key for a fleet with another master key";

fn check_header(header: &Header, station: &Station, wrap: Option<&WrapKey>) -> Result<(), String> {
    let params = station.params();
    let (hint, nonce) = (params.scheme.name().to_owned(), params.nonces.to_string());
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
    let (its_bits, bits) = (header.ratchet_bits, params.ratchet.map_or(0, RatchetBits::bits));
    if its_bits != bits {
        let of = |bits: u8| match bits {
            0 => "keys that do not move on".to_owned(),
            bits => format!("key epochs of 2^{bits} nonces"),
        };
        return Err(format!(
            "its devices have {}, and this fleet has {}; provision a fleet with the same \
             --ratchet-bits, or without",
            of(its_bits),
            of(bits)
        ));
    }
    match (header.wrapped, wrap) {
        (true, None) => Err("its keys are wrapped; give the --wrap-key of the export".to_owned()),
        (false, Some(_)) => Err("its keys are not wrapped; leave --wrap-key out".to_owned()),
        _ => Ok(()),
    }
}
