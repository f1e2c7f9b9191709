//! `hintdex device`: the devices of a fleet, listed, changed and moved.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use hintdex_tests::capture::{Capture, DEVICES, as_expected};
use hintdex_tests::devices::{later_own_keys, own_keys, own_packet, packet_by};
use hintdex_tests::program::{run, verify};
use hintdex_tests::{Devices, Outcome, decode, provision};
use hintdex_wire::{DeviceId, KeyId};
use serde_json::Value;

/// Calls `hintdex device VERB --index FLEET …`.
fn device(fleet: &Path, verb: &str, more: &[&str]) -> Outcome {
    let base = ["device".as_ref(), verb.as_ref(), "--index".as_ref(), fleet.as_os_str()];
    run(base.into_iter().chain(more.iter().map(OsStr::new)))
}

/// The objects of `device list --json`.
fn list(fleet: &Path, more: &[&str]) -> Vec<Value> {
    let said = device(fleet, "list", &[&["--json"], more].concat()).done();
    said.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Of each listed device: its id, the generation of its present key, and the state of the key.
fn states(fleet: &Path, more: &[&str]) -> Vec<(u64, u64, String)> {
    let number = |object: &Value, name: &str| object[name].as_u64().expect("a number");
    let state = |object: &Value| object["state"].as_str().expect("a text").to_owned();
    let of =
        |object: &Value| (number(object, "device"), number(object, "generation"), state(object));
    list(fleet, more).iter().map(of).collect()
}

fn id(device: u32, generation: u16) -> KeyId {
    KeyId { device: DeviceId(device), generation }
}

/// What is said of packets in hex, one call after the other.
fn said(fleet: &Path, more: &[&str], packets: &[Vec<u8>]) -> Vec<String> {
    let lines: String = packets.iter().map(|packet| format!("{}\n", hex::encode(packet))).collect();
    let verdicts = decode(fleet, more, lines).done().verdicts();
    verdicts.iter().map(|said| said.verdict.clone()).collect()
}

const NOW: u64 = 1_790_000_000;

fn at(unix_s: u64) -> [String; 2] {
    ["--now".to_owned(), unix_s.to_string()]
}

#[test]
fn a_device_changes_to_its_next_key_with_its_first_packet_and_a_grace_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "20"]).done();
    let air = Devices::of_capture();
    let now = at(NOW);
    let now: Vec<&str> = now.iter().map(String::as_str).collect();
    let packet = |generation, nonce| air.packet_under(id(3, generation), nonce, b"x");
    assert_eq!(said(&fleet, &now, &[packet(0, 0)]), ["accepted"]);
    let rotated = device(&fleet, "rotate", &["3,5-6", "--grace", "1h"]).done();
    assert_eq!(
        rotated.stdout,
        format!("the next keys of 3 devices are awaited in {}\n", fleet.display())
    );
    assert_eq!(states(&fleet, &["--ids", "3"]), [(3, 0, "active".to_owned())]);
    // The old key goes on until the new one is heard, and an hour longer.
    let order = [packet(0, 1), packet(1, 0), packet(0, 2), packet(1, 0), packet(0, 1)];
    let expected = ["accepted", "accepted", "accepted", "replay", "replay"];
    assert_eq!(said(&fleet, &now, &order), expected);
    let shown = device(&fleet, "show", &["3", "--json", "--now", &NOW.to_string()]).done();
    let keys: Vec<Value> =
        shown.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(keys[0]["generation"], 1);
    assert_eq!((&keys[0]["state"], &keys[1]["state"]), (&"active".into(), &"ending".into()));
    assert_eq!(keys[1]["until"], "2026-09-21T15:13:20Z", "{keys:?}");
    let later = at(NOW + 3600);
    let later: Vec<&str> = later.iter().map(String::as_str).collect();
    assert_eq!(said(&fleet, &later, &[packet(0, 3), packet(1, 1)]), ["unknown", "accepted"]);
    assert_eq!(states(&fleet, &["--generation", "1"]), [(3, 1, "active".to_owned())]);
    verify(&fleet);
    device(&fleet, "rotate", &["3,20"]).refused(2, &["device 20 is not in the index"]);
    device(&fleet, "rotate", &[]).refused(2, &["--all"]);
}

#[test]
fn retired_revoked_and_replaced_devices_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "10"]).done();
    let air = Devices::of_capture();
    let packet = |device, generation, nonce| air.packet_under(id(device, generation), nonce, b"x");
    device(&fleet, "retire", &["2"]).done();
    device(&fleet, "revoke", &["4-5"]).done();
    device(&fleet, "retire", &["7", "--at", &(NOW + 60).to_string()]).done();
    let heard = [packet(2, 0, 0), packet(4, 0, 0), packet(7, 0, 0), packet(8, 0, 0)];
    let before = ["unknown", "unknown", "accepted", "accepted"];
    assert_eq!(said(&fleet, &["--now", &NOW.to_string()], &heard), before);
    let late = said(&fleet, &["--now", &(NOW + 60).to_string()], &[packet(7, 0, 1)]);
    assert_eq!(late, ["unknown"]);
    let gone = states(&fleet, &["--retired", "--now", &(NOW + 60).to_string()]);
    let expected = [(2, 0, "retired"), (4, 0, "revoked"), (5, 0, "revoked"), (7, 0, "retired")];
    let expected = expected.map(|(id, generation, state)| (id, generation, state.to_owned()));
    assert_eq!(gone, expected);
    device(&fleet, "rotate", &["2"]).refused(2, &["device 2 is retired", "device replace"]);
    // New units, of a retired device, a revoked one and one that is in use.
    device(&fleet, "replace", &["2,4,8"]).done();
    let heard =
        [packet(2, 1, 0), packet(4, 1, 0), packet(8, 1, 0), packet(8, 0, 1), packet(4, 0, 0)];
    let expected = ["accepted", "accepted", "accepted", "unknown", "unknown"];
    assert_eq!(said(&fleet, &["--now", &NOW.to_string()], &heard), expected);
    let silent = states(&fleet, &["--not-heard-since", &(NOW - 60).to_string()]);
    let ids: Vec<u64> = silent.iter().map(|(id, ..)| *id).collect();
    assert_eq!(ids, [0, 1, 3, 6, 9]);
    let table = device(&fleet, "list", &["--ids", "0,8"]).done().stdout;
    let rows: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
    assert_eq!(rows[1], ["0", "0", "derived", "active", "0", "never"]);
    assert_eq!(rows[2][..5], ["8", "1", "derived", "active", "1"]);
    provision(&fleet, &["--ids", "5"]).refused(2, &["5 to 5"]);
    verify(&fleet);
}

/// A list of devices that bring their own keys, each by its number.
fn keys_csv(devices: &[(u32, Option<u16>)]) -> String {
    let mut list = "id,hint_key,dev_key\n".to_owned();
    for (device, number) in devices {
        let (hint_key, dev_key) =
            number.map_or_else(|| own_keys(*device), |number| later_own_keys(*device, number));
        list += &format!("{device},{},{}\n", hex::encode(hint_key), hex::encode(dev_key));
    }
    list
}

#[test]
fn a_list_that_is_given_again_changes_nothing_and_a_changed_row_one_device() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, file) = (folder.path().join("fleet"), folder.path().join("devices.csv"));
    let path = file.to_str().expect("a path of text");
    provision(&fleet, &["--devices", "5"]).done();
    let counts =
        |said: &Outcome| said.stderr.rsplit(": ").next().expect("a line").trim().to_owned();
    fs::write(&file, keys_csv(&[(100, None), (101, None), (102, None)])).expect("a file");
    let dry = device(&fleet, "sync", &[path, "--dry-run", "--retire-missing"]).done();
    assert_eq!(counts(&dry), "would be 3 added, 0 changed, 0 unchanged, 5 retired, 0 refused");
    assert_eq!(states(&fleet, &[]).len(), 5);
    let added = device(&fleet, "sync", &[path]).done();
    assert_eq!(counts(&added), "3 added, 0 changed, 0 unchanged, 0 retired, 0 refused");
    assert_eq!(said(&fleet, &[], &[own_packet(101, 0)]), ["accepted"]);
    let before = fs::read(fleet.join("device.keys")).expect("it is there");
    let again = device(&fleet, "sync", &[path, "--json"]).done();
    assert_eq!(counts(&again), "0 added, 0 changed, 3 unchanged, 0 retired, 0 refused");
    assert_eq!(again.stdout, "");
    assert_eq!(fs::read(fleet.join("device.keys")).expect("it is there"), before);
    // One row has another key: its device changes with its next packet.
    fs::write(&file, keys_csv(&[(100, None), (101, Some(1)), (102, None)])).expect("a file");
    let changed = device(&fleet, "sync", &[path, "--json", "--retire-missing"]).done();
    assert_eq!(counts(&changed), "0 added, 1 changed, 2 unchanged, 5 retired, 0 refused");
    let first = changed.stdout.lines().next().expect("a line");
    assert_eq!(first, r#"{"change":"changed","device":101,"line":3}"#);
    let later = |nonce| packet_by(later_own_keys(101, 1), nonce, b"x");
    let heard = [own_packet(101, 1), later(0), own_packet(101, 2), own_packet(102, 0)];
    assert_eq!(said(&fleet, &[], &heard), ["accepted", "accepted", "unknown", "accepted"]);
    // A retired device in the list, and one without its keys, are refused by their lines.
    fs::write(&file, "id\n3\n102\n7\n").expect("a file");
    device(&fleet, "sync", &[path]).refused(1, &["line 2", "retired", "1 more"]);
    assert_eq!(states(&fleet, &["--ids", "7"]), []);
    let some = device(&fleet, "sync", &[path, "--skip-bad"]).done();
    assert_eq!(counts(&some), "1 added, 0 changed, 0 unchanged, 0 retired, 2 refused");
    assert_eq!(states(&fleet, &["--ids", "7"]), [(7, 0, "active".to_owned())]);
    verify(&fleet);
}

#[test]
fn devices_change_to_keys_of_a_list_and_new_units_bring_theirs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, file) = (folder.path().join("fleet"), folder.path().join("devices.csv"));
    let path = file.to_str().expect("a path of text");
    fs::write(&file, keys_csv(&[(100, None), (101, None)])).expect("a file");
    provision(&fleet, &["--keys", path]).done();
    fs::write(&file, keys_csv(&[(100, Some(1))])).expect("a file");
    device(&fleet, "rekey", &[path, "--grace", "1h"]).done();
    fs::write(&file, keys_csv(&[(101, Some(1))])).expect("a file");
    device(&fleet, "replace", &["--keys", path]).done();
    let later = |device, nonce| packet_by(later_own_keys(device, 1), nonce, b"x");
    let heard = [later(100, 0), own_packet(100, 0), later(101, 0), own_packet(101, 0)];
    assert_eq!(said(&fleet, &[], &heard), ["accepted", "accepted", "accepted", "unknown"]);
    // A key that a device had is no new key, and a list without keys is no list of keys.
    fs::write(&file, keys_csv(&[(100, Some(1))])).expect("a file");
    device(&fleet, "rekey", &[path]).refused(1, &["100"]);
    fs::write(&file, "id\n100\n").expect("a file");
    device(&fleet, "rekey", &[path]).refused(1, &["line 2", "device rotate"]);
    fs::write(&file, keys_csv(&[(500, None)])).expect("a file");
    device(&fleet, "rekey", &[path]).refused(1, &["line 2", "500"]);
    verify(&fleet);
}

/// The capture cut in two: what is said by a fleet and by the one that it was moved to is what
/// one fleet says.
#[test]
fn a_fleet_that_is_moved_goes_on_where_it_was() {
    let (folder, capture) = (tempfile::tempdir().expect("a folder"), Capture::load());
    let path = |name: &str| folder.path().join(name);
    let (here, there, elsewhere) = (path("here"), path("there"), path("elsewhere"));
    let (plain, wrapped, wrap_key) = (path("plain.jsonl"), path("wrapped.jsonl"), path("wrap.key"));
    let text = |path: &Path| path.to_str().expect("a path of text").to_owned();
    fs::write(&wrap_key, "5a".repeat(32)).expect("a file");
    provision(&here, &["--devices", &DEVICES.to_string()]).done();
    let (first, second) = capture.packets.split_at(15_000);
    capture.check(0, &decode(&here, &[], first.join("\n")).done().verdicts());
    device(&here, "export", &["--out", &text(&plain)]).done();
    let with_key = ["--out", &text(&wrapped), "--wrap-key", &text(&wrap_key)];
    device(&here, "export", &with_key).done();
    // A fleet with the same master key, and one with another.
    provision(&there, &["--ids", "4000000"]).done();
    device(&there, "import", &[&text(&plain)]).done();
    let create = ["provision", "--devices", "1", "--first-device", "4000000", "--index"];
    run(create.map(OsStr::new).into_iter().chain([elsewhere.as_os_str()])).done();
    device(&elsewhere, "import", &[&text(&plain)])
        .refused(1, &["another master key", "--wrap-key"]);
    device(&elsewhere, "import", &[&text(&wrapped)]).refused(1, &["give the --wrap-key"]);
    let import = [&text(&wrapped), "--wrap-key", &text(&wrap_key)];
    device(&elsewhere, "import", &import).done();
    for fleet in [&there, &elsewhere] {
        capture.check(15_000, &decode(fleet, &[], second.join("\n")).done().verdicts());
        verify(fleet);
    }
    device(&there, "import", &[&text(&plain)]).refused(2, &["already"]);
    // The file has no key in it, and a change of it is noticed.
    for file in [&plain, &wrapped] {
        let lines = fs::read_to_string(file).expect("it is there");
        for secret in Devices::of_capture().secrets(50) {
            assert!(!lines.contains(&hex::encode(secret)), "a key in {}", file.display());
        }
        let changed = lines.replacen("\"next_nonce\":1", "\"next_nonce\":2", 1);
        assert_ne!(changed, lines);
        fs::write(file, changed).expect("a file");
    }
    let third = path("third");
    provision(&third, &["--ids", "4000000"]).done();
    device(&third, "import", &[&text(&plain)]).refused(1, &["was changed"]);
    let cut: String = fs::read_to_string(&plain)
        .expect("it is there")
        .lines()
        .take(9)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&plain, cut).expect("a file");
    device(&third, "import", &[&text(&plain)]).refused(1, &["cut off"]);
    assert_eq!(states(&third, &[]).len(), 1);
}

/// A list with EUIs is given to the fleet that the devices were moved to: nothing changes.
#[test]
fn the_euis_of_devices_move_with_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (here, there, list, export) = (path("here"), path("there"), path("list.csv"), path("out"));
    let text = |path: &Path| path.to_str().expect("a path of text").to_owned();
    fs::write(&list, "eui\n70b3d57ed0001234\n70b3d57ed0001235\n").expect("a file");
    provision(&here, &["--keys", &text(&list)]).done();
    device(&here, "export", &["--out", &text(&export)]).done();
    provision(&there, &["--ids", "4000000"]).done();
    device(&there, "import", &[&text(&export)]).done();
    let again = device(&there, "sync", &[&text(&list)]).done();
    assert!(again.stderr.contains("0 added, 0 changed, 2 unchanged"), "{}", again.stderr);
    let euis: Vec<Value> = list_euis(&there);
    assert_eq!(euis, ["70b3d57ed0001234", "70b3d57ed0001235"]);
    // Another fleet has one of the ids for another device.
    let other = path("other");
    fs::write(&list, "eui\n70b3d57ed0009999\n").expect("a file");
    provision(&other, &["--keys", &text(&list)]).done();
    device(&other, "import", &[&text(&export)])
        .refused(1, &["another device", "nothing was imported"]);
}

fn list_euis(fleet: &Path) -> Vec<Value> {
    list(fleet, &[]).into_iter().filter_map(|object| object.get("eui").cloned()).collect()
}

/// Every device changes its key while the capture is replayed: with a grace, what is said of the
/// capture is what it always is, and every new packet under a new key is accepted.
#[test]
fn the_capture_is_decoded_as_expected_while_every_device_is_rotated() {
    let (folder, capture) = (tempfile::tempdir().expect("a folder"), Capture::load());
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", &DEVICES.to_string()]).done();
    let air = Devices::of_capture();
    let (first, second) = capture.packets.split_at(10_000);
    capture.check(0, &decode(&fleet, &[], first.join("\n")).done().verdicts());
    device(&fleet, "rotate", &["--all", "--grace", "1d"]).done();
    // Behind each line of the capture, a packet of some device under its new key.
    let under_new = |at: u32| {
        let (device, nonce) = ((at * 7919) % DEVICES, u64::from(at / DEVICES));
        hex::encode(air.packet_under(id(device, 1), nonce, b"new"))
    };
    let lines: Vec<String> =
        second.iter().zip(0..).flat_map(|(line, at)| [line.clone(), under_new(at)]).collect();
    let said = decode(&fleet, &[], lines.join("\n")).done().verdicts();
    for (at, (old, new)) in said.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).enumerate() {
        let expected = &capture.expected[10_000 + at];
        assert_eq!(&as_expected(old), expected, "line {} of the capture", 10_001 + at);
        assert_eq!(new.verdict, "accepted", "packet {at} under a new key");
    }
    assert_eq!(states(&fleet, &["--generation", "1"]).len(), DEVICES as usize);
    verify(&fleet);
}
