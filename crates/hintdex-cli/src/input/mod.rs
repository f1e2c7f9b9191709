//! Packets as lines of hex: read in batches, as many as are there.

mod shape;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::args::{BadTime, read_time};

pub use shape::Shape;

/// The longest packet that is read; what is longer is no packet of a radio.
pub const MAX_PACKET_LEN_BYTES: usize = 65_535;

/// What may stand behind a packet: a time, what divides them, the line's end.
const MAX_TIME_LEN_BYTES: usize = 64;

/// Bytes of a line that are kept.
const MAX_LINE_LEN_BYTES: usize = 2 * MAX_PACKET_LEN_BYTES + MAX_TIME_LEN_BYTES;

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
    Time(BadTime),
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHex => f.write_str("not pairs of hex digits"),
            Self::Time(why) => write!(f, "what stands behind the hex digits {why}"),
            Self::TooLong => write!(f, "longer than {MAX_PACKET_LEN_BYTES} bytes"),
        }
    }
}

/// What becomes of the text behind the hex digits of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The time of reception, or nothing: where nonces tell time.
    Time,
    /// Nothing is made of it: counters need no time, whatever a gateway writes there.
    Ignored,
}

/// What came of waiting for lines.
#[derive(Debug, PartialEq, Eq)]
pub enum Batch<T> {
    /// The next lines.
    Lines(Vec<T>),
    /// No whole line came in time.
    Silence,
    /// There are no more.
    End,
}

/// Input that can be waited for.
pub trait Wait {
    /// Waits until there is something to read, or an end, for `at_most`. Returns whether
    /// there is.
    fn wait(&self, at_most: Duration) -> io::Result<bool>;
}

impl Wait for File {
    fn wait(&self, at_most: Duration) -> io::Result<bool> {
        let at_most = Timespec::try_from(at_most).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(self, PollFlags::IN)], Some(&at_most)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads batches of lines.
pub struct Lines<R> {
    input: BufReader<R>,
    /// The line being read, up to the longest that can be a packet. Kept while its rest
    /// is waited for.
    line: Vec<u8>,
    /// How long that line is so far; nothing if none is begun.
    line_len_bytes: Option<usize>,
    first: Option<Shape>,
}

/// What [`Lines::next_line`] found.
enum Next {
    /// The whole line, and whether all of it was kept.
    Line {
        is_whole: bool,
    },
    Silence,
    End,
}

impl<R: Read> Lines<R> {
    pub fn new(input: R) -> Self {
        let input = BufReader::with_capacity(BUFFER_LEN_BYTES, input);
        Self { input, line: Vec::new(), line_len_bytes: None, first: None }
    }

    /// What the first line of the input looked like; nothing before it was read.
    pub const fn first(&self) -> Option<Shape> {
        self.first
    }

    /// The next lines, of something else than packets: waits for one, then takes those
    /// that were read with it, so that a live stream is answered line by line and a file
    /// in large batches. Empty at the end.
    ///
    /// Returns what `parse` makes of each line, which gets nothing for one that is too long.
    pub fn next_batch_of<T>(&mut self, parse: impl Fn(Option<&[u8]>) -> T) -> io::Result<Vec<T>> {
        match self.batch(|_| Ok(true), parse)? {
            Batch::Lines(lines) => Ok(lines),
            Batch::Silence | Batch::End => Ok(Vec::new()),
        }
    }

    /// The next lines; `is_ready` waits for bytes, and says whether any came.
    fn batch<T>(
        &mut self,
        is_ready: impl Fn(&R) -> io::Result<bool>,
        parse: impl Fn(Option<&[u8]>) -> T,
    ) -> io::Result<Batch<T>> {
        let mut batch = Vec::new();
        while batch.len() < MAX_BATCH_LINES {
            if !batch.is_empty() && !self.input.buffer().contains(&b'\n') {
                break;
            }
            match self.next_line(&is_ready)? {
                Next::Line { is_whole } => batch.push(parse(is_whole.then_some(&self.line))),
                Next::Silence => return Ok(Batch::Silence),
                Next::End => break,
            }
        }
        Ok(if batch.is_empty() { Batch::End } else { Batch::Lines(batch) })
    }

    /// Reads one line without ever holding more of it than a packet can have.
    fn next_line(&mut self, is_ready: impl Fn(&R) -> io::Result<bool>) -> io::Result<Next> {
        if self.line_len_bytes.is_none() {
            self.line.clear();
        }
        loop {
            if self.input.buffer().is_empty() && !is_ready(self.input.get_ref())? {
                return Ok(Next::Silence);
            }
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if buffer.is_empty() && self.line_len_bytes.is_none() {
                return Ok(Next::End);
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let is_last = end.is_some() || buffer.is_empty();
            let here = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            let len_bytes = self.line_len_bytes.unwrap_or(0).saturating_add(here.len());
            self.line_len_bytes = Some(len_bytes);
            if len_bytes <= MAX_LINE_LEN_BYTES {
                self.line.extend_from_slice(here);
            }
            let used = here.len() + usize::from(end.is_some());
            self.input.consume(used);
            if is_last {
                self.line_len_bytes = None;
                self.first.get_or_insert_with(|| Shape::of(&self.line, len_bytes));
                return Ok(Next::Line { is_whole: len_bytes <= MAX_LINE_LEN_BYTES });
            }
        }
    }
}

impl<R: Read + Wait> Lines<R> {
    /// The next packets. Waits for one, no longer than `patience` if there is any, also
    /// for the rest of a line that is begun.
    pub fn next_packets(
        &mut self,
        behind: Behind,
        patience: Option<Duration>,
    ) -> io::Result<Batch<Line>> {
        let is_ready = |input: &R| patience.map_or(Ok(true), |at_most| input.wait(at_most));
        let parse = |line: Option<&[u8]>| {
            line.map_or(Line::Bad(BadLine::TooLong), |line| parse(line, behind))
        };
        self.batch(is_ready, parse)
    }
}

fn parse(line: &[u8], behind: Behind) -> Line {
    let line = line.trim_ascii();
    let is_between = |byte: &u8| matches!(byte, b' ' | b'\t' | b',' | b';');
    let end = line.iter().position(is_between).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    if digits.len() > 2 * MAX_PACKET_LEN_BYTES {
        return Line::Bad(BadLine::TooLong);
    }
    let Ok(bytes) = hex::decode(digits) else { return Line::Bad(BadLine::NotHex) };
    let rest = rest.split_first().map_or(rest, |(_, rest)| rest.trim_ascii());
    if behind == Behind::Ignored || rest.is_empty() {
        return Line::Packet { bytes, at_unix_s: None };
    }
    match str::from_utf8(rest).map_or(Err(BadTime::Other), read_time) {
        Ok(unix_s) => Line::Packet { bytes, at_unix_s: Some(unix_s) },
        Err(why) => Line::Bad(BadLine::Time(why)),
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::*;

    /// Input that comes in parts; an empty one is a silence.
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
        read(text, Behind::Time)
    }

    fn read(text: &[u8], behind: Behind) -> Vec<Line> {
        let mut lines = Lines::new(text);
        let mut all = Vec::new();
        while let Batch::Lines(batch) =
            lines.next_packets(behind, None).expect("memory can be read")
        {
            all.extend(batch);
        }
        all
    }

    fn packet(bytes: &[u8]) -> Line {
        Line::Packet { bytes: bytes.to_vec(), at_unix_s: None }
    }

    #[test]
    fn a_time_may_stand_behind_a_packet() {
        let at = |unix_s| Line::Packet { bytes: vec![0xab], at_unix_s: Some(unix_s) };
        let text = b"ab 17\nab,1795392000\nab\t2026-11-23T00:00:00Z\nab \nab soon\n";
        let bad = Line::Bad(BadLine::Time(BadTime::Other));
        assert_eq!(all(text), [at(17), at(1_795_392_000), at(1_795_392_000), packet(&[0xab]), bad]);
    }

    #[test]
    fn what_stands_behind_a_packet_is_read_only_where_it_is_needed() {
        let text = b"ab soon\nab,\"2026-11-23\"\nab; rssi -97\nab \xff\xfe\nab cd\n";
        assert_eq!(read(text, Behind::Ignored), [(); 5].map(|()| packet(&[0xab])));
        let is_bad = |line: &Line| matches!(line, Line::Bad(BadLine::Time(_)));
        assert!(all(text).iter().all(is_bad));
        // What is glued to the digits is no hex, and damaged hex is no packet.
        for damaged in ["abx", "ab:cd", "0xab", "\"ab\""] {
            let line = read(damaged.as_bytes(), Behind::Ignored);
            assert_eq!(line, [Line::Bad(BadLine::NotHex)], "{damaged}");
        }
    }

    #[test]
    fn a_line_may_come_in_parts_with_silences_between() {
        let parts: [&[u8]; 7] = [b"", b"a", b"", b"", b"b\ncd\ne", b"", b"f"];
        let mut lines = Lines::new(Parts::new(&parts));
        let mut next = || lines.next_packets(Behind::Time, Some(Duration::ZERO)).expect("memory");
        let one = |byte| Batch::Lines(vec![packet(&[byte])]);
        assert_eq!((next(), next(), next()), (Batch::Silence, Batch::Silence, Batch::Silence));
        assert_eq!(next(), Batch::Lines(vec![packet(&[0xab]), packet(&[0xcd])]));
        assert_eq!((next(), next(), next()), (Batch::Silence, one(0xef), Batch::End));
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
