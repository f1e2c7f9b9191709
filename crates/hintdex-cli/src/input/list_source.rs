//! The bytes of a list: its lines, or its JSON objects, with the number of the line.

use std::io::{self, BufRead, Read};

use zeroize::Zeroizing;

use super::secret::SecretReader;
use super::table::MAX_RECORD_LEN_BYTES;
use super::utf8::Utf8Reader;

/// The bytes of a list. A line ends with LF, CR LF or CR.
pub struct ListSource<R> {
    input: Utf8Reader<R>,
    /// The number of the line of the next byte, from 1.
    line_number: u64,
    /// Whether the last byte was CR, so that an LF belongs to the same line end.
    after_cr: bool,
    /// The line or the object that was read last. Its capacity never grows: a buffer that
    /// grows would leave copies of keys on the heap.
    record: Zeroizing<Vec<u8>>,
    array: Array,
}

/// Where objects are in relation to an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Array {
    None,
    Open,
    Closed,
}

/// The next thing of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A line or an object; whether it was kept as a whole.
    Record {
        line_number: u64,
        is_whole: bool,
    },
    /// An object that does not end before its line or the next object.
    CutOff {
        line_number: u64,
    },
    /// A line that begins with something else than an object.
    NoObject {
        line_number: u64,
    },
    /// The input ends within an array.
    OpenArray,
    End,
}

/// What a byte of an object shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    More,
    /// The byte is a line end. It is white space of the object, and is not kept.
    LineEnd,
    /// The byte is the last one of the object.
    End,
    /// The byte begins another object.
    CutOff,
}

/// How far an object was read.
#[derive(Default)]
struct ObjectProgress {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    /// Whether only white space has come since the line began.
    at_line_start: bool,
}

impl ObjectProgress {
    /// Reads on in `bytes`. Returns how many of them belong to the object, and the step after
    /// them.
    fn steps(&mut self, bytes: &[u8]) -> (usize, Step) {
        for (at, byte) in bytes.iter().enumerate() {
            match self.step(*byte) {
                Step::More => {}
                Step::End => return (at + 1, Step::End),
                step => return (at, step),
            }
        }
        (bytes.len(), Step::More)
    }

    fn step(&mut self, byte: u8) -> Step {
        if matches!(byte, b'\n' | b'\r') {
            return Step::LineEnd;
        }
        if self.in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Step::More;
        }
        match byte {
            b' ' | b'\t' => return Step::More,
            b'"' => self.in_string = true,
            // At the begin of a line, and not within a nested value, it begins an object.
            b'{' if self.at_line_start && self.depth == 1 => return Step::CutOff,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.at_line_start = false;
        if self.depth == 0 { Step::End } else { Step::More }
    }
}

impl<R: Read> ListSource<R> {
    pub fn new(input: SecretReader<R>) -> Self {
        let record = Zeroizing::new(Vec::with_capacity(MAX_RECORD_LEN_BYTES));
        let input = Utf8Reader::new(input);
        Self { input, line_number: 1, after_cr: false, record, array: Array::None }
    }

    /// The last line without its line end, or the last object.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// Skips white space and lines that begin with `#`. Returns the byte that follows, without
    /// consuming it; `None` at the end.
    pub fn skip_blank(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.peek()? {
                Some(b'#') => {
                    self.skip_line()?;
                }
                Some(byte) if byte.is_ascii_whitespace() => {
                    self.next_byte()?;
                }
                byte => return Ok(byte),
            }
        }
    }

    /// Reads the next line that is neither empty nor a comment.
    pub fn next_line(&mut self) -> io::Result<Found> {
        if self.skip_blank()?.is_none() {
            return Ok(Found::End);
        }
        let line_number = self.line_number;
        let is_whole = self.read_line(true)?;
        Ok(Found::Record { line_number, is_whole })
    }

    /// Reads the next object: a line, a member of an array, or over several lines.
    pub fn next_object(&mut self) -> io::Result<Found> {
        loop {
            let first = self.skip_blank()?;
            let line_number = self.line_number;
            match (first, self.array) {
                (None, Array::Open) => return Ok(Found::OpenArray),
                (None, _) => return Ok(Found::End),
                (Some(b'{'), Array::None | Array::Open) => {
                    return self.read_object(line_number);
                }
                (Some(b'['), Array::None) => self.array = Array::Open,
                (Some(b']'), Array::Open) => self.array = Array::Closed,
                (Some(b','), Array::Open) => {}
                _ => {
                    self.skip_line()?;
                    return Ok(Found::NoObject { line_number });
                }
            }
            self.next_byte()?;
        }
    }

    /// Reads the object whose brace is the next byte.
    fn read_object(&mut self, line_number: u64) -> io::Result<Found> {
        self.record.clear();
        let mut progress = ObjectProgress::default();
        let mut len_bytes = 0_usize;
        loop {
            self.skip_second_line_end()?;
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                return Ok(Found::CutOff { line_number });
            }
            let (used, step) = progress.steps(bytes);
            len_bytes = len_bytes.saturating_add(used);
            if len_bytes <= MAX_RECORD_LEN_BYTES {
                self.record.extend_from_slice(bytes.get(..used).unwrap_or_default());
            }
            self.input.consume(used);
            match step {
                Step::More => {}
                Step::CutOff => return Ok(Found::CutOff { line_number }),
                Step::End => {
                    let is_whole = len_bytes <= MAX_RECORD_LEN_BYTES;
                    return Ok(Found::Record { line_number, is_whole });
                }
                Step::LineEnd => {
                    self.next_byte()?;
                    // No string of JSON holds a line end.
                    if progress.in_string {
                        return Ok(Found::CutOff { line_number });
                    }
                    progress.at_line_start = true;
                }
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        self.read_line(false).map(|_| ())
    }

    /// Consumes the rest of a line, and keeps it if asked. Returns whether all of it was kept.
    fn read_line(&mut self, is_kept: bool) -> io::Result<bool> {
        self.record.clear();
        let mut len_bytes = 0_usize;
        loop {
            self.skip_second_line_end()?;
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let here = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            len_bytes = len_bytes.saturating_add(here.len());
            if is_kept && len_bytes <= MAX_RECORD_LEN_BYTES {
                self.record.extend_from_slice(here);
            }
            let used = here.len();
            self.input.consume(used);
            if end.is_some() {
                self.next_byte()?;
                break;
            }
        }
        Ok(len_bytes <= MAX_RECORD_LEN_BYTES)
    }

    /// The next byte, without consuming it.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        self.skip_second_line_end()?;
        Ok(self.input.fill_buf()?.first().copied())
    }

    /// The next byte. Each line end is one LF.
    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        let Some(byte) = self.peek()? else { return Ok(None) };
        self.input.consume(1);
        self.after_cr = byte == b'\r';
        if matches!(byte, b'\n' | b'\r') {
            self.line_number += 1;
            return Ok(Some(b'\n'));
        }
        Ok(Some(byte))
    }

    /// Consumes the LF of a line end CR LF whose CR was read.
    fn skip_second_line_end(&mut self) -> io::Result<()> {
        if self.after_cr {
            self.after_cr = false;
            if self.input.fill_buf()?.first() == Some(&b'\n') {
                self.input.consume(1);
            }
        }
        Ok(())
    }
}
