//! The clock offset bounds of one device.

use std::ops::Range;

/// The largest difference between the times of sending and of reception that a clock in whole
/// seconds does not show, in seconds.
const LATENCY_S: i64 = 3;

/// How much a crystal's drift may differ from the learned one, through temperature and age, in
/// ppm.
const DRIFT_SLACK_PPM: i64 = 20;

/// A drift is learned from observations at least this far apart. The older one is replaced after
/// `MAX_BASELINE_S`.
const MIN_BASELINE_S: u64 = 86_400;
const MAX_BASELINE_S: u64 = 90 * 86_400;

/// The interval grows for at most this long. The time of reception is not authenticated before
/// the tag has verified, and the search that depends on it must stay bounded.
const MAX_SILENCE_S: u64 = 10 * 365 * 86_400;

/// Times of reception that go back by more than this show that the station clock was set.
const MAX_OUT_OF_ORDER_S: u64 = 3600;

const MILLION: i64 = 1_000_000;

/// The interval that holds the difference between a device's clock and station time, in
/// seconds, and an older observation, from which the drift is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceClock {
    /// The station time of the last observation, which cut the interval.
    pub(crate) heard_s: u64,
    pub(crate) low_s: i64,
    pub(crate) high_s: i64,
    pub(crate) anchor: Option<Anchor>,
}

/// An older observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) at_s: u64,
    pub(crate) low_s: i64,
    pub(crate) high_s: i64,
}

impl DeviceClock {
    /// The clock of a device that showed station time at `unix_s`.
    #[cfg(test)]
    pub(crate) const fn new(unix_s: u64) -> Self {
        Self { heard_s: unix_s, low_s: 0, high_s: 0, anchor: None }
    }

    /// Replaces everything by an interval of offsets at `unix_s`.
    pub(crate) const fn set(&mut self, unix_s: u64, low_s: i64, high_s: i64) {
        *self = Self { heard_s: unix_s, low_s, high_s, anchor: None };
    }

    /// The lowest and the highest offset at `unix_s`.
    pub(crate) fn offsets_at(&self, unix_s: u64, max_drift_ppm: u32) -> (i64, i64) {
        let elapsed_s = unix_s.abs_diff(self.heard_s).min(MAX_SILENCE_S);
        let elapsed_s = i64::try_from(elapsed_s).unwrap_or(i64::MAX);
        let (slowest, fastest) = if unix_s < self.heard_s {
            (-i64::from(max_drift_ppm), i64::from(max_drift_ppm))
        } else {
            self.drift_ppm(max_drift_ppm)
        };
        let low_s = self.low_s.saturating_add(drifted_s(elapsed_s, slowest, i64::div_euclid));
        let high_s = self.high_s.saturating_add(drifted_s(elapsed_s, fastest, ceiling));
        (low_s, high_s)
    }

    /// The bounds of the drift, in ppm: `max_drift_ppm` to either side, and closer ones once two
    /// observations are a day or more apart.
    pub(crate) fn drift_ppm(&self, max_drift_ppm: u32) -> (i64, i64) {
        let most = i64::from(max_drift_ppm);
        let learned = self.anchor.and_then(|anchor| {
            let baseline_s = self.heard_s.checked_sub(anchor.at_s)?;
            let seconds =
                i64::try_from(baseline_s).ok().filter(|_| baseline_s >= MIN_BASELINE_S)?;
            let ppm = |difference_s: i64| difference_s.saturating_mul(MILLION) / seconds;
            let slowest = ppm(self.low_s.saturating_sub(anchor.high_s)) - DRIFT_SLACK_PPM;
            let fastest = ppm(self.high_s.saturating_sub(anchor.low_s)) + DRIFT_SLACK_PPM;
            let (slowest, fastest) = (slowest.max(-most), fastest.min(most));
            (slowest <= fastest).then_some((slowest, fastest))
        });
        learned.unwrap_or((-most, most))
    }

    /// Cuts the interval to the offsets that a packet allows. The packet was received at
    /// `unix_s` and built while the device's clock was in `device_s`. Returns whether the packet
    /// contradicts the interval, which the packet's offsets then replace.
    pub(crate) fn observe(
        &mut self,
        unix_s: u64,
        device_s: &Range<u64>,
        max_drift_ppm: u32,
    ) -> bool {
        let (seen_low_s, seen_high_s) = offsets_of(unix_s, device_s);
        if unix_s < self.heard_s && self.heard_s - unix_s <= MAX_OUT_OF_ORDER_S {
            // From another receiver, or out of order: a later packet has cut the interval already.
            return false;
        }
        let (low_s, high_s) = self.offsets_at(unix_s, max_drift_ppm);
        let cut = (low_s.max(seen_low_s), high_s.min(seen_high_s));
        if cut.0 > cut.1 || unix_s < self.heard_s {
            self.set(unix_s, seen_low_s, seen_high_s);
            return true;
        }
        (self.low_s, self.high_s) = cut;
        self.heard_s = unix_s;
        let is_old =
            self.anchor.is_none_or(|anchor| unix_s.saturating_sub(anchor.at_s) > MAX_BASELINE_S);
        if is_old {
            self.anchor = Some(Anchor { at_s: unix_s, low_s: cut.0, high_s: cut.1 });
        }
        false
    }
}

/// The lowest and the highest offset that a packet allows.
pub(crate) fn offsets_of(unix_s: u64, device_s: &Range<u64>) -> (i64, i64) {
    let minus = |device_s: u64| {
        let difference = i128::from(device_s) - i128::from(unix_s);
        i64::try_from(difference).unwrap_or(if difference < 0 {
            i64::MIN / 2
        } else {
            i64::MAX / 2
        })
    };
    (minus(device_s.start).saturating_sub(1), minus(device_s.end).saturating_add(LATENCY_S))
}

fn drifted_s(elapsed_s: i64, ppm: i64, divide: fn(i64, i64) -> i64) -> i64 {
    divide(elapsed_s.saturating_mul(ppm), MILLION)
}

/// `value` / `by`, rounded up.
fn ceiling(value: i64, by: i64) -> i64 {
    value.saturating_neg().div_euclid(by).saturating_neg()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_interval_grows_with_silence_and_is_cut_by_a_packet() {
        let mut clock = DeviceClock::new(1_000_000);
        assert_eq!(clock.offsets_at(1_000_000, 150), (0, 0));
        assert_eq!(clock.offsets_at(2_000_000, 150), (-150, 150));
        assert_eq!(clock.offsets_at(1_000_001, 150), (-1, 1));
        // The packet was built at 2,000,040 or later by the device's clock: at least 40 s ahead.
        assert!(!clock.observe(2_000_000, &(2_000_040..2_000_100), 150));
        assert_eq!(clock.offsets_at(2_000_000, 150), (39, 103));
        // A contradicting packet replaces the interval.
        assert!(clock.observe(2_000_600, &(2_003_600..2_003_660), 150));
        assert_eq!(clock.offsets_at(2_000_600, 150), (2999, 3063));
    }

    #[test]
    fn a_learned_drift_narrows_the_interval_of_a_silent_device() {
        let mut clock = DeviceClock::new(0);
        let device_s = |unix_s: u64| unix_s + unix_s * 100 / 1_000_000;
        for unix_s in (0..30 * 86_400).step_by(5000) {
            let step = device_s(unix_s) / 60 * 60;
            assert!(!clock.observe(unix_s, &(step..step + 60), 150), "at {unix_s}");
        }
        let (slowest, fastest) = clock.drift_ppm(150);
        assert!(slowest > 60 && fastest < 140, "{slowest}..{fastest}");
        // Two months later the interval holds the offset, and is narrower than without a drift.
        let (at, blind_s) = (90 * 86_400, 2 * 60 * 86_400 * 150 / 1_000_000);
        let (low_s, high_s) = clock.offsets_at(at, 150);
        let truth = i64::try_from(device_s(at) - at).unwrap_or(0);
        assert!(low_s <= truth && truth <= high_s, "{truth} in {low_s}..{high_s}");
        assert!(high_s - low_s < blind_s * 2 / 3, "{low_s}..{high_s}");
    }

    #[test]
    fn the_interval_is_bounded_for_any_time_of_reception() {
        let clock = DeviceClock::new(1_795_392_000);
        let most_s = 10 * 365 * 86_400 * 150 / MILLION;
        for unix_s in [0, 1, 253_402_207_200, u64::MAX] {
            let (low_s, high_s) = clock.offsets_at(unix_s, 150);
            assert!((low_s, high_s) == (-most_s, most_s), "{low_s}..{high_s} at {unix_s}");
        }
    }

    #[test]
    fn an_observation_before_the_last_one_restarts_the_interval_only_if_the_clock_was_set() {
        let mut clock = DeviceClock::new(0);
        clock.observe(2_000_000_000, &(2_000_000_000..2_000_000_060), 150);
        // Seconds back: out of order, nothing changes. Years back: the old time was wrong.
        assert!(!clock.observe(1_999_999_990, &(1_999_999_940..2_000_000_000), 150));
        assert!(clock.observe(1_700_000_000, &(1_700_000_000..1_700_000_060), 150));
        assert_eq!(clock.heard_s, 1_700_000_000);
    }

    proptest! {
        #[test]
        fn the_interval_always_holds_the_offset_of_an_honest_clock(
            ppm in -150i64..=150, offset in -1000i64..1000, step_s in 15u64..4000,
            gaps in prop::collection::vec((1u64..2_000_000, 0u64..3), 1..60),
        ) {
            let mut now = 1_700_000_000u64;
            let started = now;
            let truth = |now: u64| -> i64 {
                offset + i64::try_from(now - started).unwrap_or(0) * ppm / 1_000_000
            };
            let mut clock = DeviceClock::new(now);
            clock.set(now, offset, offset);
            for (gap, latency) in gaps {
                now += gap;
                let (low, high) = clock.offsets_at(now, 151);
                prop_assert!(low <= truth(now) && truth(now) <= high);
                let step = now.saturating_add_signed(truth(now)) / step_s * step_s;
                now += latency;
                prop_assert!(!clock.observe(now, &(step..step + step_s), 151));
            }
        }
    }
}
