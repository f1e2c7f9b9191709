//! The slots that a snapshot is built for.

use std::ops::Range;
use std::sync::Arc;

use hintdex_wire::{KeyId, Nonce, Slot};

use crate::bulk::{LiveSlot, LiveSlots};
use crate::fleet::Fleet;
use crate::fleet_states::FleetStates;
use crate::index::LiveIndex;
use crate::time::Span;

/// The slots of an index at one moment, as the builder of a snapshot reads them: the slots
/// that the index has, or those that it will have when the
/// [provisioning](LiveIndex::provision_lean) in progress succeeds.
///
/// See the example of [`LiveIndex::provision_lean`].
#[derive(Clone, Debug)]
pub struct FleetView<'a> {
    index: &'a LiveIndex,
    fleet: Arc<Fleet>,
    new: Vec<Range<Slot>>,
}

impl LiveIndex {
    /// The slots that the index has now.
    pub fn fleet_view(&self) -> FleetView<'_> {
        self.view_of(self.fleet(), Vec::new())
    }

    /// The slots of a fleet that replaces the present one, in which the slots `new` have new
    /// keys.
    pub(crate) const fn view_of(&self, fleet: Arc<Fleet>, new: Vec<Range<Slot>>) -> FleetView<'_> {
        FleetView { index: self, fleet, new }
    }
}

impl<'a> FleetView<'a> {
    /// The index.
    pub const fn index(&self) -> &'a LiveIndex {
        self.index
    }

    /// The number of slots.
    pub fn slot_count(&self) -> u32 {
        self.fleet.slot_count()
    }

    /// The slots whose keys the index does not have yet, in order.
    pub fn new_slots(&self) -> &[Range<Slot>] {
        &self.new
    }

    /// The key at each of `slots`, in order; `None` for a free slot and past the end.
    pub fn keys(&self, slots: Range<Slot>) -> Vec<Option<KeyId>> {
        let first = slots.start.0;
        let mut keys = vec![None; (slots.end.0.saturating_sub(first)) as usize];
        for (slot, key) in self.fleet.keys(first..slots.end.0) {
            keys.get_mut((slot.0 - first) as usize).into_iter().for_each(|at| *at = Some(key));
        }
        keys
    }

    /// The coming nonces of every slot in service, in the order of slots: the input of a
    /// snapshot. For counters, the next `horizon_nonces` of each slot. For clocked nonces, the
    /// nonces that a window of `span` holds, which may be several runs a slot.
    pub fn coming_nonces(
        &self,
        horizon_nonces: u64,
        span: Option<&Span>,
    ) -> Vec<(Slot, Range<Nonce>)> {
        let (params, timing) = (self.index.params(), self.index.timing());
        let last = params.max_nonce().saturating_add(1);
        let slots = 0..self.slot_count();
        let mut coming = Vec::with_capacity(slots.len());
        let states = self.index.live_in(&self.fleet, span.cloned());
        states.each_in_service(slots, |slot, _, known| {
            if let Some(span) = span {
                let mut push = |nonces| coming.push((slot, nonces));
                known.each_live(&params, Some((span, &timing)), &mut push);
            } else {
                let next = known.state.next_nonce();
                let end = next.saturating_add(horizon_nonces).min(last).max(next);
                coming.push((slot, next..end));
            }
        });
        coming
    }

    /// The nonces that a window of `span` must hold from now on, in the order of slots: those
    /// of the rest of the span that the clock offset bounds allow now and allowed when the
    /// window was built.
    pub fn held_nonces(&self, span: &Span) -> Vec<(Slot, Range<Nonce>)> {
        let now_s = self.index.now_s();
        let rest = Some(span.start.max(now_s.min(span.end))..span.end);
        let states = self.index.live_in(&self.fleet, Some(span.clone()));
        let live = FleetStates { rest, ..states }.live(0..self.slot_count());
        live.into_iter().map(|LiveSlot { slot, nonces, .. }| (slot, nonces)).collect()
    }
}
