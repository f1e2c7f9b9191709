//! Lines of input, in batches of as many as have come.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::fields::MAX_LINE_LEN_BYTES;
use super::shape::Shape;

/// The most lines of a batch.
const MAX_BATCH_LINES: usize = 8192;

/// Bytes that are read ahead.
const BUFFER_LEN_BYTES: usize = 1 << 20;

/// What some editors write before the first line of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The result of a wait for lines.
#[derive(Debug, PartialEq, Eq)]
pub enum Batch<T> {
    /// The next lines.
    Lines(Vec<T>),
    /// No whole line came in time.
    Silence,
    /// The input has ended.
    End,
}

/// Input whose readiness can be waited for.
pub trait Wait {
    /// Waits until the input can be read or has ended, for at most `timeout`. Returns whether
    /// it can be read.
    fn wait(&self, timeout: Duration) -> io::Result<bool>;
}

impl Wait for File {
    fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(self, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads lines in batches.
pub struct Lines<R> {
    input: BufReader<R>,
    /// The line that is being read, up to [`MAX_LINE_LEN_BYTES`]. Kept between calls while
    /// the rest of the line has not come.
    line: Vec<u8>,
    /// The length of that line so far; `None` if no line has begun.
    line_len_bytes: Option<usize>,
    first: Option<Shape>,
}

/// The result of [`Lines::next_line`].
enum Next {
    /// A line has ended; whether all of it was kept.
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

    /// The shape of the first line of the input; `None` before it was read.
    pub const fn first(&self) -> Option<Shape> {
        self.first
    }

    /// The results of `parse` for the next lines; empty at the end. `parse` receives `None`
    /// for a line that is too long.
    ///
    /// Waits for one line, and returns it with the lines that were read with it. So a live
    /// stream is answered line by line, and a file in large batches.
    pub fn next_batch<T>(&mut self, parse: impl Fn(Option<&[u8]>) -> T) -> io::Result<Vec<T>> {
        match self.batch_when(|_| Ok(true), parse)? {
            Batch::Lines(lines) => Ok(lines),
            Batch::Silence | Batch::End => Ok(Vec::new()),
        }
    }

    /// The results of `parse` for the next lines. `is_ready` waits for bytes and returns
    /// whether any have come.
    pub(super) fn batch_when<T>(
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

    /// Reads one line, and keeps at most [`MAX_LINE_LEN_BYTES`] of it.
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
                if self.first.is_none() && self.line.starts_with(BYTE_ORDER_MARK) {
                    self.line.drain(..BYTE_ORDER_MARK.len());
                }
                self.first.get_or_insert_with(|| Shape::of(&self.line, len_bytes));
                return Ok(Next::Line { is_whole: len_bytes <= MAX_LINE_LEN_BYTES });
            }
        }
    }
}
