//! The times that stand behind packets: the station's clock follows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hintdex::wire::Clock;

/// Packets of an earlier time that come in a row before the clock is set back to it. Windows
/// are built for where it goes, at the cost of thousands of scans: one line that is out of
/// order is not worth them.
const PACKETS_TO_GO_BACK: usize = 256;

/// A clock that shows the time of the packets at hand, and another's where they carry none.
pub struct Timeline {
    clock: Arc<dyn Clock>,
    /// The time of the packets at hand; `u64::MAX` where they carry none.
    at_unix_s: AtomicU64,
    /// Packets in a row that were of an earlier time.
    earlier: AtomicUsize,
    /// Whether any were followed yet: before that, there is nothing to go back from.
    has_begun: AtomicBool,
}

impl Timeline {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            at_unix_s: AtomicU64::new(u64::MAX),
            earlier: AtomicUsize::new(0),
            has_begun: AtomicBool::new(false),
        }
    }

    /// What the other clock shows.
    pub fn base_unix_s(&self) -> u64 {
        self.clock.now_unix_s()
    }

    /// Goes to the time of the packets at hand, of which there are so many: forward at
    /// once, and back by no more than `tolerance_s` or with many of them.
    pub fn follow(&self, at_unix_s: Option<u64>, packets: usize, tolerance_s: u64) {
        let to_unix_s = at_unix_s.unwrap_or_else(|| self.base_unix_s());
        let has_begun = self.has_begun.swap(true, Ordering::Relaxed);
        let goes_back = has_begun && to_unix_s.saturating_add(tolerance_s) < self.now_unix_s();
        let earlier = match self.earlier.load(Ordering::Relaxed) {
            earlier if goes_back => earlier.saturating_add(packets),
            _ => 0,
        };
        if (1..PACKETS_TO_GO_BACK).contains(&earlier) {
            self.earlier.store(earlier, Ordering::Relaxed);
        } else {
            self.earlier.store(0, Ordering::Relaxed);
            self.at_unix_s.store(at_unix_s.unwrap_or(u64::MAX), Ordering::Release);
        }
    }
}

impl Clock for Timeline {
    fn now_unix_s(&self) -> u64 {
        match self.at_unix_s.load(Ordering::Acquire) {
            u64::MAX => self.clock.now_unix_s(),
            at_unix_s => at_unix_s,
        }
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
    use hintdex::wire::ManualClock;

    use super::*;

    #[test]
    fn the_clock_goes_forward_at_once_and_back_with_many_packets() {
        let timeline = Timeline::new(Arc::new(ManualClock::new(1000)));
        let follow = |at, packets| {
            timeline.follow(at, packets, 10);
            timeline.now_unix_s()
        };
        // A recording is older than the present.
        let times = (follow(Some(100), 1), follow(Some(200), 1), follow(Some(195), 1));
        assert_eq!(times, (100, 200, 195));
        let times = (follow(Some(100), 1), follow(Some(300), 1), follow(Some(100), 255));
        assert_eq!(times, (195, 300, 300));
        assert_eq!(follow(Some(100), 1), 100);
        // Those without a time are of the present, and that is not before the recording.
        assert_eq!((follow(None, 1), follow(Some(100), 1)), (1000, 1000));
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
