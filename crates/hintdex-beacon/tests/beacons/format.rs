//! The document of the files of a folder against the program.

use std::fs;
use std::path::Path;

use hintdex_beacon::format::{
    CLOCKS_MAGIC, CLOCKS_VERSION, Field, KEYS_MAGIC, KEYS_VERSION, WINDOWS_MAGIC, WINDOWS_VERSION,
    records,
};
use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::wire::HintKey;
use hintdex_beacon::{Registration, RollingPeriod, Rule, Scheme};

use crate::support::{Beacon, NOW, Random, Station};

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format/beacons.md");
    fs::read_to_string(path).expect("the document is there")
}

/// The fields that the document gives a record: its name, offset and width.
fn documented(document: &str, record: &str) -> Vec<(String, usize, usize)> {
    let lines = document
        .lines()
        .skip_while(|line| !line.trim_start_matches('#').trim().eq_ignore_ascii_case(record));
    let section = lines.skip(1).take_while(|line| !line.starts_with('#'));
    let field = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let number = |cell: &str| cell.parse().ok();
        Some((cells.get(2)?.trim_matches('`').to_owned(), number(cells[0])?, number(cells[1])?))
    };
    section.filter_map(field).collect()
}

fn differences(document: &str) -> Vec<String> {
    let mut differences = Vec::new();
    for (record, fields) in records() {
        let here: Vec<_> = fields
            .iter()
            .map(|(name, offset, width): &Field| (name.to_string(), *offset, *width))
            .collect();
        if documented(document, record) != here {
            differences.push(record.to_owned());
        }
    }
    let hex = |magic: [u8; 8]| magic.map(|byte| format!("{byte:02x}")).join(" ");
    for (what, text) in [
        ("magic of the keys", format!("keys begin with `{}`", hex(KEYS_MAGIC))),
        ("magic of the clocks", format!("clocks with `{}`", hex(CLOCKS_MAGIC))),
        ("magic of the record", format!("record of windows with `{}`", hex(WINDOWS_MAGIC))),
        (
            "version of the record",
            format!("Version of the record of windows: **{WINDOWS_VERSION}**"),
        ),
        ("version of the keys", format!("Version of the keys: **{KEYS_VERSION}**")),
        ("version of the clocks", format!("Version of the clocks: **{CLOCKS_VERSION}**")),
    ] {
        if !document.contains(&text) {
            differences.push(format!("{what}: {text}"));
        }
    }
    for scheme in Scheme::ALL {
        if !document.contains(&format!("{} {scheme}", scheme.number())) {
            differences.push(format!("the number of {scheme}"));
        }
    }
    differences
}

#[test]
fn the_document_has_the_offsets_and_widths_of_the_program() {
    assert_eq!(differences(&document()), [""; 0]);
}

#[test]
fn a_document_that_is_wrong_anywhere_is_noticed() {
    let right = document();
    for (from, to) in [
        ("| 12 | 4 | `beacons` | fewer", "| 12 | 8 | `beacons` | fewer"),
        ("| 8 | 16 | `key` |", "| 8 | 16 | `identity_key` |"),
        ("| 32 | 8 | `heard_unix_s` |", "| 34 | 8 | `heard_unix_s` |"),
        ("| 6 | 1 | `rolling_period` |", "| 6 | 2 | `rolling_period` |"),
        ("of windows with `89", "of windows with `88"),
        ("Version of the keys: **2**", "Version of the keys: **3**"),
        ("2 gaen", "4 gaen"),
    ] {
        assert!(right.contains(from), "{from}");
        assert_eq!(differences(&right.replacen(from, to, 1)).len(), 1, "{from}");
    }
}

/// The keys of a small folder, read by the words of the document alone.
#[test]
fn keys_are_what_the_document_says() {
    let mut random = Random::new(31);
    let station = Station::new(NOW);
    let beacon = Beacon::new(0x0102_0304, 9, -5, &mut random);
    let irk = HintKey::from_bytes([0xcd; 16]);
    let address = Registration { device: DeviceId(8), key: irk.clone(), rule: Rule::BleRpa };
    let period = RollingPeriod::new(60).expect("1 to 144");
    let rule = Rule::Gaen { start_interval: 144, rolling_period: period };
    let daily = Registration { device: DeviceId(9), key: irk, rule };
    let mut late = Beacon::new(10, 4, 5, &mut random).registration(NOW);
    if let Rule::EddystoneEid { is_randomized, .. } = &mut late.rule {
        *is_randomized = true;
    }
    station.register(NOW, [beacon.registration(NOW), address, daily, late]);
    let bytes = fs::read(station.folder.join("beacons.keys")).expect("a file");
    assert_eq!(bytes.len(), 64 + 4 * 40 + 4);
    assert_eq!(bytes[12..16], [4, 0, 0, 0]);
    assert_eq!(bytes[144..152], [9, 0, 0, 0, 2, 0, 60, 0]);
    assert_eq!(bytes[168..176], 144_u64.to_le_bytes());
    assert_eq!(bytes[184..192], [10, 0, 0, 0, 1, 4, 0, 1]);
    let row = &bytes[64..104];
    assert_eq!(row[..8], [4, 3, 2, 1, 1, 9, 0, 0]);
    assert_eq!(row[8..24], *beacon.key.expose());
    assert_eq!(row[24..32], (-5_i64).to_le_bytes());
    assert_eq!(row[32..40], NOW.to_le_bytes());
    let expected = [&[8, 0, 0, 0, 3, 0, 0, 0][..], &[0xcd; 16], &[0; 16]].concat();
    assert_eq!(bytes[104..144], expected);
}
