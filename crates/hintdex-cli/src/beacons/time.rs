//! Times and durations as people write them.

/// The last time there is: the end of the year 9999.
const LAST_UNIX_S: u64 = 253_402_300_799;

/// Reads a duration like `90s`, `30m`, `1h` or `2d`; seconds without a unit.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let bad = || "a time is a whole number with s, m, h or d behind it, like 1h".to_owned();
    let (digits, unit_s) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) if text.ends_with('s') => (digits, 1),
        Some(digits) if text.ends_with('m') => (digits, 60),
        Some(digits) if text.ends_with('h') => (digits, 3600),
        Some(digits) => (digits, 86_400),
        None => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| bad())?;
    number.checked_mul(unit_s).ok_or_else(bad)
}

/// Reads a time: unix seconds, with a fraction that is dropped, or RFC 3339 like
/// `2026-11-23T07:00:00.5+01:00`. None before 1970 and past the year 9999.
pub fn parse_time(text: &str) -> Option<u64> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let unix_s = if is_number(whole) {
        let fraction = text.get(whole.len()..).unwrap_or_default();
        let fraction = fraction.strip_prefix('.').unwrap_or("0");
        (is_number(fraction) && !fraction.is_empty()).then_some(())?;
        whole.parse().ok()?
    } else {
        rfc3339(text)?
    };
    (unix_s <= LAST_UNIX_S).then_some(unix_s)
}

/// RFC 3339, section 5.6: date, `T` or `t`, time, fraction, offset.
fn rfc3339(text: &str) -> Option<u64> {
    let number = |from: usize, len: usize| -> Option<i64> {
        let digits = text.get(from..from + len)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let mark = |at: usize, marks: &[u8]| {
        text.as_bytes().get(at).is_some_and(|byte| marks.contains(byte)).then_some(())
    };
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    mark(4, b"-").and(mark(7, b"-")).and(mark(10, b"Tt"))?;
    mark(13, b":").and(mark(16, b":"))?;
    // A leap second is the one after it.
    let is_time = hour <= 23 && minute <= 59 && second <= 60;
    let is_date = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    (is_date && is_time).then_some(())?;
    let mut rest = text.get(19..)?;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|byte: char| !byte.is_ascii_digit())?;
        (end > 0).then_some(())?;
        rest = fraction.get(end..)?;
    }
    let local_s = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    u64::try_from(local_s - offset_s(rest)?).ok()
}

/// `Z`, `+01:00`, `-05:30`.
fn offset_s(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.strip_prefix(['+', '-'])?.split_once(':')?;
    let number = |text: &str| -> Option<i64> {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok())?
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar. Counted from March on, the leap day is a
/// year's last, and the months before a month have 153 days in five.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in
            [("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172_800)]
        {
            assert_eq!(parse_duration(text), Ok(seconds), "{text}");
        }
        for bad in ["", "h", "-1h", "1.5h", "1w", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(parse_duration(bad).is_err(), "{bad}");
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
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            // The examples of RFC 3339, section 5.8.
            ("1985-04-12T23:20:50.52Z", 482_196_050),
            ("1996-12-19T16:39:57-08:00", 851_042_397),
            ("1990-12-31T23:59:60Z", 662_688_000),
        ] {
            assert_eq!(parse_time(text), Some(unix_s), "{text}");
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
            "253402300800",
            "99999999999999999999",
            "1969-12-31T23:59:59Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23 07:00:00Z",
            "2026-11-23T07:00:00",
            "2026-11-23T07:00:00.Z",
            "2026-11-23T07:00:00+1:00",
            "2026-11-23T07:00:00é",
            "2026-11-23",
            "10000-01-01T00:00:00Z",
            "2026-1123T07:00:00Z",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
