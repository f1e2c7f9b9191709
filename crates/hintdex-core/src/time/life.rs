//! Whether a nonce that tells time may be taken: now, before, or in another life.
//!
//! A clock that lost its power starts again at its epoch, or anywhere. Nonces that
//! were taken before must not be taken again, so what a device used up is kept as
//! *lives*: the run of nonces from the first to the last accepted one between two
//! jumps. Within the present life the replay window decides; a jump begins a new one.
//!
//! Where a unit of time has a counter of its own (day ‖ counter), the first packet of a unit
//! leaps over all nonces that the unit before did not use, and a packet of that unit may
//! still be on its way. So the replay window of the unit before, the *late window*, is kept
//! as long as the allowance reaches back into that unit.
//!
//! One packet does not move a device: it may be an old one that somebody held back.
//! Two that agree, whose nonces are as far apart as they themselves, do (the receivers
//! of rolling codes ask for two in sequence, too). Neither may lie in a past life, so
//! nothing that was accepted is accepted again, whatever is sent again and when.

use std::ops::Range;

use hintdex_wire::{Freshness, Nonce, NonceKind, ReplayWindow};

use super::device_clock::offsets_of;
use super::{DeviceClock, Timing, units_in};

/// Nonces from the first accepted one to the one after the last: all of them are spent.
pub(crate) type Life = Range<Nonce>;

/// Past lives a slot keeps; the two nearest are joined when there are more, which
/// spends what lies between them.
pub(crate) const MAX_PAST_LIVES: usize = 8;

/// Packets that wait for one that agrees with them. More than one, so that an old
/// packet sent again cannot keep pushing out the device's own.
pub(crate) const MAX_PENDING: usize = 4;

/// A packet outside the allowance that waits for another that agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) nonce: Nonce,
    pub(crate) received_s: u64,
}

/// What is known of a slot whose nonces tell time.
pub(crate) struct SlotTime<'a> {
    pub(crate) window: &'a mut ReplayWindow,
    /// The first nonce of the present life; nothing if none was accepted yet.
    pub(crate) life_first: &'a mut Nonce,
    pub(crate) clock: &'a mut DeviceClock,
    pub(crate) past: &'a mut Vec<Life>,
    /// The replay window of the unit before the present one, where units have counters.
    pub(crate) late: &'a mut Option<ReplayWindow>,
    pub(crate) pending: &'a mut Vec<Pending>,
}

/// What is said of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Taken. Whether the device's clock is elsewhere than was expected within the
    /// allowance, so that its coming hints are, too.
    Accepted { elsewhere: bool },
    /// Taken, and the device moved to where two packets say it is.
    Moved,
    /// Taken before.
    Replay,
    /// Older than what is remembered, or than the allowance.
    Stale,
    /// Newer than the allowance.
    Early,
}

impl SlotTime<'_> {
    /// Judges `nonce`, received at `now_s`, and takes it if it may be taken.
    pub(crate) fn judge(
        &mut self,
        kind: NonceKind,
        timing: &Timing,
        nonce: Nonce,
        now_s: u64,
    ) -> Judged {
        if self.past.iter().any(|life| life.contains(&nonce)) {
            return Judged::Stale;
        }
        let Some(device_s) = kind.device_time_s(nonce) else { return Judged::Stale };
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
                // Nobody remembers any longer what was accepted of that unit.
                Some(late) if unit <= late => Judged::Stale,
                _ => self.judge_allowed(kind, timing, nonce, now_s),
            };
        }
        if self.life().contains(&nonce) {
            return match self.window.judge(nonce) {
                Freshness::Replay => Judged::Replay,
                _ => Judged::Stale,
            };
        }
        let wait = Pending { nonce, received_s: now_s };
        if self.pending.iter().any(|first| agree(kind, timing, first, &wait)) {
            self.move_to(nonce, now_s, &device_s);
            return Judged::Moved;
        }
        if !self.pending.iter().any(|first| first.nonce == nonce) {
            if self.pending.len() == MAX_PENDING {
                self.pending.remove(0);
            }
            self.pending.push(wait);
        }
        if unit < allowed.start { Judged::Stale } else { Judged::Early }
    }

    /// Judges a nonce of the unit before the present one. A packet that was late says
    /// nothing of the device's clock.
    fn judge_late(&mut self, nonce: Nonce) -> Judged {
        let freshness = self.late.as_mut().map_or(Freshness::Stale, |late| late.admit(nonce));
        if freshness == Freshness::Fresh {
            *self.life_first = nonce.min(*self.life_first);
        }
        judged(freshness)
    }

    /// Judges a nonce of a unit that the allowance has.
    fn judge_allowed(
        &mut self,
        kind: NonceKind,
        timing: &Timing,
        nonce: Nonce,
        now_s: u64,
    ) -> Judged {
        let life = self.life();
        let before = *self.window;
        let freshness = self.window.admit(nonce);
        if freshness == Freshness::Fresh {
            *self.life_first = if life.is_empty() { nonce } else { nonce.min(life.start) };
            self.pending.clear();
            self.begin_unit(kind, &before);
            let device_s = kind.device_time_s(nonce).unwrap_or(0..0);
            let elsewhere = self.clock.observe(now_s, &device_s, timing.max_drift_ppm);
            return Judged::Accepted { elsewhere };
        }
        judged(freshness)
    }

    /// Keeps the replay window of the unit before, if a new unit has begun since the window
    /// was `before`.
    fn begin_unit(&mut self, kind: NonceKind, before: &ReplayWindow) {
        let last_unit = before.next().checked_sub(1).map(|highest| kind.unit_of(highest));
        let Some(late_unit) = self.late_unit(kind) else { return };
        match last_unit {
            Some(unit) if unit > late_unit => {}
            Some(unit) if unit == late_unit => {
                let taken = before.next() - kind.first_of(unit);
                let of_unit = if taken < 64 { (1 << taken) - 1 } else { u64::MAX };
                let seen = before.seen() & of_unit;
                *self.late = Some(ReplayWindow::from_parts(before.next(), seen));
            }
            // Nothing of that unit was accepted.
            _ => *self.late = Some(ReplayWindow::from_parts(kind.first_of(late_unit), 0)),
        }
    }

    fn late_unit(&self, kind: NonceKind) -> Option<u64> {
        late_unit(kind, self.window.next())
    }

    /// The nonces of the present life.
    fn life(&self) -> Life {
        *self.life_first..self.window.next()
    }

    /// Begins a new life with `nonce`.
    fn move_to(&mut self, nonce: Nonce, now_s: u64, device_s: &Range<u64>) {
        let life = self.life();
        if !life.is_empty() {
            self.past.push(life);
            self.past.sort_unstable_by_key(|life| life.start);
        }
        if self.past.len() > MAX_PAST_LIVES {
            join_nearest(self.past, nonce);
        }
        *self.window = ReplayWindow::from_parts(nonce + 1, 1);
        *self.life_first = nonce;
        let (low_s, high_s) = offsets_of(now_s, device_s);
        self.clock.set(now_s, low_s, high_s);
        *self.late = None;
        self.pending.clear();
    }
}

/// The unit of time whose nonces have a late window when `next` is one more than the highest
/// accepted nonce: the unit before the present one, where units have counters.
pub(crate) const fn late_unit(kind: NonceKind, next: Nonce) -> Option<u64> {
    match (kind, next.checked_sub(1)) {
        (NonceKind::DayCounter, Some(highest)) => kind.unit_of(highest).checked_sub(1),
        _ => None,
    }
}

/// What is said of a nonce that the allowance has.
const fn judged(freshness: Freshness) -> Judged {
    match freshness {
        Freshness::Fresh => Judged::Accepted { elsewhere: false },
        Freshness::Replay => Judged::Replay,
        Freshness::Stale => Judged::Stale,
    }
}

/// Whether two packets outside the allowance are of one clock that runs as it should.
fn agree(kind: NonceKind, timing: &Timing, first: &Pending, second: &Pending) -> bool {
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

/// Joins the two lives that have the fewest nonces between them, and not `present`: what
/// lies between is spent then.
fn join_nearest(lives: &mut Vec<Life>, present: Nonce) {
    let gaps = lives.windows(2).enumerate().filter_map(|(at, pair)| match pair {
        [before, after] if !(before.end..after.start).contains(&present) => {
            Some((after.start.saturating_sub(before.end), at))
        }
        _ => None,
    });
    let Some((_, at)) = gaps.min() else { return };
    let after = lives.remove(at + 1);
    if let Some(before) = lives.get_mut(at) {
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
        life_first: Nonce,
        clock: DeviceClock,
        past: Vec<Life>,
        late: Option<ReplayWindow>,
        pending: Vec<Pending>,
    }

    impl Device {
        fn new() -> Self {
            let (window, clock) = (ReplayWindow::new(), DeviceClock::new(NOW));
            let (past, late, pending) = (Vec::new(), None, Vec::new());
            Self { window, life_first: 0, clock, past, late, pending }
        }

        /// A packet made when the device's clock showed one time, received at another.
        fn hear(&mut self, device_s: u64, now_s: u64) -> Judged {
            self.judge(minutes(), device_s / 60, now_s)
        }

        fn judge(&mut self, kind: NonceKind, nonce: Nonce, now_s: u64) -> Judged {
            let Self { window, life_first, clock, past, late, pending } = self;
            let mut slot = SlotTime { window, life_first, clock, past, late, pending };
            slot.judge(kind, &Timing::of(kind), nonce, now_s)
        }
    }

    const TAKEN: Judged = Judged::Accepted { elsewhere: false };

    #[test]
    fn within_the_allowance_a_packet_is_taken_once() {
        let mut device = Device::new();
        assert_eq!(device.hear(NOW, NOW), TAKEN);
        assert_eq!(device.hear(NOW, NOW + 1), Judged::Replay);
        // A packet that was late by a minute, and one that is early by one.
        assert_eq!(device.hear(NOW + 600, NOW + 659), TAKEN);
        assert!(matches!(device.hear(NOW + 780, NOW + 720), Judged::Accepted { .. }));
        assert_eq!(device.hear(NOW + 7200, NOW + 800), Judged::Early);
        assert_eq!(device.hear(NOW - 7200, NOW + 800), Judged::Stale);
        assert!(device.past.is_empty());
    }

    #[test]
    fn two_packets_that_agree_move_a_device_and_nothing_is_taken_twice() {
        let mut device = Device::new();
        assert_eq!(device.hear(NOW, NOW), TAKEN);
        assert_eq!(device.hear(NOW + 6000, NOW + 6000), TAKEN);
        // Its battery was changed: back at 1970.
        assert_eq!(device.hear(120, NOW + 9000), Judged::Stale);
        assert_eq!(device.hear(120, NOW + 9060), Judged::Stale, "the same packet again");
        assert_eq!(device.hear(420, NOW + 9900), Judged::Stale, "ten minutes too late");
        assert_eq!(device.hear(720, NOW + 9600), Judged::Moved);
        assert_eq!(device.hear(720, NOW + 9600), Judged::Replay);
        assert_eq!(device.hear(1320, NOW + 10_200), TAKEN);
        // Whatever was sent in its first life stays spent, pair by pair.
        for (first, second) in [(0, 6000), (0, 60), (3000, 3060)] {
            let (t, gap) = (NOW + 20_000, second - first);
            assert_eq!(device.hear(NOW + first, t), Judged::Stale);
            assert_eq!(device.hear(NOW + second, t + gap), Judged::Stale);
        }
        // Set right again, it goes on behind that life.
        assert_eq!(device.hear(NOW + 30_000, NOW + 30_000), Judged::Early);
        assert_eq!(device.hear(NOW + 30_600, NOW + 30_600), Judged::Moved);
        assert_eq!(device.past.len(), 2);
        assert_eq!(device.hear(720, NOW + 30_660), Judged::Stale);
    }

    #[test]
    fn a_packet_sent_again_and_again_cannot_push_out_the_devices_own() {
        let mut device = Device::new();
        assert_eq!(device.hear(NOW, NOW), TAKEN);
        assert_eq!(device.hear(600, NOW + 600), Judged::Stale);
        for late_s in 0..50 {
            assert_eq!(device.hear(300, NOW + 610 + 20 * late_s), Judged::Stale);
        }
        assert_eq!(device.hear(1800, NOW + 1800), Judged::Moved);
    }

    const DAY_S: u64 = 86_400;
    const DAY: u64 = NOW.div_ceil(DAY_S) + 10;
    const MIDNIGHT: u64 = DAY * DAY_S;

    fn of_day(day: u64, counter: u64) -> Nonce {
        day << 32 | counter
    }

    #[test]
    fn packets_that_change_places_over_midnight_are_taken_once_each() {
        let mut device = Device::new();
        let mut hear =
            |day, counter, now_s| device.judge(NonceKind::DayCounter, of_day(day, counter), now_s);
        assert_eq!(hear(DAY - 1, 5, MIDNIGHT - 10), TAKEN);
        assert_eq!(hear(DAY, 0, MIDNIGHT + 10), TAKEN);
        assert_eq!(hear(DAY - 1, 6, MIDNIGHT + 20), TAKEN);
        assert_eq!(hear(DAY - 1, 3, MIDNIGHT + 21), TAKEN);
        for counter in [3, 5, 6] {
            assert_eq!(hear(DAY - 1, counter, MIDNIGHT + 30), Judged::Replay);
        }
        // The late packets did not move what is known of the device's clock.
        assert_eq!(hear(DAY, 1, MIDNIGHT + 40), TAKEN);
        // A leap within the late unit, and what it leaves behind.
        assert_eq!(hear(DAY - 1, 100, MIDNIGHT + 50), TAKEN);
        assert_eq!(hear(DAY - 1, 36, MIDNIGHT + 51), Judged::Stale);
        // The hour of tolerance is over.
        assert_eq!(hear(DAY - 1, 101, MIDNIGHT + 3700), Judged::Stale);
        assert_eq!(hear(DAY, 2, MIDNIGHT + 3701), TAKEN);
    }

    #[test]
    fn the_last_counters_of_a_day_are_not_taken_twice_by_receivers_that_disagree() {
        let mut device = Device::new();
        let mut hear =
            |day, counter, now_s| device.judge(NonceKind::DayCounter, of_day(day, counter), now_s);
        let last = u64::from(u32::MAX);
        assert_eq!(hear(DAY - 1, last - 1, MIDNIGHT - 10), TAKEN);
        assert_eq!(hear(DAY, 0, MIDNIGHT + 10), TAKEN);
        assert_eq!(hear(DAY - 1, last, MIDNIGHT + 20), TAKEN);
        // The tolerance is over, and then a receiver speaks of an earlier time.
        assert!(matches!(hear(DAY, 1, MIDNIGHT + 7200), Judged::Accepted { .. }));
        assert_eq!(hear(DAY - 1, last, MIDNIGHT + 30), Judged::Stale);
    }

    #[test]
    fn a_late_packet_of_a_day_without_any_is_taken_and_one_of_an_earlier_day_is_not() {
        let mut device = Device::new();
        let mut hear =
            |day, counter, now_s| device.judge(NonceKind::DayCounter, of_day(day, counter), now_s);
        assert_eq!(hear(DAY - 3, 9, MIDNIGHT - 3 * DAY_S + 50_000), TAKEN);
        assert_eq!(hear(DAY, 0, MIDNIGHT + 10), TAKEN);
        assert_eq!(hear(DAY - 1, 0, MIDNIGHT + 20), TAKEN);
        assert_eq!(hear(DAY - 1, 0, MIDNIGHT + 30), Judged::Replay);
        assert_eq!(hear(DAY - 3, 10, MIDNIGHT + 40), Judged::Stale);
        // Two days later the late window is that of the day between.
        assert_eq!(hear(DAY + 2, 0, MIDNIGHT + 2 * DAY_S + 10), TAKEN);
        assert_eq!(hear(DAY + 1, 4, MIDNIGHT + 2 * DAY_S + 20), TAKEN);
        assert_eq!(hear(DAY, 7, MIDNIGHT + 2 * DAY_S + 30), Judged::Stale);
    }

    #[test]
    fn lives_are_joined_where_the_least_is_spent() {
        let mut lives: Vec<Life> = vec![0..5, 10..20, 22..30, 100..110];
        join_nearest(&mut lives, 200);
        assert_eq!(lives, [0..5, 10..30, 100..110]);
        // Not where the present life is.
        join_nearest(&mut lives, 7);
        assert_eq!(lives, [0..5, 10..110]);
    }

    #[test]
    fn however_often_it_jumps_a_device_goes_on_where_it_is() {
        const YEAR: u64 = 365 * 86_400;
        let mut device = Device::new();
        let mut now = NOW;
        assert_eq!(device.hear(now, now), TAKEN);
        let days = [3, 6, 9, 12, 15, 18, 21, 24, 25].map(|years| years * YEAR);
        for ahead in days.into_iter().chain([24 * YEAR + 100 * 86_400, 7 * YEAR, 13 * YEAR]) {
            for minutes in 0..5 {
                now += 60 * minutes;
                let said = device.hear(now + ahead, now);
                let expected = [Judged::Early, Judged::Stale, Judged::Moved];
                let is_taken = matches!(said, Judged::Accepted { .. });
                assert!(is_taken || minutes < 2 && expected.contains(&said), "{ahead}: {said:?}");
            }
            let life = device.life_first..device.window.next();
            let meets = |past: &Life| past.start < life.end && life.start < past.end;
            assert!(!device.past.iter().any(meets), "{life:?} in {:?}", device.past);
            assert!(device.past.len() <= MAX_PAST_LIVES);
            now += 86_400;
        }
    }
}
