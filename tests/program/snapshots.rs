//! Snapshots through the program: the capture with one attached, files that
//! cannot serve, and a rebuild killed at every call that writes.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use hintdex_tests::capture::DEVICES;
use hintdex_tests::program::Running;
use hintdex_tests::trace::ends_before;
use hintdex_tests::{Capture, Outcome, Said, decode, provision, run};
use tempfile::TempDir;

/// A fleet of so many devices, and the folder it lies in.
fn fleet_of(devices: u32) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", &devices.to_string(), "--lookahead", "10"]).done();
    (folder, fleet)
}

fn rebuild(fleet: &Path, out: &Path, more: &[&str]) -> Outcome {
    let named = [
        "rebuild".as_ref(),
        "--index".as_ref(),
        fleet.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
    ];
    run(named.into_iter().chain(more.iter().map(OsStr::new)))
}

fn verify(file: &Path, fleet: &Path) -> Outcome {
    run(["verify".as_ref(), file.as_os_str(), "--index".as_ref(), fleet.as_os_str()])
}

/// The number behind `words` in a line of the summary.
fn number_behind(summary: &str, words: &str) -> usize {
    let rest = summary.split(words).nth(1).unwrap_or_else(|| panic!("no {words:?} in: {summary}"));
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

fn count(said: &[Said], with: impl Fn(&Said) -> bool) -> usize {
    said.iter().filter(|said| with(said)).count()
}

/// Decodes the capture with a snapshot attached and checks verdicts and sources.
fn capture_with(encoding: &str, horizon: &str) {
    let ((folder, fleet), capture) = (fleet_of(DEVICES), Capture::load());
    let file = folder.path().join("fleet.hdx");
    rebuild(&fleet, &file, &["--encoding", encoding, "--horizon", horizon]).done();
    let snapshot = file.to_str().expect("a name in ASCII");
    let outcome = decode(&fleet, &["--snapshot", snapshot], capture.packets.join("\n")).done();
    let said = outcome.verdicts();
    assert_eq!(said.len(), capture.expected.len());
    capture.check(0, &said);

    let by = |source: &str| number_behind(&outcome.stderr, &format!("by {source}"));
    let of = |source: &str| count(&said, |said| said.source == source);
    let all = by("snapshot") + by("index") + by("scan");
    for source in ["snapshot", "index", "scan"] {
        assert_eq!(by(source), of(source), "lines by {source}");
    }
    let sent_by_somebody = count(&said, |said| said.sender.is_some());
    assert_eq!(all, sent_by_somebody, "{}", outcome.stderr);
    assert!(by("snapshot") > sent_by_somebody / 5, "{}", outcome.stderr);
}

#[test]
fn the_capture_with_a_ribbon_snapshot_is_decoded_as_expected() {
    ["1", "10", "500"].iter().for_each(|horizon| capture_with("ribbon", horizon));
}

#[test]
fn the_capture_with_a_dense_snapshot_is_decoded_as_expected() {
    ["1", "10", "500"].iter().for_each(|horizon| capture_with("dense", horizon));
}

#[test]
fn the_capture_with_a_sorted_snapshot_is_decoded_as_expected() {
    ["1", "10", "500"].iter().for_each(|horizon| capture_with("sorted", horizon));
}

#[test]
fn the_capture_with_a_chain_snapshot_is_decoded_as_expected() {
    ["1", "10", "500"].iter().for_each(|horizon| capture_with("chain", horizon));
}

/// At most 0.5 bytes a hint, where a ribbon of 32 tries takes 1.25 for so few devices; the
/// form and its dial are shown.
#[test]
fn a_chain_takes_half_a_byte_a_hint() {
    let (folder, fleet) = fleet_of(10_000);
    let file = folder.path().join("fleet.hdx");
    let dial = ["--encoding", "chain", "--evaluations", "16", "--horizon", "64"];
    rebuild(&fleet, &file, &dial).done();
    assert!(fs::metadata(&file).expect("a file").len() < 320_000);
    verify(&file, &fleet).done();
    let shown = run(["inspect".as_ref(), file.as_os_str()]).done().stdout;
    assert!(shown.contains("chain, 16 evaluations a lookup"), "{shown}");
    let shown = run(["inspect".as_ref(), "--json".as_ref(), file.as_os_str()]).done().stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["encoding"], &shown["evaluations"]), (&"chain".into(), &16.into()));
}

#[test]
fn files_that_cannot_serve_are_refused_in_one_line() {
    let ((_mine, fleet), (theirs, other)) = (fleet_of(100), fleet_of(100));
    let foreign = theirs.path().join("other.hdx");
    rebuild(&other, &foreign, &[]).done();
    let attach = |file: &Path| decode(&fleet, &["--snapshot", file.to_str().expect("ASCII")], "");
    // The master key is the same; the fleet is another.
    attach(&foreign).refused(2, &["other.hdx", "another fleet", "rebuild"]);
    attach(&theirs.path().join("none.hdx")).refused(1, &["none.hdx"]);
    attach(&Capture::master_key_file()).refused(1, &["snapshot"]);

    let bytes = fs::read(&foreign).expect("a file can be read");
    let cut = theirs.path().join("cut.hdx");
    fs::write(&cut, bytes.get(..bytes.len() - 1).expect("it is not empty"))
        .expect("a file can be written");
    verify(&cut, &other).refused(1, &["cut.hdx"]);
    verify(&foreign, &other).done();
    verify(&foreign, &fleet).refused(2, &["another fleet"]);
    rebuild(&fleet, &foreign, &["--tries", "0"]).refused(2, &["--tries"]);
    rebuild(&fleet, &foreign, &["--bits", "33"]).refused(2, &["--bits"]);
    rebuild(&fleet, &foreign, &["--encoding", "zip"]).refused(2, &["ribbon"]);
    rebuild(&fleet, &foreign, &["--evaluations", "16"]).refused(2, &["--encoding chain"]);
    rebuild(&fleet, &foreign, &["--encoding", "chain", "--tries", "8"])
        .refused(2, &["--evaluations"]);
    rebuild(&fleet, &foreign, &["--encoding", "chain", "--evaluations", "0"])
        .refused(2, &["--evaluations"]);
    rebuild(&fleet, Path::new("/nowhere/at/all.hdx"), &[]).refused(1, &["/nowhere/at"]);
}

/// Decodes the capture with `more`, while `file` is written over in place by a shorter one
/// after some verdicts: as `cp` does, and no rename.
fn capture_while_a_file_is_cut(fleet: &Path, more: &[&str], file: &Path, by: &[u8]) {
    const BEFORE: usize = 300;
    let capture = Capture::load();
    let mut running = Running::start(fleet, more);
    let (before, rest) = capture.packets.split_at(BEFORE);
    running.send(&(before.join("\n") + "\n"));
    let mut said: Vec<_> = (0..BEFORE).map(|_| running.next_verdict()).collect();
    let in_place = fs::OpenOptions::new().write(true).truncate(true).open(file);
    in_place.and_then(|mut file| file.write_all(by)).expect("it can be written over");
    let (mut stdin, rest) = (running.take_stdin(), rest.join("\n"));
    let writer = std::thread::spawn(move || {
        // The program may end before it has read everything.
        let _ = stdin.write_all(rest.as_bytes());
    });
    said.extend((BEFORE..capture.packets.len()).map(|_| running.next_verdict()));
    writer.join().expect("the writer ends");
    capture.check(0, &said);
    let outcome = running.end();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let by_snapshot = count(&said, |said| said.source == "snapshot");
    assert!(by_snapshot > said.len() / 3, "{by_snapshot} by the snapshot");
}

#[test]
fn a_snapshot_that_is_written_over_in_place_goes_on_answering() {
    let (folder, fleet) = fleet_of(DEVICES);
    let file = folder.path().join("fleet.hdx");
    rebuild(&fleet, &file, &["--horizon", "500"]).done();
    let snapshot = file.to_str().expect("a name in ASCII");
    // By another snapshot, of the same fleet, that is shorter.
    let shorter = folder.path().join("shorter.hdx");
    rebuild(&fleet, &shorter, &["--horizon", "1"]).done();
    let shorter = fs::read(shorter).expect("a file can be read");
    capture_while_a_file_is_cut(&fleet, &["--snapshot", snapshot], &file, &shorter);
}

#[test]
fn a_fleets_own_snapshot_that_is_cut_goes_on_answering() {
    for form in [None, Some("--full")] {
        let (_folder, fleet) = fleet_of(DEVICES);
        let roll = ["roll".as_ref(), "--index".as_ref(), fleet.as_os_str()];
        run(roll.into_iter().chain(form.map(OsStr::new))).done();
        let more: Vec<_> = form.into_iter().collect();
        capture_while_a_file_is_cut(&fleet, &more, &fleet.join("snapshot.hdx"), b"no snapshot");
    }
}

/// Calls that change files.
const WRITING_CALLS: [&str; 9] = [
    "write",
    "pwrite64",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat2",
    "unlink",
];

#[test]
fn a_rebuild_killed_at_every_call_that_writes_leaves_the_old_file_or_the_new_one() {
    let (folder, fleet) = fleet_of(300);
    let file = folder.path().join("fleet.hdx");
    rebuild(&fleet, &file, &["--horizon", "10"]).done();
    let old = fs::read(&file).expect("a file can be read");
    let (mut kept, mut replaced) = (0, 0);
    for call in WRITING_CALLS {
        for nth in 1.. {
            fs::write(&file, &old).expect("the old file can be put back");
            let args = ["rebuild", "--horizon", "20", "--threads", "1", "--index"].map(OsStr::new);
            let files = [fleet.as_os_str(), "--out".as_ref(), file.as_os_str()];
            let ended = ends_before(call, nth, args.into_iter().chain(files));
            let now = fs::read(&file).expect("there is a file at all times");
            if now == old {
                assert!(!ended, "a rebuild that ends leaves its file");
                kept += 1;
            } else {
                verify(&file, &fleet).done();
                replaced += 1;
            }
            if ended {
                break;
            }
        }
    }
    assert!(kept > 10 && replaced >= WRITING_CALLS.len(), "{kept} kept, {replaced} replaced");
}
