//! One lane of a batch: the arrivals of some shards, judged in order, written as one.

use std::ops::Range;

use hintdex_wire::{HintCipher, Nonce, NonceKind, Slot};
use rocksdb::WriteBatch;

use super::judge::{is_within, judge_clocked, judge_counter};
use super::{Admission, Arrival, Request};
use crate::Error;
use crate::index::LiveIndex;
use crate::records::{ADDED_KEY_PREFIX, META_FAMILY, STATES_FAMILY, Unsound, epoch_key, slot_key};
use crate::states::{ShardGuard, StateTable};
use crate::store::Family;
use crate::time::{Span, Timing, nonces_of, units_in};
use crate::window::{Added, Adding, Additions};

/// One lane's work before it is written.
pub(super) struct Lane<'a> {
    index: &'a LiveIndex,
    windows: &'a Adding<'a>,
    timing: Timing,
    families: Families<'a>,
    shards: Vec<Option<ShardGuard<'a>>>,
    /// Slots whose state moved on, each as often as it did.
    changed: Vec<Slot>,
    /// Slots whose new state would not be sound, and why.
    unsound: Vec<(Slot, Unsound)>,
    /// Hints to add, for each declared window, and for the one being built.
    added: Vec<Vec<Added>>,
    missed: Vec<Added>,
}

/// The families a lane writes to besides its windows'.
struct Families<'a> {
    meta: Family<'a>,
    states: Family<'a>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(
        index: &'a LiveIndex,
        windows: &'a Adding<'a>,
        shards: Vec<Option<ShardGuard<'a>>>,
    ) -> Result<Self, Error> {
        let families = Families {
            meta: index.store.family(META_FAMILY)?,
            states: index.store.family(STATES_FAMILY)?,
        };
        Ok(Self {
            index,
            windows,
            timing: index.timing(),
            families,
            shards,
            changed: Vec::new(),
            unsound: Vec::new(),
            added: vec![Vec::new(); windows.declared.len()],
            missed: Vec::new(),
        })
    }

    pub(super) fn admit_one(
        &mut self,
        arrival: &Arrival<'_>,
        request: Request,
    ) -> Result<Admission, Error> {
        let slot = arrival.slot;
        let place = StateTable::place_of(slot);
        let shard = self.shards.get_mut(StateTable::shard_of(slot) as usize);
        let shard = shard.and_then(Option::as_mut).ok_or(Error::UnknownSlot(slot))?;
        let known = shard.get(place).ok_or(Error::UnknownSlot(slot))?;
        if known.state.is_retired() {
            return Ok(Admission::Retired);
        }
        if known.state.is_out_of_service() {
            return Ok(Admission::OutOfService);
        }
        if let Some(reach) = request.reach() {
            if !is_within(self.index, &self.timing, &known, arrival, reach) {
                return Ok(Admission::OutOfReach);
            }
            if matches!(request, Request::Probe(_)) {
                return Ok(Admission::InReach);
            }
        }
        let judged = match known.clock {
            None => judge_counter(&self.index.params, shard, place, known.state, arrival.nonce),
            Some(_) => {
                let row = shard.row(place).ok_or(Error::UnknownSlot(slot))?;
                judge_clocked(self.index, &self.timing, shard, place, row, arrival)
            }
        };
        let taken = match judged {
            Ok(taken) => taken,
            Err(why) => {
                // A defect of ours: this device stops, the others go on. What it sent before
                // in this batch is stored first.
                self.unsound.push((slot, why));
                return Ok(Admission::OutOfService);
            }
        };
        if taken.changed {
            self.changed.push(slot);
        }
        if !taken.counted.is_empty() {
            self.add_counted(arrival, taken.counted);
        }
        if let Some(offsets_s) = taken.elsewhere {
            self.add_elsewhere(arrival, offsets_s);
        }
        Ok(taken.admission)
    }

    /// Adds the nonces that follow from a counter: to the window they are of. Those of a
    /// device that is in another day go to every window that is not past.
    fn add_counted(&mut self, arrival: &Arrival<'_>, nonces: Range<Nonce>) {
        let params = self.index.params;
        let cipher = HintCipher::new(params.scheme, arrival.hint_key);
        let hints: Vec<Added> =
            nonces.clone().filter_map(|nonce| Some((cipher.hint(nonce)?, arrival.slot))).collect();
        let made_s = params.nonces.device_time_s(nonces.start).map(|made| made.start);
        let is_of = |span: &Span| made_s.is_some_and(|made_s| span.contains(&made_s));
        let spans = || self.windows.declared.iter().map(|window| window.span.as_ref());
        let building = self.windows.building_span();
        let is_in_step = spans().flatten().chain(building).any(is_of);
        let takes = |span: &Span| {
            if is_in_step { is_of(span) } else { arrival.received_unix_s < span.end }
        };
        for (window, added) in self.windows.declared.iter().zip(&mut self.added) {
            if window.span.as_ref().is_none_or(takes) {
                added.extend_from_slice(&hints);
            }
        }
        if building.is_some_and(takes) {
            self.missed.extend_from_slice(&hints);
        }
    }

    /// Adds what is to come of a device whose clock is not where the windows have it.
    fn add_elsewhere(&mut self, arrival: &Arrival<'_>, offsets_s: (i64, i64)) {
        let params = self.index.params;
        let cipher = HintCipher::new(params.scheme, arrival.hint_key);
        let timing = &self.timing;
        let coming = |span: &Span, added: &mut Vec<Added>| {
            let rest = span.start.max(arrival.received_unix_s)..span.end;
            if rest.is_empty() {
                return;
            }
            let units =
                units_in(params.nonces, &rest, offsets_s, (timing.before_s, timing.after_s));
            let mut add = |nonces: Range<Nonce>| {
                cipher.each_hint(nonces, |hint| added.push((hint, arrival.slot)));
            };
            if params.nonces == NonceKind::DayCounter {
                for unit in units {
                    let first = params.nonces.first_of(unit).max(arrival.nonce);
                    if params.nonces.unit_of(first) == unit {
                        add(first..first.saturating_add(params.lookahead.into()));
                    }
                }
            } else {
                add(nonces_of(params.nonces, &units));
            }
        };
        for (window, added) in self.windows.declared.iter().zip(&mut self.added) {
            window.span.iter().for_each(|span| coming(span, added));
        }
        let building = self.windows.building_span();
        building.into_iter().for_each(|span| coming(span, &mut self.missed));
    }

    /// Stores what the arrivals of the lane have changed, and takes slots out of service
    /// whose state would not have been sound.
    pub(super) fn write(mut self) -> Result<(), Error> {
        if !self.changed.is_empty() {
            self.store()?;
        }
        for (slot, why) in std::mem::take(&mut self.unsound) {
            let shard = self.shards.get_mut(StateTable::shard_of(slot) as usize);
            let shard = shard.and_then(Option::as_mut).ok_or(Error::UnknownSlot(slot))?;
            self.index.states.put_out_of_service(shard, slot, why);
        }
        Ok(())
    }

    fn store(&mut self) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        // In order, so that the store finds each place from the one before, and a
        // slot's last state alone.
        self.changed.sort_unstable();
        self.changed.dedup();
        for slot in &self.changed {
            let shard = self.shards.get(StateTable::shard_of(*slot) as usize);
            let shard = shard.and_then(Option::as_ref);
            let row =
                shard.map(|shard| shard.encode(StateTable::place_of(*slot), &self.index.params));
            let row = row.ok_or(Error::UnknownSlot(*slot))?;
            // In memory the states of the lane have moved on already.
            let row =
                row.map_err(|why| self.index.store.poison(Error::unsound("a device state", why)))?;
            batch.put_cf(&self.families.states, slot_key(*slot), row);
        }
        let mut all = Vec::new();
        for (window, added) in self.windows.declared.iter().zip(&self.added) {
            if added.is_empty() {
                continue;
            }
            let additions = Additions::new(window.geometry, added);
            additions.merge(&mut batch, window);
            let counter = epoch_key(ADDED_KEY_PREFIX, window.epoch);
            batch.merge_cf(&self.families.meta, counter, additions.count().to_le_bytes());
            if window.span.is_none() {
                self.windows.remember(added);
            }
            all.push((window, additions));
        }
        self.windows.remember(&self.missed);
        self.index.store.write(batch)?;
        all.iter().for_each(|(window, additions)| additions.take_in(window));
        Ok(())
    }
}
