//! The options of windows of time.

use std::sync::Arc;

use clap::Args as ClapArgs;
use hintdex::TimingOptions;
use hintdex::{Clock, ManualClock, SystemClock};

use crate::unix_time::{parse_duration, parse_time};

/// How far the time of a line may be ahead of the clock, in seconds.
const MAX_AHEAD_S: u64 = 366 * 86_400;

/// The options of windows of time, for clocked nonces and identifiers. An index stores the
/// values that it was created with; another command uses its own values for its own run.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Options for clocked nonces and identifiers")]
pub struct TimeArgs {
    /// The length of a window: seconds, or like 90s, 15m, 1h or 1d [default: the value of the
    /// index; when it is created 60 steps, at least 1h, or 1d for day-counter]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_span)]
    pub span: Option<u32>,
    /// How long before its beginning a window is built [default: a sixth of the span]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration)]
    pub window_lead: Option<u32>,
    /// How far a nonce may be behind its time [default: a step; 1h for day-counter]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration)]
    pub before: Option<u32>,
    /// How far a nonce may be ahead of its time [default: a step; 1h for day-counter]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration)]
    pub after: Option<u32>,
    /// The largest drift of a device's clock, in ppm [default: 150]
    #[arg(long, global = true, value_name = "PPM", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub max_drift: Option<u32>,
    /// The present, a unix time or RFC 3339 [default: the system clock]
    #[arg(long, global = true, value_name = "T", value_parser = parse_time)]
    pub now: Option<u64>,
}

impl TimeArgs {
    pub const fn options(&self) -> TimingOptions {
        TimingOptions {
            span_s: self.span,
            lead_s: self.window_lead,
            before_s: self.before,
            after_s: self.after,
            max_drift_ppm: self.max_drift,
        }
    }

    /// The latest time that a line may carry while the clock shows `now_s`. No receiver is a
    /// year ahead, and windows would be built for the time of such a line.
    pub fn latest_unix_s(&self, now_s: u64) -> u64 {
        match self.now {
            Some(_) => u64::MAX,
            None => now_s.saturating_add(MAX_AHEAD_S),
        }
    }

    /// The system clock, or a clock that shows the time of `--now`.
    pub fn clock(&self) -> Arc<dyn Clock> {
        match self.now {
            Some(unix_s) => Arc::new(ManualClock::new(unix_s)),
            None => Arc::new(SystemClock),
        }
    }
}

/// Reads the length of a window, which is not 0: such a window would never begin.
fn parse_span(text: &str) -> Result<u32, String> {
    parse_duration(text).and_then(|span_s| match span_s {
        0 => Err("a window is 1 second long at least, like 1h".into()),
        _ => Ok(span_s),
    })
}
