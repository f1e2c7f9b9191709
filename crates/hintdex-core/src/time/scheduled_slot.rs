//! The judgement of a packet that was named by its time alone.
//!
//! The replay window decides first: no nonce is accepted twice, whenever it is received. A fresh
//! nonce is accepted if it was received when its device sends it. A recording that is sent later
//! is not, and it does not move the device's clock.
//!
//! A device whose clock was set sends at other times for good. One packet cannot prove that, for
//! it may be a recording of a packet that the station never received. Two packets that agree do:
//! they are as far apart as the device's schedule requires.

use hintdex_wire::{Freshness, Nonce, ReplayWindow};

use super::schedule_clock::{ScheduleClock, ScheduleTolerance};
use super::session::{MAX_PENDING, Pending};

/// When a packet of a schedule was received, and the reading of its device's clock.
///
/// See the example of [`LiveIndex::schedule_states`](crate::LiveIndex::schedule_states).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The time of reception, in milliseconds since 1970.
    pub received_ms: u64,
    /// The reading of the device's clock for the packet: the reading for the packet that set the
    /// device's [clock](crate::ScheduleClock), and the delays from that packet on. Any number for
    /// the first packet.
    pub clock_ms: u64,
}

/// The parts of a slot's row that the judgement reads and changes.
pub(crate) struct ScheduledSlot<'a> {
    pub(crate) window: &'a mut ReplayWindow,
    /// `None` before the first packet.
    pub(crate) clock: &'a mut Option<ScheduleClock>,
    /// Packets that wait for one that agrees. Their `nonce` is the reading of the device's clock,
    /// and their time of reception is in milliseconds.
    pub(crate) pending: &'a mut Vec<Pending>,
}

/// The judgement of a packet of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScheduledJudgement {
    Accepted,
    /// Accepted before.
    Replay,
    /// Below the replay window, or received after the time at which its device sends it.
    Stale,
    /// Received before the time at which its device sends it.
    Early,
}

impl ScheduledSlot<'_> {
    /// Judges `nonce`, and marks it as accepted if it is.
    pub(crate) fn judge(
        &mut self,
        nonce: Nonce,
        seen: Sighting,
        tolerance: ScheduleTolerance,
    ) -> ScheduledJudgement {
        match self.window.judge(nonce) {
            Freshness::Replay => return ScheduledJudgement::Replay,
            Freshness::Stale => return ScheduledJudgement::Stale,
            Freshness::Fresh => {}
        }
        let is_newest = nonce >= self.window.next();
        let Sighting { received_ms, clock_ms } = seen;
        let first = ScheduleClock::heard_first(received_ms, clock_ms, tolerance);
        match self.clock {
            None => *self.clock = Some(first),
            Some(clock) => {
                let arrival = clock.arrival(clock_ms, tolerance);
                if arrival.holds(received_ms) {
                    if is_newest {
                        clock.observe(received_ms, clock_ms, tolerance);
                    }
                } else if is_newest && self.agrees(seen, tolerance) {
                    *self.clock = Some(first);
                } else {
                    if is_newest {
                        self.wait(seen);
                    }
                    return if received_ms > arrival.at_ms {
                        ScheduledJudgement::Stale
                    } else {
                        ScheduledJudgement::Early
                    };
                }
            }
        }
        self.window.admit(nonce);
        if is_newest {
            self.pending.clear();
        }
        ScheduledJudgement::Accepted
    }

    /// Whether a packet that waits and this one are as far apart as their schedule requires.
    fn agrees(&self, seen: Sighting, tolerance: ScheduleTolerance) -> bool {
        self.pending.iter().any(|first| {
            first.nonce < seen.clock_ms && first.received_s < seen.received_ms && {
                let clock = ScheduleClock::heard_first(first.received_s, first.nonce, tolerance);
                clock.arrival(seen.clock_ms, tolerance).holds(seen.received_ms)
            }
        })
    }

    fn wait(&mut self, Sighting { received_ms, clock_ms }: Sighting) {
        if self.pending.iter().any(|first| first.nonce == clock_ms) {
            return;
        }
        if self.pending.len() == MAX_PENDING {
            self.pending.remove(0);
        }
        self.pending.push(Pending { nonce: clock_ms, received_s: received_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: ScheduleTolerance = ScheduleTolerance { jitter_ms: 50, max_drift_ppm: 30 };
    const NOW_MS: u64 = 1_764_000_000_000;
    const HOUR_MS: u64 = 3_600_000;

    /// A slot whose packet *n* follows *n* hours after packet 0.
    struct Device {
        window: ReplayWindow,
        clock: Option<ScheduleClock>,
        pending: Vec<Pending>,
    }

    impl Device {
        fn new() -> Self {
            Self { window: ReplayWindow::new(), clock: None, pending: Vec::new() }
        }

        /// Receives packet `nonce` so many milliseconds after the hour `nonce`.
        fn receive(&mut self, nonce: Nonce, late_ms: i64) -> ScheduledJudgement {
            let clock_ms = nonce * HOUR_MS;
            let received_ms = (NOW_MS + clock_ms).saturating_add_signed(late_ms);
            let mut slot = ScheduledSlot {
                window: &mut self.window,
                clock: &mut self.clock,
                pending: &mut self.pending,
            };
            slot.judge(nonce, Sighting { received_ms, clock_ms }, TOLERANCE)
        }
    }

    #[test]
    fn a_packet_is_accepted_when_its_device_sends_it_and_only_once() {
        let mut device = Device::new();
        assert_eq!(device.receive(2, 0), ScheduledJudgement::Accepted);
        assert_eq!(device.receive(2, 20), ScheduledJudgement::Replay);
        assert_eq!(device.receive(3, 50), ScheduledJudgement::Accepted);
        // Packets that were lost, and one that another receiver delivers late.
        assert_eq!(device.receive(6, 50), ScheduledJudgement::Accepted);
        assert_eq!(device.receive(5, 10), ScheduledJudgement::Accepted);
        assert_eq!(device.receive(5, 10), ScheduledJudgement::Replay);
        assert_eq!(device.receive(70, 0), ScheduledJudgement::Accepted);
        assert_eq!(device.receive(4, 158), ScheduledJudgement::Stale);
    }

    #[test]
    fn a_recording_that_is_sent_later_is_not_accepted_and_moves_nothing() {
        let mut device = Device::new();
        assert_eq!(device.receive(0, 0), ScheduledJudgement::Accepted);
        let before = device.clock;
        // Packet 1 was jammed and recorded.
        for late_ms in [400, 5_000, 20 * 60_000, 10_000_000] {
            assert_eq!(device.receive(1, late_ms), ScheduledJudgement::Stale);
        }
        assert_eq!(device.receive(2, -400), ScheduledJudgement::Early);
        assert_eq!(device.clock, before);
        assert_eq!(device.receive(2, 0), ScheduledJudgement::Accepted);
        // It stays refused behind the accepted one, and does not wait for another.
        assert_eq!(device.receive(1, 10_000_000), ScheduledJudgement::Stale);
        assert!(device.pending.is_empty());
    }

    #[test]
    fn two_packets_that_agree_move_the_clock() {
        let mut device = Device::new();
        assert_eq!(device.receive(0, 0), ScheduledJudgement::Accepted);
        let jump_ms = 700_000;
        assert_eq!(device.receive(3, jump_ms), ScheduledJudgement::Stale);
        // The same packet again, and recordings between them, do not.
        assert_eq!(device.receive(3, jump_ms + 60), ScheduledJudgement::Stale);
        assert_eq!(device.receive(1, 9 * 60_000), ScheduledJudgement::Stale);
        assert_eq!(device.receive(2, 8 * 60_000), ScheduledJudgement::Stale);
        assert_eq!(device.receive(4, jump_ms + 100), ScheduledJudgement::Accepted);
        assert_eq!(device.receive(5, jump_ms + 100), ScheduledJudgement::Accepted);
        assert_eq!(device.receive(6, 0), ScheduledJudgement::Early);
        assert!(device.clock.is_some_and(|clock| clock.clock_ms == 5 * HOUR_MS));
    }
}
