//! The units of time that a device's clock may show, and the nonces of these units.

use std::ops::Range;

use hintdex_wire::{Nonce, NonceKind};

use super::device_clock::DeviceClock;
use super::timing::{Span, Timing};

/// The units of time that a device's clock may show while station time passes through `span`,
/// widened by `before_s` and `after_s` seconds.
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
/// A device whose clock is within the tolerance during the whole span has the units of the
/// span itself: then no two windows hold one of its hints. Any other device has the units that
/// its own clock may show.
pub(crate) fn units_of_window(
    kind: NonceKind,
    span: &Span,
    clock: &DeviceClock,
    timing: &Timing,
) -> Range<u64> {
    // A learned drift moves both bounds in one direction, so neither end alone has the widest
    // interval.
    let [first, last] = [span.start, span.end].map(|at| clock.offsets_at(at, timing.max_drift_ppm));
    let offsets_s = (first.0.min(last.0), first.1.max(last.1));
    if in_step(offsets_s, timing) {
        units_in(kind, span, (0, 0), (0, 0))
    } else {
        units_in(kind, span, narrowed(offsets_s, span), (0, 0))
    }
}

/// The limit of the interval in a window, in spans on each side of its midpoint. Without it, a
/// device that was silent for many years, or a station clock that jumped by years, would make
/// the window a thousand times as large. The scan finds the other hints.
const MAX_SPANS_ASIDE: u64 = 4;

/// An interval of offsets, limited to [`MAX_SPANS_ASIDE`].
pub(super) fn narrowed((low_s, high_s): (i64, i64), span: &Span) -> (i64, i64) {
    let aside_s = (span.end - span.start).saturating_mul(MAX_SPANS_ASIDE);
    let aside_s = i64::try_from(aside_s).unwrap_or(i64::MAX);
    let midpoint_s = low_s.saturating_add(high_s.saturating_sub(low_s) / 2);
    (low_s.max(midpoint_s.saturating_sub(aside_s)), high_s.min(midpoint_s.saturating_add(aside_s)))
}

/// Whether a clock with these offset bounds is certainly within the tolerance.
pub(crate) fn in_step((low_s, high_s): (i64, i64), timing: &Timing) -> bool {
    -i64::from(timing.before_s) <= low_s && high_s <= i64::from(timing.after_s)
}

/// Whether a clock with these offset bounds may be within the tolerance.
pub(crate) fn may_be_in_step((low_s, high_s): (i64, i64), timing: &Timing) -> bool {
    low_s <= i64::from(timing.after_s) && -i64::from(timing.before_s) <= high_s
}

/// The nonces of a run of units, for devices that use one nonce a unit.
pub(crate) const fn nonces_of(kind: NonceKind, units: &Range<u64>) -> Range<Nonce> {
    kind.first_of(units.start)..kind.first_of(units.end)
}

#[cfg(test)]
mod tests {
    use hintdex_wire::StepLen;

    use super::super::device_clock::Anchor;
    use super::*;

    fn minutes() -> NonceKind {
        StepLen::new(60).map_or(NonceKind::Counter, NonceKind::Step)
    }

    #[test]
    fn a_device_in_step_has_the_units_of_the_span_and_any_other_device_its_own() {
        let timing = Timing::of(minutes());
        let span = 7200..10_800;
        let fresh = DeviceClock::new(7200);
        assert_eq!(units_of_window(minutes(), &span, &fresh, &timing), 120..180);
        let mut fast = DeviceClock::new(7200);
        fast.set(7200, 300, 330);
        // A drift of 150 ppm adds a second on each side in an hour.
        assert_eq!(units_of_window(minutes(), &span, &fast, &timing), 124..186);
        // A learned drift of 100 to 150 ppm: the offsets at the end are above those at the start.
        let mut drifts = DeviceClock::new(7200);
        let anchor = Anchor { at_s: 0, low_s: 0, high_s: 0 };
        drifts.set(1_000_000_000, 130_000, 130_000);
        drifts.anchor = Some(anchor);
        let span = 1_000_000_000..1_000_086_400;
        let (low_s, _) = drifts.offsets_at(span.start, 150);
        assert!(drifts.offsets_at(span.end, 150).0 > low_s);
        let first_s = span.start.saturating_add_signed(low_s);
        assert_eq!(units_of_window(minutes(), &span, &drifts, &timing).start, first_s / 60);
        // A jump of a thousand years widens the units to the limit and no further.
        let lost = units_of_window(minutes(), &(40_000_000_000..40_000_003_600), &fresh, &timing);
        assert!(lost.end - lost.start <= 60 * (2 * MAX_SPANS_ASIDE + 1) + 1, "{lost:?}");
        let mut at_epoch = DeviceClock::new(7200);
        at_epoch.set(1_000_000, -1_000_000, -999_940);
        assert_eq!(units_of_window(minutes(), &(1_000_000..1_003_600), &at_epoch, &timing), 0..62);
    }
}
