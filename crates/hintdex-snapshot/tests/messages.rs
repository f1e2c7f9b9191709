//! Every error names what is wrong and where, in one line; nothing prints a key.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use std::error::Error;
use std::io;

use hintdex_snapshot::{
    BuildError, Damage, Dial, Encoding, Kernel, ManifestKey, OpenError, VerifyError,
};
use support::{Fleet, build, params};

/// That a message is one line and has each of these in it.
fn assert_names(error: &dyn Error, facts: &[&str]) {
    let message = error.to_string();
    assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
    for fact in facts {
        assert!(message.contains(fact), "{message:?} lacks {fact:?}");
    }
}

#[test]
fn errors_of_opening_name_the_part_and_the_place() {
    let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
    let io = OpenError::Io(denied());
    assert_names(&io, &[&denied().to_string()]);
    assert!(io.source().is_some());
    let cases: [(OpenError, &[&str]); 7] = [
        (OpenError::NotASnapshot, &["snapshot"]),
        (OpenError::NewerVersion { got: 77, newest: 33 }, &["77", "33"]),
        (OpenError::TooShort { got_bytes: 123, expected_bytes: 4567 }, &["123", "4567"]),
        (OpenError::TooLong { got_bytes: 4567, expected_bytes: 123 }, &["123", "4567"]),
        (OpenError::Damaged { what: "manifest", offset_bytes: 4567 }, &["manifest", "4567"]),
        (OpenError::WrongKey, &["key"]),
        (OpenError::Field { field: "value_bits", got: 99 }, &["value_bits", "99"]),
    ];
    for (error, facts) in cases {
        assert_names(&error, facts);
        assert!(error.source().is_none(), "{error}");
    }
}

#[test]
fn errors_of_verifying_name_the_block_or_the_byte() {
    let damage = Damage { block: 77, offset_bytes: 634_880 };
    assert_names(&damage, &["77", "634880"]);
    let damaged = VerifyError::from(damage);
    assert_names(&damaged, &["77", "634880"]);
    assert!(damaged.source().is_some_and(|source| source.to_string() == damage.to_string()));
    assert_eq!(damaged.offset_bytes(), 634_880);
    let padding = VerifyError::Padding { behind: "codes", offset_bytes: 5001 };
    assert_names(&padding, &["codes", "5001"]);
    assert!(padding.source().is_none());
    assert_eq!(padding.offset_bytes(), 5001);
}

#[test]
fn errors_of_building_name_the_number_that_is_wrong() {
    let params = BuildError::Params { param: "the dial", got: 99, allowed: "1 to 32" };
    let cases: [(BuildError, &[&str]); 6] = [
        (params, &["the dial", "99", "1 to 32"]),
        (BuildError::SeedsUsedUp { shard: 77, attempts: 33 }, &["77", "33"]),
        (BuildError::HintsChanged { announced: 123, got: 4567 }, &["123", "4567"]),
        (BuildError::SlotOutside { slot: 99, slots: 123..4567 }, &["99", "123", "4567"]),
        (BuildError::OutOfMemory { asked_bytes: 123, memory_bytes: 4567 }, &["123", "4567"]),
        (BuildError::ShardTooLarge { shard: 77, hints: 4567 }, &["77", "4567"]),
    ];
    for (error, facts) in cases {
        assert_names(&error, facts);
        assert!(error.source().is_none(), "{error}");
    }
    let fleet = Fleet::new(10, 1);
    let params = support::params(Encoding::Sorted, Dial::Tries(1), 0..10);
    let key = support::key();
    let builder = hintdex_snapshot::Builder::new(params, &key);
    let error = builder.build(&fleet, "/no/such/folder/fleet.hdx").expect_err("no folder");
    assert_names(&error, &["/no/such/folder"]);
    assert!(error.source().is_some());
}

#[test]
fn nothing_prints_a_key() {
    let key = ManifestKey::from_bytes([0xa7; 32]);
    assert_eq!(format!("{key:?}"), "ManifestKey([redacted])");
    let fleet = Fleet::new(10, 1);
    let snapshot = build(&fleet, params(Encoding::Ribbon, Dial::Tries(1), 0..10));
    let printed = format!("{snapshot:?}");
    assert!(printed.contains("Snapshot") && !printed.contains("7, 7, 7"), "{printed}");
    for kernel in Kernel::all() {
        assert_eq!(format!("{kernel:?}"), format!("Kernel({})", kernel.name()));
    }
}

#[test]
fn an_encoding_has_the_name_of_the_command_line() {
    for &encoding in Encoding::ALL {
        let name = encoding.to_string();
        assert!(!name.is_empty());
        assert_eq!(name, encoding.name());
        assert_eq!(Encoding::from_name(&name), Some(encoding));
        assert_eq!(Encoding::from_number(encoding.number()), Some(encoding));
    }
    assert_eq!((Encoding::from_name("ribbons"), Encoding::from_number(0)), (None, None));
    let names: Vec<_> = Encoding::ALL.iter().map(ToString::to_string).collect();
    for name in ["ribbon", "dense", "sorted"] {
        assert!(names.iter().any(|other| other == name), "{names:?}");
    }
}
