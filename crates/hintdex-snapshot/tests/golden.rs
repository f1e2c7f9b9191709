//! Golden files of each format version and encoding. The reader reads them, and the builder
//! writes them byte for byte. A second reader in Python, written from the page of the format
//! alone, returns the same candidates (`second_reader/snapshot_v1.py`).
//!
//! The first builder of version 1 wrote `golden/v1-*.hdx`. They never change; a later version
//! adds its own files. Of files with several shards, which are large, only the digests are kept.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hintdex_snapshot::{Encoding, Snapshot};
use support::golden::{Golden, digest, kept, large};
use support::{hint, key, scramble};

const KEY_HEX: &str = "0707070707070707070707070707070707070707070707070707070707070707";

#[test]
fn files_of_version_1_are_read() {
    for golden in kept() {
        let name = golden.path();
        let snapshot = Snapshot::open(&name, &key()).expect("opened");
        snapshot.verify().expect("whole");
        assert_eq!(*snapshot.params(), golden.params());
        assert_eq!(snapshot.stats().hints, golden.hints().len() as u64);
        for (head, slot) in golden.hints() {
            let mut candidates = snapshot.candidates(&hint(head)).expect("whole");
            let is_found = candidates.any(|slots| slots.contains(&slot));
            assert!(is_found, "{}, {head:016x}", name.display());
        }
    }
}

#[test]
fn files_of_version_1_are_written_to_the_byte() {
    for golden in kept() {
        let bytes = std::fs::read(golden.path()).expect("a golden file");
        assert!(golden.bytes() == bytes, "{}", golden.path().display());
    }
    for golden in large() {
        assert_eq!(Some(digest(&golden.bytes()).as_str()), golden.sha256, "{}", golden.encoding);
    }
}

/// Each part of the format is in at least one of the files.
#[test]
fn the_golden_files_have_every_part_of_the_format() {
    let stats =
        |golden: &Golden| Snapshot::from_bytes(&golden.bytes(), &key()).expect("opened").stats();
    let all: Vec<Golden> = kept().into_iter().chain(large()).collect();
    for encoding in support::STORED {
        let of: Vec<_> = all.iter().filter(|golden| golden.encoding == encoding).collect();
        let shards = |golden: &&Golden| shard_count(&golden.bytes());
        assert!(of.iter().any(|golden| shards(golden) > 1), "{encoding}: several shards");
        assert!(of.iter().any(|golden| stats(golden).value_bits == 32), "{encoding}: wide slots");
        assert!(of.iter().any(|golden| golden.hint_len_bytes == 4), "{encoding}: short hints");
    }
    let ribbons = || all.iter().filter(|golden| golden.encoding == Encoding::Ribbon);
    assert!(ribbons().any(|golden| layers_of_last_shard(&golden.bytes()) == 3), "three layers");
    assert!(ribbons().any(|golden| stats(golden).duplicates > 0), "duplicates");
}

fn shard_count(file: &[u8]) -> usize {
    file.get(15).map_or(0, |bits| 1 << bits)
}

/// The layers of a ribbon's last shard, by its record.
fn layers_of_last_shard(file: &[u8]) -> usize {
    let manifest = file.len() - support::answers::manifest_len(file);
    let record = manifest + 64 * (shard_count(file) - 1);
    let part = |at: usize| file.get(record + 24 + 8 * at..).and_then(|rest| rest.first_chunk());
    (0..3).filter(|at| part(*at).is_some_and(|blocks| u32::from_le_bytes(*blocks) > 0)).count()
}

/// The candidates of each head by the second reader, or its error message.
fn second_reader(file: &Path, heads: &[u64]) -> Result<Vec<Vec<u32>>, String> {
    let script = "tests/second_reader/snapshot_v1.py";
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(script);
    let mut python = Command::new("python3");
    python.arg(script).arg(KEY_HEX).arg(file);
    python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = python.spawn().expect("python3 is installed (make setup)");
    let mut text = String::new();
    for head in heads {
        writeln!(text, "{head:016x}").expect("a string takes text");
    }
    let mut stdin = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || {
        // A reader that refuses the file exits without reading the heads.
        let _ = stdin.write_all(text.as_bytes());
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it ends");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).expect("numbers");
    let slots = |line: &str| line.split(' ').filter_map(|slot| slot.parse().ok()).collect();
    Ok(text.lines().map(slots).collect())
}

/// Asserts that both readers return the same slots for `known` hints and for foreign hints.
fn assert_read_alike(file: &Path, known: &[(u64, u32)]) {
    let snapshot = Snapshot::open(file, &key()).expect("opened");
    let foreign = (0..500).map(|number| scramble(0xf0e1 ^ number << 32));
    let heads: Vec<u64> = known.iter().map(|&(head, _)| head).chain(foreign).collect();
    let found = second_reader(file, &heads).expect("the file keeps the rules of its page");
    assert_eq!(found.len(), heads.len());
    for (head, slots) in heads.iter().zip(&found) {
        let candidates = snapshot.candidates(&hint(*head)).expect("whole");
        let mut ours: Vec<u32> = candidates.flatten().collect();
        ours.sort_unstable();
        assert_eq!(ours, *slots, "{}: {head:016x}", file.display());
    }
    for ((head, slot), slots) in known.iter().zip(&found) {
        assert!(slots.contains(slot), "{}: {head:016x}", file.display());
    }
}

#[test]
fn the_second_reader_returns_the_same_candidates() {
    for golden in kept() {
        assert_read_alike(&golden.path(), &golden.hints());
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.hdx");
    for golden in large() {
        std::fs::write(&path, golden.bytes()).expect("written");
        let some: Vec<_> = golden.hints().into_iter().step_by(701).collect();
        assert_read_alike(&path, &some);
    }
}

#[test]
fn the_second_reader_refuses_a_changed_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("broken.hdx");
    for golden in kept() {
        let bytes = std::fs::read(golden.path()).expect("a golden file");
        // A bit of the header, of the zeros behind it, of the data and of the manifest.
        for at in [9, 16, 100, 190, 300, 4_100, bytes.len() - 70, bytes.len() - 1] {
            let mut broken = bytes.clone();
            *broken.get_mut(at).expect("within the file") ^= 1;
            std::fs::write(&path, broken).expect("written");
            let refused = second_reader(&path, &[]).expect_err("a rule is broken");
            assert!(refused.contains("breaks a rule"), "{at}: {refused}");
        }
    }
}

#[test]
#[ignore = "writes the golden files that are missing, and prints digests: for a new version"]
fn write() {
    for golden in kept().into_iter().filter(|golden| !golden.path().exists()) {
        std::fs::write(golden.path(), golden.bytes()).expect("written");
    }
    for golden in large() {
        let bytes = golden.bytes();
        println!("{} {} bytes: {}", golden.encoding, bytes.len(), digest(&bytes));
    }
}
