//! Packets as lines of hex: read in batches, as many as are there.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use crate::args::parse_time;

/// The longest packet that is read; what is longer is no packet of a radio.
pub const MAX_PACKET_LEN_BYTES: usize = 65_535;

/// What may stand behind a packet: a time, what divides them, the line's end.
const MAX_TIME_LEN_BYTES: usize = 64;

/// Lines of a batch at most.
const MAX_BATCH_LINES: usize = 8192;

/// Bytes read ahead.
const BUFFER_LEN_BYTES: usize = 1 << 20;

/// What stood on a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Hex, and when it was received, in seconds since 1970, if that stands behind it.
    Packet { bytes: Vec<u8>, at_unix_s: Option<u64> },
    /// Something else.
    Bad(BadLine),
}

/// Why a line is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLine {
    NotHex,
    TooLong,
    NoTime,
    InTheFuture,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHex => f.write_str("not pairs of hex digits"),
            Self::InTheFuture => f.write_str("the time behind it is more than a year ahead"),
            Self::NoTime => f.write_str("what stands behind the hex digits is no time"),
            Self::TooLong => write!(f, "longer than {MAX_PACKET_LEN_BYTES} bytes"),
        }
    }
}

/// Reads batches of lines.
pub struct Lines<R> {
    input: BufReader<R>,
    /// The line being read, up to the longest that can be a packet.
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    pub fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(BUFFER_LEN_BYTES, input), line: Vec::new() }
    }

    /// The next lines: waits for one, then takes those that were read with it, so
    /// that a live stream is answered packet by packet and a file in large
    /// batches. Empty at the end.
    pub fn next_batch(&mut self) -> io::Result<Vec<Line>> {
        self.next_batch_of(|line| line.map_or(Line::Bad(BadLine::TooLong), parse))
    }

    /// The same of lines that are something else than packets: what `parse` makes of
    /// each, which gets nothing for one that is too long.
    pub fn next_batch_of<T>(&mut self, parse: impl Fn(Option<&[u8]>) -> T) -> io::Result<Vec<T>> {
        let mut batch = Vec::new();
        while batch.len() < MAX_BATCH_LINES {
            if !batch.is_empty() && !self.input.buffer().contains(&b'\n') {
                break;
            }
            match self.next_line()? {
                Some(is_whole) => batch.push(parse(is_whole.then_some(&self.line))),
                None => break,
            }
        }
        Ok(batch)
    }

    /// Reads one line without ever holding more of it than a packet can have, and
    /// says whether that is all of it; nothing at the end.
    fn next_line(&mut self) -> io::Result<Option<bool>> {
        let longest = 2 * MAX_PACKET_LEN_BYTES + MAX_TIME_LEN_BYTES;
        self.line.clear();
        let (mut any, mut too_long) = (false, false);
        loop {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if buffer.is_empty() {
                break;
            }
            any = true;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let here = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            if self.line.len() + here.len() > longest {
                too_long = true;
            } else if !too_long {
                self.line.extend_from_slice(here);
            }
            let used = here.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        Ok(any.then_some(!too_long))
    }
}

fn parse(line: &[u8]) -> Line {
    let line = line.trim_ascii();
    let is_between = |byte: &u8| matches!(byte, b' ' | b'\t' | b',');
    let end = line.iter().position(is_between).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    if digits.len() > 2 * MAX_PACKET_LEN_BYTES {
        return Line::Bad(BadLine::TooLong);
    }
    let Ok(bytes) = hex::decode(digits) else { return Line::Bad(BadLine::NotHex) };
    let rest = rest.split_first().map_or(rest, |(_, rest)| rest.trim_ascii());
    if rest.is_empty() {
        return Line::Packet { bytes, at_unix_s: None };
    }
    let time = str::from_utf8(rest).ok().and_then(|text| parse_time(text).ok());
    time.map_or(Line::Bad(BadLine::NoTime), |time| Line::Packet { bytes, at_unix_s: Some(time) })
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(text);
        let mut all = Vec::new();
        loop {
            let batch = lines.next_batch().expect("memory can be read");
            if batch.is_empty() {
                return all;
            }
            all.extend(batch);
        }
    }

    fn packet(bytes: &[u8]) -> Line {
        Line::Packet { bytes: bytes.to_vec(), at_unix_s: None }
    }

    #[test]
    fn a_time_may_stand_behind_a_packet() {
        let at = |unix_s| Line::Packet { bytes: vec![0xab], at_unix_s: Some(unix_s) };
        let text = b"ab 17\nab,1795392000\nab\t2026-11-23T00:00:00Z\nab \nab soon\n";
        let bad = Line::Bad(BadLine::NoTime);
        assert_eq!(all(text), [at(17), at(1_795_392_000), at(1_795_392_000), packet(&[0xab]), bad]);
    }

    #[test]
    fn lines_are_packets_whatever_ends_them() {
        let expected = [packet(&[0xab]), packet(&[]), packet(&[0xcd, 1])];
        assert_eq!(all(b"ab\n\ncd01\n"), expected);
        assert_eq!(all(b" AB\r\n\r\ncD01"), expected);
        assert_eq!(all(b""), []);
    }

    #[test]
    fn other_lines_are_named_and_the_rest_goes_on() {
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
