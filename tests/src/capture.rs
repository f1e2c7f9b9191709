//! The reference capture: 30,000 packets of 20,000 devices made by an
//! independent implementation, with what a correct decoder says of each.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::program::Said;

/// The capture's files and lines.
#[derive(Debug)]
pub struct Capture {
    /// Packets, a line of hex each, without line ends.
    pub packets: Vec<String>,
    /// What is to be said of each: `accepted`, device, nonce, payload, or
    /// `rejected` and the verdict, separated by tabs.
    pub expected: Vec<String>,
}

/// How many devices the capture's fleet has.
pub const DEVICES: u32 = 20_000;

impl Capture {
    /// Reads the capture.
    pub fn load() -> Self {
        let lines = |name: &str| -> Vec<String> {
            let text = fs::read_to_string(folder().join(name)).expect("a file of the capture");
            text.lines().map(String::from).collect()
        };
        let capture = Self { packets: lines("packets.hex"), expected: lines("expected.tsv") };
        assert_eq!((capture.packets.len(), capture.expected.len()), (30_000, 30_000));
        capture
    }

    /// The file with the fleet's master key.
    pub fn master_key_file() -> PathBuf {
        folder().join("master.key")
    }

    /// The fleet's master key in hex.
    pub fn master_key_hex() -> String {
        let text = fs::read_to_string(Self::master_key_file()).expect("a file of the capture");
        text.trim().to_owned()
    }

    /// Compares verdicts with those of the lines from `first` on.
    pub fn check(&self, first: usize, said: &[Said]) {
        let expected = self.expected.iter().skip(first);
        for ((position, expected), said) in (first..).zip(expected).zip(said) {
            assert_eq!(&as_expected(said), expected, "line {} of the capture", position + 1);
        }
    }
}

/// A verdict in the words of `expected.tsv`.
pub fn as_expected(said: &Said) -> String {
    if said.verdict == "accepted" {
        let (device, nonce) = said.sender.expect("an accepted packet has a sender");
        format!("accepted\t{device}\t{nonce}\t{}", said.payload)
    } else {
        format!("rejected\t{}", said.verdict)
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/reference")
}

/// A packet in hex, and what is to be said of it, by an independent script.
#[derive(Debug)]
pub struct Line {
    /// The packet in hex.
    pub packet: String,
    /// The name of the verdict, or `noise`.
    pub verdict: String,
    /// The device and the nonce of an authentic packet.
    pub sender: (u32, u64),
    /// The payload in hex.
    pub payload: String,
}

impl Line {
    /// The lines that a script of `tests/data/suites` writes.
    pub fn of_script(script: &str, args: &[&str]) -> Vec<Self> {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/suites").join(script);
        let mut python = Command::new("python3");
        let output = python.env("PYTHONDONTWRITEBYTECODE", "1").arg(script).args(args).output();
        let output = output.expect("python3 is installed (make setup)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("lines of text");
        let line = |line: &str| {
            let cells: Vec<&str> = line.split('\t').collect();
            let [packet, verdict, device, nonce, payload] = cells.as_slice() else {
                panic!("five cells: {line}")
            };
            let number = |cell: &str| cell.parse::<u64>().expect("a number");
            Self {
                packet: (*packet).to_owned(),
                verdict: (*verdict).to_owned(),
                sender: (number(device).try_into().expect("an id"), number(nonce)),
                payload: payload.replace('-', ""),
            }
        };
        text.lines().map(line).collect()
    }
}
