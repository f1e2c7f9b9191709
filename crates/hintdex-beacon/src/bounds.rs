//! What is known of a beacon's clock.
//!
//! A sighting does not tell a clock, it bounds it: who heard the identifier of a
//! rotation at a time knows that the clock was in that rotation then. Bounds of many
//! sightings are intersected, and between sightings they grow by as much as the
//! clock may drift. This is set-membership estimation (Schweppe, "Recursive state
//! estimation: unknown but bounded errors and system inputs", 1968): as long as
//! clocks keep to their tolerance, the truth is never outside.

use std::ops::Range;

/// The last second there is, so that microseconds never overflow: past the year 10,000.
pub const LAST_UNIX_S: u64 = 1 << 38;

/// The greatest offset there is, either way: a time and a clock that is far ahead.
const LAST_OFFSET_S: i64 = 1 << 39;

const US_PER_S: i64 = 1_000_000;

/// No bound is further out than this, so that drift never carries one past what is sound.
const LAST_BOUND_US: i64 = 2 * LAST_OFFSET_S * US_PER_S;

/// How much earlier or later than expected an identifier may be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How old it may be, in seconds, for any reason but the beacon's own clock.
    pub before_s: u64,
    /// How early it may be, in seconds.
    pub after_s: u64,
    /// How far the beacon's own clock may run away from time, either way.
    pub max_drift_ppm: u32,
}

impl Allowance {
    /// For what is not heard but known: clocks drift all the same.
    pub const fn without_slack(self) -> Self {
        Self { before_s: 0, after_s: 0, ..self }
    }

    /// How far a clock may run away in so many seconds, in microseconds: a ppm is a
    /// microsecond a second.
    pub fn drift_us(self, seconds: u64) -> i64 {
        let drift_us = seconds.saturating_mul(self.max_drift_ppm.into());
        i64::try_from(drift_us).unwrap_or(i64::MAX)
    }
}

/// Bounds on `unix time - beacon's clock`, good at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockBounds {
    /// The least offset, in microseconds.
    pub least_us: i64,
    /// The greatest offset, in microseconds.
    pub most_us: i64,
    /// When they were good: the newest sighting, or when the offset was measured.
    pub heard_unix_s: u64,
}

impl ClockBounds {
    /// An offset measured in whole seconds, on both clocks.
    pub fn measured(offset_s: i64, at_unix_s: u64) -> Self {
        let us = |offset_s: i64| offset_s.clamp(-LAST_OFFSET_S, LAST_OFFSET_S) * US_PER_S;
        Self {
            least_us: us(offset_s.saturating_sub(1)),
            most_us: us(offset_s.saturating_add(1)),
            heard_unix_s: at_unix_s.min(LAST_UNIX_S),
        }
    }

    /// What is known from hearing, in the second `at_unix_s` give or take what is allowed,
    /// what the beacon sends while its clock is in `clocks_s`.
    pub fn from_sighting(clocks_s: Range<u64>, at_unix_s: u64, allowed: Allowance) -> Self {
        let at_unix_s = at_unix_s.min(LAST_UNIX_S);
        let earliest_us = micros(at_unix_s.saturating_sub(allowed.before_s));
        let latest_us = micros(at_unix_s.saturating_add(allowed.after_s).min(2 * LAST_UNIX_S));
        let clock_us = |clock_s: u64| micros(clock_s.min(LAST_UNIX_S));
        Self {
            least_us: earliest_us - clock_us(clocks_s.end),
            most_us: latest_us + US_PER_S - clock_us(clocks_s.start),
            heard_unix_s: at_unix_s,
        }
    }

    /// The bounds at another time: wider by what the clock may have drifted.
    pub fn at(&self, unix_s: u64, allowed: Allowance) -> Self {
        let unix_s = unix_s.min(LAST_UNIX_S);
        if unix_s == self.heard_unix_s {
            return *self;
        }
        let drift_us = allowed.drift_us(unix_s.abs_diff(self.heard_unix_s));
        Self {
            least_us: self.least_us.saturating_sub(drift_us).max(-LAST_BOUND_US),
            most_us: self.most_us.saturating_add(drift_us).min(LAST_BOUND_US),
            heard_unix_s: unix_s,
        }
    }

    /// Whether they are bounds at all: in order, and of a time and an offset there are.
    pub const fn is_sound(&self) -> bool {
        -LAST_BOUND_US <= self.least_us
            && self.least_us <= self.most_us
            && self.most_us <= LAST_BOUND_US
            && self.heard_unix_s <= LAST_UNIX_S
    }

    /// What the clock may show at any moment of the seconds `first_unix_s` to
    /// `last_unix_s`, in whole seconds; a clock is never negative.
    ///
    /// Bounds that are further than `max_uncertainty_s` from their middle are cut there: the
    /// allowance would otherwise grow without end while a beacon is silent.
    pub fn clocks_s(
        &self,
        first_unix_s: u64,
        last_unix_s: u64,
        allowed: Allowance,
        max_uncertainty_s: u64,
    ) -> Range<u64> {
        let cut = |unix_s: u64| self.at(unix_s, allowed).clamped(micros(max_uncertainty_s));
        let (first, last) = (cut(first_unix_s), cut(last_unix_s));
        let earliest = first.heard_unix_s.saturating_sub(allowed.before_s);
        let latest = last.heard_unix_s.saturating_add(allowed.after_s).min(2 * LAST_UNIX_S);
        let start_us = micros(earliest) - first.most_us;
        let end_us = micros(latest) + US_PER_S - last.least_us;
        let whole = |us: i64| u64::try_from(us.div_euclid(US_PER_S)).ok();
        // The second that `end_us` falls into may have begun.
        whole(start_us).unwrap_or(0)..whole(end_us).map_or(0, |second| second + 1)
    }

    /// No further from the middle than this, either way.
    const fn clamped(self, max_uncertainty_us: i64) -> Self {
        let half_us = (self.most_us - self.least_us) / 2;
        if half_us <= max_uncertainty_us {
            return self;
        }
        let middle_us = self.least_us + half_us;
        Self {
            least_us: middle_us - max_uncertainty_us,
            most_us: middle_us + max_uncertainty_us,
            heard_unix_s: self.heard_unix_s,
        }
    }

    /// Whether both can be true of one clock.
    pub fn agree(&self, other: &Self, allowed: Allowance) -> bool {
        self.intersection(other, allowed).is_some()
    }

    /// What is known from both, at the later of their times; `None` when no clock is in
    /// both, so that they are of two clocks or one of them is wrong.
    pub fn intersection(&self, other: &Self, allowed: Allowance) -> Option<Self> {
        let (a, b) = self.at_common_time(other, allowed);
        let (least_us, most_us) = (a.least_us.max(b.least_us), a.most_us.min(b.most_us));
        (least_us <= most_us).then_some(Self { least_us, most_us, ..a })
    }

    /// What is known when one of the two is true and nobody can say which, at the later
    /// of their times.
    pub fn hull(&self, other: &Self, allowed: Allowance) -> Self {
        let (a, b) = self.at_common_time(other, allowed);
        let (least_us, most_us) = (a.least_us.min(b.least_us), a.most_us.max(b.most_us));
        Self { least_us, most_us, ..a }
    }

    /// Both at the later of their times.
    fn at_common_time(&self, other: &Self, allowed: Allowance) -> (Self, Self) {
        let at = self.heard_unix_s.max(other.heard_unix_s);
        (self.at(at, allowed), other.at(at, allowed))
    }
}

fn micros(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX / US_PER_S).saturating_mul(US_PER_S)
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    /// Bounds are never cut.
    const ALL: u64 = u64::MAX;

    /// Clocks as Eddystone has them, and nothing late.
    const DRIFT: Allowance = Allowance { before_s: 0, after_s: 0, max_drift_ppm: 150 };

    #[test]
    fn a_measured_clock_is_where_it_was_measured() {
        let bounds = ClockBounds::measured(1000, 5000);
        let clocks = bounds.clocks_s(5000, 5000, DRIFT, ALL);
        assert!(clocks.contains(&4000) && clocks.end - clocks.start <= 4, "{clocks:?}");
        // 150 ppm of 20,000 s are 3 s on either side.
        let later = bounds.clocks_s(25_000, 25_000, DRIFT, ALL);
        assert_eq!((later.start, later.end), (clocks.start + 20_000 - 3, clocks.end + 20_000 + 3));
        let slack = Allowance { before_s: 10, after_s: 20, ..DRIFT };
        let wide = bounds.clocks_s(5000, 5000, slack, ALL);
        assert_eq!((wide.start, wide.end), (clocks.start - 10, clocks.end + 20));
    }

    /// The second of reception and the allowance widen the bounds, each on its side.
    #[test]
    fn a_sighting_bounds_the_clock_by_its_rotation_and_the_allowance() {
        let allowed = Allowance { before_s: 2, after_s: 3, max_drift_ppm: 150 };
        let bounds = ClockBounds::from_sighting(1024..2048, 1_764_000_000, allowed);
        let least_us = (1_764_000_000 - 2 - 2048) * US_PER_S;
        let most_us = (1_764_000_000 + 3 + 1 - 1024) * US_PER_S;
        assert_eq!(bounds, ClockBounds { least_us, most_us, heard_unix_s: 1_764_000_000 });
    }

    #[test]
    fn a_clock_is_never_negative() {
        let bounds = ClockBounds::measured(1_000_000, 1_000_000);
        assert!(bounds.clocks_s(10, 20, DRIFT, ALL).is_empty());
        assert_eq!(bounds.clocks_s(10, 1_000_000, DRIFT, ALL).start, 0);
    }

    #[test]
    fn sightings_narrow_and_time_widens() {
        // Rotations of 1024 s. A beacon whose offset is 0 is heard at 1000 and 1030:
        // it changed in between.
        let first = ClockBounds::from_sighting(0..1024, 1000, DRIFT);
        let both = first
            .intersection(&ClockBounds::from_sighting(1024..2048, 1030, DRIFT), DRIFT)
            .expect("one clock");
        assert_eq!(both.heard_unix_s, 1030);
        assert!(both.least_us <= 0 && both.most_us >= 0);
        assert!(both.most_us - both.least_us < 32 * US_PER_S, "{both:?}");
        let later = both.at(1030 + 1_000_000, DRIFT);
        assert_eq!(later.least_us, both.least_us - 150 * US_PER_S);
        let worse = both.at(1030 + 1_000_000, Allowance { max_drift_ppm: 400, ..DRIFT });
        assert_eq!(worse.most_us, both.most_us + 400 * US_PER_S);
        // An older sighting adds what it knows and does not turn the time back.
        assert_eq!(both.intersection(&first, DRIFT).map(|all| all.heard_unix_s), Some(1030));
    }

    #[test]
    fn a_sighting_is_no_better_than_its_time() {
        let slack = Allowance { before_s: 30, after_s: 10, ..DRIFT };
        let (sharp, blunt) = (
            ClockBounds::from_sighting(64..128, 1000, DRIFT),
            ClockBounds::from_sighting(64..128, 1000, slack),
        );
        assert_eq!(blunt.least_us, sharp.least_us - 30 * US_PER_S);
        assert_eq!(blunt.most_us, sharp.most_us + 10 * US_PER_S);
    }

    /// The gap between two that contradict one another is where no clock is: it must never
    /// become the bounds.
    #[test]
    fn what_contradicts_has_nothing_in_common() {
        let (a, b) = (ClockBounds::measured(0, 100), ClockBounds::measured(50, 100));
        assert!(!a.agree(&b, DRIFT));
        assert_eq!(a.intersection(&b, DRIFT), None);
        assert_eq!(b.intersection(&a, DRIFT), None);
        let either = ClockBounds { least_us: -US_PER_S, most_us: 51 * US_PER_S, heard_unix_s: 100 };
        assert_eq!(a.hull(&b, DRIFT), either);
        assert_eq!(b.hull(&a, DRIFT), either);
        assert!(a.agree(&ClockBounds::measured(2, 100), DRIFT));
    }

    #[test]
    fn bounds_that_are_too_wide_are_cut_about_their_middle() {
        let bounds = ClockBounds::measured(0, 0);
        // 150 ppm of 10^8 s are 15,000 s.
        let (wide, cut) = (
            bounds.clocks_s(100_000_000, 100_000_000, DRIFT, ALL),
            bounds.clocks_s(100_000_000, 100_000_000, DRIFT, 1000),
        );
        assert!(wide.start <= 100_000_000 - 15_000 && wide.end >= 100_000_000 + 15_000);
        assert_eq!((cut.start, cut.end), (100_000_000 - 1000, 100_000_000 + 1000 + 2));
        // What is known better is not cut.
        assert_eq!(bounds.clocks_s(9, 9, DRIFT, 1000), bounds.clocks_s(9, 9, DRIFT, ALL));
    }

    #[test]
    fn no_time_overflows() {
        for at in [0, u64::MAX] {
            for offset in [i64::MIN, i64::MAX, 0] {
                let bounds = ClockBounds::measured(offset, at);
                let all =
                    Allowance { before_s: u64::MAX, after_s: u64::MAX, max_drift_ppm: 100_000 };
                let _ = bounds.at(u64::MAX, all).at(0, all).clocks_s(0, u64::MAX, all, at);
                let other = ClockBounds::measured(0, 0);
                assert!(bounds.hull(&other, all).agree(&bounds, all));
                assert!(bounds.hull(&other, all).at(u64::MAX, all).is_sound());
            }
        }
    }
}
