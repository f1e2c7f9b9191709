//! The moments, spans and nonces that a step means, for a fleet as it is now.

use std::ops::Range;

use hintdex::wire::{Nonce, NonceKind};

use super::{START, World};
use crate::records::{Counter, Moment, NonceAt, Unit};

/// The longest time for which a device whose hints do not tell their nonce is silent.
const LONGEST_SILENCE_S: u64 = 20 * 365 * 86_400;

impl World {
    /// A span from a moment on; with a length below 0 it ends before it begins.
    pub(super) fn span(&self, from: Moment, len_s: i64) -> Range<u64> {
        let from = self.moment(from, 0);
        from..from.saturating_add_signed(len_s)
    }

    pub(super) fn moment(&self, moment: Moment, nonce: Nonce) -> u64 {
        let unix_s = self.any_moment(moment, nonce);
        // Truncated hints do not tell their nonce: each that a device's clock may show is
        // tried, and after so long a silence that is more than a test can wait for.
        let is_tried = self.tries_nonces() && unix_s > START + LONGEST_SILENCE_S;
        if is_tried { START + LONGEST_SILENCE_S } else { unix_s }
    }

    /// Whether a packet costs a try for each nonce that its device's clock may show.
    pub(super) const fn tries_nonces(&self) -> bool {
        self.params.nonces.is_clocked() && !self.params.scheme.is_reversible()
    }

    fn any_moment(&self, moment: Moment, nonce: Nonce) -> u64 {
        match moment {
            Moment::Now(seconds) => self.now_s.saturating_add_signed(seconds.into()),
            Moment::Created(seconds) => START.saturating_add_signed(seconds.into()),
            Moment::Epoch(seconds) => seconds.into(),
            Moment::Years(years) => self.now_s + u64::from(years) * 365 * 86_400,
            Moment::LastSigned => i64::MAX.unsigned_abs(),
            Moment::Last(before) => u64::MAX - u64::from(before),
            Moment::OfTheNonce(seconds) => {
                let made_s = self.params.nonces.device_time_s(nonce);
                made_s.map_or(self.now_s, |made| made.start).saturating_add_signed(seconds.into())
            }
        }
    }

    pub(super) fn nonce(&self, device: u32, at: NonceAt, unit_s: u64) -> Nonce {
        let lookahead = u64::from(self.params.lookahead);
        let last = self.params.max_nonce();
        let accepted = self.accepted.get(&device).map(Vec::as_slice).unwrap_or_default();
        let next = accepted.last().map_or(0, |nonce| nonce.saturating_add(1));
        let counter = |counter, last: u64| match counter {
            Counter::At(at) => u64::from(at),
            Counter::Lookaheads(count, more) => {
                (lookahead * u64::from(count)).saturating_add_signed(more.into())
            }
            Counter::BeforeTheLast(before) => last - u64::from(before),
            Counter::LookaheadBeforeTheLast(more) => {
                (last - lookahead).saturating_add_signed(more.into())
            }
        };
        let nonce = match at {
            NonceAt::Next(more) => next.saturating_add_signed(more.into()),
            NonceAt::Again(place) if accepted.is_empty() => place.into(),
            NonceAt::Again(place) => accepted[usize::from(place) % accepted.len()],
            NonceAt::At(unit, at) => match self.params.nonces {
                NonceKind::Step(_) => self.unit(unit, unit_s),
                NonceKind::DayCounter => {
                    (self.unit(unit, unit_s) << 32).saturating_add(counter(at, u32::MAX.into()))
                }
                _ => counter(at, last),
            },
        };
        nonce.min(last)
    }

    fn unit(&self, unit: Unit, unit_s: u64) -> u64 {
        let unit = match unit {
            Unit::Now(more) => (self.now_s / unit_s).saturating_add_signed(more.into()),
            Unit::First(more) => more.into(),
            Unit::BeforeTheLast(before) => u64::from(u32::MAX) - u64::from(before),
        };
        unit.min(u32::MAX.into())
    }
}
