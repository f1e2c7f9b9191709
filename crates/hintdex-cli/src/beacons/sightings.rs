//! Sightings as lines: an identifier in hex, also with colons or dashes, and its time of
//! reception.

use std::fmt;

use hintdex_beacon::{Identifier, NotAnIdentifier};

use crate::input::{read_pairs, split_fields};
use crate::unix_time::read_time;

/// A line of input: an identifier, and its time of reception if the line has one.
pub type Line = Result<(Identifier, Option<u64>), BadLine>;

/// Why a line is no sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLine {
    TooLong,
    NotHex,
    NotAnIdentifier(NotAnIdentifier),
    NotATime,
    InTheFuture,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("too long"),
            Self::InTheFuture => f.write_str("the time after it is more than a year ahead"),
            Self::NotHex => f.write_str("not pairs of hex digits"),
            Self::NotAnIdentifier(why) => write!(f, "{why}"),
            Self::NotATime => f.write_str(
                "the time is neither unix seconds nor like 2026-11-23T07:00:00Z, or out of range",
            ),
        }
    }
}

/// Reads a line; `None` stands for a line that is too long. No time may be later than
/// `latest_s`, in seconds since 1970.
pub fn parse(line: Option<&[u8]>, latest_s: u64) -> Line {
    let (digits, rest) = split_fields(line.ok_or(BadLine::TooLong)?);
    let bytes = read_pairs(digits).ok_or(BadLine::NotHex)?;
    let identifier = Identifier::from_bytes(&bytes).map_err(BadLine::NotAnIdentifier)?;
    let rest = str::from_utf8(rest).map_err(|_| BadLine::NotATime)?;
    let time = rest.trim_matches([' ', '\t', ',']);
    if time.is_empty() {
        return Ok((identifier, None));
    }
    match read_time(time) {
        Ok(unix_s) if unix_s > latest_s => Err(BadLine::InTheFuture),
        Ok(unix_s) => Ok((identifier, Some(unix_s))),
        Err(_) => Err(BadLine::NotATime),
    }
}
