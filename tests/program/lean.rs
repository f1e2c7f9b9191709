//! An index that leaves to its snapshot what that holds: the same verdicts from a
//! fraction of the bytes, also when the snapshot goes away.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use hintdex_tests::capture::DEVICES;
use hintdex_tests::program::{inspect, verify};
use hintdex_tests::{Capture, decode, provision, run};

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
