//! The station's clock: the system's, moved to where authentic packets are.
//!
//! Two clocks are wrong in the field all the time, and a recording is of another time than
//! the present. So the station's clock is the system's plus an offset, which follows the
//! times of reception of packets whose tag was verified, after they were decoded. Whoever
//! sends lines and has no key moves nothing. Each packet is judged by its own time in any
//! case: the clock decides only which windows are there, and so who is found without a scan.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use hintdex::Timing;
use hintdex::{Clock, FIRST_SET_UNIX_S};

/// Authentic packets in a row that agree before the clock leaves the system's, leaps ahead
/// or comes back to the system's: one receiver with a wrong clock is not enough.
const PACKETS_TO_LEAP: usize = 3;

/// The same before it is set back, once authentic packets were followed. Windows are built
/// for where the clock goes, at the cost of thousands of scans: lines that are out of order
/// are not worth them.
const PACKETS_TO_GO_BACK: usize = 256;

/// An offset that is worth a word to the user, in seconds.
const FAR_S: u64 = 86_400;

/// A clock that shows the system's time and an offset to it.
pub struct Timeline {
    system: Arc<dyn Clock>,
    offset_s: AtomicI64,
    /// Whether the offset is to a clock that nobody had set: it ends when somebody does.
    is_of_unset: AtomicBool,
}

impl Timeline {
    pub fn new(system: Arc<dyn Clock>) -> Self {
        let (offset_s, is_of_unset) = (AtomicI64::new(0), AtomicBool::new(false));
        Self { system, offset_s, is_of_unset }
    }

    /// What the system's clock shows; nothing if nobody has set it.
    pub fn system_unix_s(&self) -> Option<u64> {
        Some(self.system.now_unix_s()).filter(|unix_s| *unix_s >= FIRST_SET_UNIX_S)
    }

    /// Whether the clock goes by packets, and not by the system's clock.
    pub fn is_moved(&self) -> bool {
        self.offset_s_at(self.system.now_unix_s()) != 0
    }

    /// The offset while the system's clock shows `system_s`.
    fn offset_s_at(&self, system_s: u64) -> i64 {
        let has_ended = system_s >= FIRST_SET_UNIX_S && self.is_of_unset.load(Ordering::Acquire);
        if has_ended { 0 } else { self.offset_s.load(Ordering::Acquire) }
    }

    /// Lets the clock show `unix_s` now; the system's time if that is `near_s` from it.
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

/// Where authentic packets would have the clock go, other than where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Ahead,
    Back,
    ToTheSystem,
}

/// Moves a [`Timeline`] with the packets that are decoded.
pub struct Follower {
    timeline: Arc<Timeline>,
    /// Times this close are of one moment, in seconds.
    near_s: u64,
    /// How far the packets of one recording may be apart, in seconds.
    span_s: u64,
    /// Where the last packets would go, how many of them agree, and the last one's time.
    wish: Option<(Way, usize, u64)>,
    /// Whether any packet was followed: before that there is nothing to go back from.
    has_begun: bool,
    /// Whether the user knows that the clock is far from the system's.
    has_told: bool,
}

impl Follower {
    pub fn new(timeline: Arc<Timeline>, timing: &Timing) -> Self {
        let near_s = timing.before_s.min(timing.after_s).into();
        let span_s = timing.span_s.into();
        Self { timeline, near_s, span_s, wish: None, has_begun: false, has_told: false }
    }

    /// Takes in that an authentic packet was received at `unix_s`. Returns whether the clock
    /// was moved by that.
    pub fn hear(&mut self, unix_s: u64) -> bool {
        let Some(way) = self.way_to(unix_s) else {
            (self.wish, self.has_begun) = (None, true);
            return false;
        };
        let agreed = match self.wish {
            Some((before, count, at_s))
                if before == way && at_s.abs_diff(unix_s) <= self.span_s =>
            {
                count + 1
            }
            _ => 1,
        };
        let enough = match way {
            Way::Back if self.has_begun => PACKETS_TO_GO_BACK,
            Way::Ahead if self.is_followed(unix_s) => 1,
            _ => PACKETS_TO_LEAP,
        };
        if agreed < enough {
            self.wish = Some((way, agreed, unix_s));
            return false;
        }
        (self.wish, self.has_begun) = (None, true);
        self.timeline.set(unix_s, self.near_s);
        true
    }

    /// Where the clock would have to go for a packet of `unix_s`, if anywhere.
    fn way_to(&self, unix_s: u64) -> Option<Way> {
        let now_s = self.timeline.now_unix_s();
        let is_moved = self.timeline.is_moved();
        if is_moved && self.is_near_system(unix_s) {
            return Some(if self.is_followed(unix_s) { Way::Ahead } else { Way::ToTheSystem });
        }
        // Time that packets are followed through goes on with each; the system's by itself.
        let ahead_s = if is_moved { now_s } else { now_s.saturating_add(self.near_s) };
        if unix_s > ahead_s {
            Some(Way::Ahead)
        } else if unix_s.saturating_add(self.near_s) < now_s {
            Some(Way::Back)
        } else {
            None
        }
    }

    /// Whether a packet is the next of those that the clock goes by already.
    fn is_followed(&self, unix_s: u64) -> bool {
        let now_s = self.timeline.now_unix_s();
        self.timeline.is_moved() && (now_s..=now_s.saturating_add(self.span_s)).contains(&unix_s)
    }

    fn is_near_system(&self, unix_s: u64) -> bool {
        let system_s = self.timeline.system_unix_s();
        system_s.is_some_and(|system_s| system_s.abs_diff(unix_s) <= self.near_s)
    }

    /// Says once how far the clock is from the system's, if packets have brought it far away:
    /// seconds, and whether it is ahead.
    pub fn take_distance(&mut self) -> Option<(u64, bool)> {
        let (now_s, system_s) = (self.timeline.now_unix_s(), self.timeline.system.now_unix_s());
        let distance_s = now_s.abs_diff(system_s);
        let is_news = distance_s > FAR_S && !self.has_told;
        self.has_told = distance_s > FAR_S;
        is_news.then_some((distance_s, now_s > system_s))
    }
}

/// When a line is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// None: it is no packet.
    Any,
    /// The present: it carries no time.
    Present,
    /// The time it carries.
    At(u64),
}

/// Divides items into runs that one moment of the clock serves, each with that: none of a run
/// is more than `tolerance_s` from the first, and none carries a time where the first does
/// not. What is of no time goes with what stands around it.
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
        let (run, behind) = rest.split_at(end);
        runs.push((first, run));
        rest = behind;
    }
    runs
}

#[cfg(test)]
mod tests {
    use hintdex::ManualClock;
    use hintdex::wire::{NonceKind, StepLen};

    use super::*;

    const MINUTE: u64 = 60;
    const HOUR: u64 = 3600;
    const YEAR: u64 = 365 * 86_400;
    /// What the system's clock shows.
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
            let follower = Follower::new(timeline.clone(), &Timing::of(minutes));
            Self { system, timeline, follower }
        }

        /// Where the clock is after so many authentic packets of a moment.
        fn hear(&mut self, unix_s: u64, packets: usize) -> u64 {
            (0..packets).for_each(|_| {
                let _ = self.follower.hear(unix_s);
            });
            self.timeline.now_unix_s()
        }
    }

    #[test]
    fn live_packets_leave_the_systems_clock_alone() {
        let mut world = World::new(NOW);
        for unix_s in [NOW, NOW - 3, NOW - MINUTE, NOW + MINUTE] {
            assert_eq!(world.hear(unix_s, 10), NOW);
        }
        world.system.set(NOW + 300);
        assert_eq!(world.timeline.now_unix_s(), NOW + 300, "time goes on in silence");
        // One receiver that is wrong, among others that are not, moves nothing.
        for unix_s in [NOW + YEAR, NOW + 300 + HOUR / 2, NOW - YEAR, 0, u64::MAX] {
            for _ in 0..1000 {
                assert_eq!(world.hear(unix_s, 2), NOW + 300);
                assert_eq!(world.hear(NOW + 299, 1), NOW + 300);
            }
        }
        // Three in a row do, and three of the system's time bring the clock back.
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
        assert_eq!(world.follower.take_distance(), None, "told once");
        // On with each packet, over gaps of up to a window at once.
        for next in [month + 2, month + MINUTE, month + 50 * MINUTE, month + 100 * MINUTE] {
            assert_eq!(world.hear(next, 1), next);
        }
        let here = month + 100 * MINUTE;
        // A gap of a day, and lines that are out of order.
        assert_eq!(world.hear(here + 24 * HOUR, 2), here);
        assert_eq!(world.hear(here - 2 * HOUR, PACKETS_TO_GO_BACK - 1), here);
        assert_eq!(world.hear(here - MINUTE, 1), here);
        assert_eq!(world.hear(here - 2 * HOUR, PACKETS_TO_GO_BACK), here - 2 * HOUR);
        assert_eq!(world.hear(here + 24 * HOUR, 3), here + 24 * HOUR);
        // It goes on with the system's clock, and ends where that is.
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
        // What the system's clock shows is no witness.
        assert_eq!(world.hear(160, 100), NOW + MINUTE);
        // The network sets it: what was learned of the unset one is of no use.
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
