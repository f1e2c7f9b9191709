//! Packets as lines of hex.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use super::fields::{MAX_PACKET_LEN_BYTES, split_fields};
use super::lines::{Batch, Lines, Wait};
use crate::unix_time::{BadTime, read_time_ms};

/// A line of input.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A packet, and its time of reception if the line has one: in seconds since 1970, and the
    /// milliseconds behind them.
    Packet { bytes: Vec<u8>, at_unix_s: Option<u64>, at_ms: u16 },
    /// Not a packet.
    Bad(BadLine),
}

/// Why a line is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLine {
    NotHex,
    TooLong,
    NoTime,
    Time(BadTime),
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHex => f.write_str("not pairs of hex digits"),
            Self::NoTime => f.write_str(
                "it lacks the time of reception, which names the device: seconds since 1970 or RFC \
                 3339, with a fraction, behind the hex digits",
            ),
            Self::Time(why) => write!(f, "the text after the hex digits {why}"),
            Self::TooLong => write!(f, "longer than {MAX_PACKET_LEN_BYTES} bytes"),
        }
    }
}

/// How the text after the hex digits of a packet is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailingField {
    /// As the time of reception, or nothing: with clocked nonces.
    Time,
    /// As the time of reception, which must be there: where it names the device.
    NeededTime,
    /// Not at all: counter nonces need no time, whatever a gateway writes there.
    Ignored,
}

impl<R: Read + Wait> Lines<R> {
    /// The next packets. Waits for at most `timeout` if it is given, also for the rest of a
    /// line that has begun.
    pub fn next_packets(
        &mut self,
        trailing: TrailingField,
        timeout: Option<Duration>,
    ) -> io::Result<Batch<Line>> {
        let is_ready = |input: &R| timeout.map_or(Ok(true), |timeout| input.wait(timeout));
        let parse = |line: Option<&[u8]>| {
            line.map_or(Line::Bad(BadLine::TooLong), |line| parse(line, trailing))
        };
        self.batch_when(is_ready, parse)
    }
}

pub(super) fn parse(line: &[u8], trailing: TrailingField) -> Line {
    let (digits, rest) = split_fields(line);
    if digits.len() > 2 * MAX_PACKET_LEN_BYTES {
        return Line::Bad(BadLine::TooLong);
    }
    let Ok(bytes) = hex::decode(digits) else { return Line::Bad(BadLine::NotHex) };
    if trailing == TrailingField::NeededTime && rest.is_empty() {
        return Line::Bad(BadLine::NoTime);
    }
    if trailing == TrailingField::Ignored || rest.is_empty() {
        return Line::Packet { bytes, at_unix_s: None, at_ms: 0 };
    }
    match str::from_utf8(rest).map_or(Err(BadTime::Other), read_time_ms) {
        Ok((unix_s, at_ms)) => Line::Packet { bytes, at_unix_s: Some(unix_s), at_ms },
        Err(why) => Line::Bad(BadLine::Time(why)),
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::*;

    /// Input that comes in parts; an empty part is a silence.
    struct Parts(RefCell<VecDeque<Vec<u8>>>);

    impl Parts {
        fn new(parts: &[&[u8]]) -> Self {
            Self(RefCell::new(parts.iter().map(|part| part.to_vec()).collect()))
        }
    }

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let part = self.0.get_mut().pop_front().unwrap_or_default();
            buffer.get_mut(..part.len()).expect("parts are short").copy_from_slice(&part);
            Ok(part.len())
        }
    }

    impl Wait for Parts {
        fn wait(&self, _: Duration) -> io::Result<bool> {
            let mut parts = self.0.borrow_mut();
            let is_silent = parts.front().is_some_and(Vec::is_empty);
            if is_silent {
                parts.pop_front();
            }
            Ok(!is_silent)
        }
    }

    impl Wait for &[u8] {
        fn wait(&self, _: Duration) -> io::Result<bool> {
            Ok(true)
        }
    }

    fn all(text: &[u8]) -> Vec<Line> {
        read(text, TrailingField::Time)
    }

    fn read(text: &[u8], trailing: TrailingField) -> Vec<Line> {
        let mut lines = Lines::new(text);
        let mut all = Vec::new();
        while let Batch::Lines(batch) =
            lines.next_packets(trailing, None).expect("memory can be read")
        {
            all.extend(batch);
        }
        all
    }

    fn packet(bytes: &[u8]) -> Line {
        Line::Packet { bytes: bytes.to_vec(), at_unix_s: None, at_ms: 0 }
    }

    #[test]
    fn a_time_may_follow_a_packet() {
        let at = |unix_s| Line::Packet { bytes: vec![0xab], at_unix_s: Some(unix_s), at_ms: 0 };
        let text = b"ab 17\nab,1795392000\nab\t2026-11-23T00:00:00Z\nab \nab soon\n";
        let bad = Line::Bad(BadLine::Time(BadTime::Other));
        assert_eq!(all(text), [at(17), at(1_795_392_000), at(1_795_392_000), packet(&[0xab]), bad]);
    }

    #[test]
    fn a_time_has_milliseconds_and_may_be_needed() {
        let at = |at_ms| Line::Packet { bytes: vec![0xab], at_unix_s: Some(17), at_ms };
        let text = b"ab 17\nab 17.5\nab,17.0249999\nab 1970-01-01T00:00:17.999Z\nab 17.\nab\n";
        let mut expected = vec![at(0), at(500), at(24), at(999)];
        expected.extend([Line::Bad(BadLine::Time(BadTime::Other)), Line::Bad(BadLine::NoTime)]);
        assert_eq!(read(text, TrailingField::NeededTime), expected);
    }

    #[test]
    fn text_after_a_packet_is_read_only_with_clocked_nonces() {
        let text = b"ab soon\nab,\"2026-11-23\"\nab; rssi -97\nab \xff\xfe\nab cd\n";
        assert_eq!(read(text, TrailingField::Ignored), [(); 5].map(|()| packet(&[0xab])));
        let is_bad = |line: &Line| matches!(line, Line::Bad(BadLine::Time(_)));
        assert!(all(text).iter().all(is_bad));
        // Text without a separator belongs to the digits, and damaged hex is no packet.
        for damaged in ["abx", "ab:cd", "0xab", "\"ab\""] {
            let line = read(damaged.as_bytes(), TrailingField::Ignored);
            assert_eq!(line, [Line::Bad(BadLine::NotHex)], "{damaged}");
        }
    }

    #[test]
    fn a_line_may_come_in_parts_with_silences_between() {
        let parts: [&[u8]; 7] = [b"", b"a", b"", b"", b"b\ncd\ne", b"", b"f"];
        let mut lines = Lines::new(Parts::new(&parts));
        let mut next =
            || lines.next_packets(TrailingField::Time, Some(Duration::ZERO)).expect("memory");
        let one = |byte| Batch::Lines(vec![packet(&[byte])]);
        assert_eq!((next(), next(), next()), (Batch::Silence, Batch::Silence, Batch::Silence));
        assert_eq!(next(), Batch::Lines(vec![packet(&[0xab]), packet(&[0xcd])]));
        assert_eq!((next(), next(), next()), (Batch::Silence, one(0xef), Batch::End));
    }

    #[test]
    fn any_line_end_ends_a_packet() {
        let expected = [packet(&[0xab]), packet(&[]), packet(&[0xcd, 1])];
        assert_eq!(all(b"ab\n\ncd01\n"), expected);
        assert_eq!(all(b" AB\r\n\r\ncD01"), expected);
        assert_eq!(all(b""), []);
    }

    #[test]
    fn a_bad_line_is_named_and_reading_goes_on() {
        let long = "00".repeat(5_000_000);
        let text = format!("xyz\nabc\n{long}\nab\n");
        let bad = |why| Line::Bad(why);
        let expected =
            [bad(BadLine::NotHex), bad(BadLine::NotHex), bad(BadLine::TooLong), packet(&[0xab])];
        assert_eq!(all(text.as_bytes()), expected);
        let longest = "00".repeat(MAX_PACKET_LEN_BYTES);
        assert_eq!(all(longest.as_bytes()), [packet(&[0; MAX_PACKET_LEN_BYTES])]);
        assert_eq!(all(format!("{longest}00").as_bytes()), [bad(BadLine::TooLong)]);
    }
}
