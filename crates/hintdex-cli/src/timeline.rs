//! The station clock: the system clock, moved to the times of authentic packets.
//!
//! In the field, system clocks and receivers' clocks are often wrong, and a recording is of
//! another time than the present. So the station clock is the system clock plus an offset,
//! which follows the times of reception of authentic packets after they were decoded. A
//! sender without a key moves nothing. Each packet is judged by its own time in any case. The
//! station clock decides only which windows exist, and so which devices are found without a
//! scan.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use hintdex::{Clock, FIRST_SET_UNIX_S};

/// How many authentic packets in a row must agree before the clock leaves the system clock,
/// leaps ahead, or returns to the system clock. One receiver with a wrong clock is not enough.
const PACKETS_TO_LEAP: usize = 3;

/// How many must agree before the clock moves back, after packets were followed. Each move
/// builds windows at the cost of thousands of scans, so lines out of order must not cause it.
const PACKETS_TO_GO_BACK: usize = 256;

/// The least offset that is reported to the user, in seconds.
const FAR_S: u64 = 86_400;

/// A clock that shows the system clock plus an offset.
pub struct Timeline {
    system: Arc<dyn Clock>,
    offset_s: AtomicI64,
    /// Whether the offset was taken while the system clock was not set. It ends when the
    /// system clock is set.
    is_of_unset: AtomicBool,
}

impl Timeline {
    pub fn new(system: Arc<dyn Clock>) -> Self {
        let (offset_s, is_of_unset) = (AtomicI64::new(0), AtomicBool::new(false));
        Self { system, offset_s, is_of_unset }
    }

    /// The time of the system clock; `None` if it was never set.
    pub fn system_unix_s(&self) -> Option<u64> {
        Some(self.system.now_unix_s()).filter(|unix_s| *unix_s >= FIRST_SET_UNIX_S)
    }

    /// Whether the clock has left the system clock.
    pub fn is_moved(&self) -> bool {
        self.offset_s_at(self.system.now_unix_s()) != 0
    }

    /// The offset while the system clock shows `system_s`.
    fn offset_s_at(&self, system_s: u64) -> i64 {
        let has_ended = system_s >= FIRST_SET_UNIX_S && self.is_of_unset.load(Ordering::Acquire);
        if has_ended { 0 } else { self.offset_s.load(Ordering::Acquire) }
    }

    /// Sets the clock to `unix_s`, or to the system clock if that is within `near_s` of it.
    fn set(&self, unix_s: u64, near_s: u64) {
        let system_s = self.system.now_unix_s();
        let is_near = unix_s.abs_diff(system_s) <= near_s;
        let offset_s = i128::from(unix_s) - i128::from(system_s);
        let offset_s = if is_near { 0 } else { i64::try_from(offset_s).unwrap_or(0) };
        self.is_of_unset.store(system_s < FIRST_SET_UNIX_S, Ordering::Release);
        self.offset_s.store(offset_s, Ordering::Release);
    }
}

impl Clock for Timeline {
    fn now_unix_s(&self) -> u64 {
        let system_s = self.system.now_unix_s();
        system_s.saturating_add_signed(self.offset_s_at(system_s))
    }
}

/// The direction in which authentic packets would move the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Ahead,
    Back,
    ToSystem,
}

/// Moves a [`Timeline`] to the times of decoded packets.
pub struct Follower {
    timeline: Arc<Timeline>,
    /// Times within this distance count as equal, in seconds.
    near_s: u64,
    /// How far consecutive packets of one recording may be apart, in seconds.
    span_s: u64,
    /// The move that the last packets agree on, how many agree, and the time of the last.
    pending: Option<(Move, usize, u64)>,
    /// Whether any packet was followed. Before that, a move back needs few packets.
    has_begun: bool,
    /// Whether the distance from the system clock was reported.
    has_reported: bool,
}

impl Follower {
    /// A follower for which times within `near_s` count as equal, and packets of one recording
    /// are at most `span_s` apart.
    pub const fn new(timeline: Arc<Timeline>, near_s: u64, span_s: u64) -> Self {
        Self { timeline, near_s, span_s, pending: None, has_begun: false, has_reported: false }
    }

    /// Records that an authentic packet was received at `unix_s`. Returns whether this moved
    /// the clock.
    pub fn hear(&mut self, unix_s: u64) -> bool {
        let Some(direction) = self.move_to(unix_s) else {
            (self.pending, self.has_begun) = (None, true);
            return false;
        };
        let agreed = match self.pending {
            Some((before, count, at_s))
                if before == direction && at_s.abs_diff(unix_s) <= self.span_s =>
            {
                count + 1
            }
            _ => 1,
        };
        let enough = match direction {
            Move::Back if self.has_begun => PACKETS_TO_GO_BACK,
            Move::Ahead if self.is_followed(unix_s) => 1,
            _ => PACKETS_TO_LEAP,
        };
        if agreed < enough {
            self.pending = Some((direction, agreed, unix_s));
            return false;
        }
        (self.pending, self.has_begun) = (None, true);
        self.timeline.set(unix_s, self.near_s);
        true
    }

    /// The direction in which a packet of `unix_s` would move the clock, if it would.
    fn move_to(&self, unix_s: u64) -> Option<Move> {
        let now_s = self.timeline.now_unix_s();
        let is_moved = self.timeline.is_moved();
        if is_moved && self.is_near_system(unix_s) {
            return Some(if self.is_followed(unix_s) { Move::Ahead } else { Move::ToSystem });
        }
        // A clock that follows packets moves on with each; the system clock moves by itself.
        let ahead_s = if is_moved { now_s } else { now_s.saturating_add(self.near_s) };
        if unix_s > ahead_s {
            Some(Move::Ahead)
        } else if unix_s.saturating_add(self.near_s) < now_s {
            Some(Move::Back)
        } else {
            None
        }
    }

    /// Whether a packet continues the packets that the clock follows already.
    fn is_followed(&self, unix_s: u64) -> bool {
        let now_s = self.timeline.now_unix_s();
        self.timeline.is_moved() && (now_s..=now_s.saturating_add(self.span_s)).contains(&unix_s)
    }

    fn is_near_system(&self, unix_s: u64) -> bool {
        let system_s = self.timeline.system_unix_s();
        system_s.is_some_and(|system_s| system_s.abs_diff(unix_s) <= self.near_s)
    }

    /// The distance from the system clock in seconds, and whether the clock is ahead of it, if
    /// the distance is large. Returned once.
    pub fn take_distance(&mut self) -> Option<(u64, bool)> {
        let (now_s, system_s) = (self.timeline.now_unix_s(), self.timeline.system.now_unix_s());
        let distance_s = now_s.abs_diff(system_s);
        let is_new = distance_s > FAR_S && !self.has_reported;
        self.has_reported = distance_s > FAR_S;
        is_new.then_some((distance_s, now_s > system_s))
    }
}

/// The time of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Any time: the line is no packet.
    Any,
    /// The present: the line carries no time.
    Present,
    /// The time that the line carries.
    At(u64),
}

/// Divides items into runs, each of which one reading of the clock serves, and returns each
/// run with its time. All times of a run are within `tolerance_s` of the first, and a run
/// holds either times or the present, not both. Items of any time join the run around them.
pub fn runs<T>(items: &[T], tolerance_s: u64, stamp: impl Fn(&T) -> Stamp) -> Vec<(Stamp, &[T])> {
    let mut runs = Vec::new();
    let mut rest = items;
    while !rest.is_empty() {
        let first = rest.iter().map(&stamp).find(|stamp| *stamp != Stamp::Any);
        let first = first.unwrap_or(Stamp::Any);
        let is_near = |item: &T| match (first, stamp(item)) {
            (_, Stamp::Any) => true,
            (Stamp::At(first), Stamp::At(other)) => first.abs_diff(other) <= tolerance_s,
            (first, other) => first == other,
        };
        let end = rest.iter().position(|item| !is_near(item)).unwrap_or(rest.len());
        let (run, later) = rest.split_at(end);
        runs.push((first, run));
        rest = later;
    }
    runs
}

#[cfg(test)]
mod tests {
    use hintdex::wire::{NonceKind, StepLen};
    use hintdex::{ManualClock, Timing};

    use super::*;

    const MINUTE: u64 = 60;
    const HOUR: u64 = 3600;
    const YEAR: u64 = 365 * 86_400;
    /// The time of the system clock.
    const NOW: u64 = 1_795_392_000;

    struct World {
        system: Arc<ManualClock>,
        timeline: Arc<Timeline>,
        follower: Follower,
    }

    impl World {
        fn new(system_s: u64) -> Self {
            let system = Arc::new(ManualClock::new(system_s));
            let timeline = Arc::new(Timeline::new(system.clone()));
            let minutes = StepLen::new(60).map_or(NonceKind::Counter, NonceKind::Step);
            let Timing { before_s, after_s, span_s, .. } = Timing::of(minutes);
            let near_s = before_s.min(after_s).into();
            let follower = Follower::new(timeline.clone(), near_s, span_s.into());
            Self { system, timeline, follower }
        }

        /// The time of the clock after this many authentic packets of one time.
        fn hear(&mut self, unix_s: u64, packets: usize) -> u64 {
            (0..packets).for_each(|_| {
                let _ = self.follower.hear(unix_s);
            });
            self.timeline.now_unix_s()
        }
    }

    #[test]
    fn live_packets_leave_the_clock_at_the_system_clock() {
        let mut world = World::new(NOW);
        for unix_s in [NOW, NOW - 3, NOW - MINUTE, NOW + MINUTE] {
            assert_eq!(world.hear(unix_s, 10), NOW);
        }
        world.system.set(NOW + 300);
        assert_eq!(world.timeline.now_unix_s(), NOW + 300, "time goes on without packets");
        // One receiver with a wrong clock, among others that are right, moves nothing.
        for unix_s in [NOW + YEAR, NOW + 300 + HOUR / 2, NOW - YEAR, 0, u64::MAX] {
            for _ in 0..1000 {
                assert_eq!(world.hear(unix_s, 2), NOW + 300);
                assert_eq!(world.hear(NOW + 299, 1), NOW + 300);
            }
        }
        // Three in a row do, and three of the system clock's time move the clock back.
        assert_eq!(world.hear(NOW + YEAR, 3), NOW + YEAR);
        assert_eq!(world.hear(NOW + 300, 2), NOW + YEAR);
        assert_eq!(world.hear(NOW + 300, 1), NOW + 300);
        assert!(!world.timeline.is_moved());
    }

    #[test]
    fn packets_that_do_not_agree_move_nothing() {
        let mut world = World::new(NOW);
        for at in 1..1000 {
            assert_eq!(world.hear(NOW + at * 2 * HOUR, 1), NOW, "each of another time");
            assert_eq!(world.hear(NOW - at * 2 * HOUR, 1), NOW);
        }
    }

    #[test]
    fn a_recording_is_followed_after_its_first_packets() {
        let mut world = World::new(NOW);
        let month = NOW - 30 * 24 * HOUR;
        assert_eq!((world.hear(month, 2), world.hear(month + 1, 1)), (NOW, month + 1));
        assert_eq!(world.follower.take_distance(), Some((30 * 24 * HOUR - 1, false)));
        assert_eq!(world.follower.take_distance(), None, "reported once");
        // The clock moves with each packet, over gaps of up to a window.
        for next in [month + 2, month + MINUTE, month + 50 * MINUTE, month + 100 * MINUTE] {
            assert_eq!(world.hear(next, 1), next);
        }
        let here = month + 100 * MINUTE;
        // A gap of a day, and lines out of order, need several packets.
        assert_eq!(world.hear(here + 24 * HOUR, 2), here);
        assert_eq!(world.hear(here - 2 * HOUR, PACKETS_TO_GO_BACK - 1), here);
        assert_eq!(world.hear(here - MINUTE, 1), here);
        assert_eq!(world.hear(here - 2 * HOUR, PACKETS_TO_GO_BACK), here - 2 * HOUR);
        assert_eq!(world.hear(here + 24 * HOUR, 3), here + 24 * HOUR);
        // It runs on with the system clock, and returns to it.
        world.system.set(NOW + 10);
        assert_eq!(world.timeline.now_unix_s(), here + 24 * HOUR + 10);
        (here + 24 * HOUR..NOW).step_by(1800).for_each(|unix_s| {
            let _ = world.hear(unix_s, 1);
        });
        assert_eq!(world.hear(NOW, 1), NOW + 10);
        assert!(!world.timeline.is_moved());
    }

    #[test]
    fn a_clock_that_was_never_set_follows_the_packets() {
        let mut world = World::new(100);
        assert_eq!(world.timeline.system_unix_s(), None);
        assert_eq!(world.hear(NOW, 3), NOW);
        assert_eq!(world.follower.take_distance(), Some((NOW - 100, true)));
        world.system.set(160);
        assert_eq!(world.timeline.now_unix_s(), NOW + MINUTE);
        // The time of a clock that was never set proves nothing.
        assert_eq!(world.hear(160, 100), NOW + MINUTE);
        // The network sets the system clock: the offset to the unset clock ends.
        world.system.set(NOW + 120);
        assert_eq!(world.timeline.now_unix_s(), NOW + 120);
        assert!(!world.timeline.is_moved());
    }

    #[test]
    fn a_run_stays_near_its_first_time() {
        use Stamp::{Any, At, Present};
        let lines = [Any, At(10), At(12), Any, At(8), At(13), Present, Any, Present, At(13), Any];
        let expected: [(Stamp, &[Stamp]); 4] = [
            (At(10), &lines[..5]),
            (At(13), &lines[5..6]),
            (Present, &lines[6..9]),
            (At(13), &lines[9..]),
        ];
        assert_eq!(runs(&lines, 2, |stamp| *stamp), expected);
        assert_eq!(runs(&[Any], 2, |stamp| *stamp), [(Any, &[Any][..])]);
        assert!(runs(&[], 2, |stamp: &Stamp| *stamp).is_empty());
    }
}
