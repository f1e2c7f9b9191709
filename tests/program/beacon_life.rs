//! The life of beacons through the program: list, sync, retire, revoke, replace, rekey, set, move.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use hintdex_tests::Outcome;
use hintdex_tests::program::{command, run_with};
use serde_json::Value;
use tempfile::TempDir;

const NOW: u64 = 1_764_000_000;
const CLOCK: u64 = 1_048_576;
const KEY: &str = "b9688056e6d8e6102767594f6b4ef85a";
const OTHER_KEY: &str = "0944be5ddc7b59604dcf1994241e5bd7";
const THIRD_KEY: &str = "00112233445566778899aabbccddeeff";
/// What the beacon with `KEY` and k = 10 sends when its clock reads `CLOCK`.
const EID: &str = "87353dd54daf9629";

struct Beacons {
    kept: TempDir,
    folder: PathBuf,
}

impl Beacons {
    /// A folder with beacon 1 under `KEY` and beacon 2 under `OTHER_KEY`.
    fn new() -> Self {
        let kept = tempfile::tempdir().expect("a folder");
        let folder = kept.path().join("beacons");
        let beacons = Self { kept, folder };
        beacons.list_of("add", &[], &both()).done();
        beacons
    }

    fn call(&self, verb: &[&str], more: &[&str], input: impl Into<Vec<u8>>) -> Outcome {
        let now = NOW.to_string();
        let words = verb.iter().map(OsStr::new);
        let folder = ["--beacons".as_ref(), self.folder.as_os_str()].into_iter();
        let rest = ["--now", &now].into_iter().chain(more.iter().copied()).map(OsStr::new);
        let outcome = run_with(command(words.chain(folder).chain(rest)), input);
        for text in [&outcome.stdout, &outcome.stderr] {
            let has_key = [KEY, OTHER_KEY, THIRD_KEY].iter().any(|key| text.contains(key));
            assert!(!has_key, "a key: {outcome:?}");
        }
        outcome
    }

    fn verb(&self, verb: &str, more: &[&str]) -> Outcome {
        self.call(&["beacon", verb], more, "")
    }

    /// A verb with a list of Eddystone beacons on standard input.
    fn list_of(&self, verb: &str, more: &[&str], list: &str) -> Outcome {
        let more: Vec<&str> =
            ["--scheme", "eddystone-eid", "-"].iter().chain(more).copied().collect();
        self.call(&["beacon", verb], &more, list)
    }

    /// The device behind `EID`, now.
    fn sender(&self) -> Option<u64> {
        let outcome = self.call(&["identify"], &[], format!("{EID} {NOW}\n")).done();
        let said: Value = serde_json::from_str(&outcome.stdout).expect("a line of JSON");
        said["device"].as_u64()
    }

    fn objects(&self, verb: &str, more: &[&str]) -> Vec<Value> {
        let outcome = self.verb(verb, more).done();
        let parse = |line| serde_json::from_str(line).expect("a line of JSON");
        outcome.stdout.lines().map(parse).collect()
    }

    fn keys_file(&self) -> Vec<u8> {
        fs::read(self.folder.join("beacons.keys")).expect("a file")
    }
}

fn row(id: u32, key: &str) -> String {
    format!("{id},{key},10,{}\n", NOW - CLOCK)
}

fn list(rows: &[String]) -> String {
    format!("id,key,k,clock_offset_s\n{}", rows.concat())
}

fn both() -> String {
    list(&[row(1, KEY), row(2, OTHER_KEY)])
}

fn states(objects: &[Value]) -> Vec<(u64, String)> {
    let state = |object: &Value| {
        let name = object["state"].as_str().expect("a state").to_owned();
        (object["device"].as_u64().expect("an id"), name)
    };
    objects.iter().map(state).collect()
}

#[test]
fn the_list_that_is_given_again_changes_what_differs() {
    let beacons = Beacons::new();
    let counts = |more: &[&str], text: &str| {
        let outcome = beacons.list_of("sync", more, text).done();
        let line = outcome.stderr.lines().last().expect("a line").to_owned();
        (
            line.split_once(": ")
                .expect("a folder")
                .1
                .split_once(": ")
                .expect("counts")
                .1
                .to_owned(),
            outcome,
        )
    };
    let before = beacons.keys_file();
    let (said, _) = counts(&[], &both());
    assert_eq!(said, "0 added, 0 changed, 2 unchanged, 0 retired, 0 refused");
    assert_eq!(beacons.keys_file(), before, "nothing is written");
    // One row has another key, one is new.
    let text = list(&[row(1, KEY), row(2, THIRD_KEY), row(3, OTHER_KEY)]);
    let (said, _) = counts(&["--dry-run"], &text);
    assert_eq!(said, "would be 1 added, 1 changed, 1 unchanged, 0 retired, 0 refused");
    assert_eq!(beacons.keys_file(), before);
    let (said, outcome) = counts(&["--json"], &text);
    assert_eq!(said, "1 added, 1 changed, 1 unchanged, 0 retired, 0 refused");
    let changes = "{\"line\":3,\"device\":2,\"change\":\"changed\"}\n\
                   {\"line\":4,\"device\":3,\"change\":\"added\"}\n";
    let sorted = |text: &str| {
        let parse = |line: &str| serde_json::from_str::<Value>(line).expect("a line of JSON");
        text.lines().map(parse).collect::<Vec<_>>()
    };
    assert_eq!(sorted(&outcome.stdout), sorted(changes));
    // What is missing is retired on demand only, and comes back on demand only.
    let one = list(&[row(1, KEY)]);
    assert_eq!(counts(&[], &one).0, "0 added, 0 changed, 1 unchanged, 0 retired, 0 refused");
    assert_eq!(
        counts(&["--retire-missing"], &one).0,
        "0 added, 0 changed, 1 unchanged, 2 retired, 0 refused"
    );
    let refused = beacons.list_of("sync", &[], &text);
    refused.refused(1, &["line 3", "id 2 is retired", "beacon replace", "1 more line"]);
    let skipped = beacons.list_of("sync", &["--skip-bad"], &text).done();
    assert!(skipped.stderr.contains("0 added, 0 changed, 1 unchanged, 0 retired, 2 refused"));
    let missing = beacons.list_of("sync", &["--retire-missing", "--skip-bad"], &text);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.stderr.contains("2 lines were refused"), "{missing:?}");
    beacons.list_of("sync", &[], "id,key,k,clock_offset_s\n").refused(1, &["no beacon"]);
    let twice = list(&[row(1, KEY), row(1, KEY)]);
    beacons.list_of("sync", &[], &twice).refused(1, &["line 3", "twice"]);
}

#[test]
fn retired_and_revoked_beacons_are_nobody() {
    let beacons = Beacons::new();
    assert_eq!(beacons.sender(), Some(1));
    let said = beacons.verb("retire", &["1"]).done().stdout;
    assert!(said.starts_with("retired 1 beacon in "), "{said}");
    assert_eq!(beacons.sender(), None);
    assert_eq!(states(&beacons.objects("list", &["--json"])), [(2, "active".to_owned())]);
    let retired = beacons.objects("list", &["--json", "--retired"]);
    assert_eq!(states(&retired), [(1, "retired".to_owned())]);
    // A mistake: the same unit comes back.
    beacons.list_of("replace", &[], &list(&[row(1, KEY)])).done();
    assert_eq!(beacons.sender(), Some(1));
    beacons.verb("revoke", &["1"]).done();
    assert_eq!(beacons.sender(), None);
    let back = beacons.list_of("replace", &[], &list(&[row(1, KEY)]));
    back.refused(1, &["line 2", "the key is that of id 1, which was revoked"]);
    beacons.list_of("replace", &[], &list(&[row(1, THIRD_KEY)])).done();
    let of_id = beacons.objects("show", &["--json", "1"]);
    assert_eq!(states(&of_id), [(1, "active".to_owned()), (1, "revoked".to_owned())]);
    beacons.verb("retire", &["1,7"]).refused(2, &["no beacon of id 7", "nothing was changed"]);
    assert_eq!(states(&beacons.objects("show", &["--json", "1"])), states(&of_id));
    beacons.verb("show", &["7"]).refused(2, &["no beacon of id 7"]);
    beacons.verb("retire", &[]).refused(2, &["IDS"]);
}

#[test]
fn keys_and_clocks_are_corrected() {
    let beacons = Beacons::new();
    // The wrong way round: beacon 1 gets the key of a third one first.
    let rekey = |rows: &str| beacons.list_of("rekey", &[], &format!("id,key\n{rows}"));
    rekey(&format!("1,{THIRD_KEY}\n")).done();
    rekey(&format!("2,{KEY}\n")).done();
    assert_eq!(beacons.sender(), Some(2));
    rekey(&format!("1,{KEY}\n")).refused(1, &["line 2", "the key is that of id 2"]);
    rekey(&format!("1,{THIRD_KEY}\n")).refused(1, &["line 2", "has this key already"]);
    rekey(&format!("9,{OTHER_KEY}\n")).refused(1, &["line 2", "id 9", "beacon add"]);
    let gaen = ["--scheme", "gaen", "-"];
    beacons.call(&["beacon", "rekey"], &gaen, "id,key\n").refused(2, &["beacon add"]);

    let away = (NOW - CLOCK + 86_400).to_string();
    beacons.verb("set", &["2", "--clock-offset", &away]).done();
    assert_eq!(beacons.sender(), None);
    let offset = (NOW - CLOCK).to_string();
    beacons.verb("set", &["2", "--clock-offset", &offset, "--k", "9"]).done();
    assert_eq!(beacons.sender(), None);
    beacons.verb("set", &["2", "--k", "10"]).done();
    assert_eq!(beacons.sender(), Some(2));
    let shown = beacons.objects("show", &["--json", "2"]);
    assert_eq!(shown[0]["clock_offset_s"], NOW - CLOCK);
    assert_eq!((&shown[0]["k"], &shown[0]["randomized"]), (&10.into(), &false.into()));
    assert_eq!(shown[0]["last_heard"], "2025-11-24T16:00:00Z");
    beacons.verb("set", &["2", "--rolling-period", "5"]).refused(2, &["no such setting"]);
    beacons.verb("set", &["2"]).refused(2, &["--clock-offset"]);
    beacons.verb("set", &["2", "--k", "16"]).refused(2, &["16"]);
    beacons.verb("set", &["2", "--measured", "5"]).refused(2, &["--clock-offset"]);
}

#[test]
fn lists_name_who_was_not_heard() {
    let beacons = Beacons::new();
    assert_eq!(beacons.sender(), Some(1));
    let silent = |since: &str| {
        let objects = beacons.objects("list", &["--json", "--not-heard-since", since]);
        objects.iter().map(|object| object["device"].as_u64().expect("an id")).collect::<Vec<_>>()
    };
    assert_eq!(silent(&(NOW + 1).to_string()), [1, 2]);
    assert_eq!(silent(&NOW.to_string()), [2]);
    let table = beacons.verb("list", &["--ids", "1", "--scheme", "eddystone-eid"]).done().stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[1].contains("k 10") && lines[1].contains("2025-11-24T16:00:00Z"), "{table}");
    assert!(beacons.objects("list", &["--json", "--scheme", "ble-rpa"]).is_empty());
}

#[test]
fn beacons_move_with_their_clocks_and_a_changed_file_is_refused() {
    let beacons = Beacons::new();
    assert_eq!(beacons.sender(), Some(1));
    let path = |name: &str| beacons.kept.path().join(name).to_string_lossy().into_owned();
    let (out, wrap, other) = (path("beacons.jsonl"), path("wrap.key"), path("other.key"));
    fs::write(&wrap, format!("{}\n", "5a".repeat(32))).expect("a file");
    fs::write(&other, format!("{}\n", "5b".repeat(32))).expect("a file");
    let said = beacons.verb("export", &["--out", &out, "--wrap-key", &wrap]).done().stdout;
    assert!(said.starts_with("exported 2 beacons with their clocks to "), "{said}");
    let text = fs::read_to_string(&out).expect("a file");
    assert!(!text.contains(KEY) && !text.contains(OTHER_KEY));
    let there = Beacons { folder: beacons.kept.path().join("there"), ..Beacons::new() };
    let import = |file: &str, key: &str| there.verb("import", &[file, "--wrap-key", key]);
    import(&out, &other).refused(1, &["another wrap key", "nothing was imported"]);
    // A changed character, a lost line, a cut file.
    let changed = path("changed.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    for (bad, why) in [
        (text.replace("\"k\":10", "\"k\":11"), "was changed"),
        (format!("{}\n{}\n", lines[0], lines[2..].join("\n")), "was changed"),
        (format!("{}\n", lines[..2].join("\n")), "cut off"),
        (format!("{}\n{}\n", lines[1], lines[1]), "no export of beacons"),
    ] {
        fs::write(&changed, bad).expect("a file");
        import(&changed, &wrap).refused(1, &[why, "nothing was imported"]);
    }
    assert!(!there.folder.join("beacons.keys").exists());
    import(&out, &wrap).done();
    assert_eq!(there.objects("list", &["--json"]), beacons.objects("list", &["--json"]));
    assert_eq!(there.sender(), Some(1));
    import(&out, &wrap).refused(1, &["line 2", "registered already"]);
}
