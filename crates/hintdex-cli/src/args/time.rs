//! Times and spans of time on the command line.

use std::sync::Arc;

use clap::Args as ClapArgs;
use hintdex::TimingOptions;
use hintdex::wire::{Clock, ManualClock, NonceKind, SystemClock};

/// How windows go with time, where nonces tell it.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Where nonces tell time")]
pub struct TimeArgs {
    /// The length of a window, like 90s, 15m, 1h or 1d [default: 60 steps, 1h at least; a day]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_seconds)]
    pub span: Option<u32>,
    /// How long before it begins a window is built [default: a sixth of the span]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_seconds)]
    pub lead: Option<u32>,
    /// How far behind its time a nonce may be [default: a step; 1h for days]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_seconds)]
    pub before: Option<u32>,
    /// How far ahead of its time a nonce may be [default: a step; 1h for days]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_seconds)]
    pub after: Option<u32>,
    /// The most that a device's clock drifts, in millionths [default: 150]
    #[arg(long, global = true, value_name = "PPM")]
    pub max_drift: Option<u32>,
    /// Take this for the present, a UNIX time or RFC 3339, and not what the system's clock shows
    #[arg(long, global = true, value_name = "T", value_parser = parse_time)]
    pub now: Option<u64>,
}

impl TimeArgs {
    pub const fn options(&self) -> TimingOptions {
        TimingOptions {
            span_s: self.span,
            lead_s: self.lead,
            before_s: self.before,
            after_s: self.after,
            max_drift_ppm: self.max_drift,
        }
    }

    /// The clock to go by.
    pub fn clock(&self) -> Arc<dyn Clock> {
        match self.now {
            Some(unix_s) => Arc::new(ManualClock::new(unix_s)),
            None => Arc::new(SystemClock),
        }
    }
}

pub fn parse_nonces(name: &str) -> Result<NonceKind, String> {
    let known = "this version knows counter, day-counter, and step:SECONDS with 1 to 86400 seconds";
    NonceKind::from_name(name).ok_or_else(|| known.into())
}

/// Reads a span of time: a number and one of s, m, h, d.
fn parse_seconds(text: &str) -> Result<u32, String> {
    let bad = || "a time is a number with s, m, h or d behind it, 365d at most".to_owned();
    let (digits, unit_s) = match text.chars().last() {
        Some('s') => (text.trim_end_matches('s'), 1),
        Some('m') => (text.trim_end_matches('m'), 60),
        Some('h') => (text.trim_end_matches('h'), 3600),
        Some('d') => (text.trim_end_matches('d'), 86_400),
        _ => (text, 1),
    };
    let number: u32 = digits.parse().map_err(|_| bad())?;
    number.checked_mul(unit_s).filter(|seconds| *seconds <= 365 * 86_400).ok_or_else(bad)
}

/// Reads a moment: seconds since 1970, or like 2026-11-23T07:00:00Z.
pub fn parse_time(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is no time: give seconds since 1970, or 2026-11-23T07:00:00Z");
    match text.parse() {
        Ok(unix_s) => Ok(unix_s),
        Err(_) => humantime::parse_rfc3339_weak(text)
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .map(|since| since.as_secs())
            .ok_or_else(bad),
    }
}

/// A moment, given in seconds since 1970, as RFC 3339 has it; as it is past the year 9999.
pub fn time_text(unix_s: u64) -> String {
    const LAST_UNIX_S: u64 = 253_402_300_799;
    if unix_s > LAST_UNIX_S {
        return unix_s.to_string();
    }
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(unix_s);
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::{parse_seconds, parse_time, time_text};

    #[test]
    fn times_have_units_and_moments_two_forms() {
        assert_eq!(parse_seconds("90"), Ok(90));
        assert_eq!(parse_seconds("15m"), Ok(900));
        assert_eq!(parse_seconds("1d"), Ok(86_400));
        for bad in ["", "h", "-1h", "1.5h", "1w", "366d", "99999999999d"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_time("1795392000"), Ok(1_795_392_000));
        assert_eq!(parse_time("2026-11-23T00:00:00Z"), Ok(1_795_392_000));
        assert_eq!(time_text(1_795_392_000), "2026-11-23T00:00:00Z");
        // The 32-bit day's end is past the last year that has four digits.
        assert_eq!(time_text(u64::from(u32::MAX) * 86_400), "371085174288000");
        for bad in ["", "now", "-1", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }
}
