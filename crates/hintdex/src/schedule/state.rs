//! What a station knows of the schedules of its devices, and how packets move that.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hintdex_core::{LiveIndex, ScheduleClock, ScheduleState, Sighting};
use hintdex_wire::{KeyId, Nonce, Slot};

use super::devices::{Format, Opener, Parts, Tries};
use super::placing::{Pace, Standing, Step};
use super::queue::{DueDevice, DueQueue};
use super::search::{FoundDevice, Search};
use crate::Source;

/// What decoding packets of a schedule has cost since the station was opened.
///
/// See the example of [`Station::schedule_stats`](crate::Station::schedule_stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleStats {
    /// Packets that were tried.
    pub packets: u64,
    /// Tags that were computed for them, without those of searches.
    pub tags: u64,
    /// Packets whose device was due.
    pub found_due: u64,
    /// Tags that were computed for packets whose device was due.
    pub tags_found_due: u64,
    /// Packets for which silent devices were searched through.
    pub searches: u64,
    /// Tags that were computed in searches.
    pub tags_searched: u64,
    /// Times that the queue was moved to a distant time.
    pub moves: u64,
    /// Packets of past times, for which every device was placed anew.
    pub passes: u64,
    /// Devices that are searched for now: never heard, or silent.
    pub silent: u64,
    /// Memory of the queue, in bytes.
    pub queue_bytes: u64,
}

/// The part of a station that decodes packets of a schedule.
#[derive(Debug)]
pub(crate) struct Scheduled {
    pub(super) format: Format,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) queue: DueQueue,
    /// The generation of the keys whose states the queue has.
    key_generation: Option<u64>,
    pub(super) stats: ScheduleStats,
}

/// A packet whose tag has verified, before its admission.
pub(super) struct Opened {
    /// The place of the packet in the batch.
    pub(super) at: usize,
    pub(super) slot: Slot,
    pub(super) key: KeyId,
    pub(super) nonce: Nonce,
    pub(super) seen: Sighting,
    pub(super) source: Source,
    /// The tag of the packet as a number.
    pub(super) tag: Option<u64>,
    pub(super) payload: Vec<u8>,
}

impl Scheduled {
    /// `None` unless the packets of the index follow a schedule.
    pub(crate) fn of(index: &LiveIndex) -> Option<Self> {
        let format = Format::of(&index.params())?;
        let queue = DueQueue::new(Pace::new(format.schedule, format.tolerance));
        let (key_generation, stats) = (None, ScheduleStats::default());
        Some(Self { format, inner: Mutex::new(Inner { queue, key_generation, stats }) })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked can have lost an arrival of the queue; the search finds its device.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Takes over the states of the index if keys were added or removed since the last call.
    pub(super) fn refresh(&mut self, index: &LiveIndex, key_generation: u64, opener: &Opener<'_>) {
        if self.key_generation == Some(key_generation) {
            return;
        }
        let states = index.schedule_states();
        self.queue.reserve(states.len());
        for (slot, state) in (0..).map(Slot).zip(states) {
            self.take_over(opener, slot, state);
        }
        self.key_generation = Some(key_generation);
    }

    /// Takes over the state of a slot, if the queue has another one.
    pub(super) fn take_over(
        &mut self,
        opener: &Opener<'_>,
        slot: Slot,
        state: Option<ScheduleState>,
    ) {
        let standing = state.map(|ScheduleState { key, next_nonce, clock }| Standing {
            key,
            next: next_nonce,
            clock,
        });
        if self.queue.standing(slot).copied() != standing {
            self.queue.set(slot, standing, opener);
        }
    }

    /// The device that sent a packet, of those that are due and of those that were heard just now; and
    /// whether it was heard.
    pub(super) fn find_due(
        &self,
        opener: &Opener<'_>,
        received_ms: u64,
        parts: &Parts<'_>,
        tries: &mut Tries,
    ) -> Option<(DueDevice, bool)> {
        let mut first = |devices| sender(opener, parts, devices, tries);
        // A packet without a tag is no repeat.
        let repeat = parts.tag().and_then(|tag| first(self.queue.repeats(received_ms, Some(tag))));
        if let Some(repeat) = repeat {
            return Some((repeat, true));
        }
        if let Some(due) = first(self.queue.due(received_ms, opener)) {
            return Some((due, false));
        }
        // After an opening, the tags of the last packets are not known.
        first(self.queue.repeats(received_ms, None)).map(|repeat| (repeat, true))
    }

    /// The device that sent a packet at a time that the queue has left. The queue stays where it is.
    pub(super) fn find_past(
        &self,
        opener: &Opener<'_>,
        received_ms: u64,
        parts: &Parts<'_>,
        tries: &mut Tries,
    ) -> Option<DueDevice> {
        sender(opener, parts, self.queue.due_at(received_ms, opener), tries)
    }

    /// The device that a search has found, and the reading of its clock.
    pub(super) fn step_of(
        &self,
        opener: &Opener<'_>,
        outcome: &Search,
    ) -> Option<(FoundDevice, Step)> {
        let found = outcome.found?;
        let standing = self.queue.standing(found.slot)?;
        // Without a clock, the readings count from the packet found: only their distances matter.
        let Some(clock) = standing.clock else {
            return Some((found, Step { nonce: found.nonce, clock_ms: 0 }));
        };
        let mut step = Step { nonce: standing.next.checked_sub(1)?, clock_ms: clock.clock_ms };
        while step.nonce < found.nonce {
            step = standing.after(step, opener)?;
        }
        Some((found, step))
    }

    /// Moves a device on, as the admission of its packet will.
    pub(super) fn take_in(&mut self, opener: &Opener<'_>, opened: &Opened) {
        let Some(mut standing) = self.queue.standing(opened.slot).copied() else { return };
        let Sighting { received_ms, clock_ms } = opened.seen;
        let tolerance = opener.format.tolerance;
        match &mut standing.clock {
            None => {
                let first = ScheduleClock::heard_first(received_ms, clock_ms, tolerance);
                standing.clock = Some(first);
            }
            Some(clock) => clock.observe(received_ms, clock_ms, tolerance),
        }
        standing.next = opened.nonce.saturating_add(1);
        self.queue.set(opened.slot, Some(standing), opener);
        self.queue.note_tag(opened.slot, opened.tag);
    }
}

/// The first of `devices` that sent the packet.
fn sender(
    opener: &Opener<'_>,
    parts: &Parts<'_>,
    devices: Vec<DueDevice>,
    tries: &mut Tries,
) -> Option<DueDevice> {
    let mut devices = devices.into_iter();
    devices.find(|due| opener.opens(parts, (due.slot, due.key), [due.step.nonce], tries).is_some())
}
