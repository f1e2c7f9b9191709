//! Where a device stands in its schedule: which of its packets are due at a time.
//!
//! The windows of a device's coming packets follow one another. The *due* packets at a time are
//! those whose window has not ended long ago and has begun, and the first one that has not begun.
//! For a device that is heard regularly that is one packet.

use hintdex_core::{ScheduleClock, ScheduleTolerance, ScheduledArrival};
use hintdex_wire::{KeyId, Nonce, Schedule};

/// Packets stay due for at most this long after their window, for times of reception that are out
/// of order.
const MAX_KEEP_MS: u64 = 60_000;

/// The longest delays for which packets stay due at most: a device that sends every second keeps
/// few of them.
const KEPT_DELAYS: u64 = 8;

/// After so many of the longest delays without a packet, a device is left to the search.
const LOST_DELAYS: u64 = 64;

/// The half width of the windows in level 0 of the queue.
const NARROWEST_MS: u64 = 64;
pub(super) const LEVELS: usize = 48;

/// The most packets of one device that are passed over to find the ones that are due: 15 years at a
/// packet an hour, 36 hours at a packet a second. So many cost 50 ms of core time.
const MAX_WALK: usize = 1 << 17;

/// The most packets of one device that are due together. More are due if its windows are much
/// wider than its delays are long; then the device is searched for.
const MAX_DUE: u64 = 64;

/// A device that was heard this far ahead of the station's clock was heard under a station clock that
/// was wrong. It is searched for, too.
const MAX_AHEAD_MS: u64 = 86_400_000;

/// A device that has missed this many packets in a row is searched for, too.
const OVERDUE_PACKETS: u64 = 4;

/// What holds for the schedules of all devices of a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) tolerance: ScheduleTolerance,
    /// How long packets stay due after their window.
    pub(super) keep_ms: u64,
    /// A device is not due once it was silent for so long while the station listened: its wide
    /// windows would cost every packet a try. Only the search tries the device then.
    pub(super) lost_ms: u64,
}

impl Pace {
    pub(crate) fn new(schedule: Schedule, tolerance: ScheduleTolerance) -> Self {
        let keep_ms = (KEPT_DELAYS * u64::from(schedule.max_ms())).min(MAX_KEEP_MS);
        let lost_ms = LOST_DELAYS * u64::from(schedule.max_ms());
        Self { tolerance, keep_ms, lost_ms }
    }
}

/// The delays between the packets of devices.
pub(crate) trait Delays: Sync {
    /// The delay from the packet of `nonce` to the next one, in milliseconds of the device's
    /// clock; `None` without a key, or above the last nonce.
    fn delay_ms(&self, key: KeyId, nonce: Nonce) -> Option<u32>;
}

impl<F: Fn(KeyId, Nonce) -> Option<u32> + Sync> Delays for F {
    fn delay_ms(&self, key: KeyId, nonce: Nonce) -> Option<u32> {
        self(key, nonce)
    }
}

/// The state of a device, as far as its schedule depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) key: KeyId,
    /// One more than the highest accepted nonce.
    pub(crate) next: Nonce,
    /// The clock, set by the packet of the highest accepted nonce; `None` before the first.
    pub(crate) clock: Option<ScheduleClock>,
}

/// A packet of a device, and the reading of the device's clock when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) nonce: Nonce,
    pub(crate) clock_ms: u64,
}

/// The level of a window in the queue, which is by its width.
pub(super) const fn level_of(arrival: &ScheduledArrival) -> usize {
    let narrowest = arrival.half_ms.div_ceil(NARROWEST_MS);
    // The ceiling of its logarithm.
    let level = if narrowest > 1 { u64::BITS - (narrowest - 1).leading_zeros() } else { 0 };
    if (level as usize) < LEVELS { level as usize } else { LEVELS - 1 }
}

/// The half width of the widest window of a level.
pub(super) const fn width_ms(level: usize) -> u64 {
    NARROWEST_MS << level
}

/// When a window begins at the earliest, by its level: the queue finds beginning windows by that.
pub(super) const fn begins_ms(arrival: &ScheduledArrival) -> u64 {
    arrival.at_ms.saturating_sub(width_ms(level_of(arrival)))
}

/// The due packets of a device: from the first one up to the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) first: Step,
    pub(super) last: Step,
}

impl Standing {
    /// The step behind `step`; `None` if there is none.
    pub(super) fn after(&self, step: Step, delays: &dyn Delays) -> Option<Step> {
        let delay_ms = delays.delay_ms(self.key, step.nonce)?;
        let clock_ms = step.clock_ms.checked_add(delay_ms.into())?;
        Some(Step { nonce: step.nonce.checked_add(1)?, clock_ms })
    }

    /// The step of the highest accepted nonce; `None` if its time is not known.
    fn heard(&self) -> Option<Step> {
        Some(Step { nonce: self.next.checked_sub(1)?, clock_ms: self.clock?.clock_ms })
    }

    /// When the packet of a step is received.
    pub(super) fn arrival(&self, step: Step, pace: Pace) -> Option<ScheduledArrival> {
        self.clock.map(|clock| clock.arrival(step.clock_ms, pace.tolerance))
    }

    /// The packets that are due at `now_ms`; `None` if the device was never heard, or was silent
    /// for too long.
    ///
    /// Costs a delay for each packet since the device was heard.
    pub(super) fn due(&self, now_ms: u64, pace: Pace, delays: &dyn Delays) -> Option<Due> {
        let mut first = self.after(self.heard()?, delays)?;
        for _ in 0..MAX_WALK {
            if self.is_kept(first, now_ms, pace) {
                let due = Due { first, last: first };
                return Some(self.extended(due, now_ms, pace, delays));
            }
            first = self.after(first, delays)?;
        }
        None
    }

    /// The due packets, up to the first one whose window has not begun.
    pub(super) fn extended(
        &self,
        mut due: Due,
        now_ms: u64,
        pace: Pace,
        delays: &dyn Delays,
    ) -> Due {
        let has_begun = |step| {
            let arrival = self.arrival(step, pace);
            arrival.is_some_and(|arrival| begins_ms(&arrival) <= now_ms)
        };
        while due.count() < MAX_DUE && has_begun(due.last) {
            let Some(next) = self.after(due.last, delays) else { break };
            due.last = next;
        }
        due
    }

    /// Whether the window of a step has not ended long ago.
    pub(super) fn is_kept(&self, step: Step, now_ms: u64, pace: Pace) -> bool {
        let arrival = self.arrival(step, pace);
        arrival.is_some_and(|arrival| arrival.end_ms().saturating_add(pace.keep_ms) >= now_ms)
    }

    /// Whether the device is to be searched for, with these packets due, while the station's clock
    /// shows `clock_ms`.
    pub(super) fn is_silent(&self, due: Option<&Due>, clock_ms: u64) -> bool {
        let latest_ms = clock_ms.saturating_add(MAX_AHEAD_MS);
        if self.clock.is_some_and(|clock| clock.heard_ms > latest_ms) {
            return true;
        }
        due.is_none_or(|due| {
            due.count() >= MAX_DUE || due.first.nonce.saturating_sub(self.next) >= OVERDUE_PACKETS
        })
    }
}

impl Due {
    const fn count(&self) -> u64 {
        self.last.nonce.saturating_sub(self.first.nonce).saturating_add(1)
    }

    /// Calls `each` with every step from the first to the last.
    pub(super) fn each(&self, of: &Standing, delays: &dyn Delays, mut each: impl FnMut(Step)) {
        let mut step = self.first;
        while step.nonce < self.last.nonce {
            each(step);
            // The last step is known; the ones between are rare.
            if step.nonce.saturating_add(1) == self.last.nonce {
                break;
            }
            let Some(next) = of.after(step, delays) else { return };
            step = next;
        }
        each(self.last);
    }
}
