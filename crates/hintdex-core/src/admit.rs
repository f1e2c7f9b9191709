//! Admission: the one place where a packet's nonce is judged and made durable.

use std::iter;
use std::ops::Range;
use std::sync::atomic::Ordering;

use hintdex_wire::{Freshness, HintCipher, HintKey, Nonce, Slot};
use rayon::prelude::*;
use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use crate::Error;
use crate::index::LiveIndex;
use crate::records::{
    ADDED_KEY_PREFIX, META_FAMILY, STATES_FAMILY, StateRecord, epoch_key, slot_key,
};
use crate::states::{SHARDS, Shard, StateTable};
use crate::store::Family;
use crate::window::{Added, Window, Windows, merge_hints};

/// Arrivals below which a batch is not worth spreading over threads.
const ARRIVALS_PER_LANE: usize = 128;

/// A packet whose tag was verified, as admission sees it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Whose packet it is.
    pub slot: Slot,
    /// Its nonce.
    pub nonce: Nonce,
    /// The slot's hint key, from which the hints that come next are made.
    pub hint_key: &'a HintKey,
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Fresh: the state and the hints moved on, durably.
    Accepted,
    /// The nonce was accepted before.
    Replay,
    /// The nonce is further behind than the replay window reaches.
    Stale,
    /// The slot was retired.
    Retired,
}

impl LiveIndex {
    /// Admits one arrival: judges its nonce, and if it is fresh makes the new
    /// state and the coming hints durable before it returns.
    ///
    /// # Errors
    /// [`Error::UnknownSlot`], [`Error::Poisoned`] after a failed write, or what
    /// the store says; the arrival is not accepted then.
    pub fn admit(&self, arrival: &Arrival<'_>) -> Result<Admission, Error> {
        let admissions = self.admit_batch(std::slice::from_ref(arrival))?;
        admissions.first().copied().ok_or(Error::UnknownSlot(arrival.slot))
    }

    /// Admits arrivals as if one by one in their order, on all threads.
    ///
    /// The slots are dealt to lanes; each lane writes one batch, and one sync
    /// covers them all. Costs 2 to 3 µs an accepted arrival and thread.
    ///
    /// # Errors
    /// Those of [`admit`](Self::admit); then some arrivals of the batch may have
    /// been accepted, and the index has to be opened again.
    pub fn admit_batch(&self, arrivals: &[Arrival<'_>]) -> Result<Vec<Admission>, Error> {
        self.store.check()?;
        self.check_known(arrivals)?;
        let threads = rayon::current_num_threads().min(SHARDS as usize);
        let lanes = (arrivals.len() / ARRIVALS_PER_LANE).clamp(1, threads);
        let mut admissions = vec![Admission::Accepted; arrivals.len()];
        if lanes == 1 {
            place(&mut admissions, self.admit_lane(arrivals.iter().enumerate())?);
        } else {
            let of_lane = |lane| {
                let mine = move |(_, arrival): &(usize, &Arrival<'_>)| {
                    StateTable::shard_of(arrival.slot) as usize % lanes == lane
                };
                self.admit_lane(arrivals.iter().enumerate().filter(mine))
            };
            let done: Vec<_> = (0..lanes).into_par_iter().map(of_lane).collect::<Result<_, _>>()?;
            done.into_iter().for_each(|lane| place(&mut admissions, lane));
        }
        self.store.settle()?;
        Ok(admissions)
    }

    /// Refuses the whole batch for one arrival that nobody could have sent.
    fn check_known(&self, arrivals: &[Arrival<'_>]) -> Result<(), Error> {
        let (slots, last) = (self.slot_count(), self.params.scheme.max_nonce());
        for Arrival { slot, nonce, .. } in arrivals {
            if slot.0 >= slots {
                return Err(Error::UnknownSlot(*slot));
            }
            if *nonce > last {
                return Err(Error::NoncePastTheLast { nonce: *nonce, last });
            }
        }
        Ok(())
    }

    /// Admits the arrivals of one lane in order and writes them as one batch.
    ///
    /// The locks of its shards are held until the write is in the log.
    fn admit_lane<'a>(
        &self,
        arrivals: impl Iterator<Item = (usize, &'a Arrival<'a>)> + Clone,
    ) -> Result<Vec<(usize, Admission)>, Error> {
        let wanted = arrivals
            .clone()
            .fold(0u64, |set, (_, arrival)| set | 1 << StateTable::shard_of(arrival.slot));
        let windows = self.windows();
        let mut lane = Lane {
            index: self,
            window: windows
                .current
                .as_ref()
                .ok_or_else(|| Error::corrupted("the windows", "there is none"))?,
            families: Families {
                meta: self.store.family(META_FAMILY)?,
                states: self.store.family(STATES_FAMILY)?,
            },
            shards: self.lock_shards(wanted),
            changed: Vec::new(),
            added: Vec::new(),
        };
        let admissions = arrivals
            .map(|(position, arrival)| {
                lane.admit_one(arrival).map(|admission| (position, admission))
            })
            .collect::<Result<_, _>>()?;
        lane.write(&windows)?;
        Ok(admissions)
    }

    /// The shards of a set, locked in ascending order.
    fn lock_shards(&self, wanted: u64) -> Vec<Option<Shard<'_>>> {
        (0..SHARDS)
            .map(|number| (wanted >> number & 1 == 1).then(|| self.states.shard(number)).flatten())
            .collect()
    }

    /// The nonces whose hints a slot lacks after it moved from one state to another.
    fn new_nonces(&self, before: &StateRecord, next: Nonce) -> Range<Nonce> {
        let last = self.params.scheme.max_nonce().saturating_add(1);
        before.live_nonces().end.max(next)
            ..next.saturating_add(self.params.lookahead.into()).min(last)
    }
}

/// The families a lane writes to besides its window's.
struct Families<'a> {
    meta: Family<'a>,
    states: Family<'a>,
}

/// One lane's work before it is written.
struct Lane<'a> {
    index: &'a LiveIndex,
    window: &'a Window,
    families: Families<'a>,
    shards: Vec<Option<Shard<'a>>>,
    /// Slots whose state moved on, each as often as it did.
    changed: Vec<Slot>,
    added: Vec<Added>,
}

impl Lane<'_> {
    fn admit_one(&mut self, arrival: &Arrival<'_>) -> Result<Admission, Error> {
        let Arrival { slot, nonce, hint_key } = *arrival;
        let shard = self.shards.get_mut(StateTable::shard_of(slot) as usize);
        let state = shard
            .and_then(Option::as_mut)
            .and_then(|shard| shard.get_mut(StateTable::place_of(slot)));
        let state = state.ok_or(Error::UnknownSlot(slot))?;
        if state.is_retired() {
            return Ok(Admission::Retired);
        }
        let mut window = state.window();
        match window.admit(nonce) {
            Freshness::Replay => return Ok(Admission::Replay),
            Freshness::Stale => return Ok(Admission::Stale),
            Freshness::Fresh => {}
        }
        let new_nonces = self.index.new_nonces(state, window.next());
        state.set_window(&window);
        // Nothing new is made for a late packet, and less and less near the last nonce.
        let ahead = new_nonces.end.saturating_sub(window.next());
        state.hints_ahead = u32::try_from(ahead).unwrap_or(u32::MAX).into();
        self.changed.push(slot);
        if !new_nonces.is_empty() {
            let cipher = HintCipher::new(self.index.params.scheme, hint_key);
            let hints = new_nonces.filter_map(|nonce| cipher.hint(nonce));
            self.added.extend(hints.zip(iter::repeat(slot)));
        }
        Ok(Admission::Accepted)
    }

    fn write(mut self, windows: &Windows) -> Result<(), Error> {
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
            let state = shard.and_then(|shard| shard.get(StateTable::place_of(*slot)));
            let state = state.ok_or(Error::UnknownSlot(*slot))?;
            batch.put_cf(&self.families.states, slot_key(*slot), state.as_bytes());
        }
        if !self.added.is_empty() {
            merge_hints(&mut batch, self.window.hints(), self.window.geometry, &self.added);
            let count = self.added.len() as u64;
            let counter = epoch_key(ADDED_KEY_PREFIX, self.window.epoch);
            batch.merge_cf(&self.families.meta, counter, count.to_le_bytes());
            self.window.entries.fetch_add(count, Ordering::Relaxed);
            windows.remember(&self.added);
        }
        self.index.store.write(batch)
    }
}

fn place(admissions: &mut [Admission], done: Vec<(usize, Admission)>) {
    for (position, admission) in done {
        if let Some(place) = admissions.get_mut(position) {
            *place = admission;
        }
    }
}
