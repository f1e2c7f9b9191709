//! The spellings of what people hold: each with what is loaded, or with the message.

use std::path::Path;

use hintdex_beacon::Scheme;

use super::id_text::{GivenId, read_id};
use super::key_text::read_key;
use super::lists::{self, BadLines, Format, ListOptions};
use super::packets::{self, Line, TrailingField};
use super::secret::SecretReader;
use super::table::{BadRecord, Table};
use crate::beacons::registrations::table;
use crate::beacons::sightings;
use crate::console::Console;
use crate::failure::Failure;
use crate::provision::device_list;
use crate::unix_time::read_time;

/// The key of every row of a list.
const KEY: [u8; 16] = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes();
const KEY_HEX: &str = "00112233445566778899aabbccddeeff";

/// Reads a list.
fn read(list: &[u8], table: &'static Table, options: &ListOptions) -> Result<Loaded, Failure> {
    let mut loaded = Vec::new();
    let input = SecretReader::new(1 << 16, list);
    let bad = lists::read(Path::new("list"), input, table, options, |line, fields| {
        if table.name == "ble-rpa" && *fields.key::<16>("key")? != KEY {
            return Err(BadRecord::Other("another key").into());
        }
        loaded.push(match fields.device("id")? {
            GivenId::Number(id) => format!("{line}:{id}"),
            GivenId::Eui(eui) => format!("{line}:eui {eui:x}"),
        });
        Ok(())
    })?;
    Ok((loaded.join(" "), bad))
}

type Loaded = (String, BadLines);

/// What a list loads, as `line:id` for each record, or the message of its failure.
fn outcome(list: &[u8], table: &'static Table, options: &ListOptions) -> String {
    match read(list, table, options) {
        Err(failure) => failure.to_string(),
        Ok((loaded, bad)) => bad.message().unwrap_or(loaded),
    }
}

/// A list in which `<K>` stands for the key.
fn with_key(text: &str) -> String {
    text.replace("<K>", KEY_HEX)
}

/// Lists of `ble-rpa`, and what they load.
const LISTS: &[(&str, &str)] = &[
    // Separators.
    ("id,irk\n5,<K>\n6,<K>\n", "2:5 3:6"),
    ("id;irk\n5;<K>\n", "2:5"),
    ("id\tirk\n5\t<K>\n", "2:5"),
    ("id   irk\n5  <K>\n  6 \t <K>\n", "2:5 3:6"),
    ("id, irk\n5, <K>\n", "2:5"),
    ("sep=;\nid;irk\n5;<K>\n", "3:5"),
    ("\"sep=,\"\nid,irk\n5,<K>\n", "3:5"),
    // Line ends, empty lines, comments, a byte order mark.
    ("\u{feff}id,irk\r\n5,<K>\r\n", "2:5"),
    ("id,irk\r5,<K>\r6,<K>", "2:5 3:6"),
    ("# made by hand\n\nid,irk\n\n# a comment\n5,<K>\n \t\n6,<K>", "6:5 8:6"),
    // Headers.
    ("ID,IRK\n5,<K>\n", "2:5"),
    (" Device-ID , Key \n5,<K>\n", "2:5"),
    ("irk,device id\n<K>,5\n", "2:5"),
    // Quotes and trailing separators.
    ("\"id\",\"irk\"\n\"5\",\"<K>\"\n", "2:5"),
    ("id,irk,\n5,<K>,\n6,<K>\n7,<K>,,,\n", "2:5 3:6 4:7"),
    (
        "id;irk\n5;\"<K>\n",
        "line 2: a quotation mark has no partner; close it at the end of its field; nothing was imported",
    ),
    // A field too many or too few.
    ("id,irk\n5\n", "line 2: 1 values where the header has 2 columns; nothing was imported"),
    (
        "id,irk\n5,<K>,7\n6,<K>\n7\n",
        "line 2: 3 values where the header has 2 columns; 1 more line is bad; nothing was imported",
    ),
    // Unknown, repeated and missing columns.
    (
        "id,irk,site\n5,<K>,north\n",
        "list: line 1: unknown column \"site\" in place 3; ble-rpa knows id,key; remove the column, or skip it with --ignore-extra; nothing was imported",
    ),
    ("id,irk,Key\n", "list: line 1: column key occurs twice; remove one; nothing was imported"),
    ("key\n<K>\n", "list: line 1: no column id; ble-rpa needs id,key; nothing was imported"),
    (
        "5,<K>\n",
        "list: line 1: unknown column \"5\" in place 1; ble-rpa knows id,key; write the names of the columns into the first line; nothing was imported",
    ),
    // JSON.
    ("{\"id\":5,\"irk\":\"<K>\"}\n{\"irk\":\"<K>\",\"id\":\"6\"}\n", "1:5 2:6"),
    ("[{\"id\":5,\"irk\":\"<K>\"},{\"id\":6,\"irk\":\"<K>\"}]", "1:5 1:6"),
    (
        "[\r\n {\r\n  \"ID\": 5.0,\r\n  \"Irk\": \"<K>\"\r\n },\r\n {\"id\":6,\"irk\":\"<K>\"}\r\n]\r\n",
        "2:5 6:6",
    ),
    ("{\"id\":\"5\",\"irk\":\"ABEiM0RVZneImaq7zN3u\\/w==\"}", "1:5"),
    (
        "{\"id\":5,\"irk\":\"<K>\"",
        "line 1: the JSON object does not end; close it with }; nothing was imported",
    ),
    (
        "{\"id\":5,\n{\"id\":\"x\",\"irk\":\"<K>\"}",
        "line 1: the JSON object does not end; close it with }; 1 more line is bad; nothing was imported",
    ),
    (
        "{\"id\":5,\n{\"id\":6,\"irk\":\"<K>\"}",
        "line 1: the JSON object does not end; close it with }; nothing was imported",
    ),
    (
        "[{\"id\":5,\"irk\":\"<K>\"}",
        "list: the JSON array does not end; the file is cut off; nothing was imported",
    ),
    (
        "{\"id\":5,\"irk\":null}",
        "line 1: no column key; ble-rpa needs id,key; nothing was imported",
    ),
    (
        "{\"id\":[5],\"irk\":\"<K>\"}",
        "line 1: not a JSON object of numbers and strings; nothing was imported",
    ),
    (
        "{\"id\":1e3,\"irk\":\"<K>\"}",
        "line 1: id \"1e3\" is no device id; write 0 to 4294967295, or an EUI of 16 hex digits; nothing was imported",
    ),
    (
        "{\"id\":5,\"irk\":\"<K>\",\"site\":{\"a\":[1]}}",
        "line 1: unknown column \"site\" in place 3; ble-rpa knows id,key; remove the column, or skip it with --ignore-extra; nothing was imported",
    ),
    // Nothing.
    ("", ""),
    ("\n# nothing\n", ""),
];

#[test]
fn a_list_is_csv_with_any_usual_separator_or_json() {
    for (list, expected) in LISTS {
        let loaded =
            outcome(with_key(list).as_bytes(), table(Scheme::BleRpa), &ListOptions::default());
        assert_eq!(loaded, *expected, "{list}");
    }
}

#[test]
fn extra_columns_and_bad_lines_are_skipped_on_request() {
    let ignore = ListOptions { ignore_extra: true, ..ListOptions::default() };
    for (list, expected) in [
        ("id,irk,site\n5,<K>,north\n6,<K>,\"a, \"\"b\"\"\"\n", "2:5 3:6"),
        ("site;id;irk;;\nM\u{fc}nchen;5;<K>;;\n", "2:5"),
        ("{\"id\":5,\"irk\":\"<K>\",\"at\":{\"x\":[1,\"}\"]},\"up\":true}", "1:5"),
        ("5,<K>\n", "list: line 1: no column id; ble-rpa needs id,key; nothing was imported"),
    ] {
        assert_eq!(
            outcome(with_key(list).as_bytes(), table(Scheme::BleRpa), &ignore),
            expected,
            "{list}"
        );
    }
    // The text of an ignored column need not be UTF-8; that of a key must.
    let latin = [b"site,id,irk\nM\xfcnchen,5,", KEY_HEX.as_bytes()].concat();
    assert_eq!(outcome(&latin, table(Scheme::BleRpa), &ignore), "2:5");
    let latin = b"id,irk\n5,\xfc\n";
    let why = "line 2: not UTF-8 text; save the list as UTF-8 or as UTF-16; nothing was imported";
    assert_eq!(outcome(latin, table(Scheme::BleRpa), &ignore), why);
    // Bad lines are counted, and the others loaded; a list without its end is refused.
    let skip = ListOptions { skip_bad: true, ..ListOptions::default() };
    let list = with_key("id,irk\nx,<K>\n5,<K>\n6,<K>0\n7,<K>\n");
    let (loaded, bad) = read(list.as_bytes(), table(Scheme::BleRpa), &skip)
        .unwrap_or_else(|why| unreachable!("{why}"));
    assert_eq!(
        (loaded.as_str(), bad.finish(Path::new("list"), &Console::of_process()).ok()),
        ("3:5 5:7", Some(2))
    );
    assert!(read(b"[", table(Scheme::BleRpa), &skip).is_err());
}

#[test]
fn a_list_is_utf8_or_utf16_with_its_mark() {
    let text = with_key("id;irk\r\n5;<K>\r\n");
    let units = || text.encode_utf16();
    let le: Vec<u8> = [0xff, 0xfe].into_iter().chain(units().flat_map(u16::to_le_bytes)).collect();
    let be: Vec<u8> = [0xfe, 0xff].into_iter().chain(units().flat_map(u16::to_be_bytes)).collect();
    let unmarked: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
    let strict = ListOptions::default();
    assert_eq!(outcome(&le, table(Scheme::BleRpa), &strict), "2:5");
    assert_eq!(outcome(&be, table(Scheme::BleRpa), &strict), "2:5");
    assert!(outcome(&unmarked, table(Scheme::BleRpa), &strict).contains("line 1: unknown column"));
}

#[test]
fn an_id_is_a_number_or_an_eui() {
    const EUI: Result<GivenId, &str> = Ok(GivenId::Eui(0x70b3_d57e_d000_1234));
    const NO_ID: &str = "is no device id; write 0 to 4294967295, or an EUI of 16 hex digits";
    let short = "is an address of 48 bits; write a number, or an EUI of 64 bits";
    let both = "is a number or an EUI; write the number without zeros in front, or the EUI with a dash after each pair of digits";
    for (text, expected) in [
        ("5", Ok(GivenId::Number(5))),
        ("0", Ok(GivenId::Number(0))),
        ("4294967295", Ok(GivenId::Number(u32::MAX))),
        ("0x2A", Ok(GivenId::Number(42))),
        ("0XFFFFFFFF", Ok(GivenId::Number(u32::MAX))),
        ("5.0", Ok(GivenId::Number(5))),
        ("5.000", Ok(GivenId::Number(5))),
        ("70B3D57ED0001234", EUI),
        ("70b3d57ed0001234", EUI),
        ("0x70B3D57ED0001234", EUI),
        ("70:b3:d5:7e:d0:00:12:34", EUI),
        ("70-B3-D5-7E-D0-00-12-34", EUI),
        ("0000000000000005", Err(both)),
        ("7013557000001234", Ok(GivenId::Eui(0x7013_5570_0000_1234))),
        ("70:b3:d5:7e:d0:00", Err(short)),
        ("70b3d57ed000", Err(short)),
        ("5.5", Err(NO_ID)),
        ("5.", Err(NO_ID)),
        ("1e3", Err(NO_ID)),
        ("-5", Err(NO_ID)),
        ("4294967296", Err(NO_ID)),
        ("0x100000000", Err(NO_ID)),
        ("0x", Err(NO_ID)),
        ("70:b3:d5-7e:d0:00:12:34", Err(NO_ID)),
        ("", Err(NO_ID)),
    ] {
        let read = read_id(text).map_err(|why| {
            let bad = BadRecord::Id { name: "id", given: String::new(), why }.to_string();
            bad.replacen("id  ", "", 1)
        });
        assert_eq!(read, expected.map_err(str::to_owned), "{text}");
    }
    let list = with_key("Dev-EUI;hint_key;dev_key\n70B3D57ED0001234;;\n7;;\n");
    let outcome = outcome(list.as_bytes(), &device_list::TABLE, &ListOptions::default());
    assert_eq!(outcome, "2:eui 70b3d57ed0001234 3:7");
}

#[test]
fn a_key_is_hex_or_base64_of_its_length() {
    let length =
        |digits: usize| Err(format!("the key has {digits} hex digits, it needs 32 (16 bytes)"));
    let other = |given: &str| {
        Err(format!(
            "the key is not hex but {given}; it needs 32 hex digits, or base64 of 16 bytes"
        ))
    };
    for (text, expected) in [
        ("00112233445566778899aabbccddeeff", Ok(())),
        ("00112233445566778899AABBCCDDEEFF", Ok(())),
        ("0x00112233445566778899aabbccddeeff", Ok(())),
        ("00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff", Ok(())),
        ("00-11-22-33-44-55-66-77-88-99-AA-BB-CC-DD-EE-FF", Ok(())),
        ("00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff", Ok(())),
        ("00112233-4455-6677-8899-aabbccddeeff", Ok(())),
        ("ABEiM0RVZneImaq7zN3u/w==", Ok(())),
        ("ABEiM0RVZneImaq7zN3u/w", Ok(())),
        ("ABEiM0RVZneImaq7zN3u_w", Ok(())),
        ("ABEiM0RVZneImaq7zN3u_w==", Ok(())),
        ("irk:00112233445566778899aabbccddeeff", Ok(())),
        ("IRK: ABEiM0RVZneImaq7zN3u/w==", Ok(())),
        ("key:00112233445566778899aabbccddeeff", Ok(())),
        ("hex:00112233445566778899aabbccddeeff", Ok(())),
        ("base64:ABEiM0RVZneImaq7zN3u/w==", Ok(())),
        ("key:base64:ABEiM0RVZneImaq7zN3u_w", Ok(())),
        ("00112233", length(8)),
        ("00112233445566778899aabbccddeeff00", length(34)),
        ("hex:ABEiM0RVZneImaq7zN3u/w==", other("24 characters")),
        ("base64:00112233445566778899aabbccddeeff", other("32 hex digits, as base64 24 bytes")),
        ("ABEiM0RVZneImaq7zN3u/x==", other("24 characters")),
        ("ABEiM0RVZneImaq7zN3u/w=", other("23 characters")),
        ("ABEiM0RVZne_maq7zN3u/w==", other("24 characters")),
        ("ABEiM0RVZneImaq7zN3u", other("20 letters and digits, as base64 15 bytes")),
        ("00:1:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff", other("46 characters")),
        ("no key at all", other("13 characters")),
        ("", length(0)),
        (
            "00000000000000000000000000000000",
            Err("the key is all zeros; give the device a random key".to_owned()),
        ),
    ] {
        let read = read_key::<16>(text);
        let given = read.map(|key| assert_eq!(*key, KEY, "{text}"));
        let message = |why| BadRecord::Key { name: "key", why, len_bytes: 16 }.to_string();
        assert_eq!(given.map_err(message), expected, "{text}");
    }
}

/// From five bytes on, no length of a text fits hex and base64 of the same key, so no text has two readings.
#[test]
fn the_length_of_a_key_separates_hex_from_base64() {
    for len_bytes in 5..=64_usize {
        let base64 = (4 * len_bytes).div_ceil(3)..=len_bytes.div_ceil(3) * 4;
        // Without separators, and with one after each pair: with 0x, two more.
        let hex = 2 * len_bytes..=3 * len_bytes + 1;
        assert!(base64.end() < hex.start(), "{len_bytes}");
    }
}

#[test]
fn a_sighting_is_an_identifier_and_its_time() {
    let address = "70:81:94:0d:fb:aa";
    let same = sightings::parse(Some(b"7081940dfbaa"), u64::MAX).map(|(identifier, _)| identifier);
    for line in [address, "70-81-94-0D-FB-AA", "0x7081940dfbaa", " 7081940DFBAA\r"] {
        let read = sightings::parse(Some(line.as_bytes()), u64::MAX);
        assert_eq!(read.map(|(identifier, _)| identifier), same, "{line}");
    }
    for (line, expected) in [
        (format!("{address} 1764000000"), Ok(Some(1_764_000_000))),
        (format!("{address};2025-11-24T16:00:00Z"), Ok(Some(1_764_000_000))),
        (format!("{address},1764000000.75"), Ok(Some(1_764_000_000))),
        (address.to_owned(), Ok(None)),
        (
            "70:81:94:0d:fb".to_owned(),
            Err("5 bytes are no identifier: eddystone-eid has 8, gaen 16, ble-rpa 6"),
        ),
        ("70:81:94-0d:fb:aa".to_owned(), Err("not pairs of hex digits")),
        (
            "30:81:94:0d:fb:aa".to_owned(),
            Err("not a resolvable private address: its first two bits are not 01"),
        ),
        (
            format!("{address} 1764000000000"),
            Err("the time is neither unix seconds nor like 2026-11-23T07:00:00Z, or out of range"),
        ),
    ] {
        let read = sightings::parse(Some(line.as_bytes()), u64::MAX);
        let read = read.map(|(_, time)| time).map_err(|why| why.to_string());
        assert_eq!(read, expected.map_err(str::to_owned), "{line}");
    }
}

/// Packets are plain hex, as docs/guide/decode.md states: gateways write nothing else.
#[test]
fn a_packet_is_plain_hex_and_a_time() {
    for (line, expected) in [
        ("f4a0", Ok((vec![0xf4, 0xa0], None))),
        (" F4A0\r", Ok((vec![0xf4, 0xa0], None))),
        ("f4a0 1795417200", Ok((vec![0xf4, 0xa0], Some(1_795_417_200)))),
        ("f4a0;2026-11-23T07:00:00Z", Ok((vec![0xf4, 0xa0], Some(1_795_417_200)))),
        ("f4a0,2026-11-23T08:00:00+01:00", Ok((vec![0xf4, 0xa0], Some(1_795_417_200)))),
        ("0xf4a0", Err("not pairs of hex digits")),
        ("f4:a0", Err("not pairs of hex digits")),
        ("\"f4a0\"", Err("not pairs of hex digits")),
        ("f4a", Err("not pairs of hex digits")),
        ("9KA=", Err("not pairs of hex digits")),
        (
            "f4a0 2026-11-23T07:00:00",
            Err(
                "the text after the hex digits is a time without a time zone: add Z, or an offset like +01:00",
            ),
        ),
        (
            "f4a0 1795417200000",
            Err(
                "the text after the hex digits is no time in seconds: it has as many digits as milliseconds, or a finer unit",
            ),
        ),
    ] {
        let read = match packets::parse(line.as_bytes(), TrailingField::Time) {
            Line::Packet { bytes, at_unix_s, .. } => Ok((bytes, at_unix_s)),
            Line::Bad(why) => Err(why.to_string()),
        };
        assert_eq!(read, expected.map_err(str::to_owned), "{line}");
    }
    assert_eq!(read_time("2026-11-23T07:00:00.5Z"), Ok(1_795_417_200));
}

mod arbitrary {
    //! Any bytes: the reader ends, never panics, and quotes no key.

    use proptest::prelude::*;

    use super::*;

    /// A list that is nearly one: pieces of lists and keys in any order.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("id,irk\n".as_bytes().to_vec()),
            Just("id;key;k".as_bytes().to_vec()),
            Just(KEY_HEX.as_bytes().to_vec()),
            Just(b"ABEiM0RVZneImaq7zN3u/w==".to_vec()),
            Just(b"00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff".to_vec()),
            Just(b"0xffeeddccbbaa99887766554433221100".to_vec()),
            Just(b"{\"id\":5,\"irk\":\"".to_vec()),
            Just(b"\"}\r".to_vec()),
            Just(b"[{".to_vec()),
            Just(b"\\u00e9\\".to_vec()),
            Just(b"\xff\xfe".to_vec()),
            "[\"\\[\\]{},;:# \n\r\t0-9a-f]{0,8}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// Whether six bytes of the key are in a message, in a usual spelling.
    fn has_key(message: &str) -> bool {
        let mut reversed = KEY;
        reversed.reverse();
        let plain: String =
            message.to_lowercase().chars().filter(|c| c.is_ascii_hexdigit()).collect();
        let runs = KEY.windows(6).chain(reversed.windows(6));
        let in_hex = runs.map(hex::encode).any(|run| plain.contains(&run));
        in_hex
            || ["EiM0RVZn", "RVZneIma", "eImaq7zN", "q7zN3u"]
                .iter()
                .any(|run| message.contains(run))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn a_list_of_any_bytes_is_read_or_refused(
            list in pieces(),
            buffer_len_bytes in 3..64_usize,
            ignore_extra: bool,
            is_json: Option<bool>,
        ) {
            let format = is_json.map(|is_json| if is_json { Format::Json } else { Format::Csv });
            let options = ListOptions { format, ignore_extra, skip_bad: false };
            for table in [table(Scheme::BleRpa), table(Scheme::EddystoneEid), &device_list::TABLE] {
                let mut lines = 0;
                let input = SecretReader::new(buffer_len_bytes, list.as_slice());
                let read = lists::read(Path::new("list"), input, table, &options, |line, fields| {
                    prop_assert_line(&mut lines, line);
                    let _ = fields.number::<i64>("clock_offset_s");
                    fields.device("id")?;
                    fields.key::<16>("key").or_else(|_| fields.key("hint_key"))?;
                    fields.key::<32>("dev_key")?;
                    Ok(())
                });
                let message = match read {
                    Err(failure) => Some(failure.to_string()),
                    Ok(bad) => bad.message(),
                };
                let message = message.unwrap_or_default();
                prop_assert!(!has_key(&message), "{message}");
            }
        }

        #[test]
        fn an_export_of_any_bytes_is_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            for key in crate::beacons::gaen_export::keys(&bytes) {
                let _ = key.map(|key| key.key.len());
            }
        }
    }

    /// Records come in the order of their lines.
    fn prop_assert_line(last: &mut u64, line: u64) {
        assert!(line >= *last);
        *last = line;
    }

    #[test]
    fn the_check_for_keys_finds_one() {
        assert!(has_key("line 1: 44-55-66-77-88-99") && has_key("RVZneIma") && !has_key("line 1"));
    }
}
