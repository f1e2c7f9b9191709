//! The reference capture, made by an independent implementation: the program
//! says of each of its 30,000 packets what a correct decoder says.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use hintdex_tests::capture::DEVICES;
use hintdex_tests::program::{inspect, verify};
use hintdex_tests::{Capture, Devices, decode, files, provision};

/// Lines a process gets when the capture is spread over 50 of them.
const LINES_PER_PROCESS: usize = 600;

fn provisioned(fleet: &Path, lookahead: &str) {
    let devices = DEVICES.to_string();
    provision(fleet, &["--devices", &devices, "--lookahead", lookahead]).done();
}

fn decoded_in_one_process(lookahead: &str) {
    let (folder, capture) = (tempfile::tempdir().expect("a folder"), Capture::load());
    let fleet = folder.path().join("fleet");
    provisioned(&fleet, lookahead);
    let outcome = decode(&fleet, &[], capture.packets.join("\n")).done();
    let said = outcome.verdicts();
    assert_eq!(said.len(), capture.expected.len());
    capture.check(0, &said);
    let counts = "28810 accepted, 638 replay, 45 stale, 303 forged, 110 unknown, 94 malformed";
    assert!(outcome.stderr.contains(counts), "{}", outcome.stderr);
    verify(&fleet);
}

fn decoded_over_50_processes(lookahead: &str) {
    let (folder, capture) = (tempfile::tempdir().expect("a folder"), Capture::load());
    let fleet = folder.path().join("fleet");
    provisioned(&fleet, lookahead);
    for (part, first) in capture.packets.chunks(LINES_PER_PROCESS).zip((0..).step_by(600)) {
        let said = decode(&fleet, &[], part.join("\n")).done().verdicts();
        assert_eq!(said.len(), part.len());
        capture.check(first, &said);
    }
    verify(&fleet);
}

#[test]
fn the_capture_is_decoded_as_expected_with_a_lookahead_of_10() {
    decoded_in_one_process("10");
}

#[test]
fn the_capture_is_decoded_as_expected_with_a_lookahead_of_1() {
    decoded_in_one_process("1");
}

#[test]
fn the_capture_is_decoded_as_expected_with_a_lookahead_of_64() {
    decoded_in_one_process("64");
}

#[test]
fn fifty_processes_in_turn_say_what_one_says_with_a_lookahead_of_10() {
    decoded_over_50_processes("10");
}

#[test]
fn fifty_processes_in_turn_say_what_one_says_with_a_lookahead_of_1() {
    decoded_over_50_processes("1");
}

#[test]
fn fifty_processes_in_turn_say_what_one_says_with_a_lookahead_of_64() {
    decoded_over_50_processes("64");
}

#[test]
fn the_capture_from_a_file_without_syncs_and_on_one_thread_is_decoded_as_expected() {
    let (folder, capture) = (tempfile::tempdir().expect("a folder"), Capture::load());
    let fleet = folder.path().join("fleet");
    provisioned(&fleet, "10");
    let packets = folder.path().join("packets.hex");
    fs::write(&packets, capture.packets.join("\r\n")).expect("a file can be written");
    let file = packets.to_str().expect("a name in ASCII");
    let said = decode(&fleet, &["--sync", "none", "--threads", "1", file], "").done().verdicts();
    assert_eq!(said.len(), capture.expected.len());
    capture.check(0, &said);
    // A second time, from standard input by its name: nothing is accepted again.
    let again = decode(&fleet, &["--memory", "1M", "-"], capture.packets.join("\n")).done();
    for (first, again) in said.iter().zip(again.verdicts()) {
        match first.verdict.as_str() {
            "accepted" | "replay" | "stale" => {
                assert!(matches!(again.verdict.as_str(), "replay" | "stale"), "{again:?}");
                assert_eq!(again.sender, first.sender);
            }
            verdict => assert_eq!(again.verdict, verdict),
        }
    }
    let stats = inspect(&fleet);
    assert_eq!(stats.get("kind").and_then(|kind| kind.as_str()), Some("index"));
    assert_eq!(stats.get("devices").and_then(serde_json::Value::as_u64), Some(DEVICES.into()));
}

#[test]
fn no_hint_key_of_the_fleet_is_in_its_output_or_in_its_files() {
    let (folder, capture) = (tempfile::tempdir().expect("a folder"), Capture::load());
    let fleet = folder.path().join("fleet");
    provisioned(&fleet, "10");
    let outcome = decode(&fleet, &[], capture.packets.join("\n")).done();
    let secrets = Devices::of_capture().secrets(DEVICES);
    let heads: HashSet<[u8; 8]> =
        secrets.iter().filter_map(|key| key.first_chunk().copied()).collect();
    let holds_a_key = |bytes: &[u8]| {
        bytes.windows(8).any(|window| window.first_chunk().is_some_and(|head| heads.contains(head)))
    };
    let planted = secrets.last().expect("there are keys");
    assert!(holds_a_key(&[b"....", planted.as_slice()].concat()), "the search finds nothing");

    let mut places = vec![fleet.clone(), fleet.join("index")];
    while let Some(place) = places.pop() {
        for file in files::files(&place, |name| name != "master.key") {
            let bytes = fs::read(&file).expect("a file can be read");
            assert!(!holds_a_key(&bytes), "a hint key is in {}", file.display());
        }
    }
    // Payloads are hex: each run of digits, from either of its two phases.
    for run in outcome.stdout.split(|c: char| !c.is_ascii_hexdigit()).filter(|run| run.len() >= 16)
    {
        for run in [run, run.get(1..).unwrap_or_default()] {
            let even = run.get(..run.len() & !1).unwrap_or_default();
            assert!(
                !holds_a_key(&hex::decode(even).expect("hex digits")),
                "a hint key is in the output"
            );
        }
    }
}
