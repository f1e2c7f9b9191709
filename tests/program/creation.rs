//! Fleets that several processes make at once, and what the making leaves on the disk.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use hintdex_tests::program::{Running, command, inspect, run, verify};
use hintdex_tests::{Devices, decode, trace};

/// How many processes make a fleet at once.
const PROCESSES: u32 = 10;

/// Ten processes provision ten runs of devices in one new folder, round after round: those
/// that report success have their devices in the index, and nobody else has.
fn made_by_ten_at_once(rounds: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut made, mut refused) = (0, 0);
    for round in 0..rounds {
        let fleet = folder.path().join(format!("round-{round}/fleet"));
        let start = |process: u32| {
            let (first, count) = ((process * 100).to_string(), (3 + process).to_string());
            let mut command =
                command(["provision", "--first-device", &first, "--devices", &count, "--index"]);
            command.arg(&fleet).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("the program starts")
        };
        let running: Vec<_> = (0..PROCESSES).map(start).collect();
        let mut acknowledged = Vec::new();
        for (process, child) in (0..).zip(running) {
            let output = child.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => acknowledged.push(process),
                Some(2) => {
                    assert!(said.contains("another process has this index open"), "{said}");
                    refused += 1;
                }
                code => panic!("{code:?}: {said}"),
            }
        }
        assert!(!acknowledged.is_empty(), "round {round}: nobody made it");
        made += acknowledged.len();
        has_exactly(&fleet, &acknowledged);
        fs::remove_dir_all(&fleet).expect("it is there");
    }
    eprintln!("{rounds} rounds: {made} processes added their devices, {refused} were refused");
}

/// That the devices of these processes are there and no others, under the key on disk.
fn has_exactly(fleet: &Path, processes: &[u32]) {
    let key = fs::read_to_string(fleet.join("master.key")).expect("it is there");
    let mut secret = [0; 32];
    hex::decode_to_slice(key.trim(), &mut secret).expect("64 digits");
    let devices = Devices::new(&secret);
    let ids = |process: u32| process * 100..process * 100 + 3 + process;
    let all: Vec<u32> = (0..PROCESSES).flat_map(ids).collect();
    let lines: String = all.iter().map(|id| devices.line(*id, 0, b"x")).collect();
    let said = decode(fleet, &[], lines).done().verdicts();
    assert_eq!(said.len(), all.len());
    for (id, said) in all.iter().zip(said) {
        let verdict = if processes.contains(&(id / 100)) { "accepted" } else { "unknown" };
        assert_eq!(said.verdict, verdict, "device {id} of {processes:?}");
    }
    let count: u32 = processes.iter().map(|process| 3 + process).sum();
    assert_eq!(inspect(fleet)["devices"], count);
    let left = fs::read_dir(fleet).expect("a folder").filter_map(|entry| {
        let name = entry.expect("an entry").file_name().into_string().expect("text");
        name.starts_with('.').then_some(name)
    });
    assert_eq!(left.collect::<Vec<_>>(), [""; 0], "drafts are left");
}

#[test]
fn ten_processes_that_make_one_fleet_at_once_make_one() {
    made_by_ten_at_once(20);
}

#[test]
#[ignore = "a minute"]
fn ten_processes_that_make_one_fleet_at_once_make_one_two_hundred_times() {
    made_by_ten_at_once(200);
}

#[test]
fn folders_that_are_made_are_their_owners_alone_and_their_names_are_durable() {
    let folder = tempfile::tempdir().expect("a folder");
    let (root, log) = (folder.path().canonicalize().expect("a path"), folder.path().join("log"));
    let key = "0123456789abcdef0123456789abcdef";
    let calls: [(&str, &[&str], String); 2] = [
        ("a/b/fleet", &["provision", "--devices", "3", "--index"], String::new()),
        (
            "c/d/beacons",
            &["import-keys", "--scheme", "ble-rpa", "-", "--beacons"],
            format!("id,irk\n1,{key}\n"),
        ),
    ];
    for (name, args, input) in calls {
        let made = root.join(name);
        let args = args.iter().map(OsStr::new).chain([made.as_os_str()]);
        let (outcome, calls) =
            trace::traced("mkdir,mkdirat,fsync", &[], args, input.as_str(), &log);
        outcome.done();
        let folders: Vec<PathBuf> =
            made.ancestors().take_while(|path| **path != root).map(Path::to_owned).collect();
        assert_eq!(folders.len(), 3);
        for folder in folders {
            let mode = fs::metadata(&folder).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
            let (folder, parent) = (folder.display(), folder.parent().expect("it has one"));
            let lines = || calls.iter().enumerate();
            let is_mkdir =
                |line: &str| line.contains("mkdir") && line.contains(&format!("\"{folder}\""));
            let (at, _) = lines().find(|(_, line)| is_mkdir(line)).expect("it was made");
            let is_sync = |line: &str| {
                line.contains("fsync(") && line.contains(&format!("<{}>)", parent.display()))
            };
            let synced = lines().skip(at).any(|(_, line)| is_sync(line));
            assert!(synced, "{} was not synced:\n{calls:#?}", parent.display());
        }
    }
}

/// What killed processes left, and no more, goes at the next opening.
#[test]
fn drafts_that_a_killed_creation_left_are_swept() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    fs::create_dir(&fleet).expect("a folder");
    let others = [".profile", "index.new", "master.key.new", "notes.making"];
    let leave = || {
        fs::create_dir_all(fleet.join(".index.AbCdEf.making")).expect("a folder");
        fs::write(fleet.join(".index.AbCdEf.making/CURRENT"), "x").expect("a file");
        fs::write(fleet.join(".master.key.AbCdEf.making"), "00").expect("a file");
    };
    others.iter().for_each(|name| fs::write(fleet.join(name), "x").expect("a file"));
    let is_swept = || {
        let names = fs::read_dir(&fleet).expect("a folder");
        let names = names.map(|entry| entry.expect("an entry").file_name());
        let names: Vec<_> = names.map(|name| name.into_string().expect("text")).collect();
        assert!(
            !names.iter().any(|name| name.starts_with(".index") || name.starts_with(".master"))
        );
        assert!(others.iter().all(|name| names.iter().any(|there| there == name)), "{names:?}");
    };
    leave();
    run(["provision", "--devices", "3", "--index", fleet.to_str().expect("text")]).done();
    is_swept();
    leave();
    verify(&fleet);
    is_swept();
    // While somebody has the fleet, his drafts are his.
    let mut running = Running::start(&fleet, &[]);
    running.send("no packet\n");
    assert_eq!(running.next_verdict().verdict, "malformed");
    leave();
    decode(&fleet, &[], "").refused(2, &["process", "stop"]);
    verify(&fleet);
    assert!(fleet.join(".index.AbCdEf.making").exists());
    // No line of its input was a packet.
    assert_eq!(running.end().code, Some(1));
    let mode = fs::metadata(fleet.join("fleet.lock")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
