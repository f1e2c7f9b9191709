//! The judgement of a clocked nonce, and the sessions of a device's clock.
//!
//! A clock that lost its power restarts at its epoch, or anywhere. No accepted nonce may be
//! accepted again, so the nonces that a device has used are stored as *sessions*. A session is
//! the run of nonces from the first to the last accepted one between two jumps of the clock.
//! Within the present session the replay window decides; a jump begins a new session.
//!
//! With a counter for each day, the first packet of a day skips the unused nonces of the day
//! before, and a packet of the day before may still arrive. So the replay window of the unit
//! before, the *late window*, is kept while the allowance reaches back into that unit.
//!
//! One packet does not move a device: it may be an old packet that was held back. Two packets
//! that agree do: their nonces are as far apart as their times of reception. (The receivers of
//! rolling codes ask for two codes in sequence, too.) Neither may lie in a past session, so no
//! accepted packet is accepted again, however it is replayed.

use std::ops::Range;

use hintdex_wire::{Freshness, Nonce, NonceKind, ReplayWindow};

use super::device_clock::{DeviceClock, offsets_of};
use super::timing::Timing;
use super::units::units_in;

/// A session: the nonces from the first accepted one up to the last. All of them are spent.
pub(crate) type Session = Range<Nonce>;

/// The most past sessions of a slot. With more, the two nearest ones are joined, which spends
/// the nonces between them.
pub(crate) const MAX_PAST_SESSIONS: usize = 8;

/// The most pending packets of a slot. There are several, so that an old packet that is replayed
/// cannot displace the device's own.
pub(crate) const MAX_PENDING: usize = 4;

/// A packet outside the allowance that waits for a second one that agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) nonce: Nonce,
    pub(crate) received_s: u64,
}

/// The parts of a slot's row that the judgement of a clocked nonce reads and changes.
pub(crate) struct ClockedSlot<'a> {
    pub(crate) window: &'a mut ReplayWindow,
    /// The first nonce of the present session; without meaning before the first accepted nonce.
    pub(crate) session_first: &'a mut Nonce,
    pub(crate) clock: &'a mut DeviceClock,
    pub(crate) past: &'a mut Vec<Session>,
    /// The late window; only with a counter for each day.
    pub(crate) late: &'a mut Option<ReplayWindow>,
    pub(crate) pending: &'a mut Vec<Pending>,
}

/// The judgement of a clocked nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockedJudgement {
    /// Accepted. `off_step`: the nonce contradicts the clock offset bounds within the tolerance,
    /// so the windows lack the device's coming hints.
    Accepted { off_step: bool },
    /// Accepted, and the device's clock moved to the offset that two packets show.
    Moved,
    /// Accepted before.
    Replay,
    /// Behind the allowance or below the replay window, or in a past session.
    Stale,
    /// Ahead of the allowance.
    Early,
}

impl ClockedSlot<'_> {
    /// Judges `nonce`, received at `now_s`, and marks the nonce as accepted if it is.
    pub(crate) fn judge(
        &mut self,
        kind: NonceKind,
        timing: &Timing,
        nonce: Nonce,
        now_s: u64,
    ) -> ClockedJudgement {
        if self.past.iter().any(|session| session.contains(&nonce)) {
            return ClockedJudgement::Stale;
        }
        // No nonce is past the last one. So `nonce + 1` cannot overflow below: it would be 0, and
        // every spent nonce would be fresh again. Admission rejects such arrivals earlier.
        let device_s = kind.device_time_s(nonce).filter(|_| nonce <= kind.max_nonce());
        let Some(device_s) = device_s else { return ClockedJudgement::Stale };
        let offsets_s = self.clock.offsets_at(now_s, timing.max_drift_ppm);
        let now = now_s..now_s.saturating_add(1);
        let allowed = units_in(kind, &now, offsets_s, (timing.before_s, timing.after_s));
        let unit = kind.unit_of(nonce);
        if self.late_unit(kind).is_none_or(|late| !allowed.contains(&late)) {
            *self.late = None;
        }
        if allowed.contains(&unit) {
            return match self.late_unit(kind) {
                Some(late) if unit == late && self.late.is_some() => self.judge_late(nonce),
                // The replay window of that unit was dropped.
                Some(late) if unit <= late => ClockedJudgement::Stale,
                _ => self.judge_allowed(kind, timing, nonce, now_s),
            };
        }
        if self.session().contains(&nonce) {
            return match self.window.judge(nonce) {
                Freshness::Replay => ClockedJudgement::Replay,
                _ => ClockedJudgement::Stale,
            };
        }
        let wait = Pending { nonce, received_s: now_s };
        if self.pending.iter().any(|first| packets_agree(kind, timing, first, &wait)) {
            self.move_to(nonce, now_s, &device_s);
            return ClockedJudgement::Moved;
        }
        if !self.pending.iter().any(|first| first.nonce == nonce) {
            if self.pending.len() == MAX_PENDING {
                self.pending.remove(0);
            }
            self.pending.push(wait);
        }
        if unit < allowed.start { ClockedJudgement::Stale } else { ClockedJudgement::Early }
    }

    /// Judges a nonce of the late window. A late packet does not change the clock offset bounds.
    fn judge_late(&mut self, nonce: Nonce) -> ClockedJudgement {
        let freshness = self.late.as_mut().map_or(Freshness::Stale, |late| late.admit(nonce));
        if freshness == Freshness::Fresh {
            *self.session_first = nonce.min(*self.session_first);
        }
        judgement_of(freshness)
    }

    /// Judges a nonce of a unit within the allowance.
    fn judge_allowed(
        &mut self,
        kind: NonceKind,
        timing: &Timing,
        nonce: Nonce,
        now_s: u64,
    ) -> ClockedJudgement {
        let session = self.session();
        let before = *self.window;
        let freshness = self.window.admit(nonce);
        if freshness == Freshness::Fresh {
            *self.session_first = if session.is_empty() { nonce } else { nonce.min(session.start) };
            self.pending.clear();
            self.begin_unit(kind, &before);
            let device_s = kind.device_time_s(nonce).unwrap_or(0..0);
            let off_step = self.clock.observe(now_s, &device_s, timing.max_drift_ppm);
            return ClockedJudgement::Accepted { off_step };
        }
        judgement_of(freshness)
    }

    /// Keeps the replay window as the late window if a new unit began. `before` is the replay
    /// window before the present nonce was admitted.
    fn begin_unit(&mut self, kind: NonceKind, before: &ReplayWindow) {
        let last_unit = before.next().checked_sub(1).map(|highest| kind.unit_of(highest));
        let Some(late_unit) = self.late_unit(kind) else { return };
        match last_unit {
            Some(unit) if unit > late_unit => {}
            Some(unit) if unit == late_unit => {
                let nonce_count = before.next() - kind.first_of(unit);
                let of_unit = if nonce_count < 64 { (1 << nonce_count) - 1 } else { u64::MAX };
                let seen = before.seen() & of_unit;
                *self.late = Some(ReplayWindow::from_parts(before.next(), seen));
            }
            // No nonce of that unit was accepted.
            _ => *self.late = Some(ReplayWindow::from_parts(kind.first_of(late_unit), 0)),
        }
    }

    fn late_unit(&self, kind: NonceKind) -> Option<u64> {
        late_unit(kind, self.window.next())
    }

    /// The nonces of the present session.
    fn session(&self) -> Session {
        *self.session_first..self.window.next()
    }

    /// Begins a new session with `nonce`, which is at most [`NonceKind::max_nonce`].
    fn move_to(&mut self, nonce: Nonce, now_s: u64, device_s: &Range<u64>) {
        let session = self.session();
        if !session.is_empty() {
            self.past.push(session);
            self.past.sort_unstable_by_key(|session| session.start);
        }
        if self.past.len() > MAX_PAST_SESSIONS {
            join_nearest(self.past, nonce);
        }
        *self.window = ReplayWindow::from_parts(nonce + 1, 1);
        *self.session_first = nonce;
        let (low_s, high_s) = offsets_of(now_s, device_s);
        self.clock.set(now_s, low_s, high_s);
        *self.late = None;
        self.pending.clear();
    }
}

/// The unit of the late window, if `next` is one more than the highest accepted nonce: the unit
/// before the present one. `None` unless each day has a counter.
pub(crate) const fn late_unit(kind: NonceKind, next: Nonce) -> Option<u64> {
    match (kind, next.checked_sub(1)) {
        (NonceKind::DayCounter, Some(highest)) => kind.unit_of(highest).checked_sub(1),
        _ => None,
    }
}

/// The judgement of a nonce within the allowance.
const fn judgement_of(freshness: Freshness) -> ClockedJudgement {
    match freshness {
        Freshness::Fresh => ClockedJudgement::Accepted { off_step: false },
        Freshness::Replay => ClockedJudgement::Replay,
        Freshness::Stale => ClockedJudgement::Stale,
    }
}

/// Whether two packets outside the allowance are of one clock with a normal drift.
fn packets_agree(kind: NonceKind, timing: &Timing, first: &Pending, second: &Pending) -> bool {
    let (Some(elapsed_s), true) =
        (second.received_s.checked_sub(first.received_s), second.nonce > first.nonce)
    else {
        return false;
    };
    let unit_s = u64::from(kind.unit_s());
    let units = kind.unit_of(second.nonce) - kind.unit_of(first.nonce);
    let drift_s = elapsed_s.saturating_mul(timing.max_drift_ppm.into()) / 1_000_000;
    let tolerance_s = unit_s + u64::from(timing.before_s.max(timing.after_s)) + drift_s;
    units.saturating_mul(unit_s).abs_diff(elapsed_s) <= tolerance_s
}

/// Joins the two sessions with the fewest nonces between them, unless `present` lies there. The
/// nonces between them are then spent.
fn join_nearest(sessions: &mut Vec<Session>, present: Nonce) {
    let gaps = sessions.windows(2).enumerate().filter_map(|(at, pair)| match pair {
        [before, after] if !(before.end..after.start).contains(&present) => {
            Some((after.start.saturating_sub(before.end), at))
        }
        _ => None,
    });
    let Some((_, at)) = gaps.min() else { return };
    let after = sessions.remove(at + 1);
    if let Some(before) = sessions.get_mut(at) {
        before.end = before.end.max(after.end);
    }
}

#[cfg(test)]
mod tests {
    use hintdex_wire::StepLen;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn minutes() -> NonceKind {
        StepLen::new(60).map_or(NonceKind::Counter, NonceKind::Step)
    }

    struct Device {
        window: ReplayWindow,
        session_first: Nonce,
        clock: DeviceClock,
        past: Vec<Session>,
        late: Option<ReplayWindow>,
        pending: Vec<Pending>,
    }

    impl Device {
        fn new() -> Self {
            let (window, clock) = (ReplayWindow::new(), DeviceClock::new(NOW));
            let (past, late, pending) = (Vec::new(), None, Vec::new());
            Self { window, session_first: 0, clock, past, late, pending }
        }

        /// Judges a packet that was built at `device_s` by the device's clock and received at
        /// `now_s`.
        fn receive(&mut self, device_s: u64, now_s: u64) -> ClockedJudgement {
            self.judge(minutes(), device_s / 60, now_s)
        }

        fn judge(&mut self, kind: NonceKind, nonce: Nonce, now_s: u64) -> ClockedJudgement {
            let Self { window, session_first, clock, past, late, pending } = self;
            let mut slot = ClockedSlot { window, session_first, clock, past, late, pending };
            slot.judge(kind, &Timing::of(kind), nonce, now_s)
        }
    }

    const ACCEPTED: ClockedJudgement = ClockedJudgement::Accepted { off_step: false };

    #[test]
    fn a_packet_within_the_allowance_is_accepted_once() {
        let mut device = Device::new();
        assert_eq!(device.receive(NOW, NOW), ACCEPTED);
        assert_eq!(device.receive(NOW, NOW + 1), ClockedJudgement::Replay);
        // A packet that is late by a minute, and one that is early by a minute.
        assert_eq!(device.receive(NOW + 600, NOW + 659), ACCEPTED);
        assert!(matches!(device.receive(NOW + 780, NOW + 720), ClockedJudgement::Accepted { .. }));
        assert_eq!(device.receive(NOW + 7200, NOW + 800), ClockedJudgement::Early);
        assert_eq!(device.receive(NOW - 7200, NOW + 800), ClockedJudgement::Stale);
        assert!(device.past.is_empty());
    }

    #[test]
    fn two_packets_that_agree_move_a_device_and_no_packet_is_accepted_twice() {
        let mut device = Device::new();
        assert_eq!(device.receive(NOW, NOW), ACCEPTED);
        assert_eq!(device.receive(NOW + 6000, NOW + 6000), ACCEPTED);
        // A new battery: the clock restarts at 1970.
        assert_eq!(device.receive(120, NOW + 9000), ClockedJudgement::Stale);
        assert_eq!(
            device.receive(120, NOW + 9060),
            ClockedJudgement::Stale,
            "the same packet again"
        );
        assert_eq!(device.receive(420, NOW + 9900), ClockedJudgement::Stale, "ten minutes apart");
        assert_eq!(device.receive(720, NOW + 9600), ClockedJudgement::Moved);
        assert_eq!(device.receive(720, NOW + 9600), ClockedJudgement::Replay);
        assert_eq!(device.receive(1320, NOW + 10_200), ACCEPTED);
        // The nonces of the first session stay spent, also in pairs that agree.
        for (first, second) in [(0, 6000), (0, 60), (3000, 3060)] {
            let (t, gap) = (NOW + 20_000, second - first);
            assert_eq!(device.receive(NOW + first, t), ClockedJudgement::Stale);
            assert_eq!(device.receive(NOW + second, t + gap), ClockedJudgement::Stale);
        }
        // The clock is set to the right time again, past the nonces of the first session.
        assert_eq!(device.receive(NOW + 30_000, NOW + 30_000), ClockedJudgement::Early);
        assert_eq!(device.receive(NOW + 30_600, NOW + 30_600), ClockedJudgement::Moved);
        assert_eq!(device.past.len(), 2);
        assert_eq!(device.receive(720, NOW + 30_660), ClockedJudgement::Stale);
    }

    #[test]
    fn a_replayed_packet_cannot_displace_the_devices_own_pending_packets() {
        let mut device = Device::new();
        assert_eq!(device.receive(NOW, NOW), ACCEPTED);
        assert_eq!(device.receive(600, NOW + 600), ClockedJudgement::Stale);
        for late_s in 0..50 {
            assert_eq!(device.receive(300, NOW + 610 + 20 * late_s), ClockedJudgement::Stale);
        }
        assert_eq!(device.receive(1800, NOW + 1800), ClockedJudgement::Moved);
    }

    const DAY_S: u64 = 86_400;
    const DAY: u64 = NOW.div_ceil(DAY_S) + 10;
    const MIDNIGHT: u64 = DAY * DAY_S;

    fn of_day(day: u64, counter: u64) -> Nonce {
        day << 32 | counter
    }

    #[test]
    fn packets_out_of_order_over_midnight_are_accepted_once_each() {
        let mut device = Device::new();
        let mut receive =
            |day, counter, now_s| device.judge(NonceKind::DayCounter, of_day(day, counter), now_s);
        assert_eq!(receive(DAY - 1, 5, MIDNIGHT - 10), ACCEPTED);
        assert_eq!(receive(DAY, 0, MIDNIGHT + 10), ACCEPTED);
        assert_eq!(receive(DAY - 1, 6, MIDNIGHT + 20), ACCEPTED);
        assert_eq!(receive(DAY - 1, 3, MIDNIGHT + 21), ACCEPTED);
        for counter in [3, 5, 6] {
            assert_eq!(receive(DAY - 1, counter, MIDNIGHT + 30), ClockedJudgement::Replay);
        }
        // The late packets did not change the clock offset bounds.
        assert_eq!(receive(DAY, 1, MIDNIGHT + 40), ACCEPTED);
        // A late packet skips nonces; those below the late window are stale.
        assert_eq!(receive(DAY - 1, 100, MIDNIGHT + 50), ACCEPTED);
        assert_eq!(receive(DAY - 1, 36, MIDNIGHT + 51), ClockedJudgement::Stale);
        // The tolerance of an hour has passed.
        assert_eq!(receive(DAY - 1, 101, MIDNIGHT + 3700), ClockedJudgement::Stale);
        assert_eq!(receive(DAY, 2, MIDNIGHT + 3701), ACCEPTED);
    }

    #[test]
    fn the_last_counters_of_a_day_are_accepted_once_by_receivers_with_different_clocks() {
        let mut device = Device::new();
        let mut receive =
            |day, counter, now_s| device.judge(NonceKind::DayCounter, of_day(day, counter), now_s);
        let last = u64::from(u32::MAX);
        assert_eq!(receive(DAY - 1, last - 1, MIDNIGHT - 10), ACCEPTED);
        assert_eq!(receive(DAY, 0, MIDNIGHT + 10), ACCEPTED);
        assert_eq!(receive(DAY - 1, last, MIDNIGHT + 20), ACCEPTED);
        // The tolerance passes, and then another receiver reports an earlier time.
        assert!(matches!(receive(DAY, 1, MIDNIGHT + 7200), ClockedJudgement::Accepted { .. }));
        assert_eq!(receive(DAY - 1, last, MIDNIGHT + 30), ClockedJudgement::Stale);
    }

    #[test]
    fn late_packets_of_the_day_before_are_accepted_and_those_of_earlier_days_are_not() {
        let mut device = Device::new();
        let mut receive =
            |day, counter, now_s| device.judge(NonceKind::DayCounter, of_day(day, counter), now_s);
        assert_eq!(receive(DAY - 3, 9, MIDNIGHT - 3 * DAY_S + 50_000), ACCEPTED);
        assert_eq!(receive(DAY, 0, MIDNIGHT + 10), ACCEPTED);
        assert_eq!(receive(DAY - 1, 0, MIDNIGHT + 20), ACCEPTED);
        assert_eq!(receive(DAY - 1, 0, MIDNIGHT + 30), ClockedJudgement::Replay);
        assert_eq!(receive(DAY - 3, 10, MIDNIGHT + 40), ClockedJudgement::Stale);
        // Two days later the late window is that of the day before.
        assert_eq!(receive(DAY + 2, 0, MIDNIGHT + 2 * DAY_S + 10), ACCEPTED);
        assert_eq!(receive(DAY + 1, 4, MIDNIGHT + 2 * DAY_S + 20), ACCEPTED);
        assert_eq!(receive(DAY, 7, MIDNIGHT + 2 * DAY_S + 30), ClockedJudgement::Stale);
    }

    #[test]
    fn a_clock_at_the_end_of_time_does_not_make_spent_nonces_fresh() {
        let last = NonceKind::DayCounter.max_nonce();
        let mut device = Device::new();
        let mut receive = |nonce, now_s| device.judge(NonceKind::DayCounter, nonce, now_s);
        assert_eq!(receive(last - 1, NOW), ClockedJudgement::Early);
        assert_eq!(receive(last, NOW + 1), ClockedJudgement::Moved);
        assert_eq!(receive(last, NOW + 2), ClockedJudgement::Replay);
        // `Nonce::MAX` would agree with the pending packet, but is not a nonce.
        let mut device = Device::new();
        assert_eq!(device.judge(NonceKind::DayCounter, last, NOW), ClockedJudgement::Early);
        assert_eq!(
            device.judge(NonceKind::DayCounter, Nonce::MAX, NOW + 1),
            ClockedJudgement::Stale
        );
        assert_eq!(device.window, ReplayWindow::new());
    }

    #[test]
    fn past_sessions_are_joined_where_the_fewest_nonces_are_spent() {
        let mut sessions: Vec<Session> = vec![0..5, 10..20, 22..30, 100..110];
        join_nearest(&mut sessions, 200);
        assert_eq!(sessions, [0..5, 10..30, 100..110]);
        // The present session lies between two sessions that are nearer.
        join_nearest(&mut sessions, 7);
        assert_eq!(sessions, [0..5, 10..110]);
    }

    #[test]
    fn a_device_goes_on_after_any_number_of_clock_jumps() {
        const YEAR: u64 = 365 * 86_400;
        let mut device = Device::new();
        let mut now = NOW;
        assert_eq!(device.receive(now, now), ACCEPTED);
        let days = [3, 6, 9, 12, 15, 18, 21, 24, 25].map(|years| years * YEAR);
        for ahead in days.into_iter().chain([24 * YEAR + 100 * 86_400, 7 * YEAR, 13 * YEAR]) {
            for minutes in 0..5 {
                now += 60 * minutes;
                let judgement = device.receive(now + ahead, now);
                let expected =
                    [ClockedJudgement::Early, ClockedJudgement::Stale, ClockedJudgement::Moved];
                let is_accepted = matches!(judgement, ClockedJudgement::Accepted { .. });
                assert!(
                    is_accepted || minutes < 2 && expected.contains(&judgement),
                    "{ahead}: {judgement:?}"
                );
            }
            let session = device.session_first..device.window.next();
            let meets = |past: &Session| past.start < session.end && session.start < past.end;
            assert!(!device.past.iter().any(meets), "{session:?} in {:?}", device.past);
            assert!(device.past.len() <= MAX_PAST_SESSIONS);
            now += 86_400;
        }
    }
}
