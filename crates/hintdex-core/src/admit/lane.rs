//! One lane of a batch: the arrivals of some shards, judged in order, written as one.

use std::ops::Range;
use std::sync::PoisonError;

use hintdex_wire::{Freshness, HintCipher, Nonce, NonceKind, Slot};
use rocksdb::WriteBatch;

use super::{Admission, Arrival, ClockMove};
use crate::Error;
use crate::index::LiveIndex;
use crate::records::{
    ADDED_KEY_PREFIX, META_FAMILY, STATES_FAMILY, StateRecord, epoch_key, slot_key,
};
use crate::states::{Shard, ShardGuard, StateTable};
use crate::store::Family;
use crate::time::{Judged, SlotTime, Span, Timing, in_step, nonces_of, units_in};
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
    /// Hints to add, for each declared window, and for the one being built.
    added: Vec<Vec<Added>>,
    missed: Vec<Added>,
}

/// The families a lane writes to besides its windows'.
struct Families<'a> {
    meta: Family<'a>,
    states: Family<'a>,
}

/// What a judged arrival asks for.
struct Taken {
    admission: Admission,
    changed: bool,
    /// New nonces that follow from a counter.
    counted: Range<Nonce>,
    /// Where the device's clock is, if its coming hints are not in the windows.
    elsewhere: Option<(i64, i64)>,
}

impl Taken {
    const fn refused(admission: Admission) -> Self {
        Self { admission, changed: false, counted: 0..0, elsewhere: None }
    }
}

impl<'a> Lane<'a> {
    pub(super) fn new(
        index: &'a LiveIndex,
        windows: &'a Adding<'a>,
        shards: Vec<Option<ShardGuard<'a>>>,
    ) -> Result<Self, Error> {
        if windows.declared.is_empty() && !index.params.nonces.tells_time() {
            return Err(Error::corrupted("the windows", "there is none"));
        }
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
            added: vec![Vec::new(); windows.declared.len()],
            missed: Vec::new(),
        })
    }

    pub(super) fn admit_one(&mut self, arrival: &Arrival<'_>) -> Result<Admission, Error> {
        let slot = arrival.slot;
        let place = StateTable::place_of(slot);
        let shard = self.shards.get_mut(StateTable::shard_of(slot) as usize);
        let shard = shard.and_then(Option::as_mut).ok_or(Error::UnknownSlot(slot))?;
        let known = shard.get(place).ok_or(Error::UnknownSlot(slot))?;
        if known.state.is_retired() {
            return Ok(Admission::Retired);
        }
        let taken = match known.clock {
            None => judge_counter(self.index, shard, place, arrival.nonce),
            Some(_) => judge_clocked(self.index, &self.timing, shard, place, arrival),
        };
        let taken = taken.ok_or(Error::UnknownSlot(slot))?;
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

    pub(super) fn write(mut self) -> Result<(), Error> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        // In order, so that the store finds each place from the one before, and a
        // slot's last state alone.
        self.changed.sort_unstable();
        self.changed.dedup();
        for slot in &self.changed {
            let shard = self.shards.get(StateTable::shard_of(*slot) as usize);
            let shard = shard.and_then(Option::as_ref);
            let row = shard.and_then(|shard| shard.row(StateTable::place_of(*slot)));
            let row = row.ok_or(Error::UnknownSlot(*slot))?;
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

/// Judges the nonce of a counter; `None` if there is no such slot.
fn judge_counter(
    index: &LiveIndex,
    shard: &mut Shard,
    place: usize,
    nonce: Nonce,
) -> Option<Taken> {
    let state = shard.states.get_mut(place)?;
    let mut window = state.window();
    match window.admit(nonce) {
        Freshness::Replay => return Some(Taken::refused(Admission::Replay)),
        Freshness::Stale => return Some(Taken::refused(Admission::Stale)),
        Freshness::Fresh => {}
    }
    let counted = count_on(index, state, window.next());
    state.set_window(&window);
    Some(Taken { admission: Admission::Accepted, changed: true, counted, elsewhere: None })
}

/// Lets the live hints of a state reach as far as they should when its next nonce is
/// `next`; gives the nonces whose hints it lacks.
fn count_on(index: &LiveIndex, state: &mut StateRecord, next: Nonce) -> Range<Nonce> {
    let params = &index.params;
    let last = params.max_nonce().saturating_add(1);
    let live_end = params.live_end(state, next.saturating_sub(1));
    let new = live_end.max(next)..next.saturating_add(params.lookahead.into()).min(last);
    // Nothing new is made for a late packet, and less and less near the last nonce.
    let ahead = new.end.max(live_end.min(last)).saturating_sub(next);
    state.hints_ahead = u32::try_from(ahead).unwrap_or(u32::MAX).into();
    new
}

/// Judges a nonce that tells time; `None` if there is no such slot.
fn judge_clocked(
    index: &LiveIndex,
    timing: &Timing,
    shard: &mut Shard,
    place: usize,
    arrival: &Arrival<'_>,
) -> Option<Taken> {
    let kind = index.params.nonces;
    let now_s = index.believed_s(arrival.received_unix_s);
    let Shard { states, clocks, past, pending } = shard;
    let (state, record) = (states.get_mut(place)?, clocks.get_mut(place)?);
    let mut window = state.window();
    let mut clock = record.clock();
    let before_s = clock.offsets_at(now_s, timing.max_drift_ppm);
    let mut life_first = record.life_first.get();
    let mut lives = past.remove(&place).unwrap_or_default();
    let mut waiting = pending.remove(&place).unwrap_or_default();
    let judged = SlotTime {
        window: &mut window,
        life_first: &mut life_first,
        clock: &mut clock,
        past: &mut lives,
        pending: &mut waiting,
    }
    .judge(kind, timing, arrival.nonce, now_s);
    // One that waits for another is stored, too: the station may be off in between.
    let waits = waiting.last().is_some_and(|last| last.nonce == arrival.nonce);
    if !lives.is_empty() {
        past.insert(place, lives);
    }
    if !waiting.is_empty() {
        pending.insert(place, waiting);
    }
    let is_elsewhere = match judged {
        Judged::Replay => return Some(Taken::refused(Admission::Replay)),
        Judged::Stale => return Some(Taken { changed: waits, ..Taken::refused(Admission::Stale) }),
        Judged::Early => return Some(Taken { changed: waits, ..Taken::refused(Admission::Early) }),
        Judged::Accepted { elsewhere } => elsewhere,
        Judged::Moved => true,
    };
    let now_at_s = clock.offsets_at(now_s, timing.max_drift_ppm);
    let counted = match (kind, judged) {
        // Another life: nothing of what was live is.
        (NonceKind::DayCounter, Judged::Moved) => {
            state.hints_ahead = index.params.lookahead.into();
            window.next()..window.next().saturating_add(index.params.lookahead.into())
        }
        (NonceKind::DayCounter, _) => count_on(index, state, window.next()),
        _ => 0..0,
    };
    state.set_window(&window);
    record.set_clock(&clock);
    record.life_first = life_first.into();
    if judged == Judged::Moved {
        let moved = ClockMove {
            slot: arrival.slot,
            nonce: arrival.nonce,
            received_unix_s: now_s,
            from_s: middle(before_s),
            to_s: middle(now_at_s),
        };
        index.clock_moves.lock().unwrap_or_else(PoisonError::into_inner).push(moved);
    }
    // One that stays in step has its hints in every window already.
    let stays = judged != Judged::Moved && in_step(now_at_s, timing) && in_step(before_s, timing);
    let elsewhere = (is_elsewhere && !stays).then_some(now_at_s);
    Some(Taken { admission: Admission::Accepted, changed: true, counted, elsewhere })
}

/// The middle of an interval.
const fn middle((low_s, high_s): (i64, i64)) -> i64 {
    low_s.saturating_add(high_s.saturating_sub(low_s) / 2)
}
