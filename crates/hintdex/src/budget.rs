//! What full scans may cost: a token bucket of core time.
//!
//! Anybody can send garbage, and each piece of it that nobody knows asks for a
//! scan of all devices. Radio is one way, so nobody can be told to slow down
//! (WireGuard's cookies need an answer); what is left is to bound the work. The
//! bucket holds core time. A scan may begin while there is some, and is charged
//! what it took, so that the share holds for any fleet and processor without an
//! estimate.

use std::time::{Duration, Instant};

/// What a bucket holds when it is full: this long of its share.
const BURST: Duration = Duration::from_secs(5);

/// Core time that scans may take.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Share of one core; infinite for no bound.
    core_share: f64,
    /// Core time left, in seconds; below zero after a scan that took more.
    left_s: f64,
    /// When `left_s` was right.
    at: Instant,
}

impl Budget {
    /// A full bucket for a share of one core.
    pub(crate) fn new(core_share: f64, now: Instant) -> Self {
        Self { core_share, left_s: BURST.as_secs_f64() * core_share, at: now }
    }

    /// Whether scans are bounded at all.
    pub(crate) fn is_bounded(&self) -> bool {
        self.core_share.is_finite()
    }

    /// Whether a scan may begin now.
    pub(crate) fn may_scan(&mut self, now: Instant) -> bool {
        if !self.is_bounded() {
            return true;
        }
        let waited_s = now.saturating_duration_since(self.at).as_secs_f64();
        let most_s = BURST.as_secs_f64() * self.core_share;
        self.left_s = (self.left_s + waited_s * self.core_share).min(most_s);
        self.at = now.max(self.at);
        self.left_s > 0.0
    }

    /// Takes what a scan cost.
    pub(crate) fn charge(&mut self, spent: Duration) {
        if self.is_bounded() {
            self.left_s -= spent.as_secs_f64();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Scans of 7 ms core time, asked for every millisecond for a minute.
    fn scanned_s(core_share: f64) -> f64 {
        let start = Instant::now();
        let mut budget = Budget::new(core_share, start);
        let mut spent = Duration::ZERO;
        for tick in 0..60_000u32 {
            if budget.may_scan(start + tick * MS) {
                budget.charge(7 * MS);
                spent += 7 * MS;
            }
        }
        spent.as_secs_f64()
    }

    #[test]
    fn scans_take_their_share_and_one_burst() {
        for share in [0.01, 0.1, 0.5] {
            let allowed_s = share * (60.0 + BURST.as_secs_f64());
            let spent_s = scanned_s(share);
            assert!((spent_s - allowed_s).abs() < 0.02, "{spent_s} of {allowed_s}");
        }
        assert!(scanned_s(f64::INFINITY) > 400.0);
        assert!(scanned_s(0.0) == 0.0);
    }

    #[test]
    fn a_clock_that_stands_or_runs_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut budget = Budget::new(0.1, start);
        budget.charge(Duration::from_secs(1));
        assert!(!budget.may_scan(start));
        assert!(!budget.may_scan(start - Duration::from_secs(50)));
        assert!(!budget.may_scan(start + Duration::from_secs(4)));
        assert!(budget.may_scan(start + Duration::from_secs(6)));
    }
}
