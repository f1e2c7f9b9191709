//! Admission: the one place where a packet's nonce is judged and made durable.

mod judge;
mod lane;
mod request;
mod settings;

use std::sync::PoisonError;

use hintdex_wire::Slot;
use rayon::prelude::*;

use crate::Error;
use crate::index::LiveIndex;
use crate::outbox::Reserved;
use crate::states::{SHARDS, ShardGuard, StateTable};
use crate::time::ClockMove;

use lane::Lane;
pub use request::{Admission, Arrival, Reach, Request};

/// A lane gets at least this many arrivals: fewer are not worth another thread.
const ARRIVALS_PER_LANE: usize = 128;

/// The states of so many arrivals come to the cache side by side: more reads than a core has
/// underway at a time.
const ARRIVALS_READ_TOGETHER: usize = 32;

/// What goes with the arrivals of a batch, at the same positions.
struct Batch<'a> {
    requests: &'a [Request],
    bodies: &'a [&'a [u8]],
    numbers: Option<&'a Reserved<'a>>,
}

impl<'a> Batch<'a> {
    /// The number and the body of an arrival that may be stored in the outbox.
    fn body_at(&self, position: usize) -> Option<(u64, &'a [u8])> {
        Some((self.numbers?.number(position), *self.bodies.get(position)?))
    }
}

impl LiveIndex {
    /// Admits one arrival: judges its nonce. If the nonce is fresh, makes the new state and the
    /// coming hints durable before it returns.
    ///
    /// # Errors
    /// [`Error::UnknownSlot`], [`Error::Poisoned`] after a failed write, or those of the store.
    /// After an error the arrival is not accepted.
    pub fn admit(&self, arrival: &Arrival<'_>) -> Result<Admission, Error> {
        let admissions = self.admit_batch(std::slice::from_ref(arrival))?;
        admissions.first().copied().ok_or(Error::UnknownSlot(arrival.slot))
    }

    /// Admits arrivals on all threads; the result is that of admitting them one by one in order.
    ///
    /// The slots are divided between lanes. Each lane writes one batch, and one sync covers all
    /// batches. Costs 2 to 3 µs an accepted arrival and thread.
    ///
    /// # Errors
    /// Those of [`admit`](Self::admit). After an error some arrivals of the batch may have been
    /// accepted, and the index must be opened again.
    pub fn admit_batch(&self, arrivals: &[Arrival<'_>]) -> Result<Vec<Admission>, Error> {
        self.admit_requests(arrivals, &[])
    }

    /// [`admit_batch`](Self::admit_batch) with a request for each arrival, at the same index of
    /// `requests`. A missing request is [`Request::Admit`].
    ///
    /// # Errors
    /// Those of [`admit_batch`](Self::admit_batch).
    pub fn admit_requests(
        &self,
        arrivals: &[Arrival<'_>],
        requests: &[Request],
    ) -> Result<Vec<Admission>, Error> {
        self.admit_with_outbox(arrivals, requests, &[])
    }

    /// [`admit_requests`](Self::admit_requests) that stores a body for each arrival that is accepted
    /// in the [outbox](Self::outbox), at the same index of `bodies`, in the write batch of the new
    /// state. Without an outbox, nothing but states is stored.
    ///
    /// # Errors
    /// Those of [`admit_batch`](Self::admit_batch), and [`Error::OutboxFull`] before anything is
    /// admitted.
    pub fn admit_with_outbox(
        &self,
        arrivals: &[Arrival<'_>],
        requests: &[Request],
        bodies: &[&[u8]],
    ) -> Result<Vec<Admission>, Error> {
        self.store.check()?;
        self.check_known(arrivals)?;
        let outbox = self.outbox.as_ref().filter(|_| !bodies.is_empty());
        let numbers = outbox.map(|outbox| outbox.reserve(arrivals.len())).transpose()?;
        let numbers = numbers.as_ref();
        let batch = Batch { requests, bodies, numbers };
        let threads = rayon::current_num_threads().min(SHARDS as usize);
        let lanes = (arrivals.len() / ARRIVALS_PER_LANE).clamp(1, threads);
        // Such an arrival changes slots of other shards, so one lane has them all.
        let successors = self.successors.among(arrivals.iter().map(|arrival| arrival.slot));
        let mut admissions = vec![Admission::Accepted; arrivals.len()];
        if lanes == 1 || !successors.is_empty() {
            store_admissions(
                &mut admissions,
                self.admit_lane(arrivals.iter().enumerate(), &batch, &successors)?,
            );
        } else {
            let of_lane = |lane| {
                let mine = move |(_, arrival): &(usize, &Arrival<'_>)| {
                    StateTable::shard_of(arrival.slot) as usize % lanes == lane
                };
                self.admit_lane(arrivals.iter().enumerate().filter(mine), &batch, &[])
            };
            let done: Vec<_> = (0..lanes).into_par_iter().map(of_lane).collect::<Result<_, _>>()?;
            done.into_iter().for_each(|lane| store_admissions(&mut admissions, lane));
        }
        self.store.sync_log()?;
        Ok(admissions)
    }

    /// Rejects the whole batch if one arrival has a slot or a nonce that does not exist.
    fn check_known(&self, arrivals: &[Arrival<'_>]) -> Result<(), Error> {
        let (slots, last) = (self.slot_count(), self.params.max_nonce());
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
    /// The lane's shards stay locked until the batch is in the log: those of the arrivals, and
    /// those of the older keys of `successors`.
    fn admit_lane<'a>(
        &self,
        arrivals: impl Iterator<Item = (usize, &'a Arrival<'a>)> + Clone,
        batch: &Batch<'a>,
        successors: &[Slot],
    ) -> Result<Vec<(usize, Admission)>, Error> {
        let shard_bit = |set: u64, slot: Slot| set | 1 << StateTable::shard_of(slot);
        let wanted = arrivals.clone().map(|(_, arrival)| arrival.slot).fold(0, shard_bit);
        let wanted = self.older_slots(successors).fold(wanted, shard_bit);
        let windows = self.windows.read();
        let shards = self.lock_shards(wanted);
        let mut lane = Lane::new(self, &windows, shards, successors)?;
        let arrivals: Vec<(usize, &Arrival<'_>)> = arrivals.collect();
        let mut admissions = Vec::with_capacity(arrivals.len());
        for group in arrivals.chunks(ARRIVALS_READ_TOGETHER) {
            lane.touch(group.iter().map(|(_, arrival)| arrival.slot));
            for (position, arrival) in group {
                let request = batch.requests.get(*position).copied().unwrap_or(Request::Admit);
                let admission = lane.admit_one(arrival, request)?;
                if let Some((number, body)) = batch.body_at(*position) {
                    lane.post(number, body, arrival, admission);
                }
                admissions.push((*position, admission));
            }
        }
        lane.write()?;
        Ok(admissions)
    }

    /// The slots of older keys of the devices of `successors`.
    fn older_slots(&self, successors: &[Slot]) -> impl Iterator<Item = Slot> {
        let fleet = (!successors.is_empty()).then(|| self.fleet());
        let peers = move |slot: &Slot| {
            let fleet = fleet.as_ref()?;
            Some(fleet.slots(fleet.key(*slot)?.device))
        };
        successors.iter().filter_map(peers).flatten()
    }

    /// Takes the slots that admission has retired since the last call, if there are `least` at
    /// least: their devices use newer keys, so no search needs to try the old ones.
    pub fn take_dropped(&self, least: usize) -> Vec<Slot> {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        if dropped.len() >= least.max(1) { std::mem::take(&mut *dropped) } else { Vec::new() }
    }

    /// Takes the clock moves since the last call.
    pub fn take_clock_moves(&self) -> Vec<ClockMove> {
        std::mem::take(&mut *self.clock_moves.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Locks the shards of a set, in ascending order.
    pub(crate) fn lock_shards(&self, wanted: u64) -> Vec<Option<ShardGuard<'_>>> {
        (0..SHARDS)
            .map(|number| (wanted >> number & 1 == 1).then(|| self.states.shard(number)).flatten())
            .collect()
    }
}

fn store_admissions(admissions: &mut [Admission], done: Vec<(usize, Admission)>) {
    for (position, admission) in done {
        if let Some(place) = admissions.get_mut(position) {
            *place = admission;
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod judge_tests;
