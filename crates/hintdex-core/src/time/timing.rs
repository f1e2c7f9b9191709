//! Spans of station time, and the time parameters of an index.

use std::ops::{Range, RangeInclusive};

use hintdex_wire::NonceKind;

/// A run of station time, in seconds since 1970.
///
/// See the example of [`Timing`].
pub type Span = Range<u64>;

/// The chosen fields of a [`Timing`]. At creation, the other fields default to the values for
/// the kind of nonces; at an opening, to those the index was created with.
///
/// See the example of [`Timing`].
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
    /// `other` with the chosen fields replaced.
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

/// The time parameters of a clocked index. Chosen at its creation; each opening may choose
/// others until the index is closed.
///
/// ```
/// use hintdex_core::{Span, Timing, TimingOptions};
/// use hintdex_wire::{NonceKind, StepLen};
///
/// // A nonce a minute: windows of an hour. Packets may be five minutes late.
/// let kind = NonceKind::Step(StepLen::new(60).unwrap());
/// let chosen = TimingOptions { before_s: Some(300), ..TimingOptions::default() };
/// let timing: Timing = chosen.over(&Timing::of(kind));
/// assert_eq!((timing.span_s, timing.before_s, timing.after_s), (3600, 300, 60));
///
/// // Early in an hour, packets of the hour before may still come.
/// let present: Span = timing.span_at(1_764_000_100);
/// assert_eq!(timing.needed_at(1_764_000_100), [present.clone(), timing.span_at(present.start - 1)]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The length of a window. Windows begin at multiples of it.
    pub span_s: u32,
    /// How long before it begins a window is built; at least `after_s`.
    pub lead_s: u32,
    /// How far a nonce may be behind its expected time: a slow clock, a late packet.
    pub before_s: u32,
    /// How far a nonce may be ahead of its expected time.
    pub after_s: u32,
    /// The largest drift of a device's clock, in ppm.
    pub max_drift_ppm: u32,
}

impl Timing {
    /// The defaults for nonces of `kind`. For steps: windows of 60 steps, at least an hour, and
    /// a tolerance of a step. For days: windows of a day, and a tolerance of an hour.
    pub fn of(kind: NonceKind) -> Self {
        let unit_s = kind.unit_s();
        let (span_s, tolerance_s) = match kind {
            NonceKind::DayCounter => (unit_s, 3600),
            _ => ((60 * unit_s).clamp(3600, 7 * 86_400), unit_s),
        };
        let lead_s = (span_s / 6).max(tolerance_s);
        Self { span_s, lead_s, before_s: tolerance_s, after_s: tolerance_s, max_drift_ppm: 150 }
    }

    /// The span that holds `unix_s`.
    pub const fn span_at(&self, unix_s: u64) -> Span {
        let len = if self.span_s == 0 { 1 } else { self.span_s as u64 };
        let from = unix_s - unix_s % len;
        from..from.saturating_add(len)
    }

    /// The spans whose windows are needed at `unix_s`, the present one first.
    pub fn needed_at(&self, unix_s: u64) -> Vec<Span> {
        let present = self.span_at(unix_s);
        let lead_s = u64::from(self.lead_s.max(self.after_s));
        let mut needed = vec![present.clone()];
        if unix_s.saturating_add(lead_s) >= present.end {
            needed.push(self.span_at(present.end));
        }
        // This window exists already, unless the station was off when it should have been built.
        if present.start > 0 && unix_s < present.start.saturating_add(self.before_s.into()) {
            needed.push(self.span_at(present.start - 1));
        }
        needed
    }

    /// Whether the window of `span` may hold the hint of a packet received in `times`.
    pub fn may_hold(&self, span: &Span, times: &RangeInclusive<u64>) -> bool {
        span.start <= times.end().saturating_add(self.after_s.into())
            && *times.start() < span.end.saturating_add(self.before_s.into())
    }

    /// Whether the window of `span` is of use at `unix_s` or soon. It is not if the span has
    /// passed, or lies in a future that the clock left when it was set back.
    pub fn is_kept(&self, span: &Span, unix_s: u64) -> bool {
        self.may_hold(span, &(unix_s..=unix_s)) || self.needed_at(unix_s).contains(span)
    }
}

#[cfg(test)]
mod tests {
    use hintdex_wire::StepLen;

    use super::*;

    fn minutes() -> NonceKind {
        StepLen::new(60).map_or(NonceKind::Counter, NonceKind::Step)
    }

    #[test]
    fn the_next_span_is_needed_from_its_lead_on() {
        let timing = Timing::of(minutes());
        assert_eq!((timing.span_s, timing.lead_s), (3600, 600));
        assert_eq!(timing.needed_at(7200), [7200..10_800, 3600..7200]);
        assert_eq!(timing.needed_at(7260), vec![timing.span_at(7200)]);
        assert_eq!(timing.needed_at(10_199), vec![timing.span_at(7200)]);
        assert_eq!(timing.needed_at(10_200), [7200..10_800, 10_800..14_400]);
        // The past window is asked as long as a late packet may arrive.
        assert!(timing.is_kept(&(3600..7200), 7259) && !timing.is_kept(&(3600..7200), 7260));
        assert!(timing.may_hold(&(10_800..14_400), &(10_740..=10_740)));
        assert!(!timing.may_hold(&(10_800..14_400), &(10_739..=10_739)));
        // A window in the future of a clock that was set back is not kept.
        assert!(!timing.is_kept(&(14_400..18_000), 7200));
        // The last second there is does not overflow.
        assert!(timing.needed_at(u64::MAX).contains(&timing.span_at(u64::MAX)));
        assert_eq!(timing.needed_at(0), vec![timing.span_at(0)]);
    }
}
