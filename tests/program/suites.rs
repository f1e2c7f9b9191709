//! Every suite through the whole program: a capture with loss, repeats, late packets, damage,
//! leaps and noise, whose packets and verdicts an independent script writes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use hintdex::wire::{HintScheme, Suite};
use hintdex_tests::capture::{Capture, DEVICES, Line};
use hintdex_tests::program::verify;
use hintdex_tests::{Said, decode, provision, run};

const PACKETS: usize = 6_000;
/// How many processes decode a capture one after the other.
const PROCESSES: usize = 20;
const DATA: &str = "6d6574657273";

/// The capture of a fleet, by `tests/data/suites/capture.py`.
fn capture(suite: &str, hint: &str, data: &str, devices: u32) -> Vec<Line> {
    let (devices, packets) = (devices.to_string(), PACKETS.to_string());
    let master = Capture::master_key_hex();
    Line::of_script("capture.py", &[&master, suite, hint, data, &devices, &packets, "7"])
}

/// Compares a verdict with that of the script. A hint that no device made is unknown, or by
/// chance of a short hint forged.
fn check(said: &Said, line: &Line, scheme: HintScheme, at: usize) {
    let verdict = said.verdict.as_str();
    match line.verdict.as_str() {
        "noise" if scheme.check_bits() >= 64 => assert_eq!(verdict, "unknown", "packet {at}"),
        "noise" => assert!(matches!(verdict, "unknown" | "forged"), "packet {at}: {verdict}"),
        // Heads of 24 bits are confirmed near the expected nonce alone: what is damaged, or behind
        // the replay window, is unknown where the device has moved away.
        "forged" | "stale" if scheme == HintScheme::Carry24 => {
            assert!(matches!(verdict, "stale" | "forged" | "unknown"), "packet {at}: {verdict}")
        }
        "forged" => assert_eq!(verdict, "forged", "packet {at}"),
        expected => {
            assert_eq!((verdict, said.sender), (expected, Some(line.sender)), "packet {at}");
            let payload = if expected == "accepted" { line.payload.as_str() } else { "" };
            assert_eq!(said.payload, payload, "packet {at}");
        }
    }
}

/// Decodes the capture of a lean fleet over many processes, the later half with a snapshot.
fn decoded(suite: Suite, hint: &str, data: &str, devices: u32) {
    let scheme = HintScheme::from_name(hint).expect("there is such a scheme");
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, file) = (folder.path().join("fleet"), folder.path().join("fleet.hdx"));
    let count = devices.to_string();
    let mut of_fleet = vec!["--devices", &count, "--suite", suite.name(), "--hint", hint];
    if !data.is_empty() {
        of_fleet.extend(["--associated-data", data]);
    }
    provision(&fleet, &of_fleet).done();
    let lines = capture(suite.name(), hint, data, devices);
    assert_eq!(lines.len(), PACKETS);
    let (mut by_source, mut by_verdict) = (HashMap::new(), HashMap::new());
    let part_len = PACKETS / PROCESSES;
    for (part, lines) in lines.chunks(part_len).enumerate() {
        if part == PROCESSES / 2 {
            rebuild(&fleet, &file);
        }
        let snapshot = ["--snapshot", file.to_str().expect("a name in ASCII")];
        let more: &[&str] = if part < PROCESSES / 2 { &[] } else { &snapshot };
        let packets: Vec<&str> = lines.iter().map(|line| line.packet.as_str()).collect();
        let said = decode(&fleet, more, packets.join("\n")).done().verdicts();
        assert_eq!(said.len(), lines.len());
        for ((said, line), at) in said.iter().zip(lines).zip(part * part_len..) {
            check(said, line, scheme, at);
            *by_source.entry(said.source.clone()).or_default() += 1;
            *by_verdict.entry(line.verdict.clone()).or_default() += 1;
        }
    }
    let least = |counts: &HashMap<String, usize>, name: &str| {
        assert!(counts.get(name).is_some_and(|count| *count >= 10), "{suite}: {counts:?}");
    };
    ["snapshot", "index", "scan"].iter().for_each(|source| least(&by_source, source));
    let verdicts = ["accepted", "replay", "stale", "forged", "noise"];
    verdicts.iter().for_each(|verdict| least(&by_verdict, verdict));
    verify(&fleet);
}

fn rebuild(fleet: &Path, out: &Path) {
    let named = ["rebuild".as_ref(), "--index".as_ref(), fleet.as_os_str()];
    let more = ["--out".as_ref(), out.as_os_str(), OsStr::new("--horizon"), OsStr::new("64")];
    run(named.into_iter().chain(more)).done();
}

#[test]
fn a_capture_of_aes_ctr_hmac_is_decoded_as_expected() {
    decoded(Suite::AesCtrHmac, "aes128", "", DEVICES);
}

#[test]
fn a_capture_of_chacha20poly1305_is_decoded_as_expected() {
    decoded(Suite::ChaCha20Poly1305, "aes128", DATA, DEVICES);
}

#[test]
fn a_capture_of_xchacha20poly1305_is_decoded_as_expected() {
    decoded(Suite::XChaCha20Poly1305, "speck64", "", DEVICES);
}

#[test]
fn a_capture_of_aes_siv_is_decoded_as_expected() {
    decoded(Suite::AesSiv, "aes128", DATA, DEVICES);
}

#[test]
fn a_capture_of_aes_ccm_8_is_decoded_as_expected() {
    decoded(Suite::AesCcm8, "speck64", DATA, DEVICES);
}

#[test]
fn a_capture_of_carried_hints_is_decoded_as_expected() {
    decoded(Suite::AesCtrHmac, "carry24", "", 1000);
}

/// A scan tries 10 blocks of AES for each device and hint, and the capture needs hundreds.
#[test]
#[ignore = "minutes: scans of 20,000 devices for hints that are permuted"]
fn a_capture_of_carried_hints_of_a_whole_fleet_is_decoded_as_expected() {
    decoded(Suite::AesCtrHmac, "carry24", "", DEVICES);
}

/// What a call with a suite or with associated data can have wrong.
#[test]
fn suites_and_data_that_do_not_fit_are_refused_with_their_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "10", "--suite", "aes-gcm"])
        .refused(2, &["aes-gcm", "aes-siv"]);
    provision(&fleet, &["--devices", "10", "--associated-data", "00"])
        .refused(2, &["aes-ctr-hmac authenticates no associated data"]);
    for bad in ["0", "meters", &"ab".repeat(241)] {
        let of_fleet = ["--devices", "10", "--suite", "aes-siv", "--associated-data", bad];
        provision(&fleet, &of_fleet).refused(2, &["hex digits", "240 bytes"]);
    }
    provision(&fleet, &["--devices", "10", "--hint", "carry24", "--suite", "aes-siv"])
        .refused(2, &["carry24", "aes-siv", "aes-ctr-hmac"]);
    assert!(!fleet.exists());
    provision(&fleet, &["--devices", "10", "--suite", "aes-siv", "--associated-data", DATA]).done();
    // The fleet has its own: other values are refused, the same or none are not.
    let add = |first: &str, more: &[&str]| {
        let of_fleet = ["--devices", "1", "--first-device", first];
        provision(&fleet, &[&of_fleet[..], more].concat())
    };
    for other in [["--suite", "aes-ccm-8"], ["--associated-data", "6d"], ["--associated-data", ""]]
    {
        add("100", &other).refused(2, &["suite aes-siv", DATA]);
    }
    add("100", &["--suite", "aes-siv", "--associated-data", DATA]).done();
    add("101", &[]).done();
    let shown = run([OsStr::new("inspect"), OsStr::new("--json"), fleet.as_os_str()]).done();
    for part in ["\"suite\":\"aes-siv\"", DATA, "\"overhead_bytes\":32"] {
        assert!(shown.stdout.contains(part), "{}", shown.stdout);
    }
}

/// A device is moved to a fleet of its own suite and associated data only.
#[test]
fn devices_move_between_fleets_of_one_suite() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (here, there, other, export) = (path("here"), path("there"), path("other"), path("out"));
    let suite = ["--suite", "aes-siv", "--associated-data", DATA];
    let make = |fleet: &Path, first: &str, suite: &[&str]| {
        let of_fleet = ["--devices", "10", "--first-device", first];
        provision(fleet, &[&of_fleet[..], suite].concat()).done();
    };
    make(&here, "0", &suite);
    make(&there, "1000", &suite);
    make(&other, "1000", &suite[..2]);
    let device = |verb: &str, fleet: &Path, more: &[&OsStr]| {
        let base = [OsStr::new("device"), verb.as_ref(), "--index".as_ref(), fleet.as_os_str()];
        run(base.into_iter().chain(more.iter().copied()))
    };
    device("export", &here, &["--out".as_ref(), export.as_os_str()]).done();
    device("import", &other, &[export.as_os_str()]).refused(1, &["another suite", "--suite"]);
    device("import", &there, &[export.as_os_str()]).done();
    let exported = fs::read_to_string(&export).expect("it is there");
    assert!(exported.starts_with("{\"hintdex_devices\":1,"), "{exported}");
    // A packet of one of the ten opens in the fleet that has it now.
    let sent = capture("aes-siv", "aes128", DATA, 10);
    let first = sent.iter().find(|line| line.verdict == "accepted").expect("most are");
    let said = decode(&there, &[], first.packet.clone()).done().verdicts();
    assert_eq!((said[0].verdict.as_str(), said[0].sender), ("accepted", Some(first.sender)));
}
