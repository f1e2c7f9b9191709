//! Golden files of chains: the reader reads them, the builder writes them byte for byte, and
//! the second reader in Python (`second_reader/snapshot_v1.py`), written from the page of the
//! format alone, finds the same points. `golden.rs` has the files of the other encodings.
//!
//! One command writes the files again and prints the digest of the large file:
//! `cargo test --release -p hintdex-snapshot --test chain_golden -- --ignored --nocapture`
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hintdex_snapshot::Snapshot;
use hintdex_wire::{Hint, HintScheme, Nonce, Slot, TruncatedLen};
use support::chains::{Keys, Runs, build, find, uniform};
use support::golden::digest;
use support::{hint, key, scramble};

/// SHA-256 of the file with two shards, which is too large to be kept.
const LARGE_SHA256: &str = "977116b3ef8a244ccae13c0064cb6dcffaee6dc496879e573326f33caf3b101e";

/// A chain that is kept as a file, or as a digest.
struct Golden {
    name: &'static str,
    keys: Keys,
    runs: Runs,
    evaluations: u32,
}

impl Golden {
    fn path(&self) -> PathBuf {
        let name = format!("tests/golden/v1-chain{}.hdx", self.name);
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    fn bytes(&self) -> Vec<u8> {
        build(&self.keys, &self.runs, self.evaluations, 2)
    }

    /// Every point.
    fn points(&self) -> Vec<(u32, Nonce)> {
        let of = |(slot, run): &(Slot, std::ops::Range<Nonce>)| {
            let slot = slot.0;
            run.clone().map(move |nonce| (slot, nonce))
        };
        self.runs.iter().flat_map(of).collect()
    }

    fn slot_count(&self) -> u32 {
        self.runs.last().map_or(0, |(slot, _)| slot.0 + 1)
    }
}

fn truncated(len: usize) -> HintScheme {
    HintScheme::Aes128Truncated(TruncatedLen::new(len).expect("4 to 12"))
}

/// The files that are kept.
fn kept() -> [Golden; 4] {
    let aes = || Keys::new(HintScheme::Aes128);
    // Slots without a run, as retired ones; others close to their last nonce; some with a run in
    // each of two tables.
    let uneven: Runs = (3..700_u32)
        .filter(|slot| slot % 7 != 0)
        .flat_map(|slot| {
            let first = u64::from(slot) * 977 % 3000;
            let len = if slot % 5 == 0 { u64::from(slot % 3) + 1 } else { 6 };
            let second = (slot % 50 == 1).then_some((Slot(slot), 5000..5003));
            [(Slot(slot), first..first + len)].into_iter().chain(second)
        })
        .collect();
    let starts =
        (0..600).map(|slot| (Slot(slot), 40 + u64::from(slot % 90)..45 + u64::from(slot % 90)));
    // Every twentieth slot has the key of the slot before it.
    let key_slot = |slot: u32| if slot != 0 && slot.is_multiple_of(20) { slot - 1 } else { slot };
    let shared = Keys { key_slot, ..Keys::new(truncated(4)) };
    [
        Golden { name: "-5", keys: aes(), runs: uniform(300, 5), evaluations: 5 },
        Golden { name: "-16-uneven", keys: aes(), runs: uneven, evaluations: 16 },
        Golden {
            name: "-8-byte",
            keys: Keys::new(truncated(8)),
            runs: starts.collect(),
            evaluations: 9,
        },
        Golden { name: "-4-byte-shared", keys: shared, runs: uniform(400, 4), evaluations: 5 },
    ]
}

/// Two shards, and hints that later levels and a list hold.
fn large() -> Golden {
    let keys = Keys::new(HintScheme::Aes128Wide);
    Golden { name: "-two-shards", keys, runs: uniform(10, 105_000), evaluations: 16 }
}

/// Hints of no point.
fn foreign() -> impl Iterator<Item = Hint> {
    (0..60).map(|number| hint(scramble(0xf0e1 ^ number << 32)))
}

#[test]
fn chains_of_version_1_are_read() {
    for golden in kept() {
        let snapshot = Snapshot::open(golden.path(), &key()).expect("opened");
        snapshot.verify().expect("whole");
        let points = golden.points();
        assert_eq!(snapshot.stats().hints, points.len() as u64);
        let hint_of = |(slot, nonce): &(u32, Nonce)| golden.keys.hint(*slot, *nonce);
        let hints: Vec<_> = points.iter().map(hint_of).collect();
        for (point, found) in points.iter().zip(find(&snapshot, &golden.keys, &hints)) {
            assert!(found.contains(point), "{}: {point:?}, {found:?}", golden.name);
        }
        let foreign: Vec<_> = foreign().collect();
        let found = find(&snapshot, &golden.keys, &foreign);
        assert!(found.iter().all(Vec::is_empty), "{}", golden.name);
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "a million hints: with --release")]
fn chains_of_version_1_are_written_to_the_byte() {
    for golden in kept() {
        let bytes = std::fs::read(golden.path()).expect("a golden file");
        assert!(golden.bytes() == bytes, "{}", golden.path().display());
    }
    assert_eq!(digest(&large().bytes()), LARGE_SHA256);
}

/// Each part of the format is in at least one of the files.
#[test]
fn the_golden_chains_have_every_part_of_the_format() {
    let files: Vec<_> =
        kept().iter().map(|golden| std::fs::read(golden.path()).expect("a golden file")).collect();
    let has = |section: &str| {
        files.iter().any(|file| {
            let stats = Snapshot::from_bytes(file, &key()).expect("opened").stats();
            stats.sections.iter().any(|one| one.name == section && one.bytes > 0)
        })
    };
    for section in ["marks", "marks before", "duplicates", "runs", "chain header"] {
        assert!(has(section), "{section}");
    }
    let evaluations = files
        .iter()
        .map(|file| Snapshot::from_bytes(file, &key()).expect("opened").stats().evaluations);
    assert!(evaluations.eq([5, 16, 9, 5].map(Some)));
}

/// The points of each hint by the second reader, or its error message.
fn second_reader(file: &Path, keys: &Path, hints: &[Hint]) -> Result<Vec<String>, String> {
    let script = "tests/second_reader/snapshot_v1.py";
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(script);
    let mut text = String::new();
    for hint in hints {
        hint.as_bytes().iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string"));
        text.push('\n');
    }
    let folder = tempfile::tempdir().expect("a folder");
    let asked = folder.path().join("hints");
    std::fs::write(&asked, text).expect("written");
    let output = Command::new("python3")
        .arg(script)
        .arg("07".repeat(32))
        .args([file, keys])
        .stdin(Stdio::from(std::fs::File::open(&asked).expect("a file")))
        .output()
        .expect("python3 is installed (make setup)");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).expect("numbers");
    Ok(text.lines().map(str::to_owned).collect())
}

/// The keys of all slots as the second reader reads them.
fn write_keys(keys: &Keys, slots: u32, path: &Path) {
    let mut text = String::new();
    for slot in 0..slots {
        match keys.key(slot) {
            Some(key) => key.iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string")),
            None => text.push('-'),
        }
        text.push('\n');
    }
    std::fs::write(path, text).expect("written");
}

/// Asserts that both readers find the same points for the hints of every `step`th point, and for
/// foreign hints. `keys` are those of the lookups.
fn assert_read_alike(golden: &Golden, file: &Path, keys: &Keys, step: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let keys_path = folder.path().join("keys");
    write_keys(keys, golden.slot_count(), &keys_path);
    let points = golden.points();
    let known = points.iter().step_by(step);
    let known = known.map(|&(slot, nonce)| golden.keys.hint(slot, nonce));
    let hints: Vec<Hint> = known.chain(foreign()).collect();
    let theirs = second_reader(file, &keys_path, &hints).expect("the file keeps its page's rules");
    let snapshot = Snapshot::open(file, &key()).expect("opened");
    let ours = find(&snapshot, keys, &hints);
    assert_eq!(theirs.len(), ours.len());
    for ((hint, ours), theirs) in hints.iter().zip(ours).zip(theirs) {
        let ours: Vec<_> = ours.iter().map(|(slot, nonce)| format!("{slot}:{nonce}")).collect();
        assert_eq!(ours.join(" "), theirs, "{}: {hint:?}", golden.name);
    }
}

#[test]
fn the_second_reader_finds_the_same_points() {
    for golden in kept() {
        assert_read_alike(&golden, &golden.path(), &golden.keys, 19);
    }
}

/// Keys of retired slots are gone: both readers end a walk that needs one alike.
#[test]
fn the_second_reader_loses_the_same_points_with_their_keys() {
    for golden in kept() {
        let gone = Keys { gone_every: 9, ..Keys::new(golden.keys.scheme) };
        let gone = Keys { key_slot: golden.keys.key_slot, ..gone };
        assert_read_alike(&golden, &golden.path(), &gone, 19);
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "a million hints: with --release")]
fn the_second_reader_reads_several_shards() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.hdx");
    let golden = large();
    std::fs::write(&path, golden.bytes()).expect("written");
    assert_read_alike(&golden, &path, &golden.keys, 7919);
}

#[test]
fn the_second_reader_refuses_a_changed_chain() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, keys) = (folder.path().join("broken.hdx"), folder.path().join("keys"));
    std::fs::write(&keys, "").expect("written");
    for golden in kept() {
        let bytes = std::fs::read(golden.path()).expect("a golden file");
        for at in [9, 100, 300, 4_100, bytes.len() - 70, bytes.len() - 1] {
            let mut broken = bytes.clone();
            *broken.get_mut(at).expect("within the file") ^= 1;
            std::fs::write(&path, broken).expect("written");
            let refused = second_reader(&path, &keys, &[]).expect_err("a rule is broken");
            assert!(refused.contains("breaks a rule"), "{at}: {refused}");
        }
    }
}

#[test]
#[ignore = "writes the golden files, and prints a digest: for a new version"]
fn write() {
    for golden in kept() {
        std::fs::write(golden.path(), golden.bytes()).expect("written");
    }
    println!("two shards: {}", digest(&large().bytes()));
}
