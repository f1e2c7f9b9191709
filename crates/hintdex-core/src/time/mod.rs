//! Time, where nonces tell it: spans, and the clocks of the devices.
//!
//! A window of a clocked index is a *span* of the station's time. It holds the
//! nonces that each device's clock will show in it, so nothing in it is ever
//! rewritten: it is built before it begins and dropped whole when it has passed.
//!
//! Of each device an *interval* is known that the offset of its clock lies in. It
//! grows with the time since the device was heard, by the most that its crystal may
//! drift, and every accepted packet cuts it to what the packet's nonce allows: so
//! the search for a silent device widens by itself, and narrows when it is found.

mod device_clock;
mod life;

use std::ops::{Range, RangeInclusive};

use hintdex_wire::{Nonce, NonceKind};

pub(crate) use device_clock::{Anchor, DeviceClock};
pub(crate) use life::{Judged, Life, MAX_PAST_LIVES, MAX_PENDING, Pending, SlotTime, late_unit};

/// The station's time from one second to another, since 1970.
pub type Span = Range<u64>;

/// What is chosen of a [`Timing`]. When an index is made, the rest is what suits its
/// nonces; when it is opened, what it was made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimingOptions {
    /// [`Timing::span_s`].
    pub span_s: Option<u32>,
    /// [`Timing::lead_s`].
    pub lead_s: Option<u32>,
    /// [`Timing::before_s`].
    pub before_s: Option<u32>,
    /// [`Timing::after_s`].
    pub after_s: Option<u32>,
    /// [`Timing::max_drift_ppm`].
    pub max_drift_ppm: Option<u32>,
}

impl TimingOptions {
    /// `other` but for what is chosen here.
    pub fn over(&self, other: &Timing) -> Timing {
        let span_s = self.span_s.unwrap_or(other.span_s).max(1);
        let after_s = self.after_s.unwrap_or(other.after_s);
        let usual_lead_s = if self.span_s.is_some() { span_s / 6 } else { other.lead_s };
        Timing {
            span_s,
            lead_s: self.lead_s.unwrap_or(usual_lead_s).max(after_s),
            before_s: self.before_s.unwrap_or(other.before_s),
            after_s,
            max_drift_ppm: self.max_drift_ppm.unwrap_or(other.max_drift_ppm),
        }
    }
}

/// How a clocked index goes with time. Chosen when it is made, and by whoever opens it
/// for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a window is. Windows begin at multiples of it.
    pub span_s: u32,
    /// How long before it begins the next window is built. At least `after_s`.
    pub lead_s: u32,
    /// How far behind its expected time a nonce may be: a slow clock, a late packet.
    pub before_s: u32,
    /// How far ahead of its expected time a nonce may be.
    pub after_s: u32,
    /// The most that a device's clock drifts, in millionths.
    pub max_drift_ppm: u32,
}

impl Timing {
    /// What suits nonces of `kind`: for steps windows of 60 of them, at least an
    /// hour, and a step of tolerance; for days a window a day and an hour of tolerance.
    pub fn of(kind: NonceKind) -> Self {
        let unit_s = kind.unit_s();
        let (span_s, tolerance_s) = match kind {
            NonceKind::DayCounter => (unit_s, 3600),
            _ => ((60 * unit_s).clamp(3600, 7 * 86_400), unit_s),
        };
        let lead_s = (span_s / 6).max(tolerance_s);
        Self { span_s, lead_s, before_s: tolerance_s, after_s: tolerance_s, max_drift_ppm: 150 }
    }

    /// The span that `unix_s` lies in.
    pub const fn span_at(&self, unix_s: u64) -> Span {
        let len = if self.span_s == 0 { 1 } else { self.span_s as u64 };
        let from = unix_s - unix_s % len;
        from..from.saturating_add(len)
    }

    /// The spans that must be there at `unix_s`, the present first.
    pub fn needed_at(&self, unix_s: u64) -> Vec<Span> {
        let present = self.span_at(unix_s);
        let lead_s = u64::from(self.lead_s.max(self.after_s));
        let mut needed = vec![present.clone()];
        if unix_s.saturating_add(lead_s) >= present.end {
            needed.push(self.span_at(present.end));
        }
        // It is there already, unless the station was off when it was to be built.
        if present.start > 0 && unix_s < present.start.saturating_add(self.before_s.into()) {
            needed.push(self.span_at(present.start - 1));
        }
        needed
    }

    /// Whether a packet that is received in `times` may have its hint in the window of `span`.
    pub fn is_asked(&self, span: &Span, times: &RangeInclusive<u64>) -> bool {
        span.start <= times.end().saturating_add(self.after_s.into())
            && *times.start() < span.end.saturating_add(self.before_s.into())
    }

    /// Whether the window of `span` is of use at `unix_s` or soon: not past, and not of
    /// a future that a clock which was set back has left behind.
    pub fn is_kept(&self, span: &Span, unix_s: u64) -> bool {
        self.is_asked(span, &(unix_s..=unix_s)) || self.needed_at(unix_s).contains(span)
    }
}

/// The units of time that a device's clock may show while the station's goes through
/// `span`: with `widen_s` seconds before and behind, from the first to the one after the last.
pub(crate) fn units_in(
    kind: NonceKind,
    span: &Span,
    offsets_s: (i64, i64),
    (before_s, after_s): (u32, u32),
) -> Range<u64> {
    let unit_s = u64::from(kind.unit_s().max(1));
    let first_s = span.start.saturating_add_signed(offsets_s.0).saturating_sub(before_s.into());
    let end_s = span.end.saturating_add_signed(offsets_s.1).saturating_add(after_s.into());
    let units = first_s / unit_s..end_s.div_ceil(unit_s);
    let end = units.end.min(kind.max_unit().saturating_add(1));
    units.start.min(end)..end
}

/// The units of time whose nonces the window of `span` holds for a device.
///
/// A device whose clock is within the tolerance all through the span has those of the
/// span itself: then no two windows hold one of its hints. Any other has what its own
/// clock may show.
pub(crate) fn units_of_window(
    kind: NonceKind,
    span: &Span,
    clock: &DeviceClock,
    timing: &Timing,
) -> Range<u64> {
    // A drift that is known moves both bounds one way: neither end has the widest interval.
    let [first, last] = [span.start, span.end].map(|at| clock.offsets_at(at, timing.max_drift_ppm));
    let offsets_s = (first.0.min(last.0), first.1.max(last.1));
    if in_step(offsets_s, timing) {
        units_in(kind, span, (0, 0), (0, 0))
    } else {
        units_in(kind, span, narrowed(offsets_s, span), (0, 0))
    }
}

/// The most that an interval of offsets widens a window, in spans on each side of its
/// middle: a device that was silent for many years, or a station's clock that leapt by
/// them, must not make a window a thousand times as large. The scan finds the rest.
const MOST_SPANS_ASIDE: u64 = 4;

/// An interval of offsets that is no wider than that.
fn narrowed((low_s, high_s): (i64, i64), span: &Span) -> (i64, i64) {
    let aside_s = (span.end - span.start).saturating_mul(MOST_SPANS_ASIDE);
    let aside_s = i64::try_from(aside_s).unwrap_or(i64::MAX);
    let middle_s = low_s.saturating_add(high_s.saturating_sub(low_s) / 2);
    (low_s.max(middle_s.saturating_sub(aside_s)), high_s.min(middle_s.saturating_add(aside_s)))
}

/// Whether a clock with these offsets is within the tolerance.
pub(crate) fn in_step((low_s, high_s): (i64, i64), timing: &Timing) -> bool {
    -i64::from(timing.before_s) <= low_s && high_s <= i64::from(timing.after_s)
}

/// Whether a clock with one of these offsets is within the tolerance.
pub(crate) fn may_be_in_step((low_s, high_s): (i64, i64), timing: &Timing) -> bool {
    low_s <= i64::from(timing.after_s) && -i64::from(timing.before_s) <= high_s
}

/// The nonces of a run of units, for devices that use one a unit.
pub(crate) const fn nonces_of(kind: NonceKind, units: &Range<u64>) -> Range<Nonce> {
    kind.first_of(units.start)..kind.first_of(units.end)
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod edge_tests;

#[cfg(test)]
mod tests {
    use hintdex_wire::StepLen;

    use super::*;

    fn minutes() -> NonceKind {
        StepLen::new(60).map_or(NonceKind::Counter, NonceKind::Step)
    }

    #[test]
    fn the_present_span_is_needed_and_the_next_from_its_lead_on() {
        let timing = Timing::of(minutes());
        assert_eq!((timing.span_s, timing.lead_s), (3600, 600));
        assert_eq!(timing.needed_at(7200), [7200..10_800, 3600..7200]);
        assert_eq!(timing.needed_at(7260), vec![timing.span_at(7200)]);
        assert_eq!(timing.needed_at(10_199), vec![timing.span_at(7200)]);
        assert_eq!(timing.needed_at(10_200), [7200..10_800, 10_800..14_400]);
        // The past one is asked as long as a late packet may be of it.
        assert!(timing.is_kept(&(3600..7200), 7259) && !timing.is_kept(&(3600..7200), 7260));
        assert!(timing.is_asked(&(10_800..14_400), &(10_740..=10_740)));
        assert!(!timing.is_asked(&(10_800..14_400), &(10_739..=10_739)));
        // A clock that was set back leaves the windows of its future behind.
        assert!(!timing.is_kept(&(14_400..18_000), 7200));
        // The end of time is an end, not a panic.
        assert!(timing.needed_at(u64::MAX).contains(&timing.span_at(u64::MAX)));
        assert_eq!(timing.needed_at(0), vec![timing.span_at(0)]);
    }

    #[test]
    fn a_device_in_step_has_the_units_of_the_span_and_any_other_its_own() {
        let timing = Timing::of(minutes());
        let span = 7200..10_800;
        let fresh = DeviceClock::new(7200);
        assert_eq!(units_of_window(minutes(), &span, &fresh, &timing), 120..180);
        let mut fast = DeviceClock::new(7200);
        fast.set(7200, 300, 330);
        // 150 ppm of an hour is a second more on each side.
        assert_eq!(units_of_window(minutes(), &span, &fast, &timing), 124..186);
        // Its drift is known to be 100 to 150 ppm: slower at the beginning than at the end.
        let mut drifts = DeviceClock::new(7200);
        let anchor = Anchor { at_s: 0, low_s: 0, high_s: 0 };
        drifts.set(1_000_000_000, 130_000, 130_000);
        drifts.anchor = Some(anchor);
        let span = 1_000_000_000..1_000_086_400;
        let (low_s, _) = drifts.offsets_at(span.start, 150);
        assert!(drifts.offsets_at(span.end, 150).0 > low_s);
        let first_s = span.start.saturating_add_signed(low_s);
        assert_eq!(units_of_window(minutes(), &span, &drifts, &timing).start, first_s / 60);
        // A leap of a thousand years widens it no more than to so many spans.
        let lost = units_of_window(minutes(), &(40_000_000_000..40_000_003_600), &fresh, &timing);
        assert!(lost.end - lost.start <= 60 * (2 * MOST_SPANS_ASIDE + 1) + 1, "{lost:?}");
        let mut at_epoch = DeviceClock::new(7200);
        at_epoch.set(1_000_000, -1_000_000, -999_940);
        assert_eq!(units_of_window(minutes(), &(1_000_000..1_003_600), &at_epoch, &timing), 0..62);
    }
}
