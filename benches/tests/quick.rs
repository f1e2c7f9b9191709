//! Every bench runs, at a size that takes seconds.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::process::Command;

const BENCH: &str = env!("CARGO_BIN_EXE_hintdex-bench");
const COSTS: &str = env!("CARGO_BIN_EXE_hintdex-costs");

fn run(program: &str, args: &[&str]) -> String {
    let run = Command::new(program).args(args).output();
    let run = run.expect("the bench starts");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{args:?}: {said}");
    String::from_utf8(run.stdout).expect("text")
}

#[test]
fn every_bench_runs_and_shows_its_peer() {
    for (name, ours, peer) in [
        ("lookup", "candidates", "bare get of the bucket"),
        ("provision", "LiveIndex::provision", "hashbrown"),
        ("decode", "decode_batch", "PyCryptodome"),
        ("sizes", "bytes a live hint", "≤ 5.5"),
        ("suites", "aes-siv: open / bare", "aes-ccm-8: bare"),
        ("margins", "speck64: false devices", "fits"),
        ("windows", "bytes a device and window hour", "hashbrown, four minutes"),
        ("waits", "longest wait at a roll", "beside other work"),
        ("flood", "real ones lost or late", "without a budget"),
    ] {
        let table = run(BENCH, &[name, "--quick"]);
        assert!(table.contains(ours) && table.contains(peer), "{name}:\n{table}");
    }
}

#[test]
fn costs_are_shown_of_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = hintdex_benches::fleet::Fleet { devices: 3000, lookahead: 10, seed: 1 };
    let path = folder.path().join("fleet");
    drop(fleet.provision(&path, 8 << 20).expect("a fleet"));
    let table = run(COSTS, &[path.to_str().expect("text"), "--quick"]);
    for row in ["bytes a hint", "lookups, one by one", "packets decoded, 2 threads"] {
        assert!(table.contains(row), "{row}:\n{table}");
    }
}
