//! Disks that fill up while the program writes: it ends with one line and exit
//! code 1, and once there is space again nothing acknowledged is lost.
//!
//! A small tmpfs is filled where the test may mount one (as root); a limit on the
//! size of files does the same everywhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use hintdex_tests::capture::DEVICES;
use hintdex_tests::devices::payload;
use hintdex_tests::program::{command, inspect, path, run_with, verify};
use hintdex_tests::small_disk::SmallDisk;
use hintdex_tests::{Capture, Devices, Outcome, Said, decode, provision};

/// The program with files limited to `blocks` of 512 bytes, and told of it by an
/// error instead of a signal.
fn limited(blocks: u32, args: &[&str]) -> Outcome {
    let mut shell = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    shell.arg("-c").arg(script).arg("sh").arg(path()).args(args);
    run_with(shell, capture_input(args))
}

fn capture_input(args: &[&str]) -> String {
    if args.first() == Some(&"decode") { Capture::load().packets.join("\n") } else { String::new() }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name in ASCII")
}

/// That the capture decoded again gives what is left of it: what was said before
/// stands, and what was in flight was taken at most once.
fn goes_on_after(fleet: &Path, before: &[Said]) {
    let capture = Capture::load();
    capture.check(0, before);
    let again = decode(fleet, &[], capture.packets.join("\n")).done().verdicts();
    let mut accepted = BTreeMap::new();
    for said in before.iter().filter(|said| said.verdict == "accepted") {
        accepted.insert(said.sender, ());
    }
    for said in again.iter().filter(|said| said.verdict == "accepted") {
        assert_eq!(accepted.insert(said.sender, ()), None, "accepted again: {said:?}");
    }
    for (expected, said) in capture.expected.iter().zip(&again).skip(before.len()) {
        let verdict = expected.split('\t').nth(1).expect("two columns");
        match said.verdict.as_str() {
            "unknown" | "forged" | "malformed" => assert_eq!(verdict, said.verdict),
            _ => assert!(!matches!(verdict, "unknown" | "forged" | "malformed"), "{said:?}"),
        }
    }
    verify(fleet);
}

#[test]
fn a_disk_that_fills_up_while_decoding_loses_nothing_acknowledged() {
    let Some(disk) = SmallDisk::mount("24m") else { return };
    let fleet = disk.path().join("fleet");
    provision(&fleet, &["--devices", &DEVICES.to_string(), "--lookahead", "10"]).done();
    let packets = Capture::load().packets.join("\n");
    let mut stopped = 0;
    for spare_kib in [0u64, 64, 256, 700, 1500] {
        let copy = disk.path().join(format!("copy-{spare_kib}"));
        hintdex_tests::files::copy_folder(&fleet, &copy);
        disk.fill(spare_kib << 10);
        let outcome = decode(&copy, &["--memory", "8M"], packets.clone());
        disk.free();
        if outcome.code != Some(0) {
            outcome.refused(1, &["failed", "No space left"]);
            stopped += 1;
        }
        goes_on_after(&copy, &outcome.verdicts());
        fs::remove_dir_all(&copy).expect("it is there");
    }
    assert!(stopped >= 3, "the disk was full in {stopped} runs only");
}

#[test]
fn a_disk_that_fills_up_while_provisioning_leaves_all_or_nothing() {
    let Some(disk) = SmallDisk::mount("24m") else { return };
    let fleet = disk.path().join("fleet");
    let mut stopped = 0;
    for spare_kib in [0u64, 16, 256, 1000] {
        // A new fleet.
        disk.fill(spare_kib << 10);
        let outcome = provision(&fleet, &["--devices", "100000"]);
        disk.free();
        outcome.refused(1, &["failed", "No space left"]);
        provision(&fleet, &["--devices", "100"]).done();
        // One that exists, in both ways of adding.
        for (first, count) in [("100", "100000"), ("100", "10")] {
            disk.fill(spare_kib << 10);
            let outcome = provision(&fleet, &["--first-device", first, "--devices", count]);
            disk.free();
            let added = outcome.code == Some(0);
            if !added {
                outcome.refused(1, &["failed", "No space left"]);
                stopped += 1;
            }
            verify(&fleet);
            first_packets_are_known(&fleet, if added { 110 } else { 100 });
        }
        provision(&fleet, &["--first-device", "200", "--devices", "100000"]).done();
        verify(&fleet);
        fs::remove_dir_all(&fleet).expect("it is there");
    }
    assert!(stopped >= 4, "the disk was full in {stopped} runs only");
}

/// That exactly the devices below `count` are there. No nonce is taken by it.
fn first_packets_are_known(fleet: &Path, count: u32) {
    let devices = Devices::of_capture();
    let hint = |device| hex::encode(devices.packet(device, 1, &payload(device, 1)).split_at(16).0);
    let hints: Vec<_> = (0..120).map(hint).collect();
    let resolve = ["resolve", "--index", text(fleet)];
    let args = resolve.into_iter().chain(hints.iter().map(String::as_str));
    let outcome = run_with(command(args), "").done();
    for (device, line) in (0..).zip(outcome.stdout.lines()) {
        let found: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let id = found.get("device").and_then(serde_json::Value::as_u64);
        assert_eq!(id, (device < count).then_some(device.into()), "{line}");
    }
}

#[test]
fn files_that_may_not_grow_while_decoding_lose_nothing_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", &DEVICES.to_string(), "--lookahead", "10"]).done();
    let mut stopped = 0;
    for blocks in [1, 100, 400, 1200] {
        let copy = folder.path().join(format!("copy-{blocks}"));
        hintdex_tests::files::copy_folder(&fleet, &copy);
        let outcome = limited(blocks, &["decode", "--index", text(&copy)]);
        if outcome.code != Some(0) {
            outcome.refused(1, &["failed", "File too large"]);
            stopped += 1;
        }
        goes_on_after(&copy, &outcome.verdicts());
    }
    assert!(stopped >= 2, "files were limited in {stopped} runs only");
}

#[test]
fn files_that_may_not_grow_while_provisioning_leave_all_or_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let key = Capture::master_key_file();
    for blocks in [0, 1, 8, 64, 512] {
        let new = folder.path().join(format!("new-{blocks}"));
        let call = |devices| {
            ["provision", "--index", text(&new), "--master-key", text(&key), "--devices", devices]
        };
        let outcome = limited(blocks, &call("200000"));
        outcome.refused(1, &["failed", "File too large"]);
        provision(&new, &["--devices", "50"]).done();
        verify(&new);
    }
    provision(&fleet, &["--devices", "100"]).done();
    let more = ["--first-device", "100", "--devices", "200000"];
    for blocks in [1, 8, 64, 512] {
        let base = ["provision", "--index", text(&fleet)];
        let call: Vec<_> = base.into_iter().chain(more).collect();
        limited(blocks, &call).refused(1, &["failed", "File too large"]);
        verify(&fleet);
        first_packets_are_known(&fleet, 100);
    }
    provision(&fleet, &more).done();
    let stats = inspect(&fleet);
    assert_eq!(stats.get("devices").and_then(serde_json::Value::as_u64), Some(200_100));
}
