//! A token bucket of core time: it bounds what full scans may cost.
//!
//! Any sender can transmit garbage, and each hint that no source resolves asks for a scan
//! of all devices. Radio is one-way, so a sender cannot be told to slow down (WireGuard's
//! cookies need a reply); only the work can be bounded. A scan may begin while credit is
//! left, and is then charged the core time it took. So the share holds for every fleet and
//! processor, without an estimate.

use std::time::{Duration, Instant};

/// The credit of a full bucket: the core time that the share yields in this long.
const BURST: Duration = Duration::from_secs(5);

/// Core time that scans may take.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    /// The share of one core; infinite for no bound.
    core_share: f64,
    /// Core time left, in seconds. Negative after a scan that took more than was left.
    credit_s: f64,
    /// The moment for which `credit_s` was computed.
    computed_at: Instant,
}

impl TokenBucket {
    /// A full bucket that refills at a share of one core.
    pub(crate) fn new(core_share: f64, now: Instant) -> Self {
        Self { core_share, credit_s: BURST.as_secs_f64() * core_share, computed_at: now }
    }

    /// Whether scans are bounded at all.
    pub(crate) fn is_bounded(&self) -> bool {
        self.core_share.is_finite()
    }

    /// Refills the bucket up to `now`; whether a scan may begin.
    pub(crate) fn has_credit(&mut self, now: Instant) -> bool {
        if !self.is_bounded() {
            return true;
        }
        let elapsed_s = now.saturating_duration_since(self.computed_at).as_secs_f64();
        let full_s = BURST.as_secs_f64() * self.core_share;
        self.credit_s = (self.credit_s + elapsed_s * self.core_share).min(full_s);
        self.computed_at = now.max(self.computed_at);
        self.credit_s > 0.0
    }

    /// Subtracts the core time that a scan took.
    pub(crate) fn charge(&mut self, core_time: Duration) {
        if self.is_bounded() {
            self.credit_s -= core_time.as_secs_f64();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The core time, in seconds, of scans of 7 ms that are requested every millisecond for
    /// a minute.
    fn core_time_s(core_share: f64) -> f64 {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(core_share, start);
        let mut spent = Duration::ZERO;
        for tick in 0..60_000u32 {
            if bucket.has_credit(start + tick * MS) {
                bucket.charge(7 * MS);
                spent += 7 * MS;
            }
        }
        spent.as_secs_f64()
    }

    #[test]
    fn scans_take_their_share_and_one_burst() {
        for share in [0.01, 0.1, 0.5] {
            let allowed_s = share * (60.0 + BURST.as_secs_f64());
            let spent_s = core_time_s(share);
            assert!((spent_s - allowed_s).abs() < 0.02, "{spent_s} of {allowed_s}");
        }
        assert!(core_time_s(f64::INFINITY) > 400.0);
        assert!(core_time_s(0.0) == 0.0);
    }

    #[test]
    fn a_clock_that_stands_still_or_runs_backwards_refills_nothing() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut bucket = TokenBucket::new(0.1, start);
        bucket.charge(Duration::from_secs(1));
        assert!(!bucket.has_credit(start));
        assert!(!bucket.has_credit(start - Duration::from_secs(50)));
        assert!(!bucket.has_credit(start + Duration::from_secs(4)));
        assert!(bucket.has_credit(start + Duration::from_secs(6)));
    }
}
