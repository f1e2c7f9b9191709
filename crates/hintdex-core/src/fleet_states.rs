//! The live slots of a fleet, as the bulk builder reads them.

use std::ops::Range;

use hintdex_wire::{KeyId, Nonce, Slot};

use crate::Error;
use crate::bulk::{LiveSlot, LiveSlots};
use crate::coverage::SnapshotCoverage;
use crate::fleet::Fleet;
use crate::params::Params;
use crate::records::SlotState;
use crate::states::{ShardGuard, StateTable};
use crate::time::{Span, Timing, may_be_in_step, nonces_of, units_in};

/// Seconds at either end of a clock's interval that a window is not required to cover: a drift
/// that was learned after the build may let the interval grow by that much more.
const SLACK_S: i64 = 30;

/// The slots whose states are copied and counted at a time.
const SLOTS_AT_ONCE: u32 = 16 << 10;

/// The live slots of a fleet, by their states. A slot whose state is missing or free is about
/// to get a key.
pub(crate) struct FleetStates<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) states: &'a StateTable,
    pub(crate) params: Params,
    pub(crate) timing: Timing,
    /// The station time of the window; `None` for counters.
    pub(crate) span: Option<Span>,
    /// The part of the span that is still to come, if only that part is wanted: then only the
    /// nonces that a window is certain to hold are live.
    pub(crate) rest: Option<Span>,
    /// The time at which slots without a state are provisioned.
    pub(crate) now_s: u64,
    /// The nonces that the window need not hold.
    pub(crate) coverage: Option<&'a SnapshotCoverage>,
}

impl FleetStates<'_> {
    /// The number of live hints that must be built.
    pub(crate) fn count_hints(&self) -> u64 {
        if self.span.is_some() {
            return self.count_each();
        }
        if self.coverage.is_some() {
            let left = |slot: LiveSlot| slot.nonces.end - slot.nonces.start;
            return self.runs().flat_map(|run| self.live(run)).map(left).sum();
        }
        let known = self.states.totals();
        let new = self.fleet.key_count().saturating_sub(known.slots - known.free);
        known.hints + new * u64::from(self.params.lookahead)
    }

    fn count_each(&self) -> u64 {
        let mut hints = 0;
        for run in self.runs() {
            self.each_in_service(run, |_, _, known| {
                self.each_live(&known, |nonces| hints += nonces.end - nonces.start);
            });
        }
        hints
    }

    /// All slots, some at a time.
    fn runs(&self) -> impl Iterator<Item = Range<u32>> {
        let slots = self.fleet.slot_count();
        let firsts = (0..slots).step_by(SLOTS_AT_ONCE as usize);
        firsts.map(move |first| first..slots.min(first.saturating_add(SLOTS_AT_ONCE)))
    }

    /// Calls `each` with the key and the state of those of `slots` that are in service.
    pub(crate) fn each_in_service(
        &self,
        slots: Range<u32>,
        mut each: impl FnMut(Slot, KeyId, SlotState),
    ) {
        let states = self.states.copy(slots.clone());
        let fresh = SlotState::fresh(&self.params, self.now_s);
        for (slot, key) in self.fleet.keys(slots.clone()) {
            let known = states.get((slot.0 - slots.start) as usize).copied();
            // The slot is about to get a key.
            let known = known.filter(|known| !known.state.is_free()).unwrap_or(fresh);
            if known.state.is_in_service() {
                each(slot, key, known);
            }
        }
    }

    fn each_live(&self, slot: &SlotState, mut each: impl FnMut(Range<Nonce>)) {
        let window = self.span.as_ref().map(|span| (span, &self.timing));
        let kind = self.params.nonces;
        let Some((rest, clock)) = self.rest.as_ref().zip(slot.clock) else {
            return slot.each_live(&self.params, window, each);
        };
        // Clocks of receivers differ. A device that was heard later than now has used the
        // nonces before that time.
        let clock = clock.clock();
        let rest = &(rest.start.max(clock.heard_s).min(rest.end)..rest.end);
        if rest.is_empty() {
            return;
        }
        let offsets_s = clock.offsets_at(rest.start, self.timing.max_drift_ppm);
        let midpoint_s = offsets_s.0 + (offsets_s.1 - offsets_s.0) / 2;
        let offsets_s =
            ((offsets_s.0 + SLACK_S).min(midpoint_s), (offsets_s.1 - SLACK_S).max(midpoint_s));
        let nonces_in = |span, offsets_s| nonces_of(kind, &units_in(kind, span, offsets_s, (0, 0)));
        let mut needed = nonces_in(rest, offsets_s);
        // Whether a device that may be in step was in step at the build is unknown. Only nonces
        // that both cases hold are guaranteed.
        if may_be_in_step(offsets_s, &self.timing) {
            let of_span = self.span.as_ref().map_or(0..0, |span| nonces_in(span, (0, 0)));
            needed = needed.start.max(of_span.start)..needed.end.min(of_span.end);
        }
        slot.each_live(&self.params, window, |live| {
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

    fn has_imported_keys(&self) -> bool {
        self.fleet.imported_ranges().next().is_some()
    }

    /// Takes a device of the fleet out of service. Fails for a device that is about to be
    /// provisioned.
    fn handle_missing_key(&self, LiveSlot { slot, key, .. }: &LiveSlot) -> Result<(), Error> {
        let mut shard = self.states.shard(StateTable::shard_of(*slot));
        let has_key = |shard: &&mut ShardGuard<'_>| {
            let known = shard.get(StateTable::place_of(*slot));
            known.is_some_and(|known| !known.state.is_free())
        };
        match shard.as_mut().filter(has_key) {
            None => Err(Error::NoSuchKey(*key)),
            Some(shard) => {
                self.states.put_out_of_service(shard, *slot, "its key is missing or damaged");
                Ok(())
            }
        }
    }

    fn live(&self, slots: Range<u32>) -> Vec<LiveSlot> {
        let mut all = Vec::with_capacity(slots.len());
        self.each_in_service(slots, |slot, key, known| {
            let covered_end = self.coverage.map_or(0, |coverage| coverage.end_of(slot));
            self.each_live(&known, |live| {
                let nonces = live.start.max(covered_end).min(live.end)..live.end;
                if self.coverage.is_none() || !nonces.is_empty() {
                    all.push(LiveSlot { slot, key, nonces });
                }
            });
        });
        all
    }
}
