//! Beacons through the program: keys in, what is wrong with them, sightings out.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use hintdex_tests::Outcome;
use hintdex_tests::program::{self, command, run_with};
use serde_json::Value;
use tempfile::TempDir;

const KEY: &str = "b9688056e6d8e6102767594f6b4ef85a";
const OTHER_KEY: &str = "0944be5ddc7b59604dcf1994241e5bd7";
/// What the beacon with `KEY` and k = 10 sends when its clock reads `CLOCK`.
const EID: &str = "87353dd54daf9629";
const NOW: u64 = 1_764_000_000;
const CLOCK: u64 = 1_048_576;

struct Beacons {
    _kept: TempDir,
    folder: PathBuf,
}

impl Beacons {
    fn new() -> Self {
        let kept = tempfile::tempdir().expect("a folder");
        let folder = kept.path().join("beacons");
        Self { _kept: kept, folder }
    }

    fn call(&self, name: &str, more: &[&str], input: impl Into<Vec<u8>>) -> Outcome {
        let base = [name.as_ref(), "--beacons".as_ref(), self.folder.as_os_str()];
        let now = NOW.to_string();
        let now = ["--now", &now].map(OsStr::new);
        let more = more.iter().map(OsStr::new);
        let outcome = run_with(command(base.into_iter().chain(now).chain(more)), input);
        for text in [&outcome.stdout, &outcome.stderr] {
            assert!(!text.contains(KEY) && !text.contains(OTHER_KEY), "a key: {outcome:?}");
        }
        outcome
    }

    fn import(&self, scheme: &str, keys: &str) -> Outcome {
        self.call("import-keys", &["--scheme", scheme, "-"], keys)
    }

    fn identify(&self, more: &[&str], heard: &str) -> Vec<Value> {
        let outcome = self.call("identify", more, heard).done();
        let parse = |line| serde_json::from_str(line).expect("a line of JSON");
        outcome.stdout.lines().map(parse).collect()
    }
}

fn eddystone(rows: &str) -> String {
    format!("id,key,k,clock_offset_s\n{rows}")
}

fn row_of_eid(id: u32) -> String {
    format!("{id},{KEY},10,{}\n", NOW - CLOCK)
}

/// The README's commands in an empty folder, word for word, and what they say.
#[test]
fn the_commands_of_the_readme_say_what_it_says() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("the README");
    let section = readme.split("## Resolve your Eddystone beacons").nth(1).expect("a section");
    let block = |kind: &str| {
        let block = section.split(&format!("```{kind}\n")).nth(1).expect("a block");
        block.split("```").next().expect("its end").to_owned()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let bin = program::path().parent().expect("a folder");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
    let mut shell = Command::new("sh");
    shell.args(["-euc", &block("sh")]).current_dir(folder.path()).env("PATH", path);
    let outcome = run_with(shell, "").done();
    let said = format!("registered 2 beacons in beacons: 2 in all\n{}", block("json"));
    assert_eq!(outcome.stdout, said);
}

#[test]
fn bad_keys_are_named_by_their_line_and_nothing_is_imported() {
    let good = row_of_eid(7);
    let future = format!("8,{OTHER_KEY},3,{}\n", NOW + 90_000);
    for (rows, words) in [
        (format!("{good}8,abcd,3,5\n"), ["line 3", "4 hex digits", "32"].as_slice()),
        (format!("{good}8,{},3,5\n", "xy".repeat(16)), &["line 3", "not hex"]),
        (format!("{good}8,{},3,5\n", "ab".repeat(17)), &["line 3", "34 hex digits"]),
        (format!("{good}8,{OTHER_KEY},16,5\n"), &["line 3", "k \"16\"", "0 to 15"]),
        (format!("{good}8,{OTHER_KEY},-1,5\n"), &["line 3", "k \"-1\""]),
        (format!("{good}\n\n7,{OTHER_KEY},3,5\n"), &["line 5", "id 7", "registered already"]),
        (format!("{good}8,{KEY},3,5\n"), &["line 3", "key is that of id 7"]),
        (format!("{good}{future}"), &["line 3", "90000 s in the future"]),
        (format!("{good}8,{OTHER_KEY},3,1e9\n"), &["line 3", "clock_offset_s \"1e9\""]),
        (format!("{good}4294967296,{OTHER_KEY},3,5\n"), &["line 3", "id (10 digits)"]),
        (format!("{good}8,{OTHER_KEY},3\n"), &["line 3", "3 values", "4 columns"]),
        (format!("{good}{}\n", "x".repeat(9999)), &["line 3", "longer than 4096"]),
        ("a,b\nc\n8,ab,3,5\n".to_owned(), &["line 2", "2 values", "2 more lines are bad"]),
        (String::new(), &["holds no beacon"]),
    ] {
        let beacons = Beacons::new();
        let outcome = beacons.import("eddystone-eid", &eddystone(&rows));
        outcome.refused(1, words);
        outcome.refused(1, &["nothing was imported"]);
        assert!(!beacons.folder.join("beacons.keys").exists(), "{rows}");
    }
}

#[test]
fn headers_and_objects_that_lack_something_are_told() {
    let beacons = Beacons::new();
    for (scheme, keys, words) in [
        ("eddystone-eid", "id,key,clock_offset_s\n1,2,3\n", ["line 1", "no column k;"].as_slice()),
        ("eddystone-eid", "id,key,k,clock_offset_s,colour\n", &["unknown column \"colour\""]),
        ("eddystone-eid", "id,id,key\n", &["column id occurs twice"]),
        ("gaen", "id,key\n", &["no column start_interval", "gaen needs id,key,start_interval"]),
        ("gaen", "id,irk\n", &["unknown column \"irk\""]),
        ("ble-rpa", "id,irk,key\n", &["column key occurs twice"]),
        ("ble-rpa", "{\"id\":1}\n{", &["line 1", "no column key", "1 more line is bad"]),
        ("ble-rpa", "{\"id\":[1],\"irk\":\"\"}", &["line 1", "not a JSON object"]),
        ("gaen", "{\"id\":1,\"key\":\"ab\",\"start_interval\":-5}", &["2 hex digits"]),
        ("eddystone-eid", "\u{0}\n", &["line 1", "unknown column"]),
    ] {
        beacons.import(scheme, keys).refused(1, words);
    }
    let latin = [b"id,irk\n1,".as_slice(), &[0xff, 0xfe], b"\n"].concat();
    let outcome = beacons.call("import-keys", &["--scheme", "ble-rpa", "-"], latin);
    outcome.refused(1, &["line 2", "not UTF-8"]);
    // What is said of the format is done, whatever the first byte is.
    let as_json = ["--scheme", "gaen", "--format", "json", "-"];
    beacons.call("import-keys", &as_json, "id,key\n").refused(1, &["not a JSON object"]);
    beacons.import("sigfox", "").refused(2, &["eddystone-eid, gaen, ble-rpa"]);
    beacons.call("import-keys", &["--scheme", "gaen", "/nowhere"], "").refused(2, &["/nowhere"]);
}

#[test]
fn an_id_that_is_registered_is_refused_later_too_and_more_are_appended() {
    let beacons = Beacons::new();
    beacons.import("eddystone-eid", &eddystone(&row_of_eid(7))).done();
    let again = beacons.import("eddystone-eid", &eddystone(&format!("7,{OTHER_KEY},10,5\n")));
    again.refused(1, &["line 2", "id 7 is registered already"]);
    let outcome = beacons.import("ble-rpa", &format!("{{\"id\":7,\"irk\":\"{OTHER_KEY}\"}}\n"));
    assert!(outcome.done().stdout.contains("registered 1 beacon in"));
    // One key a day under one id, from JSON lines, numbers as text or not.
    let daily = |start: &str, key: &str| {
        format!("{{\"start_interval\":{start},\"id\":\"7\",\"key\":\"{}\"}}\n", key.repeat(16))
    };
    let two = [daily("144", "01"), daily("\"288\"", "02")].concat();
    assert!(beacons.import("gaen", &two).done().stdout.contains(": 4 in all"));
    beacons.import("gaen", &daily("144", "03")).refused(1, &["id 7 with start_interval 144"]);
    let mode = fs::metadata(beacons.folder.join("beacons.keys")).expect("keys").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    assert_eq!(beacons.identify(&[], EID)[0]["device"], 7);
}

#[test]
fn every_line_is_answered_in_its_order() {
    let beacons = Beacons::new();
    let quoted =
        format!("\u{feff}\"key\", \"k\" ,clock_offset_s,id\r\n{KEY},10,{},7\r\n", NOW - CLOCK);
    beacons.import("eddystone-eid", &quoted).done();
    let yesterday = NOW - 86_400;
    let heard = format!(
        "{EID}\n{EID} {NOW}\n  {},2025-11-24T17:00:00+01:00\r\n{EID} {yesterday}\nnot hex\n\n{EID}ff\n\
         {EID} soon\n{EID} 2025-02-29T00:00:00Z\n001122334455\n401122334455\n{EID}\t{NOW}.25",
        EID.to_uppercase()
    );
    let said = beacons.identify(&[], &heard);
    assert_eq!(said.len(), 12);
    for (number, said) in (1..).zip(&said) {
        assert_eq!(said["line"], number);
    }
    for at in [0, 1, 2, 11] {
        let Value::Object(said) = &said[at] else { panic!("{}", said[at]) };
        assert_eq!((&said["device"], &said["time"]), (&7.into(), &NOW.into()));
        assert_eq!((&said["clock"], &said["source"]), (&CLOCK.into(), &"snapshot".into()));
    }
    for (at, word) in [
        (3, "no registered beacon"),
        (4, "malformed: not pairs of hex"),
        (5, "malformed: 0 bytes"),
        (6, "malformed: 9 bytes"),
        (7, "malformed: the time"),
        (8, "malformed: the time"),
        (9, "malformed: not a resolvable"),
        (10, "no registered key"),
    ] {
        assert!(
            said[at]["reason"].as_str().is_some_and(|why| why.starts_with(word)),
            "{}",
            said[at]
        );
        assert_eq!(said[at]["device"], Value::Null);
    }
    let summary = beacons.call("identify", &[], heard).stderr;
    assert!(
        summary.contains("4 identified, 2 of no known beacon") && summary.contains("6 malformed")
    );
}

#[test]
fn before_after_and_search_reach_further() {
    let beacons = Beacons::new();
    beacons.import("eddystone-eid", &eddystone(&row_of_eid(7))).done();
    // Heard an hour after it was sent, as from a receiver whose clock is fast; and by a
    // beacon that stood still for two days.
    let late = format!("{EID} {}\n", NOW + 3600 + 1024);
    let stood = format!("{EID} {}\n", NOW + 2 * 86_400);
    let device = |more: &[&str], heard: &str| beacons.identify(more, heard)[0]["device"].clone();
    assert_eq!(device(&[], &late), Value::Null);
    assert_eq!(device(&["--before", "3700"], &late), 7);
    assert_eq!(device(&["--before", "3700", "--span", "1d"], &late), 7);
    assert_eq!(device(&["--after", "3700"], &late), Value::Null);
    assert_eq!(device(&[], &stood), Value::Null);
    let found = &beacons.identify(&["--search", "60s"], &stood)[0];
    assert_eq!((&found["device"], &found["source"]), (&7.into(), &"search".into()));
}

/// A clock that runs slow by 300 millionths is 600 s behind after 2,000,000 s: past what is
/// usual, and in the rotation before. The windows of one call are not those of the next.
#[test]
fn max_drift_says_how_far_clocks_run_away() {
    let beacons = Beacons::new();
    // By what was measured it should be 600 s further, past the end of what it sends at CLOCK.
    let (offset, measured) = (NOW - (CLOCK + 1024 - 100 + 600), NOW - 2_000_000);
    let keys = format!("id,key,k,clock_offset_s,measured_s\n7,{KEY},10,{offset},{measured}\n");
    beacons.import("eddystone-eid", &keys).done();
    let device = |more: &[&str]| beacons.identify(more, EID)[0]["device"].clone();
    assert_eq!(device(&[]), Value::Null);
    assert_eq!(device(&["--max-drift", "200"]), Value::Null);
    assert_eq!(device(&["--max-drift", "400"]), 7);
    // Heard a moment ago, it is where it is known to be.
    assert_eq!(device(&["--max-drift", "0"]), 7);
    beacons.call("identify", &["--max-drift", "100001"], "").refused(2, &["max-drift", "100001"]);
}

/// Without `--now`: no receiver is a year ahead of the system's clock.
#[test]
fn lines_of_years_to_come_are_refused() {
    let beacons = Beacons::new();
    beacons.import("eddystone-eid", &eddystone(&row_of_eid(7))).done();
    let base = ["identify".as_ref(), "--beacons".as_ref(), beacons.folder.as_os_str()];
    let outcome = run_with(command(base), format!("{EID} 9999-01-01T00:00:00Z\n")).done();
    let why = "malformed: the time after it is more than a year ahead";
    assert!(outcome.stdout.contains(why), "{}", outcome.stdout);
}

#[test]
fn folders_that_cannot_be_used_are_told() {
    let beacons = Beacons::new();
    beacons.call("identify", &[], "").refused(2, &["no beacons", "import-keys"]);
    beacons.import("eddystone-eid", &eddystone(&row_of_eid(7))).done();
    beacons.call("identify", &["--span", "0"], "").refused(2, &["span", "1 second"]);
    beacons.call("identify", &["--span", "soon"], "").refused(2, &["whole number", "1h"]);
    let keys = beacons.folder.join("beacons.keys");
    let mut bytes = fs::read(&keys).expect("keys");
    bytes[90] ^= 1;
    fs::write(&keys, bytes).expect("keys");
    beacons.call("identify", &[], "").refused(1, &["beacons.keys", "checksum", "restore"]);
    let more = eddystone(&format!("8,{OTHER_KEY},10,5\n"));
    beacons.import("eddystone-eid", &more).refused(1, &["beacons.keys", "checksum"]);
}

/// A million keys are seconds, and none of them is lost.
#[test]
fn a_million_keys_are_imported_in_seconds() {
    let count = if cfg!(debug_assertions) { 10_000 } else { 1_000_000_u64 };
    let key = |at: u64| at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let rows: String = (0..count)
        .map(|at| {
            format!("{at},{:016x}{:016x},15,{}\n", key(at), key(!at), NOW - CLOCK - at % 1000)
        })
        .collect();
    let beacons = Beacons::new();
    let started = std::time::Instant::now();
    let outcome = beacons.import("eddystone-eid", &eddystone(&rows)).done();
    assert!(outcome.stdout.contains(&format!(": {count} in all")), "{}", outcome.stdout);
    // Busy machines included; it is about two.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    let len = fs::metadata(beacons.folder.join("beacons.keys")).expect("keys").len();
    assert_eq!(len, 64 + count * 40 + 4);
}

/// The lines of a case, and its file of keys.
fn case(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/cases").join(name);
    fs::read_to_string(path).expect("a case")
}

/// One call: what it said of each line, and what it told beside that.
fn identify_at(beacons: &Beacons, now: u64, more: &[&str], heard: &str) -> (Vec<Value>, String) {
    let now = now.to_string();
    let base = ["identify".as_ref(), "--beacons".as_ref(), beacons.folder.as_os_str()];
    let more = ["--now", &now].into_iter().chain(more.iter().copied()).map(OsStr::new);
    let outcome = run_with(command(base.into_iter().chain(more)), heard).done();
    let parse = |line| serde_json::from_str(line).expect("a line of JSON");
    (outcome.stdout.lines().map(parse).collect(), outcome.stderr)
}

fn import_at(beacons: &Beacons, now: u64, scheme: &str, keys: &str) -> Outcome {
    let now = now.to_string();
    let base = ["import-keys".as_ref(), "--beacons".as_ref(), beacons.folder.as_os_str()];
    let more = ["--scheme", scheme, "--now", &now, "-"].map(OsStr::new);
    run_with(command(base.into_iter().chain(more)), keys)
}

/// A receiver was two hours ahead for two lines. The beacon is found by them, and by its
/// right clock afterwards, without a search.
#[test]
fn a_receiver_that_is_hours_wrong_loses_no_beacon() {
    let beacons = Beacons::new();
    import_at(&beacons, 1_795_392_000, "eddystone-eid", &case("eddystone.csv")).done();
    let heard = case("eddystone-wrong-hour.txt");
    let lines: Vec<_> = heard.lines().collect();
    let mut sources = Vec::new();
    for call in [&lines[..1], &lines[1..3], &lines[3..]] {
        let (said, _) =
            identify_at(&beacons, 1_795_490_000, &["--search", "30s"], &call.join("\n"));
        for said in said {
            assert_eq!(said["device"], 1, "{said}");
            sources.push(said["source"].as_str().expect("a source").to_owned());
        }
    }
    assert_eq!(sources[..2], ["snapshot", "search"]);
    assert_eq!(sources[3..], ["snapshot"; 6]);
}

/// A new battery, one call a sighting: the second rotation moves the clock. The third line
/// is the second one's identifier again, which may be a recording.
#[test]
fn a_new_battery_is_a_fact_after_two_rotations_whatever_the_process() {
    for is_one_call in [false, true] {
        let beacons = Beacons::new();
        import_at(&beacons, 1_795_392_000, "eddystone-eid", &case("eddystone.csv")).done();
        let heard = case("eddystone-new-battery.txt");
        let lines: Vec<_> = heard.lines().collect();
        let calls: Vec<_> = if is_one_call {
            vec![heard.clone()]
        } else {
            lines.iter().map(|line| (*line).to_owned()).collect()
        };
        let (mut sources, mut moved) = (Vec::new(), Vec::new());
        for (at, call) in calls.iter().enumerate() {
            let (said, told) = identify_at(&beacons, 1_797_985_000, &[], call);
            for said in said {
                assert_eq!(said["device"], 1, "{said}");
                sources.push(said["source"].as_str().expect("a source").to_owned());
            }
            if told.contains("the clock of beacon 1 is at") {
                moved.push(at);
            }
        }
        // The lines of one call are answered by what was known before it.
        let last = if is_one_call { "epoch" } else { "snapshot" };
        assert_eq!(sources, ["snapshot", "epoch", "epoch", "epoch", last]);
        assert_eq!(moved, [if is_one_call { 0 } else { 3 }]);
        let (said, _) = identify_at(&beacons, 1_797_985_000, &[], lines[4]);
        assert_eq!(said[0]["source"], "snapshot");
    }
}

/// Keys of a rolling period of their own: two of one id and day, and one that has ended.
#[test]
fn keys_that_end_before_their_day_match_nobody_afterwards() {
    let beacons = Beacons::new();
    let outcome = import_at(&beacons, 1_582_929_300, "gaen", &case("gaen-short.csv")).done();
    assert!(outcome.stdout.contains("registered 3 beacons"), "{}", outcome.stdout);
    let (said, _) = identify_at(&beacons, 1_582_929_300, &[], &case("gaen-short.txt"));
    assert_eq!(said[0]["device"], Value::Null, "{}", said[0]);
    // Without the column it is a whole day, and the key is good then.
    let beacons = Beacons::new();
    let first = case("gaen-short.csv").lines().nth(1).expect("a key").to_owned();
    let key = first.rsplit_once(',').expect("columns").0;
    for (at, (header, row)) in [
        ("id,key,start_interval", key.to_owned()),
        ("id,key,start_interval,rolling_period", format!("{key},")),
    ]
    .into_iter()
    .enumerate()
    {
        let beacons = if at == 0 { &beacons } else { &Beacons::new() };
        import_at(beacons, 1_582_929_300, "gaen", &format!("{header}\n{row}\n")).done();
        let (said, _) = identify_at(beacons, 1_582_929_300, &[], &case("gaen-short.txt"));
        assert_eq!(said[0]["device"], 1, "{}", said[0]);
    }
    let json = format!("{{\"id\":3,\"key\":\"{OTHER_KEY}\",\"start_interval\":144,");
    for (period, is_taken) in [("0", false), ("145", false), ("1", true)] {
        let beacons = Beacons::new();
        let row = format!("{json}\"rolling_period\":{period}}}\n");
        let outcome = beacons.import("gaen", &row);
        if is_taken {
            outcome.done();
        } else {
            outcome.refused(1, &["line 1", "rolling_period", "1 to 144"]);
        }
    }
}

#[test]
fn measurements_that_cannot_be_are_refused_by_line() {
    let header = "id,key,k,clock_offset_s,measured_s\n";
    for (measured, words) in [
        ("0".to_owned(), ["line 2", "measured_s is 55 years ago", "in seconds"].as_slice()),
        (format!("{NOW}000"), &["line 2", "in the future", "not in milliseconds"]),
    ] {
        let beacons = Beacons::new();
        let keys = format!("{header}7,{KEY},10,{},{measured}\n", NOW - CLOCK);
        beacons.import("eddystone-eid", &keys).refused(1, words);
        assert!(!beacons.folder.join("beacons.keys").exists());
    }
    // What is empty is now, as if the column were not there.
    let beacons = Beacons::new();
    let keys = format!("{header}7,{KEY},10,{},\n", NOW - CLOCK);
    beacons.import("eddystone-eid", &keys).done();
    assert_eq!(beacons.identify(&[], EID)[0]["device"], 7);
}

/// An identifier that begins late in its rotation, and the column that allows for that.
#[test]
fn randomized_beacons_are_heard_late() {
    let header = "id,key,k,clock_offset_s,randomized\n";
    let late = format!("{EID} {}\n", NOW + 1024 + 900);
    for (randomized, device) in [("0", Value::Null), ("1", 7.into()), ("", Value::Null)] {
        let beacons = Beacons::new();
        let keys = format!("{header}7,{KEY},10,{},{randomized}\n", NOW - CLOCK);
        beacons.import("eddystone-eid", &keys).done();
        assert_eq!(beacons.identify(&[], &late)[0]["device"], device, "{randomized:?}");
    }
    for wrong in ["2", "yes"] {
        let keys = format!("{header}7,{KEY},10,{},{wrong}\n", NOW - CLOCK);
        Beacons::new().import("eddystone-eid", &keys).refused(1, &["line 2", "randomized"]);
    }
}

/// A search goes either way, as far as it may reach.
#[test]
fn search_reach_says_how_far_a_search_goes() {
    let beacons = Beacons::new();
    beacons.import("eddystone-eid", &eddystone(&row_of_eid(7))).done();
    for heard in [NOW + 20 * 86_400, NOW - 10 * 86_400] {
        let line = format!("{EID} {heard}\n");
        for (more, device) in [
            (&["--search", "60s"][..], Value::Null),
            (&["--search", "60s", "--search-reach", "21d"], 7.into()),
        ] {
            assert_eq!(beacons.identify(more, &line)[0]["device"], device, "{heard} {more:?}");
        }
    }
    let far = beacons.call("identify", &["--search-reach", "366d"], "");
    far.refused(2, &["search-reach"]);
    let (said, _) = identify_at(&beacons, NOW, &[], &format!("{EID} {}\n", NOW + 400 * 86_400));
    let reason = said[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("too far from the present"), "{reason}");
}

/// The operator's cure for a clock that was led astray.
#[test]
fn forget_clock_goes_back_to_the_registration() {
    let beacons = Beacons::new();
    import_at(&beacons, 1_795_392_000, "eddystone-eid", &case("eddystone.csv")).done();
    let heard = case("eddystone-new-battery.txt");
    identify_at(&beacons, 1_797_985_000, &[], &heard);
    let again = || {
        let (said, _) = identify_at(&beacons, 1_797_989_000, &[], "85bb3f84e10e00ad 1797984900\n");
        said[0]["source"].as_str().map(str::to_owned)
    };
    assert_eq!(again().as_deref(), Some("snapshot"));
    let verb = |id: &str, verb: &str| {
        let base = ["beacon".as_ref(), verb.as_ref(), "--beacons".as_ref()];
        let base = base.into_iter().chain([beacons.folder.as_os_str(), id.as_ref()]);
        run_with(command(base), "")
    };
    let said = verb("1", "forget-clock").done().stdout;
    assert_eq!(said, "the clock of beacon 1 is what its registration says\n");
    assert_eq!(again().as_deref(), Some("epoch"));
    verb("2", "forget-clock").refused(2, &["beacon 2 has no clock", "eddystone-eid"]);
    verb("x", "forget-clock").refused(2, &["invalid value"]);
    verb("1", "forget").refused(2, &["forget"]);
}
