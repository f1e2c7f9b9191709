//! A file of each format version and encoding, opened by today's reader.
//!
//! `golden/v1-*.hdx` were written by the first builder of version 1. They stay
//! as they are; a later version adds its own beside them.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use std::path::PathBuf;

use hintdex_snapshot::{Builder, Dial, Encoding, Snapshot};
use support::{Fleet, hint, key, params};

/// The fleet of the golden files: short hints, so that some collide, and slots
/// that do not begin at 0.
fn fleet() -> Fleet {
    Fleet { slots: 1_000..1_300, hint_len_bytes: 3, ..Fleet::new(0, 5) }
}

fn golden(encoding: Encoding) -> PathBuf {
    let name = format!("tests/golden/v1-{encoding}.hdx");
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn files_of_version_1_are_read() {
    for &encoding in Encoding::ALL {
        let snapshot = Snapshot::open(golden(encoding), &key()).expect("opened");
        snapshot.verify().expect("whole");
        let expected = params(encoding, Dial::Tries(4), fleet().slots);
        assert_eq!(*snapshot.params(), expected);
        assert_eq!(snapshot.stats().hints, 1_500);
        for (head, slot) in fleet().all() {
            let mut candidates = snapshot.candidates(&hint(head)).expect("whole");
            assert!(candidates.any(|slots| slots.contains(&slot)), "{encoding}, {head:016x}");
        }
    }
}

#[test]
fn files_of_version_1_are_written_to_the_byte() {
    for &encoding in Encoding::ALL {
        let params = params(encoding, Dial::Tries(4), fleet().slots);
        let bytes = std::fs::read(golden(encoding)).expect("a golden file");
        assert!(support::build_bytes(&fleet(), params) == bytes, "{encoding}");
    }
}

#[test]
#[ignore = "writes the golden files; for a new version of the format only"]
fn write() {
    for &encoding in Encoding::ALL {
        let params = params(encoding, Dial::Tries(4), fleet().slots);
        Builder::new(params, &key()).build(&fleet(), golden(encoding)).expect("built");
    }
}
