//! The comparison runs, small, and says what it should.

use std::process::Command;

use serde_json::Value;

/// Runs `compare` with `arguments` and returns what it wrote for programs.
fn run(arguments: &[&str]) -> Value {
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.args(arguments).arg("--out").arg(out.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = std::fs::read_to_string(out.path().join("compare.md")).unwrap();
    assert_eq!(page.trim_end(), String::from_utf8(output.stdout).unwrap().trim_end());
    assert!(page.contains("## Who wins"));
    serde_json::from_str(&std::fs::read_to_string(out.path().join("compare.json")).unwrap())
        .unwrap()
}

fn check(row: &Value) {
    let number = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name} of {row}"));
    assert!(number("bytes_per_hint") > 0.4, "{row}");
    assert!(number("load_hints_per_s") > 1000.0, "{row}");
    assert!(row["ns_per_lookup"]["median"].as_f64().unwrap() > 1.0, "{row}");
}

#[test]
fn everybody_in_this_process_answers_right() {
    let found = run(&["--devices", "20000", "--quick"]);
    let rows = found["rows"].as_array().unwrap();
    rows.iter().for_each(check);
    let has = |name: &str| rows.iter().any(|row| row["name"] == name);
    for name in ["snapshot-ribbon-1", "hashbrown", "sorted-vec", "lmdb", "redb", "fjall"] {
        assert!(has(name), "{name} did not run");
    }
    for name in ["sqlite", "fst", "vfunc", "ptrhash-compact", "live-index", "rocksdb"] {
        assert!(has(name), "{name} did not run");
    }
    let bytes = |name: &str| {
        rows.iter().find(|row| row["name"] == name).unwrap()["bytes_per_hint"].as_f64().unwrap()
    };
    assert!(bytes("snapshot-chain-16") < bytes("snapshot-chain-9"));
    assert!(bytes("snapshot-chain-9") < bytes("snapshot-chain-5"));
    assert!(bytes("snapshot-chain-5") < bytes("snapshot-ribbon-32"));
    assert!(bytes("snapshot-ribbon-32") < bytes("snapshot-ribbon-1"));
    assert!(bytes("snapshot-ribbon-1") < bytes("hashbrown"));
}

#[test]
fn servers_answer_right_where_they_are_installed() {
    let found =
        run(&["--devices", "500", "--rounds", "1", "--only", "redis,postgresql,python-dict"]);
    let (rows, missing) = (&found["rows"], &found["missing"]);
    assert_eq!(rows.as_array().unwrap().len() + missing.as_array().unwrap().len(), 3);
    rows.as_array().unwrap().iter().for_each(check);
}

#[test]
fn a_name_that_nobody_has_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--only", "nobody", "--devices", "10"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("nobody is called nobody"));
}
