//! What is known of one device's clock.

use std::ops::Range;

/// Seconds by which the moment of sending and of receiving may differ, and which a
/// clock in whole seconds does not tell.
const LATENCY_S: i64 = 3;

/// How much a crystal's drift changes with temperature and age, in millionths, beside
/// what was learned.
const DRIFT_SLACK_PPM: i64 = 20;

/// A drift is learned from so long a time at least, and an observation to learn it
/// from is kept so long at most.
const LEAST_BASELINE_S: u64 = 86_400;
const MOST_BASELINE_S: u64 = 90 * 86_400;

/// A clock's offset is sought no further than where so long a silence may have brought it.
/// Nobody vouches for the time at which a packet is said to have been received before its
/// tag is verified, and what is sought without it must stay bounded.
const MOST_SILENCE_S: u64 = 10 * 365 * 86_400;

/// Station times that differ by more are not of one clock: somebody set it.
const MOST_OUT_OF_ORDER_S: u64 = 3600;

const MILLION: i64 = 1_000_000;

/// An interval that the offset of a device's clock from the station's lies in, in
/// seconds, and one from longer ago, which tells the drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceClock {
    /// When the interval was cut last, by the station's clock.
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
    /// The clock of a device that was set right at `unix_s` and not heard yet.
    #[cfg(test)]
    pub(crate) const fn new(unix_s: u64) -> Self {
        Self { heard_s: unix_s, low_s: 0, high_s: 0, anchor: None }
    }

    /// Forgets everything but that the offset lies between these at `unix_s`.
    pub(crate) const fn set(&mut self, unix_s: u64, low_s: i64, high_s: i64) {
        *self = Self { heard_s: unix_s, low_s, high_s, anchor: None };
    }

    /// The lowest and the highest offset the clock may have at `unix_s`.
    pub(crate) fn offsets_at(&self, unix_s: u64, max_drift_ppm: u32) -> (i64, i64) {
        let elapsed_s = unix_s.abs_diff(self.heard_s).min(MOST_SILENCE_S);
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

    /// The bounds of the drift: `max_drift_ppm` either way, and closer ones once two
    /// observations are a day or more apart.
    pub(crate) fn drift_ppm(&self, max_drift_ppm: u32) -> (i64, i64) {
        let most = i64::from(max_drift_ppm);
        let learned = self.anchor.and_then(|anchor| {
            let baseline_s = self.heard_s.checked_sub(anchor.at_s)?;
            let seconds =
                i64::try_from(baseline_s).ok().filter(|_| baseline_s >= LEAST_BASELINE_S)?;
            let ppm = |difference_s: i64| difference_s.saturating_mul(MILLION) / seconds;
            let slowest = ppm(self.low_s.saturating_sub(anchor.high_s)) - DRIFT_SLACK_PPM;
            let fastest = ppm(self.high_s.saturating_sub(anchor.low_s)) + DRIFT_SLACK_PPM;
            let (slowest, fastest) = (slowest.max(-most), fastest.min(most));
            (slowest <= fastest).then_some((slowest, fastest))
        });
        learned.unwrap_or((-most, most))
    }

    /// Cuts the interval to what a packet allows that was received at `unix_s` and made
    /// while the device's clock showed `device_s`. Whether the packet contradicts what
    /// was known: then only the packet is believed.
    pub(crate) fn observe(
        &mut self,
        unix_s: u64,
        device_s: &Range<u64>,
        max_drift_ppm: u32,
    ) -> bool {
        let (seen_low_s, seen_high_s) = offsets_of(unix_s, device_s);
        if unix_s < self.heard_s && self.heard_s - unix_s <= MOST_OUT_OF_ORDER_S {
            // Of two stations, or out of order: later ones have told more already.
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
            self.anchor.is_none_or(|anchor| unix_s.saturating_sub(anchor.at_s) > MOST_BASELINE_S);
        if is_old {
            self.anchor = Some(Anchor { at_s: unix_s, low_s: cut.0, high_s: cut.1 });
        }
        false
    }
}

/// The offsets that a packet allows.
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

/// The least number that `by` times is `value` or more.
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
        // The device's clock shows the step from 2,000,040 on: 40 s ahead or more.
        assert!(!clock.observe(2_000_000, &(2_000_040..2_000_100), 150));
        assert_eq!(clock.offsets_at(2_000_000, 150), (39, 103));
        // What cannot be is believed when it is seen.
        assert!(clock.observe(2_000_600, &(2_003_600..2_003_660), 150));
        assert_eq!(clock.offsets_at(2_000_600, 150), (2999, 3063));
    }

    #[test]
    fn a_drift_is_learned_and_narrows_the_search_for_a_silent_device() {
        let mut clock = DeviceClock::new(0);
        let device_s = |unix_s: u64| unix_s + unix_s * 100 / 1_000_000;
        for unix_s in (0..30 * 86_400).step_by(5000) {
            let step = device_s(unix_s) / 60 * 60;
            assert!(!clock.observe(unix_s, &(step..step + 60), 150), "at {unix_s}");
        }
        let (slowest, fastest) = clock.drift_ppm(150);
        assert!(slowest > 60 && fastest < 140, "{slowest}..{fastest}");
        // Two months later it is found where it is, in less than a blind search would take.
        let (at, blind_s) = (90 * 86_400, 2 * 60 * 86_400 * 150 / 1_000_000);
        let (low_s, high_s) = clock.offsets_at(at, 150);
        let truth = i64::try_from(device_s(at) - at).unwrap_or(0);
        assert!(low_s <= truth && truth <= high_s, "{truth} in {low_s}..{high_s}");
        assert!(high_s - low_s < blind_s * 2 / 3, "{low_s}..{high_s}");
    }

    #[test]
    fn a_reception_at_any_time_asks_for_a_bounded_search() {
        let clock = DeviceClock::new(1_795_392_000);
        let most_s = 10 * 365 * 86_400 * 150 / MILLION;
        for unix_s in [0, 1, 253_402_207_200, u64::MAX] {
            let (low_s, high_s) = clock.offsets_at(unix_s, 150);
            assert!((low_s, high_s) == (-most_s, most_s), "{low_s}..{high_s} at {unix_s}");
        }
    }

    #[test]
    fn a_station_whose_clock_was_set_back_starts_again() {
        let mut clock = DeviceClock::new(0);
        clock.observe(2_000_000_000, &(2_000_000_000..2_000_000_060), 150);
        // Out of order by seconds: nothing to learn. By years: the old time was wrong.
        assert!(!clock.observe(1_999_999_990, &(1_999_999_940..2_000_000_000), 150));
        assert!(clock.observe(1_700_000_000, &(1_700_000_000..1_700_000_060), 150));
        assert_eq!(clock.heard_s, 1_700_000_000);
    }

    proptest! {
        #[test]
        fn an_honest_clock_is_never_outside_its_interval(
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
