//! Input that is none: the line is malformed, the rest goes on, nothing is lost.

use std::fs;
use std::path::PathBuf;

use hintdex_tests::capture::DEVICES;
use hintdex_tests::program::{Running, verify};
use hintdex_tests::{Capture, Devices, decode, provision};
use tempfile::TempDir;

fn fleet_of_capture() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", &DEVICES.to_string(), "--lookahead", "10"]).done();
    (folder, fleet)
}

#[test]
fn lines_that_are_no_packets_are_malformed_and_the_rest_goes_on() {
    let (_folder, fleet) = fleet_of_capture();
    let devices = Devices::of_capture();
    let mut input = Vec::new();
    let mut expected = Vec::new();
    let mut add = |line: &[u8], verdict: &'static str| {
        input.extend_from_slice(line);
        input.push(b'\n');
        expected.push(verdict);
    };
    let packet = |nonce| devices.line(7, nonce, b"up").trim().to_owned();
    add(b"not hex at all", "malformed");
    add(packet(0).as_bytes(), "accepted");
    add(b"", "malformed");
    add(packet(1).get(1..).expect("long enough").as_bytes(), "malformed");
    add(&[0xff, 0xfe, 0x00, 0x80], "malformed");
    add(format!("  {}\t\r", packet(1).to_uppercase()).as_bytes(), "accepted");
    add(packet(2).get(..46).expect("long enough").as_bytes(), "malformed");
    add(&vec![b'a'; 10 << 20], "malformed");
    add(&vec![b'0'; 131_070], "unknown");
    add(&vec![b'0'; 131_072], "malformed");
    add(&vec![0; 10 << 20], "malformed");
    // What stands behind a packet is nothing to a fleet of counters, also a second one.
    add(format!("{} {}", packet(2), packet(3)).as_bytes(), "accepted");
    add(packet(2).as_bytes(), "replay");
    // The last line may lack its end.
    input.extend_from_slice(packet(3).as_bytes());
    expected.push("accepted");

    let outcome = decode(&fleet, &[], input).done();
    let said: Vec<_> = outcome.verdicts().into_iter().map(|said| said.verdict).collect();
    assert_eq!(said, expected);
    assert!(outcome.stderr.contains("4 accepted") && outcome.stderr.contains("8 malformed"));
}

#[test]
fn an_empty_input_is_no_packets() {
    let (folder, fleet) = fleet_of_capture();
    let empty = folder.path().join("empty");
    fs::write(&empty, "").expect("a file can be written");
    for file in ["-", empty.to_str().expect("ASCII")] {
        let outcome = decode(&fleet, &[file], "").done();
        assert_eq!(outcome.stdout, "");
        assert!(outcome.stderr.starts_with("0 packets"), "{}", outcome.stderr);
    }
}

#[test]
fn a_packet_is_answered_as_soon_as_it_is_sent() {
    let (_folder, fleet) = fleet_of_capture();
    let devices = Devices::of_capture();
    let mut running = Running::start(&fleet, &["-"]);
    for nonce in 0..50 {
        running.send(&devices.line(3, nonce, b""));
        assert_eq!(running.next_verdict().sender, Some((3, nonce)));
    }
    assert_eq!(running.end().code, Some(0));
}

/// As `| head` does.
#[test]
fn an_output_that_is_closed_early_loses_nothing_of_what_was_not_read() {
    let (_folder, fleet) = fleet_of_capture();
    let capture = Capture::load();
    let mut running = Running::start(&fleet, &[]);
    // So large an input that it is in the pipe when the output is closed.
    let (mut stdin, lines) = (running.take_stdin(), capture.packets.join("\n"));
    let writer = std::thread::spawn(move || {
        let _ = std::io::Write::write_all(&mut stdin, lines.as_bytes());
    });
    let read: Vec<_> = (0..10).map(|_| running.next_verdict()).collect();
    capture.check(0, &read);
    let outcome = running.end();
    writer.join().expect("the writer ends");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let taken = outcome.stderr.split("packets up to line ").nth(1);
    let taken = taken.and_then(|rest| rest.split(' ').next()?.parse().ok());
    let taken: usize =
        taken.unwrap_or_else(|| panic!("it does not say how far it went: {}", outcome.stderr));
    assert!((10..30_000).contains(&taken), "{taken}");

    // What it says was taken is not accepted again; the rest is as if nothing had been.
    let again = decode(&fleet, &[], capture.packets.join("\n")).done().verdicts();
    let (before, rest) = again.split_at(taken);
    assert!(before.iter().all(|said| said.verdict != "accepted"));
    capture.check(taken, rest);
    verify(&fleet);
}
