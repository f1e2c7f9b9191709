//! An estimate is the truth within 10 %, at four sizes.

use std::fs;
use std::path::Path;

use hintdex_tests::program::run;
use serde_json::Value;

/// How far an estimate may be from the truth.
const MARGIN: f64 = 0.10;

/// Devices and hints of each.
const SIZES: [(u32, u32); 4] = [(20_000, 16), (100_000, 10), (300_000, 32), (1_000_000, 8)];

fn files_len_bytes(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).expect("a folder").flatten();
    files.map(|file| file.metadata().expect("a file").len()).sum()
}

fn number(object: &Value, pointer: &str) -> f64 {
    object.pointer(pointer).and_then(Value::as_f64).expect(pointer)
}

#[track_caller]
fn hold(what: &str, estimated: f64, truth: f64) {
    let off = estimated / truth - 1.0;
    println!("{what}: estimated {estimated:.0}, is {truth:.0}, off by {:+.2} %", off * 100.0);
    assert!(off.abs() <= MARGIN, "{what}: estimated {estimated:.0}, is {truth:.0}");
}

#[test]
fn bytes_and_memory_are_foretold() {
    for (devices, lookahead) in SIZES {
        let folder = tempfile::tempdir().expect("a folder");
        let (fleet, file) = (folder.path().join("fleet"), folder.path().join("fleet.hdx"));
        let (devices, lookahead) = (devices.to_string(), lookahead.to_string());
        let estimate = |tries: &str| -> Value {
            let size = ["estimate", "--devices", &devices, "--lookahead", &lookahead];
            let said = run(size.into_iter().chain(["--tries", tries, "--json"])).done().stdout;
            serde_json::from_str(&said).expect("JSON")
        };
        let size = format!("{devices} x {lookahead}");
        let index = fleet.to_str().expect("text");
        let provision = ["provision", "--full", "--index", index, "--devices", &devices];
        run(provision.into_iter().chain(["--lookahead", &lookahead])).done();
        let truth = files_len_bytes(&fleet.join("index")) as f64;
        for tries in ["1", "32"] {
            let estimate = estimate(tries);
            hold(&format!("{size}, live index"), number(&estimate, "/live/bytes"), truth);
            let rebuild = ["rebuild", "--index", index, "--horizon", &lookahead, "--tries", tries];
            run(rebuild.into_iter().chain(["--out", file.to_str().expect("text")])).done();
            let truth = fs::metadata(&file).expect("a file").len() as f64;
            let what = format!("{size}, ribbon of {tries}");
            hold(&what, number(&estimate, "/snapshot/bytes"), truth);
        }
        // The station's own snapshot, in its usual form.
        run(["roll", "--index", index]).done();
        let truth = fs::metadata(fleet.join("snapshot.hdx")).expect("a file").len() as f64;
        hold(
            &format!("{size}, own snapshot"),
            number(&estimate("1"), "/own_snapshot/bytes"),
            truth,
        );
        run(["roll", "--full", "--index", index]).done();
        // What serves it, as `measure` looks at it, in a process of its own.
        let take = ["take", "station", "--index", index, "--devices", &devices];
        let taken = run(take.into_iter().chain(["--lookahead", &lookahead])).done().stdout;
        let taken: Value = serde_json::from_str(&taken).expect("JSON");
        let estimated = number(&estimate("32"), "/memory/resident_bytes");
        hold(&format!("{size}, resident"), estimated, number(&taken, "/memory/resident_bytes"));
    }
}

#[test]
fn other_hints_and_encodings_are_foretold() {
    let folder = tempfile::tempdir().expect("a folder");
    for scheme in ["speck64", "aes128-trunc:4"] {
        let fleet = folder.path().join(scheme);
        let index = fleet.to_str().expect("text");
        let size = ["--devices", "100000", "--lookahead", "8", "--hint", scheme];
        run(["provision", "--full", "--index", index].into_iter().chain(size)).done();
        let truth = files_len_bytes(&fleet.join("index")) as f64;
        for encoding in ["ribbon", "dense", "sorted", "chain"] {
            let more = ["--encoding", encoding, "--json"];
            let said = run(["estimate"].into_iter().chain(size).chain(more)).done().stdout;
            let estimate: Value = serde_json::from_str(&said).expect("JSON");
            hold(&format!("{scheme}, live index"), number(&estimate, "/live/bytes"), truth);
            let file = folder.path().join("fleet.hdx");
            let out = file.to_str().expect("text");
            let rebuild = ["rebuild", "--index", index, "--horizon", "8", "--out", out];
            run(rebuild.into_iter().chain(["--encoding", encoding])).done();
            let truth = fs::metadata(&file).expect("a file").len() as f64;
            let what = format!("{scheme}, {encoding}");
            hold(&what, number(&estimate, "/snapshot/bytes"), truth);
        }
    }
}

#[test]
fn bad_calls_are_refused() {
    run(["estimate"]).refused(2, &["--devices"]);
    run(["estimate", "--devices", "0"]).refused(2, &["--devices"]);
    run(["estimate", "--devices", "9", "--bits", "40"]).refused(2, &["--bits"]);
    run(["estimate", "--devices", "9", "--hint", "md5"]).refused(2, &["md5"]);
}
