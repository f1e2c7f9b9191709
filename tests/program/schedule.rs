//! Fleets whose packets only their time names, through the whole program: a capture with loss,
//! repeats, damage, noise and recordings, whose packets and verdicts an independent script writes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use hintdex_tests::capture::{Capture, DEVICES};
use hintdex_tests::program::verify;
use hintdex_tests::{Said, decode, provision, run};

/// Processes that decode a capture one after the other, each after further devices were added.
const PROCESSES: u32 = 20;
const STEP_MS: u64 = 1_200_000;
const START_MS: u64 = 1_764_000_000_000;
const SCHEDULE: &str = "600000:4200000";

/// A packet with its time, and what is to be said of it.
struct Line {
    text: String,
    at_ms: u64,
    verdict: String,
    sender: (u32, u64),
    payload: String,
}

/// The capture of a fleet, by `tests/data/suites/capture.py`.
fn capture(hint: &str, devices: u32) -> Vec<Line> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/suites/capture.py");
    let mut python = Command::new("python3");
    let suite = format!("schedule:{SCHEDULE}");
    python.arg(script).args([&Capture::master_key_hex(), &suite, hint]);
    python.args([STEP_MS.to_string(), devices.to_string(), PROCESSES.to_string(), "7".into()]);
    let output = python.output().expect("python3 is installed (make setup)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("lines of text");
    let line = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| cells[at].parse::<u64>().expect("a number");
        Line {
            text: format!("{} {}", cells[0], cells[5]),
            at_ms: cells[5].replace('.', "").parse().expect("a time with three decimals"),
            verdict: cells[1].to_owned(),
            sender: (number(2).try_into().expect("an id"), number(3)),
            payload: cells[4].replace('-', ""),
        }
    };
    text.lines().map(line).collect()
}

/// Compares a verdict with that of the script.
fn check(said: &Said, line: &Line) {
    let verdict = said.verdict.as_str();
    match line.verdict.as_str() {
        "noise" => {
            assert!(matches!(verdict, "unknown" | "forged" | "malformed"), "{}", line.text);
        }
        "old" => assert_ne!(verdict, "accepted", "{}", line.text),
        expected => {
            assert_eq!((verdict, said.sender), (expected, Some(line.sender)), "{}", line.text);
            let payload = if expected == "accepted" { line.payload.as_str() } else { "" };
            assert_eq!(said.payload, payload, "{}", line.text);
        }
    }
}

/// The options of a fleet, and of further devices of it.
fn add(fleet: &Path, first: u32, count: u32, more: &[&str]) {
    let (first, count) = (first.to_string(), count.to_string());
    let of_fleet = ["--devices", &count, "--first-device", &first];
    provision(fleet, &[&of_fleet[..], more].concat()).done();
}

fn decoded(hint: &str, devices: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let (mut lines, share) = (capture(hint, devices).into_iter().peekable(), devices / PROCESSES);
    let (mut by_source, mut by_verdict) = (HashMap::new(), HashMap::new());
    for part in 0..PROCESSES {
        let options = ["--schedule", SCHEDULE, "--max-drift", "30", "--hint", hint];
        add(&fleet, part * share, share, if part == 0 { &options } else { &[] });
        let end_ms = START_MS + u64::from(part + 1) * STEP_MS;
        let is_of_part = |line: &Line| line.at_ms < end_ms || part + 1 == PROCESSES;
        let lines: Vec<Line> = std::iter::from_fn(|| lines.next_if(is_of_part)).collect();
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        let outcome = decode(&fleet, &[], text.join("\n")).done();
        assert!(outcome.stderr.contains("tags tried a packet"), "{}", outcome.stderr);
        let said = outcome.verdicts();
        assert_eq!(said.len(), lines.len());
        for (said, line) in said.iter().zip(&lines) {
            check(said, line);
            *by_source.entry(said.source.clone()).or_default() += 1;
            *by_verdict.entry(line.verdict.clone()).or_default() += 1;
        }
    }
    let least = |counts: &HashMap<String, usize>, name: &str| {
        assert!(counts.get(name).is_some_and(|count| *count >= 10), "{counts:?}");
    };
    ["schedule", "scan"].iter().for_each(|source| least(&by_source, source));
    ["accepted", "replay", "noise", "old"].iter().for_each(|verdict| least(&by_verdict, verdict));
    verify(&fleet);
}

#[test]
fn a_capture_of_a_schedule_is_decoded_as_expected() {
    decoded("none", DEVICES);
}

#[test]
fn a_capture_of_a_schedule_with_a_hint_in_front_is_decoded_as_expected() {
    decoded("aes128-trunc:4", 2_000);
}

/// What a call with a schedule can have wrong.
#[test]
fn what_does_not_go_with_a_schedule_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let make = |schedule: &str, more: &[&str]| {
        let of_fleet = ["--devices", "10", "--schedule", schedule];
        provision(&fleet, &[&of_fleet[..], more].concat())
    };
    for bad in ["", "5", "6:5", "0:5", "5:x", "1:4294967296"] {
        make(bad, &[]).refused(2, &["--schedule", "the shortest and the longest delay"]);
    }
    for (more, word) in [
        (["--suite", "aes-siv"], "another suite"),
        (["--suite", "x25519"], "need no schedule"),
        (["--nonce", "step:60"], "clocked nonces"),
        (["--ratchet-bits", "4"], "a ratchet"),
        (["--lookahead", "16"], "a lookahead"),
        (["--associated-data", "00"], "associated data"),
        (["--hint", "aes128"], "4 bytes"),
        (["--late", "100"], "schedule"),
    ] {
        make(SCHEDULE, &more).refused(2, &[word]);
    }
    assert!(!fleet.join("index").exists());
    make(SCHEDULE, &["--jitter", "40"]).done();
    // The fleet has its own: other values are refused, the same or none are not.
    let add = |first: &str, more: &[&str]| {
        let of_fleet = ["--devices", "1", "--first-device", first];
        provision(&fleet, &[&of_fleet[..], more].concat())
    };
    for other in [["--schedule", "1:2"], ["--jitter", "50"], ["--hint", "aes128-trunc:4"]] {
        add("100", &other).refused(2, &["schedule"]);
    }
    add("100", &["--schedule", SCHEDULE, "--jitter", "40", "--hint", "none"]).done();
    add("101", &[]).done();
    let shown = run([OsStr::new("inspect"), OsStr::new("--json"), fleet.as_os_str()]).done();
    for part in ["\"min_ms\":600000", "\"jitter_ms\":40", "\"overhead_bytes\":8"] {
        assert!(shown.stdout.contains(part), "{}", shown.stdout);
    }
    // A packet without a time has no name.
    let input = "00112233445566778899 1764000000.5\n00112233445566778899\n0011 1764000000\n";
    let said = decode(&fleet, &[], input).done().verdicts();
    let verdicts: Vec<&str> = said.iter().map(|said| said.verdict.as_str()).collect();
    assert_eq!(verdicts, ["unknown", "malformed", "malformed"]);
}
