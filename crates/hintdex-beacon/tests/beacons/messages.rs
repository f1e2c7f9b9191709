//! Every error, refusal and event names what it is about, in one line.

use std::error::Error as _;
use std::fs;
use std::path::PathBuf;

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::{Error, Event, Identifier, NotAnIdentifier, Refusal, Resolver};

use crate::support::{beacons, station_of};

/// That a message is one line and has each of these in it.
fn assert_names(message: &str, facts: &[&str]) {
    assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
    for fact in facts {
        assert!(message.contains(fact), "{message:?} lacks {fact:?}");
    }
}

fn path() -> PathBuf {
    PathBuf::from("/a/folder/of-beacons")
}

const PATH: &str = "/a/folder/of-beacons";

#[test]
fn errors_name_the_file_and_what_is_wrong() {
    let damaged = Error::Damaged {
        path: path(),
        what: "a part is wrong",
        offset_bytes: 12_345,
        remedy: "do this about it",
    };
    assert_names(&damaged.to_string(), &[PATH, "a part is wrong", "12345", "do this about it"]);
    let newer = Error::NewerVersion { path: path(), got: 7, newest: 3 };
    assert_names(&newer.to_string(), &[PATH, "7", "3"]);
    let option = Error::Option { option: "the span", allowed: "1 to 9" };
    assert_names(&option.to_string(), &["the span", "1 to 9"]);
    let no_clock = Error::NoClock { device: DeviceId(4711) };
    assert_names(&no_clock.to_string(), &["4711"]);
    let of_folders = [
        Error::NoBeacons { folder: path() },
        Error::Locked { folder: path() },
        Error::ForeignFile { path: path() },
    ];
    for error in &of_folders {
        assert_names(&error.to_string(), &[PATH]);
    }
    // Of these the caller asked for what there is not; the others are of the data.
    for error in of_folders.iter().chain([&option, &no_clock]) {
        assert!(error.is_usage() && error.source().is_none(), "{error}");
    }
    for error in [&damaged, &newer] {
        assert!(!error.is_usage() && error.source().is_none(), "{error}");
    }
}

#[test]
fn errors_of_others_are_passed_on_with_their_cause() {
    use hintdex_snapshot::{BuildError, OpenError};
    let build = Error::Build(BuildError::HintsChanged { announced: 123, got: 456 });
    assert_names(&build.to_string(), &["123", "456"]);
    let window = Error::Window { path: path(), source: OpenError::WrongKey };
    assert_names(&window.to_string(), &[PATH, &OpenError::WrongKey.to_string()]);
    for error in [build, window] {
        assert!(!error.is_usage());
        let source = error.source().expect("a cause").to_string();
        assert!(error.to_string().contains(&source), "{error}");
    }
    // A folder in the place of a file.
    let station = station_of(&beacons(1, 3));
    fs::create_dir(station.folder.join("beacons.clocks")).expect("a folder");
    let opened = Resolver::open(&station.folder, station.options, Box::new(station.clock.clone()));
    let Err(error @ Error::File(_)) = opened else { panic!("{opened:?}") };
    assert!(!error.is_usage());
    assert_names(&error.to_string(), &["beacons.clocks"]);
    assert!(error.source().is_some());
}

#[test]
fn refusals_name_the_beacon_and_the_number() {
    let cases: [(Refusal, &[&str]); 8] = [
        (Refusal::DuplicateId { device: DeviceId(4711), start_interval: None }, &["4711"]),
        (
            Refusal::DuplicateId { device: DeviceId(4711), start_interval: Some(2_900_001) },
            &["4711", "2900001"],
        ),
        (Refusal::DuplicateKey { of: DeviceId(4711) }, &["4711"]),
        (Refusal::FutureClock { ahead_s: 98_765 }, &["98765", "clock_offset_s"]),
        (Refusal::FutureMeasurement { ahead_s: 98_765 }, &["98765", "measured_s"]),
        (Refusal::PastMeasurement { age_s: 31 * 365 * 86_400 }, &["31 years", "measured_s"]),
        (Refusal::PastClock { clock_offset_s: -98_765 }, &["-98765", "clock_offset_s"]),
        (Refusal::Full, &["4,294,967,295"]),
    ];
    for (refusal, facts) in cases {
        assert_names(&refusal.to_string(), facts);
    }
}

#[test]
fn events_name_the_beacon_or_the_file() {
    let device = DeviceId(4711);
    let (what, at_unix_s) = ("it is full".to_owned(), 1_764_000_123);
    let cases: [(Event, &[&str]); 7] = [
        (
            Event::ClockMoved { device, clock_s: 98_765, at_unix_s },
            &["4711", "98765", "1764000123"],
        ),
        (Event::ClockRestored { device, at_unix_s }, &["4711", "1764000123"]),
        (
            Event::ClocksDamaged { path: path(), records: 21, offset_bytes: 12_345 },
            &[PATH, "21", "12345"],
        ),
        (Event::WindowRecordDamaged { path: path() }, &[PATH]),
        (Event::WindowDamaged { path: path(), what: what.clone() }, &[PATH, &what]),
        (Event::NextWindowFailed { what: what.clone() }, &[&what]),
        (
            Event::StationClockWentBack { from_unix_s: at_unix_s, to_unix_s: 98_765 },
            &["1764000123", "98765"],
        ),
    ];
    for (event, facts) in cases {
        assert_names(&event.to_string(), facts);
    }
}

#[test]
fn what_is_no_identifier_is_named() {
    for len in [0, 5, 7, 9, 15, 17] {
        let error = Identifier::from_bytes(&vec![0x40; len]).expect_err("no such length");
        assert_eq!(error, NotAnIdentifier::Length { got_bytes: len });
        assert_names(&error.to_string(), &[&len.to_string(), "8", "16", "6"]);
    }
    let error = Identifier::from_bytes(&[0xff; 6]).expect_err("another kind of address");
    assert_eq!(error, NotAnIdentifier::OtherAddress);
    assert_names(&error.to_string(), &["01"]);
}

/// No key is in what is printed for a log.
#[test]
fn a_resolver_is_printed_without_its_keys() {
    let beacons = beacons(3, 3);
    let resolver = station_of(&beacons).open();
    let printed = format!("{resolver:?}");
    assert!(printed.contains("Resolver") && printed.contains("3 beacons"), "{printed}");
    assert!(printed.contains("span_s") && printed.contains("beacons\""), "{printed}");
    for beacon in &beacons {
        let key = format!("{:?}", beacon.key.expose());
        assert!(!printed.contains(key.trim_matches(['[', ']'])), "{printed}");
    }
}
