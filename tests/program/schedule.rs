//! Fleets whose packets only their time names, through the whole program: a capture with loss,
//! repeats, damage, noise and recordings, whose packets and verdicts an independent script writes.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hintdex_tests::capture::{Capture, DEVICES};
use hintdex_tests::killing::{Kill, decode_and_kill};
use hintdex_tests::program::verify;
use hintdex_tests::{Random, Said, decode, provision, run};

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
    decoded_behind("", hint, devices);
}

/// Decodes a capture whose packets stand behind a lead, two hex digits, or behind none.
pub fn decoded_behind(lead: &str, hint: &str, devices: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let (mut lines, share) = (capture(hint, devices).into_iter().peekable(), devices / PROCESSES);
    let (mut by_source, mut by_verdict) = (HashMap::new(), HashMap::new());
    for part in 0..PROCESSES {
        let options = ["--schedule", SCHEDULE, "--max-drift", "30", "--hint", hint];
        let lead_of = if lead.is_empty() { vec![] } else { vec!["--lead", lead] };
        let options = [&options[..], &lead_of].concat();
        add(&fleet, part * share, share, if part == 0 { &options } else { &[] });
        let end_ms = START_MS + u64::from(part + 1) * STEP_MS;
        let is_of_part = |line: &Line| line.at_ms < end_ms || part + 1 == PROCESSES;
        let lines: Vec<Line> = std::iter::from_fn(|| lines.next_if(is_of_part)).collect();
        let text: String = lines.iter().map(|line| format!("{lead}{}\n", line.text)).collect();
        let outcome = decode(&fleet, &[], text).done();
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
    decoded("none", 2_000);
}

#[test]
#[ignore = "minutes: each of 20,000 first packets is searched for among the devices of its step"]
fn a_capture_of_a_schedule_of_a_whole_fleet_is_decoded_as_expected() {
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

/// The texts of some lines that the script says are accepted, of a small fleet, with their senders.
fn accepted_lines(devices: u32) -> Vec<Line> {
    let mut lines = capture("none", devices);
    lines.retain(|line| line.verdict == "accepted");
    lines
}

/// A station that is killed again and again accepts no packet twice, and forgets no packet that it
/// has accepted.
#[test]
fn a_killed_station_accepts_no_packet_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    add(&fleet, 0, 200, &["--schedule", SCHEDULE, "--max-drift", "30"]);
    let (lines, mut accepted, mut random) = (accepted_lines(200), HashSet::new(), Random::new(3));
    let (mut first, mut given_end) = (0, 0);
    for _ in 0..12 {
        // From a packet before the kill on: what was acknowledged must not be accepted again.
        let part = &lines[first..lines.len().min(first + 400)];
        let text: String = part.iter().map(|line| format!("{}\n", line.text)).collect();
        let kill = Kill::AfterFirstVerdict(Duration::from_micros(random.below(20_000)));
        let said = decode_and_kill(&fleet, &[], text, kill);
        for ((said, line), at) in said.iter().zip(part).zip(first..) {
            if said.verdict == "accepted" {
                assert_eq!(said.sender, Some(line.sender), "{}", line.text);
                assert!(accepted.insert(line.sender), "{} was accepted twice", line.text);
            } else {
                // It was accepted in an earlier run, which may have ended before it said so.
                let was_given = accepted.contains(&line.sender) || at < given_end;
                assert!(was_given, "{} is {}", line.text, said.verdict);
            }
        }
        given_end = first + part.len();
        first += said.len().saturating_sub(20);
    }
    assert!(accepted.len() > 100, "{}", accepted.len());
    verify(&fleet);
}

/// A device goes on in another fleet with its time, and in no fleet of another kind.
#[test]
fn devices_move_between_fleets_of_one_schedule() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (here, there, other, export) = (path("here"), path("there"), path("other"), path("out"));
    add(&here, 0, 20, &["--schedule", SCHEDULE]);
    add(&there, 1000, 20, &["--schedule", SCHEDULE]);
    add(&other, 1000, 20, &["--schedule", "600000:600000"]);
    let lines = accepted_lines(20);
    let (before, after) = lines.split_at(lines.len() / 2);
    let said = |fleet: &Path, lines: &[Line]| {
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        decode(fleet, &[], text.join("\n")).done().verdicts()
    };
    assert!(said(&here, before).iter().all(|said| said.verdict == "accepted"));
    let device = |verb: &str, fleet: &Path, more: &[&OsStr]| {
        let base = [OsStr::new("device"), verb.as_ref(), "--index".as_ref(), fleet.as_os_str()];
        run(base.into_iter().chain(more.iter().copied()))
    };
    device("export", &here, &["--out".as_ref(), export.as_os_str()]).done();
    let words = ["600000:4200000", "600000:600000"];
    device("import", &other, &[export.as_os_str()]).refused(1, &words);
    device("import", &there, &[export.as_os_str()]).done();
    assert!(said(&there, before).iter().all(|said| said.verdict != "accepted"));
    let by_schedule =
        |said: &Said| (said.verdict.as_str(), said.source.as_str()) == ("accepted", "schedule");
    let told = said(&there, after);
    let found = told.iter().filter(|said| by_schedule(said)).count();
    // A device that was not heard before has no time yet.
    assert!(found + 20 >= told.len(), "{found} of {}", told.len());
    assert!(told.iter().all(|said| said.verdict == "accepted"));
    verify(&there);
}
