//! Packets as lines of hex: read in batches, as many as are there.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

/// The longest packet that is read; what is longer is no packet of a radio.
pub const MAX_PACKET_LEN_BYTES: usize = 65_535;

/// Lines of a batch at most.
const MAX_BATCH_LINES: usize = 8192;

/// Bytes read ahead.
const BUFFER_LEN_BYTES: usize = 1 << 20;

/// What stood on a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Hex.
    Packet(Vec<u8>),
    /// Something else.
    Bad(BadLine),
}

/// Why a line is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLine {
    NotHex,
    TooLong,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHex => f.write_str("not pairs of hex digits"),
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
        let longest = 2 * MAX_PACKET_LEN_BYTES + 2;
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
    let digits = line.trim_ascii();
    if digits.len() > 2 * MAX_PACKET_LEN_BYTES {
        return Line::Bad(BadLine::TooLong);
    }
    hex::decode(digits).map_or(Line::Bad(BadLine::NotHex), Line::Packet)
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

    #[test]
    fn lines_are_packets_whatever_ends_them() {
        let expected =
            [Line::Packet(vec![0xab]), Line::Packet(vec![]), Line::Packet(vec![0xcd, 1])];
        assert_eq!(all(b"ab\n\ncd01\n"), expected);
        assert_eq!(all(b" AB\r\n\r\ncD01"), expected);
        assert_eq!(all(b""), []);
    }

    #[test]
    fn other_lines_are_named_and_the_rest_goes_on() {
        let long = "00".repeat(5_000_000);
        let text = format!("xyz\nabc\n{long}\nab\n");
        let bad = |why| Line::Bad(why);
        let expected = [
            bad(BadLine::NotHex),
            bad(BadLine::NotHex),
            bad(BadLine::TooLong),
            Line::Packet(vec![0xab]),
        ];
        assert_eq!(all(text.as_bytes()), expected);
        let longest = "00".repeat(MAX_PACKET_LEN_BYTES);
        assert_eq!(all(longest.as_bytes()), [Line::Packet(vec![0; MAX_PACKET_LEN_BYTES])]);
        assert_eq!(all(format!("{longest}00").as_bytes()), [bad(BadLine::TooLong)]);
    }
}
