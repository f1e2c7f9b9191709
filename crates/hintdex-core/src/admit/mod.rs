//! Admission: the one place where a packet's nonce is judged and made durable.

mod judge;
mod lane;

use std::sync::PoisonError;

use hintdex_wire::{HintKey, Nonce, Slot};
use rayon::prelude::*;

use crate::Error;
use crate::index::LiveIndex;
use crate::states::{SHARDS, ShardGuard, StateTable};
use lane::Lane;

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
    /// When the packet was received, in seconds since 1970; not looked at where nonces
    /// tell no time.
    pub received_unix_s: u64,
}

/// How far from where a device is expected a packet may be, of which the hint does not tell
/// the nonce: a search for such hints reaches so far and no further.
///
/// Packets of a batch are searched for together, before any of them is admitted, so the
/// search may reach further than it would for one packet after the other. Admission knows
/// the device's state at each packet's turn, and holds the packet to this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Nonces ahead of the next one, or of the live hints if those reach further; behind it
    /// as many as the replay window remembers. Where nonces tell no time.
    pub ahead_nonces: u64,
    /// Nonces from 0 on that are searched beside those of the packet's time. Where nonces
    /// tell time.
    pub epoch_nonces: u64,
}

/// What is asked of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To be admitted, wherever its nonce is.
    Admit,
    /// To be admitted if its nonce is within this reach.
    AdmitWithin(Reach),
    /// To be told whether its nonce is within this reach, and no more: its tag did not verify.
    Probe(Reach),
}

impl Request {
    /// The reach that an arrival is held to.
    pub(crate) const fn reach(self) -> Option<Reach> {
        match self {
            Self::Admit => None,
            Self::AdmitWithin(reach) | Self::Probe(reach) => Some(reach),
        }
    }
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Fresh: the state and the hints moved on, durably.
    Accepted,
    /// The nonce was accepted before.
    Replay,
    /// The nonce is further behind than the replay window reaches, or was made at a
    /// time that the device's clock should be past, or is of a time it used up before.
    Stale,
    /// The nonce was made at a time that the device's clock should not have reached.
    Early,
    /// The nonce is further from where the device is expected than the [`Reach`] allows.
    OutOfReach,
    /// The nonce of a [probe](Request::Probe) is within its reach.
    InReach,
    /// The slot was retired.
    Retired,
    /// The slot is out of service: its stored state is not sound, or its key is missing.
    OutOfService,
}

/// A device whose clock was not where it was expected: two packets that agree moved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMove {
    /// Whose clock it is.
    pub slot: Slot,
    /// The nonce of the second packet.
    pub nonce: Nonce,
    /// When that was received, in seconds since 1970.
    pub received_unix_s: u64,
    /// How far ahead of the station's clock the device's was thought to be, in seconds.
    pub from_s: i64,
    /// How far ahead it is.
    pub to_s: i64,
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
        self.admit_requests(arrivals, &[])
    }

    /// [`admit_batch`](Self::admit_batch) of arrivals of which something else may be asked:
    /// what stands in `requests` at the same place, or [`Request::Admit`] where nothing does.
    ///
    /// # Errors
    /// Those of [`admit_batch`](Self::admit_batch).
    pub fn admit_requests(
        &self,
        arrivals: &[Arrival<'_>],
        requests: &[Request],
    ) -> Result<Vec<Admission>, Error> {
        self.store.check()?;
        self.check_known(arrivals)?;
        let threads = rayon::current_num_threads().min(SHARDS as usize);
        let lanes = (arrivals.len() / ARRIVALS_PER_LANE).clamp(1, threads);
        let mut admissions = vec![Admission::Accepted; arrivals.len()];
        if lanes == 1 {
            place(&mut admissions, self.admit_lane(arrivals.iter().enumerate(), requests)?);
        } else {
            let of_lane = |lane| {
                let mine = move |(_, arrival): &(usize, &Arrival<'_>)| {
                    StateTable::shard_of(arrival.slot) as usize % lanes == lane
                };
                self.admit_lane(arrivals.iter().enumerate().filter(mine), requests)
            };
            let done: Vec<_> = (0..lanes).into_par_iter().map(of_lane).collect::<Result<_, _>>()?;
            done.into_iter().for_each(|lane| place(&mut admissions, lane));
        }
        self.store.settle()?;
        Ok(admissions)
    }

    /// Refuses the whole batch for one arrival that nobody could have sent.
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
    /// The locks of its shards are held until the write is in the log.
    fn admit_lane<'a>(
        &self,
        arrivals: impl Iterator<Item = (usize, &'a Arrival<'a>)> + Clone,
        requests: &[Request],
    ) -> Result<Vec<(usize, Admission)>, Error> {
        let wanted = arrivals
            .clone()
            .fold(0u64, |set, (_, arrival)| set | 1 << StateTable::shard_of(arrival.slot));
        let windows = self.windows.adding();
        let shards = self.lock_shards(wanted);
        let mut lane = Lane::new(self, &windows, shards)?;
        let admissions = arrivals
            .map(|(position, arrival)| {
                let request = requests.get(position).copied().unwrap_or(Request::Admit);
                lane.admit_one(arrival, request).map(|admission| (position, admission))
            })
            .collect::<Result<_, _>>()?;
        lane.write()?;
        Ok(admissions)
    }

    /// The devices that were moved since this was asked last.
    pub fn take_clock_moves(&self) -> Vec<ClockMove> {
        std::mem::take(&mut *self.clock_moves.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The shards of a set, locked in ascending order.
    fn lock_shards(&self, wanted: u64) -> Vec<Option<ShardGuard<'_>>> {
        (0..SHARDS)
            .map(|number| (wanted >> number & 1 == 1).then(|| self.states.shard(number)).flatten())
            .collect()
    }
}

fn place(admissions: &mut [Admission], done: Vec<(usize, Admission)>) {
    for (position, admission) in done {
        if let Some(place) = admissions.get_mut(position) {
            *place = admission;
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod judge_tests;
