//! Payloads behind the station: `decode --output cose`, and `cose open` as the reader.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hintdex_tests::program::{command, inspect, run, run_with};
use hintdex_tests::{Devices, Outcome, decode, provision};
use hintdex_wire::{DeviceId, KeyId};
use serde_json::{Value, json};

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn open(key: &str, fleet_id: &str, lines: impl Into<Vec<u8>>) -> Outcome {
    let words = ["cose", "open", "--hop-key", key, "--fleet", fleet_id, "-"];
    run_with(command(words.map(OsStr::new)), lines)
}

/// A file of a key, its owner's alone.
fn key_file(folder: &Path, name: &str, byte: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, format!("{}\n", byte.repeat(16))).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a file of ours");
    path.to_string_lossy().into_owned()
}

#[test]
fn payloads_pass_sealed_and_are_opened_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "20"]).done();
    run(["device", "rotate", "--index"]
        .map(OsStr::new)
        .into_iter()
        .chain([fleet.as_os_str(), "4".as_ref()]))
    .done();
    let (hop, other) = (key_file(folder.path(), "hop", "7a"), key_file(folder.path(), "b", "7b"));
    let air = Devices::of_capture();
    let under = |device, generation, nonce, payload: &[u8]| {
        let key = KeyId { device: DeviceId(device), generation };
        format!("{}\n", hex::encode(air.packet_under(key, nonce, payload)))
    };
    // The nonces of the two keys of device 4 are the same.
    let lines = [under(3, 0, 5, b"21.5 C"), under(4, 0, 0, b"a"), under(4, 1, 0, b"b")].concat();
    let lines = format!("{lines}{}00\n{}", under(3, 0, 6, b""), under(3, 0, 5, b"21.5 C"));
    let sealed = decode(&fleet, &["--output", "cose", "--hop-key", &hop], lines).done();
    let verdicts = objects(&sealed.stdout);
    let names: Vec<_> = verdicts.iter().map(|line| line["verdict"].as_str()).collect();
    let expected = ["accepted", "accepted", "accepted", "accepted", "malformed", "replay"];
    assert_eq!(names, expected.map(Some));
    let payload = hex::encode("21.5 C");
    assert!(!sealed.stdout.contains(&payload) && verdicts[0]["payload"].is_null());

    let fleet_id = inspect(&fleet)["index_id"].as_str().expect("an id").to_owned();
    let opened = objects(&open(&hop, &fleet_id, sealed.stdout.clone()).done().stdout);
    let of = |line: u64, device: u32, generation: u16, nonce: u64, payload: &str| {
        json!({ "line": line, "device": device, "generation": generation, "nonce": nonce,
                "payload": payload })
    };
    let expected =
        [of(1, 3, 0, 5, &payload), of(2, 4, 0, 0, "61"), of(3, 4, 1, 0, "62"), of(4, 3, 0, 6, "")];
    assert_eq!(opened, expected);
    // A message alone, in hex.
    let message = verdicts[0]["cose"].as_str().expect("a message");
    let alone = open(&hop, &fleet_id, format!("{message}\n")).done();
    assert_eq!(objects(&alone.stdout), [of(1, 3, 0, 5, &payload)]);

    // Under another key, of another fleet, changed, and none.
    let reason = |outcome: &Outcome| {
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        objects(&outcome.stdout)[0]["reason"].as_str().expect("a reason").to_owned()
    };
    let stranger = "00".repeat(16);
    assert!(reason(&open(&other, &fleet_id, message)).contains("does not verify"));
    assert!(reason(&open(&hop, &stranger, message)).contains("does not verify"));
    for bad in ["zz", "00", "{}", "{\"cose\":\"00\"}", "{\"cose\":7}"] {
        let outcome = open(&hop, &fleet_id, format!("{bad}\n"));
        assert_eq!(outcome.code, Some(1), "{bad}: {outcome:?}");
    }
}

#[test]
fn calls_that_cannot_seal_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "2"]).done();
    let hop = key_file(folder.path(), "hop", "7a");
    let short = key_file(folder.path(), "short", "7");
    decode(&fleet, &["--output", "cose"], "").refused(2, &["--hop-key"]);
    decode(&fleet, &["--hop-key", &hop], "").refused(2, &["--output cose"]);
    let wrong = decode(&fleet, &["--output", "cose", "--hop-key", &short], "");
    wrong.refused(2, &["not a hop key", "32 hex digits"]);
    open(&hop, "12", "").refused(2, &["--fleet", "32 hex digits", "inspect"]);
    open(&hop, &"00".repeat(16), "").refused(1, &["no message"]);
}
