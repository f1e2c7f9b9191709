//! One lane of a batch: the arrivals of some shards, judged in order and written in one batch.

use std::borrow::Cow;
use std::hint::black_box;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use hintdex_wire::{HintCipher, Nonce, NonceKind, Slot};
use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use super::judge::{
    Judgement, LateChange, is_within, judge_clocked, judge_counter, judge_scheduled,
};
use super::request::{Admission, Arrival, Request};
use super::settings::BySettings;
use crate::Error;
use crate::fleet::Fleet;
use crate::index::LiveIndex;
use crate::late_rows::{delete_late_rows, put_late_block, put_late_rows};
use crate::points::LanePoints;
use crate::records::{
    ADDED_KEY_PREFIX, META_FAMILY, OUTBOX_FAMILY, OutboxKey, OutboxRecord, PointHead,
    STATES_FAMILY, SlotRow, Unsound, epoch_key, slot_key,
};
use crate::settings::Settings;
use crate::states::{Shard, ShardGuard, StateTable};
use crate::store::Family;
use crate::time::{Span, Timing, nonces_of, units_in};
use crate::window::{Added, Additions, WindowsReadGuard};

/// The work of one lane before it is written.
pub(super) struct Lane<'a> {
    index: &'a LiveIndex,
    windows: &'a WindowsReadGuard<'a>,
    timing: Timing,
    families: Families<'a>,
    shards: Vec<Option<ShardGuard<'a>>>,
    /// The fleet, read after the shards were locked: a slot gets another key only while its
    /// shard is not locked.
    fleet: Arc<Fleet>,
    /// The settings of devices, read after the shards were locked; `None` for most fleets.
    settings: Option<Arc<Settings>>,
    /// The slots of the lane whose first packet retires older keys, in order.
    successors: &'a [Slot],
    /// Slots that the lane has heard for the first time.
    succeeded: Vec<Slot>,
    /// Slots that the lane has retired.
    dropped: Vec<Slot>,
    /// The points of the lane's packets without a nonce, once there is one.
    points: Option<LanePoints<'a>>,
    /// What the lane adds to the outbox.
    posts: Vec<Post<'a>>,
    /// Slots with a new state, once for each change.
    changed: Vec<Slot>,
    /// Slots of which rows of the late window must be stored, each with the rows.
    late: Vec<(Slot, LateChange)>,
    /// Slots whose new state would not be sound, each with the reason.
    unsound: Vec<(Slot, Unsound)>,
    /// Hints to add to each declared window, and to the window that is being built.
    added: Vec<Vec<Added>>,
    for_build: Vec<Added>,
}

/// An accepted payload on its way to the outbox.
struct Post<'a> {
    number: u64,
    record: OutboxRecord,
    body: &'a [u8],
}

/// The families that a lane writes to, besides those of windows.
struct Families<'a> {
    meta: Family<'a>,
    states: Family<'a>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(
        index: &'a LiveIndex,
        windows: &'a WindowsReadGuard<'a>,
        shards: Vec<Option<ShardGuard<'a>>>,
        successors: &'a [Slot],
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
            fleet: index.fleet(),
            settings: index.settings(),
            successors,
            succeeded: Vec::new(),
            dropped: Vec::new(),
            points: None,
            posts: Vec::new(),
            changed: Vec::new(),
            late: Vec::new(),
            unsound: Vec::new(),
            added: vec![Vec::new(); windows.declared.len()],
            for_build: Vec::new(),
        })
    }

    /// Brings the states of these slots to the cache of the processor. No read needs the result of
    /// another one, so the core waits for all of them at once, not for each as `admit_one` would.
    pub(super) fn touch(&self, slots: impl Iterator<Item = Slot>) {
        let next_nonce = |slot: Slot| {
            let shard = self.shards.get(StateTable::shard_of(slot) as usize)?.as_ref()?;
            shard.next_nonce(StateTable::place_of(slot))
        };
        black_box(slots.filter_map(next_nonce).fold(0, |all, next| all ^ next));
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
        if known.state.is_retired() || self.fleet.key(slot) != Some(arrival.key) {
            return Ok(Admission::Retired);
        }
        let received_s = self.index.station_time_s(arrival.received_unix_s);
        if known.state.ends() && shard.end_unix_s(place).is_some_and(|end_s| end_s <= received_s) {
            self.retire(slot)?;
            return Ok(Admission::Retired);
        }
        if known.state.is_out_of_service() {
            return Ok(Admission::OutOfService);
        }
        if request == Request::ProbeKey {
            return Ok(Admission::InReach);
        }
        if let Request::AdmitPoint(head) = request {
            return self.admit_point(arrival, head, received_s);
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
            _ if known.schedule.is_some() => {
                // Without a reading of the clock, the packet cannot be judged.
                let Request::AdmitSeen(seen) = request else { return Ok(Admission::OutOfReach) };
                judge_scheduled(&self.index.params, shard, place, arrival.nonce, seen)
            }
            None => match &self.settings {
                None => {
                    let (params, state) = (&self.index.params, known.state);
                    judge_counter(params, shard, place, state, arrival.nonce, received_s)
                }
                Some(settings) => BySettings {
                    params: &self.index.params,
                    policy: settings.policy(arrival.key.device),
                    received_s,
                    added_s: self.fleet.extent_of(slot).map_or(0, |slots| slots.provisioned_unix_s),
                }
                .judge(shard, place, arrival),
            },
            Some(_) => {
                let row = shard.row(place).ok_or(Error::UnknownSlot(slot))?;
                judge_clocked(self.index, &self.timing, shard, place, row, arrival)
            }
        };
        self.take_in(arrival, judged, known.state.next_nonce() == 0, received_s)
    }

    /// Admits a packet without a nonce, under the next number of its slot.
    fn admit_point(
        &mut self,
        arrival: &Arrival<'_>,
        head: PointHead,
        received_s: u64,
    ) -> Result<Admission, Error> {
        let slot = arrival.slot;
        let points = match &self.points {
            Some(points) => points,
            None => self.points.insert(LanePoints::new(self.index)?),
        };
        if let Some(number) = points.number_of(slot, head)? {
            return Ok(Admission::ReplayOf(number));
        }
        let (index, place) = (self.index, StateTable::place_of(slot));
        let shard = self.shard_of(slot)?;
        let state = shard.get(place).ok_or(Error::UnknownSlot(slot))?.state;
        let number = state.next_nonce();
        let judged = judge_counter(&index.params, shard, place, state, number, received_s);
        Ok(match self.take_in(arrival, judged, number == 0, received_s)? {
            Admission::Accepted => {
                self.points.iter_mut().for_each(|points| points.add(slot, head, number));
                Admission::AcceptedAs(number)
            }
            refused => refused,
        })
    }

    /// Adds the body of an arrival to the outbox, if the arrival is accepted.
    pub(super) fn post(
        &mut self,
        number: u64,
        body: &'a [u8],
        arrival: &Arrival<'_>,
        admission: Admission,
    ) {
        let nonce = match admission {
            Admission::Accepted => arrival.nonce,
            Admission::AcceptedAs(nonce) => nonce,
            _ => return,
        };
        self.posts.push(Post { number, record: OutboxRecord::new(arrival.key, nonce), body });
    }

    /// Notes what follows from a judgement. `is_new`: no packet of the slot was accepted before.
    fn take_in(
        &mut self,
        arrival: &Arrival<'_>,
        judged: Result<Judgement, Unsound>,
        is_new: bool,
        received_s: u64,
    ) -> Result<Admission, Error> {
        let slot = arrival.slot;
        let judgement = match judged {
            Ok(judgement) => judgement,
            Err(why) => {
                // A defect of this program: the device goes out of service, others are not
                // affected. Its earlier packets of this batch are stored first.
                self.unsound.push((slot, why));
                return Ok(Admission::OutOfService);
            }
        };
        if judgement.changed {
            self.changed.push(slot);
        }
        if judgement.late != LateChange::Nothing {
            self.late.push((slot, judgement.late));
        }
        let is_first = is_new && judgement.admission == Admission::Accepted;
        if is_first && self.successors.binary_search(&slot).is_ok() {
            self.succeed(slot, received_s)?;
        }
        if !judgement.new_nonces.is_empty() {
            self.add_new_nonces(arrival, judgement.new_nonces);
        }
        if let Some(offsets_s) = judgement.off_step {
            self.add_off_step(arrival, offsets_s);
        }
        Ok(judgement.admission)
    }

    /// Retires a slot of the lane.
    fn retire(&mut self, slot: Slot) -> Result<(), Error> {
        self.change_row(slot, |row| row.retire(false))?;
        self.index.retired_slots.fetch_add(1, Ordering::Relaxed);
        self.dropped.push(slot);
        Ok(())
    }

    /// Retires the older keys of the device of `slot`, whose first packet was received now: at
    /// once, or after the grace of the new key.
    fn succeed(&mut self, slot: Slot, received_s: u64) -> Result<(), Error> {
        let Some(extent) = self.fleet.extent_of(slot) else { return Ok(()) };
        let (grace_s, key) = (extent.grace_s, extent.key(slot));
        let peers = key.map(|key| self.fleet.slots(key.device)).unwrap_or_default();
        for older in peers.into_iter().take_while(|peer| *peer != slot) {
            let known = self.shard_of(older)?.get(StateTable::place_of(older));
            if known.is_none_or(|known| known.state.is_retired()) {
                continue;
            }
            let is_out_of_service = known.is_some_and(|known| known.state.is_out_of_service());
            if grace_s == 0 || is_out_of_service {
                self.retire(older)?;
            } else {
                let end_s = received_s.saturating_add(grace_s.into());
                self.change_row(older, |row| row.end_at(end_s))?;
            }
        }
        self.succeeded.push(slot);
        Ok(())
    }

    fn change_row(&mut self, slot: Slot, change: impl FnOnce(&mut SlotRow)) -> Result<(), Error> {
        let (shard, place) = (self.shard_of(slot)?, StateTable::place_of(slot));
        let mut row = shard.row(place).ok_or(Error::UnknownSlot(slot))?;
        change(&mut row);
        shard.set_row(place, row);
        self.changed.push(slot);
        Ok(())
    }

    fn shard_of(&mut self, slot: Slot) -> Result<&mut Shard, Error> {
        let shard = self.shards.get_mut(StateTable::shard_of(slot) as usize);
        shard.and_then(Option::as_deref_mut).ok_or(Error::UnknownSlot(slot))
    }

    /// Adds the hints of a counter's new nonces to the window that covers them. If no window
    /// covers their day, the device's clock is off, and every window that has not passed gets
    /// the hints.
    fn add_new_nonces(&mut self, arrival: &Arrival<'_>, nonces: Range<Nonce>) {
        let params = self.index.params;
        let hints = self.hints_of(arrival, nonces.clone());
        let built_s = params.nonces.device_time_s(nonces.start).map(|built| built.start);
        let is_of = |span: &Span| built_s.is_some_and(|built_s| span.contains(&built_s));
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
            self.for_build.extend_from_slice(&hints);
        }
    }

    /// The hints of an arrival's slot.
    fn hints_of(&self, arrival: &Arrival<'_>, nonces: Range<Nonce>) -> Vec<Added> {
        let (params, mut hints) = (&self.index.params, Vec::new());
        let add = |hint| hints.push((hint, arrival.slot));
        match arrival.hint_key.filter(|_| params.ratchet.is_none()) {
            Some(key) => HintCipher::new(params.scheme, key).each_hint(nonces, add),
            // The coming nonces may be of later epochs than the arrival. Without a key, the window
            // lacks them, and scans resolve them.
            None => {
                params.each_hint(self.index.keys.as_ref(), arrival.key, nonces, add);
            }
        }
        hints
    }

    /// Adds the coming hints of a device whose clock is off step.
    fn add_off_step(&mut self, arrival: &Arrival<'_>, offsets_s: (i64, i64)) {
        let params = self.index.params;
        let asked = || self.index.keys.hint_key(arrival.key).map(Cow::Owned);
        // As above: without a key, the windows lack the hints.
        let Some(key) = arrival.hint_key.map(Cow::Borrowed).or_else(asked) else { return };
        let cipher = HintCipher::new(params.scheme, &key);
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
        building.into_iter().for_each(|span| coming(span, &mut self.for_build));
    }

    /// Writes the changes of the lane's arrivals, then takes slots out of service whose new
    /// state would not have been sound.
    pub(super) fn write(mut self) -> Result<(), Error> {
        if !self.changed.is_empty() {
            self.store()?;
        }
        for (slot, why) in std::mem::take(&mut self.unsound) {
            let states = &self.index.states;
            states.put_out_of_service(self.shard_of(slot)?, slot, why);
        }
        // They stay among the successors if the write has failed; the index is poisoned then.
        self.index.successors.remove(&self.succeeded);
        if !self.dropped.is_empty() {
            self.index.dropped.lock().unwrap_or_else(PoisonError::into_inner).extend(self.dropped);
        }
        Ok(())
    }

    /// Adds the rows of late windows to the batch of the states that they belong to.
    fn put_late_rows(&self, batch: &mut WriteBatch) {
        let states = &self.families.states;
        for (slot, change) in &self.late {
            let (place, mut next) = (StateTable::place_of(*slot), 0);
            let shard = self.shards.get(StateTable::shard_of(*slot) as usize);
            let shard = shard.and_then(Option::as_ref);
            let late = shard.and_then(|shard| {
                next = shard.get(place)?.state.next_nonce();
                shard.late_window(place)
            });
            match (change, late) {
                (LateChange::Nothing, _) => {}
                (LateChange::Blocks(blocks), late) => {
                    for number in blocks.clone() {
                        // The ring has left a block that is missing here.
                        let bits = late.and_then(|late| late.block(number, next));
                        late.zip(bits).into_iter().for_each(|(late, bits)| {
                            put_late_block(batch, states, *slot, late, (number, bits));
                        });
                    }
                }
                (LateChange::Begun | LateChange::Replaced, late) => {
                    if *change == LateChange::Replaced {
                        delete_late_rows(batch, states, *slot);
                    }
                    late.into_iter()
                        .for_each(|late| put_late_rows(batch, states, *slot, late, next));
                }
            }
        }
    }

    /// Adds the rows of the outbox to the batch of the states that they belong to.
    fn put_posts(&self, batch: &mut WriteBatch) -> Result<(), Error> {
        if self.posts.is_empty() {
            return Ok(());
        }
        let (outbox, mut row) = (self.index.store.family(OUTBOX_FAMILY)?, Vec::new());
        for Post { number, record, body } in &self.posts {
            row.clear();
            row.extend_from_slice(record.as_bytes());
            row.extend_from_slice(body);
            batch.put_cf(&outbox, OutboxKey::of(*number).as_bytes(), &row);
        }
        Ok(())
    }

    fn store(&mut self) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        // Slots are sorted, so that the store finds each row's place from the one before. A
        // slot's row is written once, with its last state.
        self.changed.sort_unstable();
        self.changed.dedup();
        for slot in &self.changed {
            let shard = self.shards.get(StateTable::shard_of(*slot) as usize);
            let shard = shard.and_then(Option::as_ref);
            let row =
                shard.map(|shard| shard.encode(StateTable::place_of(*slot), &self.index.params));
            let row = row.ok_or(Error::UnknownSlot(*slot))?;
            // The states in memory are ahead of the store.
            let row =
                row.map_err(|why| self.index.store.poison(Error::unsound("a device state", why)))?;
            batch.put_cf(&self.families.states, slot_key(*slot), row);
        }
        self.put_late_rows(&mut batch);
        self.points.iter().for_each(|points| points.put(&mut batch));
        self.put_posts(&mut batch)?;
        let mut all = Vec::new();
        for (window, added) in self.windows.declared.iter().zip(&self.added) {
            if added.is_empty() {
                continue;
            }
            let additions = Additions::new(window.geometry, added);
            additions.merge_into_batch(&mut batch, window);
            let counter = epoch_key(ADDED_KEY_PREFIX, window.epoch);
            batch.merge_cf(&self.families.meta, counter, additions.count().to_le_bytes());
            if window.span.is_none() {
                self.windows.record_additions(added);
            }
            all.push((window, additions));
        }
        self.windows.record_additions(&self.for_build);
        self.index.store.write(batch)?;
        all.iter().for_each(|(window, additions)| additions.merge_into_cache(window));
        Ok(())
    }
}
