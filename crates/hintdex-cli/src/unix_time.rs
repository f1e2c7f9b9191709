//! Times and durations as texts: unix seconds and RFC 3339.

use std::fmt;

/// The last time that is read, near the end of the year 9999, where calendars stop.
const LAST_UNIX_S: u64 = 253_402_207_200;

/// Reads a duration, in seconds: a number with s, m, h or d, or a number of seconds.
pub fn parse_duration(text: &str) -> Result<u32, String> {
    let bad =
        || "a time is a whole number with s, m, h or d behind it, like 1h, 365d at most".to_owned();
    let (digits, unit_s) = match text.chars().last() {
        Some('s') => (text.strip_suffix('s'), 1),
        Some('m') => (text.strip_suffix('m'), 60),
        Some('h') => (text.strip_suffix('h'), 3600),
        Some('d') => (text.strip_suffix('d'), 86_400),
        _ => (Some(text), 1),
    };
    let number: Option<u32> = digits.and_then(|digits| digits.parse().ok());
    let seconds = number.and_then(|number| number.checked_mul(unit_s));
    seconds.filter(|seconds| *seconds <= 365 * 86_400).ok_or_else(bad)
}

/// Why a text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadTime {
    /// A date and a time of day without a zone.
    NoZone,
    /// A number with as many digits as milliseconds, microseconds or nanoseconds.
    NotSeconds,
    Quoted,
    /// A time, and more text after it.
    TrailingText,
    Before1970,
    /// After the last time that is read.
    AfterLast,
    Other,
}

impl fmt::Display for BadTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoZone => "is a time without a time zone: add Z, or an offset like +01:00",
            Self::NotSeconds => {
                "is no time in seconds: it has as many digits as milliseconds, or a finer unit"
            }
            Self::Quoted => "is no time: it is in quotation marks; leave them out",
            Self::TrailingText => "is more than a time: end the line after the time",
            Self::Before1970 => "is no time: it is before 1970, as of a clock that was never set",
            Self::AfterLast => "is no time: it is past the year 9999",
            Self::Other => "is no time: give seconds since 1970, or 2026-11-23T07:00:00Z",
        })
    }
}

/// The number of digits of milliseconds, microseconds and nanoseconds since 1970, for the
/// years 2001 to 2286.
const DIGITS_OF_FRACTIONS: [usize; 3] = [13, 16, 19];

/// A longer text is not examined for the fault that it has.
const MAX_TEXT_LEN_BYTES: usize = 128;

/// Reads a time: seconds since 1970, or RFC 3339 like `2026-11-23T07:00:00.5+01:00`. A
/// fraction of a second is dropped.
///
/// # Errors
/// [`BadTime`], also for times before 1970 and after the year 9999.
pub fn read_time(text: &str) -> Result<u64, BadTime> {
    read_time_ms(text).map(|(unix_s, _)| unix_s)
}

/// Reads a time as [`read_time`] does, and returns the milliseconds behind the second, too.
///
/// # Errors
/// Those of [`read_time`].
pub fn read_time_ms(text: &str) -> Result<(u64, u16), BadTime> {
    let unix_s = read_alone(text);
    if unix_s != Err(BadTime::Other) || text.len() > MAX_TEXT_LEN_BYTES {
        return unix_s;
    }
    if text.starts_with(['"', '\'']) {
        return Err(BadTime::Quoted);
    }
    // A space may separate date and time of day. The longest prefix that is a time, or
    // nearly a time, determines the fault of the whole text.
    let ends = text.char_indices().filter(|(_, c)| matches!(c, ' ' | '\t' | ',' | ';')).rev();
    let parts = ends.filter_map(|(end, _)| text.get(..end)).map(str::trim_ascii_end);
    let mut known = parts.map(read_alone).filter(|read| *read != Err(BadTime::Other));
    Err(known.next().map_or(BadTime::Other, |read| read.err().unwrap_or(BadTime::TrailingText)))
}

/// Reads a time without text after it.
fn read_alone(text: &str) -> Result<(u64, u16), BadTime> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if let Some(unsigned) = whole.strip_prefix('-') {
        // A negative number of few digits is rather a signal strength.
        let is_time = is_number(unsigned) && unsigned.len() > 6;
        return Err(if is_time { BadTime::Before1970 } else { BadTime::Other });
    }
    let (unix_s, ms) = if is_number(whole) && is_number(fraction) {
        if DIGITS_OF_FRACTIONS.contains(&whole.len()) {
            return Err(BadTime::NotSeconds);
        }
        (whole.parse().map_err(|_| BadTime::AfterLast)?, milliseconds(fraction))
    } else if let Ok(time) = text.parse::<jiff::Timestamp>() {
        let unix_s = u64::try_from(time.as_second()).map_err(|_| BadTime::Before1970)?;
        // A time before 1970 has a negative fraction, too.
        (unix_s, u16::try_from(time.subsec_millisecond()).map_err(|_| BadTime::Before1970)?)
    } else if text.parse::<jiff::civil::DateTime>().is_ok() {
        return Err(BadTime::NoZone);
    } else {
        return Err(BadTime::Other);
    };
    if unix_s > LAST_UNIX_S { Err(BadTime::AfterLast) } else { Ok((unix_s, ms)) }
}

/// The milliseconds of the digits behind a decimal point; the digits behind them are dropped.
fn milliseconds(fraction: &str) -> u16 {
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    digits.fold(0, |ms, digit| 10 * ms + u16::from(digit.saturating_sub(b'0')))
}

/// Reads a time of the command line.
pub fn parse_time(text: &str) -> Result<u64, String> {
    read_time(text).map_err(|why| format!("{text:?} {why}"))
}

/// Formats a time, in seconds since 1970, as RFC 3339. A time after the year 9999 stays a
/// number.
pub fn time_text(unix_s: u64) -> String {
    let time =
        i64::try_from(unix_s).ok().and_then(|unix_s| jiff::Timestamp::from_second(unix_s).ok());
    time.map_or_else(|| unix_s.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::{BadTime, parse_duration, parse_time, read_time, time_text};

    #[test]
    fn durations_have_units_and_times_two_forms() {
        assert_eq!(parse_duration("90"), Ok(90));
        assert_eq!(parse_duration("15m"), Ok(900));
        assert_eq!(parse_duration("1d"), Ok(86_400));
        for bad in ["", "h", "-1h", "1.5h", "1w", "366d", "99999999999d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_time("1795392000"), Ok(1_795_392_000));
        assert_eq!(parse_time("2026-11-23T00:00:00Z"), Ok(1_795_392_000));
        assert_eq!(time_text(1_795_392_000), "2026-11-23T00:00:00Z");
        // The last 32-bit day is after the last year with four digits.
        assert_eq!(time_text(u64::from(u32::MAX) * 86_400), "371085174288000");
        for bad in ["", "now", "-1", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_unix_seconds_or_rfc_3339() {
        for (text, unix_s) in [
            ("0", 0),
            ("1764000123", 1_764_000_123),
            ("1764000123.75", 1_764_000_123),
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59z", 951_868_799),
            ("2026-11-23T07:00:00Z", 1_795_417_200),
            ("2026-11-23T08:00:00.123+01:00", 1_795_417_200),
            ("2026-11-23t01:30:00-05:30", 1_795_417_200),
            ("9999-12-30T22:00:00Z", 253_402_207_200),
            // The examples of RFC 3339, section 5.8.
            ("1985-04-12T23:20:50.52Z", 482_196_050),
            ("1996-12-19T16:39:57-08:00", 851_042_397),
            // A leap second is read as the second before it: unix time has no leap seconds.
            ("1990-12-31T23:59:60Z", 662_687_999),
        ] {
            assert_eq!(parse_time(text), Ok(unix_s), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "-1",
            "abc",
            "1.",
            "1.x",
            ".",
            "253402207201",
            "99999999999999999999",
            "1969-12-31T23:59:59Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T07:00:00",
            "2026-11-23T07:00:00.Z",
            "2026-11-23T07:00:00+1:00",
            "2026-11-23T07:00:00é",
            "2026-11-23",
            "10000-01-01T00:00:00Z",
            "2026-1123T07:00:00Z",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_fault_of_a_text_that_is_nearly_a_time_is_named() {
        for (text, why) in [
            ("2026-11-23 07:00:00", BadTime::NoZone),
            ("2026-11-23T07:00:00", BadTime::NoZone),
            ("2026-11-23T07:00:00.25 -97", BadTime::NoZone),
            ("1795392000123", BadTime::NotSeconds),
            ("1795392000123456", BadTime::NotSeconds),
            ("1795392000123456789", BadTime::NotSeconds),
            ("1795392000123 -97", BadTime::NotSeconds),
            ("\"2026-11-23T07:00:00Z\"", BadTime::Quoted),
            ("'1795392000'", BadTime::Quoted),
            ("2026-11-23T07:00:00Z -97", BadTime::TrailingText),
            ("2026-11-23 07:00:00Z,-97,868100000", BadTime::TrailingText),
            ("1795392000 -97", BadTime::TrailingText),
            ("0001-01-01T00:00:00Z", BadTime::Before1970),
            ("-62135596800", BadTime::Before1970),
            ("999999999999", BadTime::AfterLast),
            ("soon", BadTime::Other),
            ("-", BadTime::Other),
            ("-97 868100000", BadTime::Other),
            ("é", BadTime::Other),
        ] {
            assert_eq!(read_time(text), Err(why), "{text}");
        }
    }
}
