//! Lists as people hold them, through the program. The table of spellings is in the unit tests
//! of `hintdex-cli`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hintdex_tests::Outcome;
use hintdex_tests::decode;
use hintdex_tests::devices::{own_keys, own_packet};
use hintdex_tests::program::{command, run_with, verify};
use serde_json::Value;
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("there");
    (folder, path)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name in ASCII")
}

fn provision(fleet: &Path, list: impl Into<Vec<u8>>, more: &[&str]) -> Outcome {
    let call = ["provision", "--index", text(fleet), "--lookahead", "4", "--keys", "-"];
    run_with(command(call.iter().chain(more)), list)
}

fn import(beacons: &Path, scheme: &str, list: impl Into<Vec<u8>>, more: &[&str]) -> Outcome {
    let call = ["import-keys", "--beacons", text(beacons), "--scheme", scheme, "-"];
    run_with(command(call.iter().chain(more)), list)
}

fn identify(beacons: &Path, now: &str, heard: &str) -> Vec<Value> {
    let call = ["identify", "--beacons", text(beacons), "--now", now];
    let outcome = run_with(command(call), heard).done();
    outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A row of a workbook: an EUI, a site, and the keys of device `id` of the tests, with the
/// device key in groups.
fn row(eui: &str, id: u32) -> String {
    let (hint_key, dev_key) = own_keys(id);
    let pairs: Vec<String> = dev_key.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("{eui};\"North; {id}\";0x{};{};\r\n", hex::encode(hint_key), pairs.join(":"))
}

#[test]
fn devices_of_a_workbook_are_named_by_their_euis() {
    let (_kept, fleet) = folder();
    let header = "Dev EUI;Site;Hint-Key;Dev-Key;\r\n";
    let list = [header, &row("70B3D57ED0001234", 1), &row("70-b3-d5-7e-d0-00-12-35", 2)].concat();
    let units = list.encode_utf16().flat_map(u16::to_le_bytes);
    let workbook: Vec<u8> = [0xff, 0xfe].into_iter().chain(units).collect();
    let refused = provision(&fleet, workbook.clone(), &[]);
    refused.refused(1, &["line 1", "unknown column \"Site\" in place 2", "--ignore-extra"]);
    let outcome = provision(&fleet, workbook.clone(), &["--ignore-extra"]).done();
    assert_eq!(outcome.stderr, "hintdex: note: -: ignored columns: \"Site\"\n");
    let map = fleet.join("ids.map");
    let expected = "# hintdex id map 1\n70b3d57ed0001234 0\n70b3d57ed0001235 1\n";
    assert_eq!(fs::read_to_string(&map).expect("a map"), expected);
    let mode = fs::metadata(&map).expect("a map").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // The same EUI names the same device, and a new one gets the next id.
    provision(&fleet, workbook, &["--ignore-extra"]).refused(2, &["devices 0 to 0"]);
    provision(&fleet, [header, &row("70:b3:d5:7e:d0:00:12:36", 3)].concat(), &["--ignore-extra"])
        .done();
    let packets: String = [2, 3].map(|id| hex::encode(own_packet(id, 0)) + "\n").concat();
    let said = decode(&fleet, &[], packets).done();
    let said: Vec<Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let members =
        |said: &Value| (said["verdict"].clone(), said["device"].clone(), said["eui"].clone());
    assert_eq!(members(&said[0]), ("accepted".into(), 1.into(), "70b3d57ed0001235".into()));
    assert_eq!(members(&said[1]), ("accepted".into(), 2.into(), "70b3d57ed0001236".into()));
    verify(&fleet);
    // Under a damaged map nothing is added.
    fs::write(&map, "70b3d57ed0001234 0\n").expect("a file can be written");
    provision(&fleet, "id\n9\n", &[]).refused(1, &["ids.map", "line 1", "backup"]);
    // A station does not stop for names.
    let outcome = decode(&fleet, &[], hex::encode(own_packet(3, 1))).done();
    assert!(outcome.stdout.contains("accepted") && !outcome.stdout.contains("eui"));
    assert!(outcome.stderr.contains("ids.map: line 1"), "{}", outcome.stderr);
}

#[test]
fn bad_lines_are_skipped_and_reported_on_request() {
    let (_kept, fleet) = folder();
    let outcome = provision(&fleet, "id\n7\n8,9\n-1\n9.0\n0xA\n", &["--skip-bad"]).done();
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("line 3: 2 values") && lines[0].ends_with("; skipped"), "{lines:?}");
    assert!(lines[1].contains("line 4: id \"-1\"") && lines[1].ends_with("; skipped"), "{lines:?}");
    assert!(outcome.stdout.contains("devices 7 to 10, 3 of these ids"), "{}", outcome.stdout);
    // A header that cannot be used, and a list that is cut off, are no bad lines.
    provision(&fleet, "7\n8\n", &["--skip-bad"]).refused(1, &["line 1", "unknown column"]);
    provision(&fleet, "[{\"id\":70}", &["--skip-bad"]).refused(1, &["does not end", "cut off"]);
    let many = format!("id\n{}71\n", "x\n".repeat(30));
    let outcome = provision(&fleet, many, &["--skip-bad"]).done();
    let last = outcome.stderr.lines().last().expect("a report");
    assert!(last.contains("10 more lines are bad; skipped"), "{last}");
    let (_kept, beacons) = folder();
    let irks = "[{\"id\":1,\"irk\":\"AA\"},\n{\"id\":2,\"irk\":\"7AI0o1fIrQU0EBCmCjl9mw==\"}]";
    import(&beacons, "ble-rpa", irks, &[]).refused(1, &["line 1", "2 hex digits"]);
    let outcome = import(&beacons, "ble-rpa", irks, &["--skip-bad"]).done();
    assert!(outcome.stdout.starts_with("registered 1 beacon"), "{}", outcome.stdout);
}

/// The address of the Bluetooth Core Specification's sample, with its key in either order.
#[test]
fn an_address_has_colons_and_a_reversed_key_is_reported_and_not_used() {
    let key = "ec0234a357c8ad05341010a60a397d9b";
    let mut reversed = hex::decode(key).expect("hex");
    reversed.reverse();
    for (irk, is_right) in [(key.to_owned(), true), (hex::encode(reversed), false)] {
        let (_kept, beacons) = folder();
        import(&beacons, "ble-rpa", format!("id irk\n5 irk:{irk}\n"), &[]).done();
        let heard = "70:81:94:0d:fb:aa\n70-81-94-0D-FB-AA\n7f:81:94:0d:fb:aa\n";
        let said = identify(&beacons, "1764000000", heard);
        for said in &said[..2] {
            if is_right {
                assert_eq!(said["device"], 5, "{said}");
                continue;
            }
            assert_eq!(said["device"], Value::Null);
            let reason = said["reason"].as_str().expect("a reason");
            assert!(reason.contains("the key of id 5 matches reversed"), "{reason}");
        }
        assert_eq!(said[2]["reason"], "no registered key made this address");
    }
}

/// An export with the keys of the case of short keys: a key each of 9, 60 and 84 intervals.
fn export() -> Vec<u8> {
    let case = include_str!("../data/cases/gaen-short.csv");
    let varint = |mut number: u64| {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
            number >>= 7;
        }
        [bytes, vec![u8::try_from(number).expect("seven bits")]].concat()
    };
    let mut export = b"EK Export v1    ".to_vec();
    for row in case.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let number = |at: usize| varint(cells[at].parse().expect("a number"));
        let key = hex::decode(cells[1]).expect("a key");
        let key = [&[0x0a, 16][..], &key, &[0x18], &number(2), &[0x20], &number(3)].concat();
        export.extend([&[0x3a, u8::try_from(key.len()).expect("short")][..], &key].concat());
    }
    export
}

/// A zip archive with one member, stored.
fn archive(name: &[u8], member: &[u8]) -> Vec<u8> {
    let crc = !member.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0xedb8_8320))
    });
    let len = u32::try_from(member.len()).expect("short").to_le_bytes();
    let name_len = [u8::try_from(name.len()).expect("short"), 0];
    let sizes = [&crc.to_le_bytes()[..], &len, &len, &name_len, &[0, 0]].concat();
    let local = [b"PK\x03\x04\x0a\0\0\0\0\0\0\0\x21\0", &sizes[..], name, member].concat();
    let central =
        [b"PK\x01\x02\x0a\0\x0a\0\0\0\0\0\0\0\x21\0", &sizes[..], &[0; 14], name].concat();
    let at = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short").to_le_bytes();
    let end =
        [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &at(&central), &at(&local), &[0, 0]].concat();
    [local, central, end].concat()
}

#[test]
fn exports_of_exposure_notification_are_imported_with_their_rolling_periods() {
    let heard = include_str!("../data/cases/gaen-short.txt");
    let now = ["--now", "1582929300"];
    for file in [export(), archive(b"export.bin", &export())] {
        let (_kept, beacons) = folder();
        let outcome = import(&beacons, "gaen", file.clone(), &now).done();
        assert!(outcome.stdout.starts_with("registered 3 beacons"), "{}", outcome.stdout);
        // The key of nine intervals had ended, as the case shows from CSV.
        assert_eq!(identify(&beacons, "1582929300", heard)[0]["device"], Value::Null);
        let again = import(&beacons, "gaen", file, &now);
        again.refused(1, &["key 1", "key is that of id 0", "2 more keys are bad"]);
    }
    let (_kept, beacons) = folder();
    let first = ["--first-id", "4294967295", "--now", "1582929300"];
    import(&beacons, "gaen", export(), &first).refused(2, &["--first-id"]);
    let mut cut = export();
    cut.pop();
    import(&beacons, "gaen", cut, &now).refused(1, &["damaged or cut off", "nothing was imported"]);
    import(&beacons, "gaen", archive(b"sheet.xml", b""), &now)
        .refused(1, &["no export.bin", "CSV"]);
    import(&beacons, "ble-rpa", archive(b"a", b""), &now).refused(1, &["zip archive", "CSV"]);
    import(&beacons, "gaen", "id,key,start_interval\n", &first).refused(2, &["--first-id"]);
    // A period of no interval is none.
    let mut none = export();
    let period = none.iter().position(|byte| *byte == 9).filter(|at| none[at - 1] == 0x20);
    none[period.expect("nine intervals")] = 0;
    import(&beacons, "gaen", none, &now).refused(1, &["key 1", "rolling_period", "1 to 144"]);
}
