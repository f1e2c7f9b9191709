//! Which nonces are live: those whose hints a window must hold.

use std::ops::{Range, RangeInclusive};

use hintdex_wire::{Nonce, NonceKind};

use crate::Error;
use crate::bulk::{LiveSlot, LiveSlots};
use crate::fleet::Fleet;
use crate::held::Held;
use crate::params::Params;
use crate::records::{ClockRecord, SlotState, StateRecord};
use crate::states::StateTable;
use crate::time::{Span, Timing, may_be_in_step, nonces_of, units_in, units_of_window};

/// Seconds at either end of a clock's interval that are not asked of a window: what was
/// learned of a drift since it was built may let the interval grow that much faster.
const SLACK_S: i64 = 30;

/// Slots whose states are copied at a time to be counted.
const SLOTS_AT_ONCE: u32 = 16 << 10;

impl Params {
    /// What is known of a slot that was provisioned at `unix_s` and not heard yet.
    pub(crate) fn fresh(&self, unix_s: u64) -> SlotState {
        // Steps come by the clock alone.
        let ahead = if matches!(self.nonces, NonceKind::Step(_)) { 0 } else { self.lookahead };
        let clock = self.nonces.tells_time().then(|| ClockRecord::fresh(unix_s));
        SlotState { state: StateRecord::fresh(ahead), clock }
    }

    /// The nonces that an honest device may use in these times, in seconds since 1970, by
    /// what is known of its counter or its clock.
    pub(crate) fn expected(
        &self,
        known: &SlotState,
        timing: &Timing,
        times: &RangeInclusive<u64>,
    ) -> Range<Nonce> {
        let Some(clock) = known.clock else { return known.state.live_nonces() };
        let (first, last) = (
            clock.clock().offsets_at(*times.start(), timing.max_drift_ppm),
            clock.clock().offsets_at(*times.end(), timing.max_drift_ppm),
        );
        let offsets_s = (first.0.min(last.0), first.1.max(last.1));
        let now = *times.start()..times.end().saturating_add(1);
        let tolerance_s = (timing.before_s, timing.after_s);
        nonces_of(self.nonces, &units_in(self.nonces, &now, offsets_s, tolerance_s))
    }

    /// The end of the hints of a slot that are live in the unit of time of `nonce`, as
    /// far as they move on with its packets.
    pub(crate) fn live_end(&self, state: &StateRecord, nonce: Nonce) -> Nonce {
        match self.nonces {
            NonceKind::DayCounter
                if self.nonces.unit_of(nonce) > self.nonces.unit_of(last_of(state)) =>
            {
                let first = self.nonces.first_of(self.nonces.unit_of(nonce));
                first.saturating_add(self.lookahead.into())
            }
            NonceKind::Step(_) => Nonce::MAX,
            _ => state.live_nonces().end,
        }
    }

    /// Calls `each` with the nonces of a slot that the window of `span` must hold.
    pub(crate) fn each_live(
        &self,
        slot: &SlotState,
        window: Option<(&Span, &Timing)>,
        mut each: impl FnMut(Range<Nonce>),
    ) {
        let (Some((span, timing)), Some(clock)) = (window, slot.clock) else {
            return each(slot.state.live_nonces());
        };
        let units = units_of_window(self.nonces, span, &clock.clock(), timing);
        if self.nonces != NonceKind::DayCounter {
            return each(nonces_of(self.nonces, &units));
        }
        for unit in units {
            let first = self.nonces.first_of(unit);
            let live = slot.state.live_nonces();
            if self.nonces.unit_of(last_of(&slot.state)) == unit && live.start > first {
                each(live);
            } else if first >= live.start {
                each(first..first.saturating_add(self.lookahead.into()));
            }
        }
    }
}

/// The last nonce that was accepted, 0 if none was.
const fn last_of(state: &StateRecord) -> Nonce {
    state.next_nonce().saturating_sub(1)
}

/// The live slots of a fleet, as their states say; slots that have no state yet
/// are about to be provisioned.
pub(crate) struct FleetStates<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) states: &'a StateTable,
    pub(crate) params: Params,
    pub(crate) timing: Timing,
    /// The station's time that is built for, where nonces tell time.
    pub(crate) span: Option<Span>,
    /// The part of the span that counts, if not all of it does: then what a device's
    /// clock may show in it, as far as the window has that.
    pub(crate) rest: Option<Span>,
    /// When slots without a state are provisioned.
    pub(crate) now_s: u64,
    /// What need not be built.
    pub(crate) held: Option<&'a Held<'a>>,
}

impl FleetStates<'_> {
    /// How many hints are live; with some held elsewhere, an upper bound of the others.
    pub(crate) fn count_hints(&self) -> u64 {
        if self.span.is_some() {
            return self.count_each();
        }
        let known = self.states.totals();
        let new = u64::from(self.fleet.slot_count()).saturating_sub(known.slots);
        known.hints + new * u64::from(self.params.lookahead)
    }

    fn count_each(&self) -> u64 {
        let slots = self.fleet.slot_count();
        let mut hints = 0;
        for first in (0..slots).step_by(SLOTS_AT_ONCE as usize) {
            let run = first..slots.min(first.saturating_add(SLOTS_AT_ONCE));
            for state in self.known(run).filter(|known| known.state.is_in_service()) {
                self.each_live(&state, |nonces| hints += nonces.end - nonces.start);
            }
        }
        hints
    }

    /// What is known of `slots`.
    fn known(&self, slots: Range<u32>) -> impl Iterator<Item = SlotState> {
        let count = slots.len();
        let fresh = std::iter::repeat(self.params.fresh(self.now_s));
        self.states.copy(slots).into_iter().chain(fresh).take(count)
    }

    fn each_live(&self, slot: &SlotState, mut each: impl FnMut(Range<Nonce>)) {
        let window = self.span.as_ref().map(|span| (span, &self.timing));
        let kind = self.params.nonces;
        let Some((rest, clock)) = self.rest.as_ref().zip(slot.clock) else {
            return self.params.each_live(slot, window, each);
        };
        // Receivers' clocks differ: a device that was heard later than now has used what is
        // before that.
        let clock = clock.clock();
        let rest = &(rest.start.max(clock.heard_s).min(rest.end)..rest.end);
        if rest.is_empty() {
            return;
        }
        let offsets_s = clock.offsets_at(rest.start, self.timing.max_drift_ppm);
        let middle_s = offsets_s.0 + (offsets_s.1 - offsets_s.0) / 2;
        let offsets_s =
            ((offsets_s.0 + SLACK_S).min(middle_s), (offsets_s.1 - SLACK_S).max(middle_s));
        let nonces_in = |span, offsets_s| nonces_of(kind, &units_in(kind, span, offsets_s, (0, 0)));
        let mut needed = nonces_in(rest, offsets_s);
        // A device that may be in step was in step when the window was built, or was not.
        // Only nonces of both cases are guaranteed.
        if may_be_in_step(offsets_s, &self.timing) {
            let of_span = self.span.as_ref().map_or(0..0, |span| nonces_in(span, (0, 0)));
            needed = needed.start.max(of_span.start)..needed.end.min(of_span.end);
        }
        self.params.each_live(slot, window, |live| {
            let both = live.start.max(needed.start)..live.end.min(needed.end);
            if !both.is_empty() {
                each(both);
            }
        });
    }
}

impl LiveSlots for FleetStates<'_> {
    fn slot_count(&self) -> u32 {
        self.fleet.slot_count()
    }

    fn has_given_keys(&self) -> bool {
        self.fleet.given().next().is_some()
    }

    /// A device that is in the fleet goes out of service; one that is about to come does not
    /// come.
    fn without_key(&self, LiveSlot { slot, key, .. }: &LiveSlot) -> Result<(), Error> {
        let mut shard = self.states.shard(StateTable::shard_of(*slot));
        match shard.as_mut().filter(|shard| shard.has(StateTable::place_of(*slot))) {
            None => Err(Error::NoSuchKey(*key)),
            Some(shard) => {
                self.states.put_out_of_service(shard, *slot, "its key is missing or damaged");
                Ok(())
            }
        }
    }

    fn live(&self, slots: Range<u32>) -> Vec<LiveSlot> {
        let mut all = Vec::with_capacity(slots.len());
        for ((slot, key), known) in self.fleet.keys(slots.clone()).zip(self.known(slots)) {
            if !known.state.is_in_service() {
                continue;
            }
            let held_end = self.held.map_or(0, |held| held.end(slot));
            self.each_live(&known, |live| {
                let nonces = live.start.max(held_end).min(live.end)..live.end;
                all.push(LiveSlot { slot, key, nonces });
            });
        }
        all
    }
}
