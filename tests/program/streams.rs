//! What comes in as lines: what stands behind packets, input that holds none, and packets
//! that wait for a scan while nothing more comes in.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use hintdex_tests::program::{Running, run};
use hintdex_tests::{Devices, decode, provision};
use tempfile::TempDir;

/// Packets with other things than a time behind them.
const TIME_FORMS: &str = include_str!("../data/cases/time-forms.txt");

/// A fleet of ten devices under the key of the cases.
fn fleet_of_cases(more: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/cases/master.key");
    let named = ["provision".as_ref(), "--index".as_ref(), fleet.as_os_str()];
    let key = ["--devices".as_ref(), "10".as_ref(), "--master-key".as_ref(), key.as_os_str()];
    run(named.into_iter().chain(key).chain(more.iter().map(OsStr::new))).done();
    (folder, fleet)
}

#[test]
fn counters_need_no_time_whatever_stands_behind_their_packets() {
    let (_folder, fleet) = fleet_of_cases(&[]);
    let said = decode(&fleet, &[], TIME_FORMS).done().verdicts();
    let verdicts: Vec<_> = said.iter().map(|said| said.verdict.as_str()).collect();
    assert_eq!(verdicts, ["accepted"; 5]);
}

#[test]
fn where_nonces_tell_time_the_fault_of_each_time_is_named() {
    let (_folder, fleet) = fleet_of_cases(&["--nonce", "step:60"]);
    let outcome = decode(&fleet, &[], TIME_FORMS);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let faults = [
        "without a time zone",
        "milliseconds",
        "more than a time",
        "quotation marks",
        "before 1970",
    ];
    let mut said = outcome.stdout.lines();
    for (line, fault) in TIME_FORMS.lines().zip(faults) {
        let said = said.next().expect("a verdict a line");
        assert!(said.contains("malformed") && said.contains(fault), "{said} of {line}");
    }
    // Neither the verdicts nor the message quotes what stood there.
    for quoted in ["2026-11-23 07", "1795392000", "-97", "0001"] {
        assert!(!outcome.stdout.contains(quoted), "{}", outcome.stdout);
        assert!(!outcome.stderr.contains(quoted), "{}", outcome.stderr);
    }
    let message = outcome.stderr.lines().last().expect("a message");
    assert!(message.contains("no line is a packet") && message.contains("zone"), "{message}");
}

#[test]
fn input_without_a_packet_is_an_error_that_names_the_shape_of_its_first_line() {
    let (_folder, fleet) = fleet_of_cases(&[]);
    let packet = TIME_FORMS.split(' ').next().expect("a packet");
    let (shorter, pairs) = (&packet[1..], packet.as_bytes().chunks(2));
    let pairs: Vec<_> = pairs.map(|pair| str::from_utf8(pair).expect("digits")).collect();
    for (line, looks) in [
        (format!("{{\"payload\":\"{packet}\",\"rssi\":-97}}"), "JSON"),
        (format!("\"{packet}\""), "quotation mark"),
        (format!("0x{packet}"), "0x in front"),
        (shorter.to_owned(), "odd number of hex digits"),
        (pairs.join(":"), "between its pairs"),
        (pairs.join(" "), "between its pairs"),
        ("received,rssi,payload".to_owned(), "CSV with 3 columns"),
        ("9KAjWb4zsVa0MyuH6ONQtg1h2w==".to_owned(), "base64"),
        (packet[..40].to_owned(), "20 bytes, the shortest packet has 24"),
        (String::new(), "0 bytes long, it is empty"),
        ("\u{1}\u{2}".to_owned(), "not text"),
        ("00".repeat(100_000), "200000 bytes long"),
    ] {
        let length = format!("{} byte", line.len());
        let outcome = decode(&fleet, &[], format!("{line}\nsecond\n"));
        assert_eq!(outcome.code, Some(1), "{line}: {}", outcome.stderr);
        let (summary, message) = outcome.stderr.split_once('\n').expect("two lines");
        assert!(summary.starts_with("2 packets") && summary.contains("2 malformed"), "{summary}");
        assert!(message.starts_with("hintdex: standard input: no line"), "{message}");
        assert!(message.contains(looks) && message.contains(&length), "{line}: {message}");
        for part in ["f4a0", "received", "9KAj", "\u{1}"] {
            assert!(!outcome.stderr.contains(part), "{part} of {line}: {}", outcome.stderr);
        }
    }
    // One packet, wherever it stands, and the rest is bad lines as before.
    let outcome = decode(&fleet, &[], format!("{{}}\n{packet}\nsecond\n")).done();
    assert!(outcome.stderr.contains("1 accepted") && outcome.stderr.contains("2 malformed"));
    // A packet of an unknown device is a packet.
    decode(&fleet, &[], "00".repeat(24)).done();
}

#[test]
fn the_verdicts_on_waiting_packets_come_without_further_input() {
    const DEVICES: u32 = 100_000;
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let count = DEVICES.to_string();
    provision(&fleet, &["--devices", &count, "--lookahead", "1"]).done();
    // They were jammed for long: no index looks so far ahead, so each needs a scan.
    let devices = Devices::of_capture();
    let line = |device| devices.line(device, 5000, b"");
    let mut running = Running::start(&fleet, &["--scan-share", "0.01", "--sync", "none"]);
    let mut senders = (0..DEVICES).zip(1..);
    let mut waiting = HashSet::new();
    while waiting.len() < 20 {
        let (device, number) = senders.next().expect("the budget is never spent");
        running.send(&line(device));
        loop {
            let said = running.next_verdict();
            if said.line == number && said.verdict == "unknown" {
                waiting.insert(number);
                break;
            }
            assert_eq!((said.verdict.as_str(), said.sender), ("accepted", sender(said.line)));
            if said.line == number {
                break;
            }
            // A scan was allowed once more when this line came.
            assert!(waiting.remove(&said.line), "{said:?}");
        }
    }
    // Half of a line is no reason to wait, either.
    let (device, number) = senders.next().expect("there are more");
    let last = line(device);
    let (head, tail) = last.split_at(30);
    running.send(head);
    while !waiting.is_empty() {
        let said = running.next_verdict();
        assert!(waiting.remove(&said.line), "{said:?}");
        assert_eq!((said.verdict.as_str(), said.sender), ("accepted", sender(said.line)));
    }
    running.send(tail);
    assert_eq!(running.next_verdict().line, number);
    assert_eq!(running.end().code, Some(0));
}

/// Who sent the packet of a line.
fn sender(line: u64) -> Option<(u32, u64)> {
    u32::try_from(line - 1).ok().map(|device| (device, 5000))
}
