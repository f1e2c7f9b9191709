//! The nonces of a slot that a window must hold: those that an honest device may send next.

use std::ops::{Range, RangeInclusive};

use hintdex_wire::{Nonce, NonceKind};

use crate::params::Params;
use crate::records::{SlotState, StateRecord};
use crate::time::{Span, Timing, nonces_of, units_in, units_of_window};

impl SlotState {
    /// The nonces that an honest device may use at these times of reception, in seconds since
    /// 1970: the live nonces of a counter, or what the clock offset bounds and the tolerance
    /// allow.
    pub(crate) fn expected_nonces(
        &self,
        params: &Params,
        timing: &Timing,
        times: &RangeInclusive<u64>,
    ) -> Range<Nonce> {
        let Some(record) = self.clock else { return self.state.live_nonces() };
        let clock = record.clock();
        let [first, last] =
            [times.start(), times.end()].map(|at| clock.offsets_at(*at, timing.max_drift_ppm));
        let offsets_s = (first.0.min(last.0), first.1.max(last.1));
        let received = *times.start()..times.end().saturating_add(1);
        let tolerance_s = (timing.before_s, timing.after_s);
        nonces_of(params.nonces, &units_in(params.nonces, &received, offsets_s, tolerance_s))
    }

    /// Calls `each` with every run of the slot's nonces that a window must hold. `window` is
    /// the span of a window of clocked nonces; `None` for counters.
    pub(crate) fn each_live(
        &self,
        params: &Params,
        window: Option<(&Span, &Timing)>,
        mut each: impl FnMut(Range<Nonce>),
    ) {
        let kind = params.nonces;
        let (Some((span, timing)), Some(clock)) = (window, self.clock) else {
            return each(self.state.live_nonces());
        };
        let units = units_of_window(kind, span, &clock.clock(), timing);
        if kind != NonceKind::DayCounter {
            return each(nonces_of(kind, &units));
        }
        let live = self.state.live_nonces();
        let last_unit = kind.unit_of(highest_nonce(&self.state));
        for unit in units {
            let first = kind.first_of(unit);
            if last_unit == unit && live.start > first {
                each(live.clone());
            } else if first >= live.start {
                each(first..first.saturating_add(params.lookahead.into()));
            }
        }
    }
}

impl StateRecord {
    /// The end of the live hints in the unit of `nonce`, as far as the slot's packets move it.
    ///
    /// Returns `Nonce::MAX` for time steps: no packet moves their live hints, only the clock.
    pub(crate) fn live_end(&self, params: &Params, nonce: Nonce) -> Nonce {
        let kind = params.nonces;
        match kind {
            NonceKind::DayCounter if kind.unit_of(nonce) > kind.unit_of(highest_nonce(self)) => {
                let first = kind.first_of(kind.unit_of(nonce));
                first.saturating_add(params.lookahead.into())
            }
            NonceKind::Step(_) => Nonce::MAX,
            _ => self.live_nonces().end,
        }
    }
}

/// The highest accepted nonce of a slot; 0 before the first.
const fn highest_nonce(state: &StateRecord) -> Nonce {
    state.next_nonce().saturating_sub(1)
}
