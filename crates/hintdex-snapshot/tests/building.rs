//! Building: the same input yields the same file, and a failed build leaves no file.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use core::ops::Range;
use std::fs;
use std::sync::Mutex;

use hintdex_snapshot::{BuildError, Builder, Dial, Encoding, HintSource, SampleShard, Snapshot};
use hintdex_wire::Slot;
use support::{Fleet, hint, key, params};

#[test]
fn the_bytes_do_not_depend_on_threads_or_memory() {
    // Four shards.
    let fleet = Fleet::new(400_000, 8);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.hdx");
    for encoding in support::STORED {
        let params = params(encoding, Dial::Tries(16), fleet.slots.clone());
        let key = key();
        let build = |threads, memory_bytes| {
            let builder = Builder::new(params.clone(), &key).threads(threads);
            let report = builder.memory_bytes(memory_bytes).build(&fleet, &path).expect("built");
            (fs::read(&path).expect("published"), report.passes)
        };
        let (expected, passes) = build(1, 1 << 30);
        assert_eq!(passes, 1);
        let (bytes, passes) = build(3, 1 << 30);
        assert_eq!(passes, 1);
        assert!(bytes == expected, "three threads, {encoding}");
        let (bytes, passes) = build(2, 1 << 20);
        assert_eq!(passes, 4, "a shard at a time");
        assert!(bytes == expected, "little memory, {encoding}");
    }
}

#[test]
fn a_changed_parameter_changes_the_file_id() {
    let fleet = Fleet::new(100, 2);
    let original = params(Encoding::Ribbon, Dial::Tries(1), fleet.slots.clone());
    let file_id = |params| support::build_bytes(&fleet, params).get(16..32).map(<[u8]>::to_vec);
    let mut changed = original.clone();
    changed.origin = *b"the next state..";
    assert_eq!(file_id(original.clone()), file_id(original.clone()));
    assert_ne!(file_id(original), file_id(changed));
}

#[test]
fn progress_reaches_all_hints() {
    let fleet = Fleet::new(300_000, 8);
    let dir = tempfile::tempdir().expect("a folder");
    let seen = Mutex::new(Vec::new());
    let progress = |progress| seen.lock().expect("no panics").push(progress);
    let params = params(Encoding::Ribbon, Dial::Tries(1), fleet.slots.clone());
    let key = key();
    let builder = Builder::new(params, &key).threads(1).progress(&progress);
    builder.build(&fleet, dir.path().join("fleet.hdx")).expect("built");
    let seen = seen.into_inner().expect("no panics");
    assert!(seen.is_sorted_by_key(|progress| progress.hints_done));
    let last = seen.last().expect("several shards");
    assert_eq!((last.hints_done, last.hints_all), (2_400_000, 2_400_000));
}

#[test]
fn parameters_out_of_range_are_refused() {
    let fleet = Fleet::new(10, 1);
    let dir = tempfile::tempdir().expect("a folder");
    let refused = |params, param: &str| {
        let built = Builder::new(params, &key()).build(&fleet, dir.path().join("fleet.hdx"));
        assert!(
            matches!(built, Err(BuildError::Params { param: of, .. }) if of == param),
            "{param}"
        );
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
    };
    let params = |dial| params(Encoding::Ribbon, dial, 0..10);
    refused(params(Dial::Bits(0)), "the number of bits");
    refused(params(Dial::Bits(33)), "the number of bits");
    refused(params(Dial::Tries(0)), "the number of tries");
    let mut wrong = params(Dial::Tries(1));
    wrong.check_bits = 33;
    refused(wrong, "the number of check bits");
    let mut wrong = params(Dial::Tries(1));
    wrong.slots = 7..7;
    refused(wrong, "the number of slots");
}

/// A fleet that returns one hint more than it announces.
struct Growing(Fleet);

impl HintSource for Growing {
    fn hint_count(&self) -> u64 {
        self.0.hint_count() - 1
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        self.0.hints(slots, each);
    }
}

#[test]
fn a_failed_build_leaves_the_old_file_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.hdx");
    let fleet = Fleet::new(1000, 3);
    let params = params(Encoding::Ribbon, Dial::Tries(1), fleet.slots.clone());
    let key = key();
    let builder = Builder::new(params, &key);
    builder.build(&fleet, &path).expect("built");
    let old = fs::read(&path).expect("published");
    let built = builder.build(&Growing(fleet), &path);
    assert!(matches!(built, Err(BuildError::HintsChanged { announced: 2999, got: 3000 })));
    assert_eq!(fs::read(&path).expect("still there"), old);
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
}

/// A build removes the drafts that killed builds of the same file left. It removes no draft that
/// is being written, and no file of another name.
#[test]
fn stale_drafts_are_removed() {
    let dir = tempfile::tempdir().expect("a folder");
    let make = |name: &str| fs::File::create(dir.path().join(name)).expect("created");
    let stale = [".fleet.hdx.AbCdEf.making", ".fleet.hdx.9.making"];
    stale.iter().for_each(|name| drop(make(name)));
    let kept = [
        ".other.hdx.AbCdEf.making",
        ".fleet.hdx.making",
        ".fleet.hdx..making",
        ".fleet.hdx.a-b.making",
        ".fleet.hdx.old.AbCdEf.making",
        "fleet.hdx.AbCdEf.making",
    ];
    kept.iter().for_each(|name| drop(make(name)));
    let busy = ".fleet.hdx.GhIjKl.making";
    let writing = make(busy);
    writing.lock().expect("locked");

    let fleet = Fleet::new(100, 3);
    let key = key();
    let params = params(Encoding::Ribbon, Dial::Tries(1), fleet.slots.clone());
    let build = || {
        Builder::new(params.clone(), &key)
            .build(&fleet, dir.path().join("fleet.hdx"))
            .expect("built")
    };
    build();
    let names = || -> Vec<String> {
        let entries = fs::read_dir(dir.path()).expect("a folder");
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries.flatten().map(name).collect();
        names.sort();
        names
    };
    let mut expected: Vec<&str> = kept.into_iter().chain([busy, "fleet.hdx"]).collect();
    expected.sort_unstable();
    assert_eq!(names(), expected);

    // The writer is killed.
    drop(writing);
    build();
    expected.retain(|&name| name != busy);
    assert_eq!(names(), expected);
}

/// Concurrent builds of one file do not remove each other's drafts.
#[test]
fn concurrent_builds_of_one_file_succeed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.hdx");
    let fleet = Fleet::new(500, 3);
    let key = key();
    let params = params(Encoding::Ribbon, Dial::Tries(1), fleet.slots.clone());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let builder = Builder::new(params.clone(), &key).threads(1);
                    builder.build(&fleet, &path).expect("built");
                }
            });
        }
    });
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    Snapshot::open(&path, &key).expect("opened").verify().expect("whole");
}

#[test]
fn origins_of_different_parts_differ() {
    use hintdex_snapshot::SnapshotParams;
    let origins = [
        SnapshotParams::origin_of(&[]),
        SnapshotParams::origin_of(&[b""]),
        SnapshotParams::origin_of(&[b"ab", b"c"]),
        SnapshotParams::origin_of(&[b"a", b"bc"]),
    ];
    for (at, origin) in origins.iter().enumerate() {
        assert!(!origins.iter().skip(at + 1).any(|other| other == origin));
    }
    let fleet = Fleet::new(100, 2);
    let mut params = params(Encoding::Ribbon, Dial::Tries(1), 0..100);
    params.origin = SnapshotParams::origin_of(&[b"a state"]);
    params.built_at_unix_s = 1_795_392_000;
    let snapshot = support::build(&fleet, params.clone());
    assert_eq!(*snapshot.params(), params);
}

#[test]
fn an_error_names_the_missing_folder() {
    let fleet = Fleet::new(10, 1);
    let params = params(Encoding::Ribbon, Dial::Tries(1), fleet.slots.clone());
    let built = Builder::new(params, &key()).build(&fleet, "/no/such/folder/fleet.hdx");
    let error = built.expect_err("there is no such folder").to_string();
    let expected = "/no/such/folder: making a file in the folder failed: No such file or directory";
    assert_eq!(error, format!("{expected} (os error 2)"));
}

#[test]
fn a_mapped_snapshot_stays_readable_after_its_replacement() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.hdx");
    let fleet = Fleet::new(1000, 3);
    let key = key();
    let params = params(Encoding::Ribbon, Dial::Tries(1), fleet.slots.clone());
    let builder = Builder::new(params, &key);
    builder.build(&fleet, &path).expect("built");
    let before = Snapshot::open(&path, &key).expect("opened");
    builder.build(&Fleet { seed: 9, ..Fleet::new(1000, 3) }, &path).expect("built");
    for (head, slot) in fleet.all() {
        let mut candidates = before.candidates(&hint(head)).expect("whole");
        assert_eq!(candidates.next(), Some(slot..slot + 1));
    }
}

/// A source that announces hints and must not be asked for them.
struct Announced(u64);

impl HintSource for Announced {
    fn hint_count(&self) -> u64 {
        self.0
    }

    fn hints(&self, _: Range<u32>, _: &mut dyn FnMut(u64, Slot)) {
        unreachable!("the build must fail before its first pass");
    }
}

/// For instance ten devices with a horizon of 2³⁷ nonces.
#[test]
fn more_hints_than_a_snapshot_holds_are_refused_before_memory_is_taken() {
    const MOST: u64 = 1 << 40;
    let dir = tempfile::tempdir().expect("a folder");
    for encoding in support::STORED {
        for hints in [MOST + 1, 10 << 37, 1_000_000 << 32, u64::MAX] {
            let params = params(encoding, Dial::Tries(1), 0..10);
            for memory_bytes in [0, 1 << 30, u64::MAX] {
                let key = key();
                let builder = Builder::new(params.clone(), &key).memory_bytes(memory_bytes);
                let built = builder.build(&Announced(hints), dir.path().join("fleet.hdx"));
                let error = built.expect_err("too many");
                let is_reported = matches!(
                    error,
                    BuildError::Params { param: "the number of hints", got, .. } if got == hints
                );
                assert!(is_reported, "{error:?}");
                assert!(error.to_string().contains(&MOST.to_string()), "{error}");
            }
            assert!(matches!(SampleShard::new(&params, hints), Err(BuildError::Params { .. })));
        }
    }
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
}

/// A small fleet is built with any bound on memory and any number of threads.
#[test]
fn more_memory_and_threads_than_a_machine_has_are_no_error() {
    let fleet = Fleet::new(1000, 3);
    let params = params(Encoding::Ribbon, Dial::Tries(1), fleet.slots.clone());
    let expected = support::build_bytes(&fleet, params.clone());
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.hdx");
    for memory_bytes in [0, u64::MAX] {
        let key = key();
        let builder = Builder::new(params.clone(), &key).memory_bytes(memory_bytes);
        builder.build(&fleet, &path).expect("built");
        assert!(fs::read(&path).expect("published") == expected, "{memory_bytes}");
    }
    let sample = SampleShard::new(&params, 1 << 40).expect("as many as there can be");
    assert_eq!(sample.hints(), 1 << 20);
    assert_eq!(sample.passes(u64::MAX, 1), 1);
    assert_eq!(sample.passes(1 << 30, usize::MAX), 1 << 20, "a shard at a time");
}

#[test]
fn a_hint_of_a_slot_that_is_not_covered_is_refused() {
    /// A fleet with an additional hint of each of these slots.
    struct Astray(Fleet, Vec<u32>);
    impl HintSource for Astray {
        fn hint_count(&self) -> u64 {
            self.0.hint_count() + self.1.len() as u64
        }
        fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
            if slots.start == self.0.slots.start {
                self.1.iter().for_each(|&slot| each(self.0.head(slot, 0), Slot(slot)));
            }
            self.0.hints(slots, each);
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("fleet.hdx");
    for encoding in support::STORED {
        let build = |astray: &[u32]| {
            let fleet = Fleet { slots: 2_000..12_000, ..Fleet::new(0, 2) };
            let params = params(encoding, Dial::Tries(4), fleet.slots.clone());
            let source = Astray(fleet, astray.to_vec());
            Builder::new(params, &key()).build(&source, &path)
        };
        for (astray, least) in [
            (&[12_000][..], 12_000),
            (&[1_999], 1_999),
            (&[0, 5, u32::MAX], 0),
            (&[12_345, 2_000], 12_345),
        ] {
            let error = build(astray).expect_err("a slot that is not covered");
            let is_reported = matches!(
                &error,
                BuildError::SlotOutside { slot, slots: Range { start: 2_000, end: 12_000 } }
                    if *slot == least
            );
            assert!(is_reported, "{error:?}");
            let error = error.to_string();
            assert!(error.contains(&least.to_string()) && error.contains("12000"), "{error}");
        }
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
        build(&[2_000, 11_999]).expect("slots that are covered");
        fs::remove_file(&path).expect("it is there");
    }
}
