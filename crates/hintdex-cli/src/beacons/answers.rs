//! Answers to sightings: each as a line of JSON, and all of them counted.

use std::fmt::Write as _;
use std::time::Duration;

use hintdex_beacon::wire::DeviceId;
use hintdex_beacon::{Answer, Identification, Identifier, Sighting, Source};

use super::sightings::BadLine;

/// Writes answers, and counts them by kind and source.
#[derive(Default)]
pub struct Answers {
    /// The lines of JSON that are not written out yet.
    pub text: String,
    /// Lines of input that were read.
    pub lines: u64,
    malformed: u64,
    ambiguous: u64,
    unknown: u64,
    by_snapshot: u64,
    by_epoch: u64,
    by_search: u64,
    by_scan: u64,
    /// Whether the reader closed the output.
    pub closed_early: bool,
}

// Writing to a string never fails, so the results of `writeln!` are dropped.
impl Answers {
    /// Writes the answer to a line that is no sighting.
    pub fn write_malformed(&mut self, why: BadLine) {
        self.malformed += 1;
        let line = self.lines;
        let _ =
            writeln!(self.text, r#"{{"line":{line},"device":null,"reason":"malformed: {why}"}}"#);
    }

    /// Writes the answer to a sighting. `reversed` is the beacon whose key made an unknown
    /// address with its bytes reversed.
    pub fn write(&mut self, heard: &Sighting, answer: &Answer, reversed: Option<DeviceId>) {
        let (line, time) = (self.lines, heard.time_unix_s);
        let _ = match answer {
            Answer::Identified(Identification { device, clock_s, source, .. }) => {
                *self.count(*source) += 1;
                let clock =
                    clock_s.map_or_else(String::new, |clock| format!(r#","clock":{clock}"#));
                let source = source.name();
                writeln!(
                    self.text,
                    r#"{{"line":{line},"device":{device},"time":{time}{clock},"source":"{source}"}}"#
                )
            }
            Answer::Ambiguous(devices) => {
                self.ambiguous += 1;
                let devices: Vec<_> = devices.iter().map(|device| device.0).collect();
                writeln!(
                    self.text,
                    r#"{{"line":{line},"device":null,"time":{time},"reason":"the keys of several beacons fit","devices":{devices:?}}}"#
                )
            }
            Answer::Unknown | Answer::OutOfRange => {
                self.unknown += 1;
                let reason = match (answer, heard.identifier) {
                    (Answer::OutOfRange, _) => {
                        "the time is too far from the present to look for anything; check the \
                         receiver's clock, or give the present with --now"
                    }
                    (_, Identifier::Address(_)) => "no registered key made this address",
                    _ => "no registered beacon sends this at about this time",
                };
                let reversed = reversed.map_or_else(String::new, |device| {
                    format!(
                        "; the key of id {device} matches reversed: if its addresses are never \
                         found, import it with its bytes in the opposite order"
                    )
                });
                writeln!(
                    self.text,
                    r#"{{"line":{line},"device":null,"time":{time},"reason":"{reason}{reversed}"}}"#
                )
            }
        };
    }

    const fn count(&mut self, source: Source) -> &mut u64 {
        match source {
            Source::Snapshot => &mut self.by_snapshot,
            Source::Epoch => &mut self.by_epoch,
            Source::Search => &mut self.by_search,
            _ => &mut self.by_scan,
        }
    }

    /// Writes the summary to standard error.
    pub fn print_summary(&self, elapsed: Duration) {
        let Self {
            lines,
            malformed,
            ambiguous,
            unknown,
            by_snapshot,
            by_epoch,
            by_search,
            by_scan,
            ..
        } = self;
        let rate = *lines as f64 / elapsed.as_secs_f64().max(1e-9);
        eprintln!(
            "{lines} identifiers in {:.2} s, {rate:.0} a second: {} identified, {unknown} of no \
             known beacon, {ambiguous} ambiguous, {malformed} malformed; found by snapshot \
             {by_snapshot}, by epoch {by_epoch}, by search {by_search}, by scan {by_scan}",
            elapsed.as_secs_f64(),
            by_snapshot + by_epoch + by_search + by_scan,
        );
        if self.closed_early {
            eprintln!(
                "hintdex: the reader closed the output; identifiers up to line {lines} were \
                 taken, the rest of the input was not read"
            );
        }
    }
}
