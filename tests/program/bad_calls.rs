//! Calls that cannot be followed: each ends with one line that says what, where
//! and what to do, the right exit code, and nothing changed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hintdex_tests::devices::payload;
use hintdex_tests::program::{Running, verify};
use hintdex_tests::{Capture, Devices, Outcome, decode, provision, run};
use tempfile::TempDir;

/// A fleet of 100 devices under the capture's master key.
fn small_fleet() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "100", "--lookahead", "4"]).done();
    (folder, fleet)
}

/// Every command that opens the fleet in a folder.
fn open_in_every_way(fleet: &Path) -> Vec<Outcome> {
    let hint = "00".repeat(16);
    vec![
        decode(fleet, &[], ""),
        run(["resolve".as_ref(), "--index".as_ref(), fleet.as_os_str(), OsStr::new(&hint)]),
        run(["inspect".as_ref(), fleet.as_os_str()]),
        run(["verify".as_ref(), fleet.as_os_str()]),
    ]
}

/// That a packet of each of the 100 devices is found without a scan.
fn all_devices_are_there(fleet: &Path, nonce: u64) {
    let devices = Devices::of_capture();
    let packets: String =
        (0..100).map(|device| devices.line(device, nonce, &payload(device, nonce))).collect();
    for (device, said) in (0..).zip(decode(fleet, &[], packets).done().verdicts()) {
        assert_eq!((said.verdict.as_str(), said.sender), ("accepted", Some((device, nonce))));
        assert_eq!(said.found_by(), "lookup");
    }
    verify(fleet);
}

#[test]
fn a_missing_folder_is_named_and_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("nowhere");
    for outcome in open_in_every_way(&fleet) {
        outcome.refused(2, &["nowhere", "no index", "provision"]);
    }
    assert!(!fleet.exists());
}

#[test]
fn a_folder_that_is_no_index_is_named_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("index")).expect("a folder can be made");
    fs::write(folder.path().join("index/letter.txt"), "dear").expect("a file can be written");
    fs::copy(Capture::master_key_file(), folder.path().join("master.key")).expect("a copy");
    for outcome in open_in_every_way(folder.path()) {
        outcome.refused(2, &["no index"]);
    }
    provision(folder.path(), &["--devices", "5"]).refused(2, &["no index"]);
    let listed = fs::read_dir(folder.path().join("index")).expect("it is there").count();
    assert_eq!(listed, 1, "something was made in the folder");

    let file = folder.path().join("index/letter.txt");
    // A file may be a snapshot; this one is none.
    let words: [(i32, &[&str]); 4] = [
        (2, &["letter.txt", "no index"]),
        (2, &["letter.txt", "no index"]),
        (1, &["letter.txt", "snapshot"]),
        (1, &["letter.txt", "snapshot"]),
    ];
    for (outcome, (code, words)) in open_in_every_way(&file).iter().zip(words) {
        outcome.refused(code, words);
    }
    assert_eq!(provision(&file, &["--devices", "5"]).code, Some(1));
}

#[test]
fn a_second_process_is_told_that_the_index_is_open() {
    let (_folder, fleet) = small_fleet();
    let devices = Devices::of_capture();
    let mut first = Running::start(&fleet, &[]);
    first.send(&devices.line(7, 0, b"up"));
    assert_eq!(first.next_verdict().verdict, "accepted");
    // A process that listens for no commands has it open.
    fs::remove_file(fleet.join("control.sock")).expect("a station listens");
    for outcome in open_in_every_way(&fleet) {
        outcome.refused(2, &["another process", "wait"]);
    }
    provision(&fleet, &["--devices", "5", "--first-device", "500"])
        .refused(2, &["another process"]);
    // The first one is not disturbed.
    first.send(&devices.line(7, 1, b"still up"));
    assert_eq!(first.next_verdict().sender, Some((7, 1)));
    assert_eq!(first.end().code, Some(0));
    all_devices_are_there(&fleet, 2);
}

#[test]
fn key_files_that_hold_no_key_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, key) = (folder.path().join("fleet"), folder.path().join("the.key"));
    let call = || {
        let args: [&OsStr; 7] = [
            "provision".as_ref(),
            "--index".as_ref(),
            fleet.as_ref(),
            "--devices".as_ref(),
            "5".as_ref(),
            "--master-key".as_ref(),
            key.as_ref(),
        ];
        run(args)
    };
    let good = Capture::master_key_hex();
    let not_hex = format!("{}zz", good.get(..62).expect("64 digits"));
    let long = format!("{good}00");
    let bad: [&[u8]; 8] = [
        b"",
        b"\n",
        b"00",
        &good.as_bytes()[..63],
        not_hex.as_bytes(),
        long.as_bytes(),
        &[0xff; 32],
        &[b'0'; 100_000],
    ];
    for bad in bad {
        fs::write(&key, bad).expect("a file can be written");
        call().refused(2, &["the.key", "64 hex digits"]);
        assert!(!fleet.exists(), "a folder was made");
    }
    fs::remove_file(&key).expect("it is there");
    // A path that is not there may be the key itself: its folder is named, and its length.
    let place = folder.path().to_str().expect("ASCII");
    let len = format!("{} characters", key.as_os_str().len());
    call().refused(1, &["master key", "No such file", place, &len, "not the key itself"]);
    assert!(!fleet.exists(), "a folder was made");
    fs::write(&key, format!("  {}\r\n", good.to_uppercase())).expect("a file can be written");
    call().done();
}

#[test]
fn another_master_key_is_refused_and_changes_nothing() {
    let (folder, fleet) = small_fleet();
    let other = folder.path().join("other.key");
    fs::write(&other, "ab".repeat(32)).expect("a file can be written");
    let args: [&OsStr; 9] = [
        "provision".as_ref(),
        "--index".as_ref(),
        fleet.as_ref(),
        "--devices".as_ref(),
        "5".as_ref(),
        "--first-device".as_ref(),
        "500".as_ref(),
        "--master-key".as_ref(),
        other.as_ref(),
    ];
    run(args).refused(2, &["master.key", "not the given one"]);
    all_devices_are_there(&fleet, 0);
}

#[test]
fn a_replaced_key_beside_the_index_is_refused_until_the_right_one_is_back() {
    let (_folder, fleet) = small_fleet();
    let kept = fleet.join("master.key");
    let right = fs::read(&kept).expect("it is there");
    fs::write(&kept, "ab".repeat(32)).expect("a file can be written");
    for outcome in open_in_every_way(&fleet) {
        outcome.refused(2, &["the master key is not the one of this index"]);
    }
    fs::write(&kept, "ab").expect("a file can be written");
    for outcome in open_in_every_way(&fleet) {
        outcome.refused(2, &["master.key", "64 hex digits"]);
    }
    fs::remove_file(&kept).expect("it is there");
    for outcome in open_in_every_way(&fleet) {
        outcome.refused(1, &["master.key", "No such file"]);
    }
    fs::write(&kept, right).expect("a file can be written");
    all_devices_are_there(&fleet, 0);
}

#[test]
fn a_key_that_is_made_is_kept_for_its_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let outcome =
        run(["provision", "--devices", "3", "--index", fleet.to_str().expect("ASCII")]).done();
    let key = fleet.join("master.key");
    let text = fs::read_to_string(&key).expect("it is there");
    assert_eq!(hex::decode(text.trim()).expect("hex digits").len(), 32);
    assert!(!outcome.stdout.contains(text.trim()) && !outcome.stderr.contains(text.trim()));
    let mode = fs::metadata(&key).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn no_devices_and_ids_past_the_last_are_refused() {
    let (_folder, fleet) = small_fleet();
    let other = fleet.with_file_name("other");
    for fleet in [&fleet, &other] {
        provision(fleet, &["--devices", "0"]).refused(2, &["--devices 0", "at least one"]);
        for (first, count) in [
            ("4294967295", "2"),
            ("4294967296", "1"),
            ("1", "4294967296"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            provision(fleet, &["--first-device", first, "--devices", count])
                .refused(2, &[count, first, "4294967295"]);
        }
    }
    assert!(!other.exists(), "a folder was made");
    // The last id is one.
    provision(&fleet, &["--first-device", "4294967295", "--devices", "1"]).done();
    let packet = Devices::of_capture().line(u32::MAX, 0, b"last");
    let said = decode(&fleet, &[], packet).done().verdicts();
    assert_eq!(said.first().and_then(|said| said.sender), Some((u32::MAX, 0)));
    all_devices_are_there(&fleet, 0);
}

#[test]
fn ids_that_are_there_are_refused_with_their_range_and_nothing_is_added() {
    let (_folder, fleet) = small_fleet();
    provision(&fleet, &["--first-device", "90", "--devices", "20"])
        .refused(2, &["90 to 99", "nothing was added"]);
    let stranger = Devices::of_capture().line(105, 0, b"");
    assert_eq!(decode(&fleet, &[], stranger).done().verdicts()[0].verdict, "unknown");
    provision(&fleet, &["--first-device", "100", "--devices", "20"]).done();
    provision(&fleet, &["--devices", "1", "--lookahead", "5", "--first-device", "900"])
        .refused(2, &["lookahead 4"]);
    all_devices_are_there(&fleet, 0);
}

#[test]
fn calls_that_are_no_calls_are_refused_in_one_line() {
    let (_folder, fleet) = small_fleet();
    let fleet = fleet.to_str().expect("ASCII");
    let calls: [&[&str]; 12] = [
        &["provision", "--index", fleet],
        &["provision", "--index", fleet, "--devices", "-1"],
        &["provision", "--index", fleet, "--devices", "many"],
        &["provision", "--index", fleet, "--devices", "1", "--hint", "rot13"],
        &["provision", "--index", fleet, "--devices", "1", "--nonce", "dice"],
        &["provision", "--index", "other", "--devices", "1", "--lookahead", "0"],
        &["decode"],
        &["decode", "--index", fleet, "--sync", "maybe"],
        &["decode", "--index", fleet, "--threads", "0"],
        &["inspect", fleet, "--memory", "lots"],
        &["resolve", "--index", fleet, "xyz"],
        &["frobnicate"],
    ];
    for call in calls {
        run(call).refused(2, &[]);
    }
    run(["decode", "--index", fleet, "no/such/file"]).refused(2, &["no/such/file"]);
    for call in [["--help"], ["--version"]] {
        assert!(run(call).done().stdout.contains("hintdex"));
    }
}
