//! An index that leaves to its snapshot what that holds: the same verdicts from a
//! fraction of the bytes, also when the snapshot goes away.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use hintdex::wire::HintScheme;
use hintdex_tests::capture::DEVICES;
use hintdex_tests::program::{inspect, verify};
use hintdex_tests::{Capture, Devices, Said, decode, provision, run};

/// Lines a process decodes before the next one takes over.
const LINES_PER_PROCESS: usize = 1500;

fn roll(fleet: &Path, more: &[&str]) {
    let named = ["roll".as_ref(), "--index".as_ref(), fleet.as_os_str()];
    run(named.into_iter().chain(more.iter().map(OsStr::new))).done();
}

/// Decodes the capture over several processes; `between` may meddle before each.
fn capture_over_processes(lookahead: &str, between: impl Fn(usize, &Path)) {
    let (folder, capture) = (tempfile::tempdir().expect("a folder"), Capture::load());
    let fleet = folder.path().join("fleet");
    let devices = DEVICES.to_string();
    provision(&fleet, &["--devices", &devices, "--lookahead", lookahead]).done();
    let parts = capture.packets.chunks(LINES_PER_PROCESS);
    for (number, (part, first)) in parts.zip((0..).step_by(LINES_PER_PROCESS)).enumerate() {
        between(number, &fleet);
        let said = decode(&fleet, &["--lean"], part.join("\n")).done().verdicts();
        capture.check(first, &said);
    }
    verify(&fleet);
}

#[test]
fn a_lean_index_decodes_the_capture_as_expected() {
    for lookahead in ["1", "10"] {
        capture_over_processes(lookahead, |number, fleet| {
            if number % 5 == 0 {
                roll(fleet, &["--lean"]);
            }
        });
    }
}

#[test]
fn a_lean_index_whose_snapshot_is_gone_fills_itself_again() {
    capture_over_processes("10", |number, fleet| {
        let snapshot = fleet.join("snapshot.hdx");
        match number % 5 {
            0 => roll(fleet, &["--lean"]),
            2 => fs::remove_file(snapshot).expect("there is one"),
            // A snapshot that is whole but not the one the index leans on.
            4 => {
                roll(fleet, &["--lean"]);
                let older = fs::read(&snapshot).expect("there is one");
                roll(fleet, &["--lean"]);
                fs::write(&snapshot, older).expect("it can be written");
            }
            _ => {}
        }
    });
}

/// With hints of 4 bytes two devices may well have one: whoever is asked first, the
/// device whose tag verifies is found.
#[test]
fn authentic_packets_with_hints_that_collide_are_accepted_wherever_the_hints_are_held() {
    let (folder, old, new) = (tempfile::tempdir().expect("a folder"), 300_000u32, 3_000u32);
    let fleet = folder.path().join("fleet");
    let scheme = ["--lookahead", "16", "--hint", "aes128-trunc:4"];
    provision(&fleet, &[&["--devices", &old.to_string()], &scheme[..]].concat()).done();
    roll(&fleet, &["--lean"]);
    let added = ["--devices", &new.to_string(), "--first-device", &old.to_string()];
    provision(&fleet, &added).done();
    // Their hints are in the window; those of some of the others in the snapshot.
    let devices = Devices::of_capture().hinting(HintScheme::from_name(scheme[3]).expect("one"));
    let lines: String =
        (old..old + new).map(|device| devices.line(device, 3, b"who am I?")).collect();
    let said = decode(&fleet, &["--lean"], lines).done().verdicts();
    let senders: Vec<_> = said.iter().map(|said| said.sender).collect();
    let expected: Vec<_> = (old..old + new).map(|device| Some((device, 3))).collect();
    assert_eq!(senders, expected);
}

/// A lookup that meets a damaged block goes without its shortcut, and the index
/// fills itself again.
#[test]
fn a_lean_index_outlives_damage_to_its_snapshot() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "20000", "--lookahead", "10"]).done();
    roll(&fleet, &["--lean"]);
    let snapshot = fleet.join("snapshot.hdx");
    let mut bytes = fs::read(&snapshot).expect("there is one");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&snapshot, bytes).expect("it can be written");
    let devices = Devices::of_capture();
    let mut fleet_said = Vec::new();
    for nonce in 0..2 {
        let lines: String = (0..20_000).map(|device| devices.line(device, nonce, b"?")).collect();
        fleet_said.push(decode(&fleet, &[], lines).done().verdicts());
    }
    let scans = |said: &[Said]| said.iter().filter(|said| said.source == "scan").count();
    assert!(fleet_said.iter().flatten().all(|said| said.verdict == "accepted"));
    // One block of a snapshot of many, and then the window that the roll filled.
    assert!((1..4000).contains(&scans(&fleet_said[0])), "{}", scans(&fleet_said[0]));
    assert_eq!(scans(&fleet_said[1]), 0);
    assert!(inspect(&fleet)["left_to_snapshot"].is_null());
}

#[test]
fn a_lean_index_holds_next_to_nothing_until_it_is_rolled_full_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "20000", "--lookahead", "10"]).done();
    let entries = || inspect(&fleet)["entries"].as_u64().expect("a number");
    assert_eq!(entries(), 200_000);
    roll(&fleet, &["--lean"]);
    assert_eq!(entries(), 0);
    verify(&fleet);
    roll(&fleet, &[]);
    assert_eq!(entries(), 200_000);
    verify(&fleet);
}
