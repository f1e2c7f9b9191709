//! `hintdex device set`: late windows, largest gaps and rates of devices and fleets, shown, moved to
//! another fleet, and changed by calls that are killed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use hintdex_tests::program::{command, inspect, verify};
use hintdex_tests::{Devices, Outcome, Random, decode, provision, run};
use tempfile::TempDir;

fn device(verb: &str, fleet: &Path, more: &[&str]) -> Outcome {
    let base = ["device".as_ref(), verb.as_ref(), "--index".as_ref(), fleet.as_os_str()];
    run(base.into_iter().chain(more.iter().map(OsStr::new)))
}

fn fleet(more: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &[&["--devices", "200", "--lookahead", "4"], more].concat()).done();
    (folder, fleet)
}

/// The verdicts on packets of a device, each with its reason if the packet is early.
fn said(fleet: &Path, device: u32, nonces: &[u64]) -> Vec<String> {
    let air = Devices::of_capture();
    let lines: String = nonces.iter().map(|nonce| air.line(device, *nonce, b"")).collect();
    let output = decode(fleet, &[], lines).done().stdout;
    let told = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let text = |name: &str| line[name].as_str().unwrap_or("").to_owned();
        match text("verdict").as_str() {
            "early" => format!("early: {}", text("reason")),
            verdict => verdict.to_owned(),
        }
    };
    output.lines().map(told).collect()
}

/// The settings that the program lists for each of some devices.
fn listed(fleet: &Path, ids: &str) -> Vec<serde_json::Value> {
    let output = device("list", fleet, &["--json", "--ids", ids]).done().stdout;
    let line = |line: &str| -> serde_json::Value { serde_json::from_str(line).expect("JSON") };
    output.lines().map(|text| line(text)["settings"].clone()).collect()
}

const WAITS: &str =
    "early: skips more nonces than are accepted at once: the next packet that agrees is accepted";
const TOO_FAR: &str = "early: skips more nonces than the device may skip";

#[test]
fn settings_of_devices_and_of_the_fleet_are_made_shown_and_dropped() {
    let (_folder, fleet) = fleet(&[]);
    assert_eq!(listed(&fleet, "41-42"), [serde_json::Value::Null, serde_json::Value::Null]);
    let done = device("set", &fleet, &["42,100-109", "--late", "1000", "--max-gap", "10:1000"]);
    assert!(done.done().stdout.starts_with("changed the settings of 11 devices in "));
    device("set", &fleet, &["--all", "--late", "128", "--rate", "4/h"]).done();
    let of_fleet = serde_json::json!({"late": 128, "rate": "4/3600s"});
    let own = serde_json::json!({"late": 1000, "max_gap": "10:1000", "rate": "4/3600s"});
    assert_eq!(listed(&fleet, "41-42"), [of_fleet.clone(), own.clone()]);
    assert_eq!(inspect(&fleet)["settings"], of_fleet);
    let shown = device("show", &fleet, &["42"]).done().stdout;
    let line = "settings: --late 1000 --max-gap 10:1000 --rate 4/3600s";
    assert_eq!(shown.lines().last(), Some(line), "{shown}");

    assert_eq!(said(&fleet, 41, &[900]), ["accepted"]);
    let nonces = [5, 900, 903, 890, 1900, 5000, 0, 890];
    let expected =
        ["accepted", WAITS, "accepted", "accepted", WAITS, TOO_FAR, "accepted", "replay"];
    assert_eq!(said(&fleet, 42, &nonces), expected);
    // The packet that waits is stored.
    let expected = ["accepted", "accepted", "stale", "replay"];
    assert_eq!(said(&fleet, 42, &[1903, 905, 903, 905]), expected);
    assert_eq!(said(&fleet, 41, &[773, 772]), ["accepted", "stale"]);

    device("set", &fleet, &["42", "--default"]).done();
    assert_eq!(listed(&fleet, "42"), [of_fleet]);
    device("set", &fleet, &["--all", "--default"]).done();
    assert_eq!(listed(&fleet, "42"), [serde_json::Value::Null]);
    assert_eq!(inspect(&fleet)["settings"], serde_json::json!({}));
    assert_eq!(listed(&fleet, "100"), [serde_json::json!({"late": 1000, "max_gap": "10:1000"})]);
    assert_eq!(said(&fleet, 42, &[1_000_000]), ["accepted"]);
    verify(&fleet);
}

#[test]
fn a_fleet_is_provisioned_with_a_late_window_and_moves_with_its_settings() {
    let (folder, fleet) = fleet(&["--late", "65536"]);
    assert_eq!(
        said(&fleet, 7, &[0, 2, 66_000, 464, 463]),
        ["accepted", "accepted", "accepted", "stale", "stale"]
    );
    assert_eq!(said(&fleet, 7, &[465, 465]), ["accepted", "replay"]);
    let add = ["--devices", "5", "--first-device", "500"];
    provision(&fleet, &[&add[..], &["--late", "100"]].concat())
        .refused(2, &["65536", "device set"]);
    provision(&fleet, &[&add[..], &["--late", "65536"]].concat()).done();
    device("set", &fleet, &["8", "--max-gap", "3:none"]).done();
    assert_eq!(said(&fleet, 8, &[100]), [WAITS]);

    let (file, other) = (folder.path().join("devices.jsonl"), folder.path().join("other"));
    device("export", &fleet, &["--out", file.to_str().expect("a name")]).done();
    provision(&other, &["--devices", "1", "--first-device", "9999", "--late", "65536"]).done();
    device("import", &other, &[file.to_str().expect("a name")]).done();
    let none = serde_json::json!({"late": 65_536});
    let own = serde_json::json!({"late": 65_536, "max_gap": "3:none"});
    assert_eq!(listed(&other, "7-8"), [none, own]);
    for fleet in [&fleet, &other] {
        assert_eq!(said(fleet, 7, &[465, 466, 464]), ["replay", "accepted", "stale"]);
        assert_eq!(said(fleet, 8, &[102, 4_000_000_000]), ["accepted", WAITS]);
        verify(fleet);
    }
}

#[test]
fn settings_that_cannot_be_are_refused_in_one_line() {
    let (folder, fleet) = fleet(&[]);
    for (more, words) in [
        (&["42", "--late", "63"][..], &["64 to 65536"][..]),
        (&["42", "--late", "65537"], &["64 to 65536"]),
        (&["42", "--max-gap", "5:4"], &["A:B"]),
        (&["42", "--rate", "1/0s"], &["4/1h"]),
        (&["42,5000", "--late", "100"], &["device 5000"]),
        (&["42"], &["--late"]),
        (&["--late", "100"], &["IDS"]),
        (&["42", "--all", "--late", "100"], &["--all"]),
        (&["42", "--default", "--late", "100"], &["--default"]),
    ] {
        device("set", &fleet, more).refused(2, words);
    }
    assert_eq!(listed(&fleet, "42"), [serde_json::Value::Null]);
    let clocked = folder.path().join("clocked");
    provision(&clocked, &["--devices", "3", "--nonce", "step:60"]).done();
    device("set", &clocked, &["1", "--late", "100"]).refused(2, &["clocked", "--before"]);
    let unmade = folder.path().join("unmade");
    let step = ["--devices", "3", "--nonce", "step:60", "--late", "100"];
    provision(&unmade, &step).refused(2, &["clocked"]);
    let short = ["--devices", "3", "--hint", "aes128-trunc:6", "--late", "100"];
    provision(&unmade, &short).refused(2, &["truncated"]);
    assert!(!unmade.join("index").exists());
}

/// A call that is killed changes the settings of all its devices, or of none.
#[test]
fn forty_kills_while_settings_change_leave_the_old_ones_or_the_new_ones() {
    let (_folder, fleet) = fleet(&[]);
    let started = Instant::now();
    device("set", &fleet, &["0-199", "--late", "100"]).done();
    let typical = u64::try_from(started.elapsed().as_micros()).expect("less than an age");
    let (mut random, mut late, mut cut, mut changed) = (Random::new(5), 100, 0, 0);
    for kill in 0..40 {
        let new = 101 + kill;
        let mut call = command(["device", "set", "0-199", "--late", &new.to_string(), "--index"]);
        call.arg(&fleet).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = call.spawn().expect("the program starts");
        std::thread::sleep(Duration::from_micros(random.below(typical)));
        child.kill().expect("a child can be killed");
        let output = child.wait_with_output().expect("it ends");
        let is_acknowledged = !output.stdout.is_empty();
        cut += u64::from(!is_acknowledged);
        let settings = listed(&fleet, "0-199");
        let found = settings[0]["late"].as_u64().expect("a number");
        assert!(settings.iter().all(|settings| settings["late"] == found), "half of it is there");
        assert!(found == new || (found == late && !is_acknowledged), "{found} after {late}, {new}");
        changed += u64::from(found == new);
        late = found;
    }
    eprintln!("40 kills: {cut} before the acknowledgement, {changed} with the new settings");
    assert!(cut > 5, "{cut} kills fell into a call");
    verify(&fleet);
}
