//! A line as `hintdex decode` reads it: the hex digits of a packet, and after a space, a tab, a
//! comma or a semicolon its time of reception.

use std::fmt;

use crate::uplink::{MAX_PACKET_LEN_BYTES, Reception, Uplink};

/// The longest line, in bytes: a packet and a time.
pub const MAX_LINE_LEN_BYTES: usize = 2 * MAX_PACKET_LEN_BYTES + 256;

/// Why a line is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLine {
    NotHex,
    TooLong,
    /// The text behind the digits is no time.
    NotTime,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHex => "not pairs of hex digits",
            Self::TooLong => "longer than a packet and its time",
            Self::NotTime => {
                "the text after the hex digits is no time: give seconds since 1970 or \
                 2026-11-23T07:00:00Z"
            }
        })
    }
}

/// Reads a line without its end.
///
/// # Errors
/// Why the line is no packet.
pub fn parse(line: &[u8]) -> Result<Uplink, BadLine> {
    if line.len() > MAX_LINE_LEN_BYTES {
        return Err(BadLine::TooLong);
    }
    let line = line.trim_ascii();
    let is_separator = |byte: &u8| matches!(byte, b' ' | b'\t' | b',' | b';');
    let end = line.iter().position(is_separator).unwrap_or(line.len());
    let (digits, rest) = line.split_at_checked(end).unwrap_or((line, &[]));
    if digits.len() > 2 * MAX_PACKET_LEN_BYTES {
        return Err(BadLine::TooLong);
    }
    let packet = hex::decode(digits).map_err(|_| BadLine::NotHex)?;
    let rest = rest.get(1..).unwrap_or_default().trim_ascii();
    let time_ms = if rest.is_empty() {
        None
    } else {
        let text = str::from_utf8(rest).map_err(|_| BadLine::NotTime)?;
        Some(read_time_ms(text).ok_or(BadLine::NotTime)?)
    };
    // The line comes from a process of this machine.
    let reception = Reception { time_ms, is_time_certain: true, ..Reception::default() };
    Ok(Uplink { packet, reception })
}

/// A time in milliseconds since 1970: seconds with or without a fraction, or RFC 3339. Digits
/// behind the milliseconds are dropped.
pub fn read_time_ms(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Twelve digits: the year 33658. More are milliseconds or a finer unit.
    if is_number(whole) && is_number(fraction) && whole.len() <= 12 {
        let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
        let ms = digits.fold(0, |ms, digit| 10 * ms + u64::from(digit.saturating_sub(b'0')));
        return whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(ms);
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> Result<(Vec<u8>, Option<u64>), BadLine> {
        parse(line.as_bytes()).map(|uplink| (uplink.packet, uplink.reception.time_ms))
    }

    #[test]
    fn a_time_may_follow_a_packet() {
        assert_eq!(read("AB01"), Ok((vec![0xab, 1], None)));
        for (line, time_ms) in [
            ("ab 17", 17_000),
            ("ab,17.5", 17_500),
            ("ab;17.0249", 17_024),
            ("ab\t1970-01-01T00:00:17.999Z ", 17_999),
        ] {
            assert_eq!(read(line), Ok((vec![0xab], Some(time_ms))), "{line}");
        }
        assert_eq!(read(""), Ok((vec![], None)));
    }

    #[test]
    fn another_line_is_named() {
        for line in ["abc", "0xab", "ab:cd", "é"] {
            assert_eq!(read(line), Err(BadLine::NotHex), "{line}");
        }
        for line in ["ab soon", "ab -1", "ab 1764000123000", "ab 17.", "ab 17 18"] {
            assert_eq!(read(line), Err(BadLine::NotTime), "{line}");
        }
        assert_eq!(read(&"00".repeat(70_000)), Err(BadLine::TooLong));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&line);
        }
    }
}
