//! The times that stand behind packets: the station's clock follows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hintdex::wire::Clock;

/// A clock that shows the time of the packets at hand, and another's where they carry none.
pub struct Timeline {
    clock: Arc<dyn Clock>,
    /// The time of the packets at hand; `u64::MAX` where they carry none.
    at_unix_s: AtomicU64,
}

impl Timeline {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, at_unix_s: AtomicU64::new(u64::MAX) }
    }

    /// What the other clock shows.
    pub fn base_unix_s(&self) -> u64 {
        self.clock.now_unix_s()
    }

    /// Goes to the time of the packets at hand.
    pub fn go_to(&self, at_unix_s: Option<u64>) {
        self.at_unix_s.store(at_unix_s.unwrap_or(u64::MAX), Ordering::Release);
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

/// Divides items into runs that one moment of the clock serves: none of a run is more than
/// `tolerance_s` from the first, and none carries a time where the first does not.
pub fn runs<T>(items: &[T], tolerance_s: u64, time: impl Fn(&T) -> Option<u64>) -> Vec<&[T]> {
    let mut runs = Vec::new();
    let mut rest = items;
    while let Some(first) = rest.first().map(&time) {
        let is_near = |item: &T| match (first, time(item)) {
            (Some(first), Some(other)) => first.abs_diff(other) <= tolerance_s,
            (first, other) => first == other,
        };
        let end = rest.iter().position(|item| !is_near(item)).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        runs.push(run);
        rest = behind;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn a_run_stays_near_its_first_time() {
        let times = [Some(10), Some(12), Some(8), Some(13), None, None, Some(13)];
        let expected: [&[Option<u64>]; 4] = [&times[..3], &times[3..4], &times[4..6], &times[6..]];
        assert_eq!(runs(&times, 2, |time| *time), expected);
        assert!(runs(&[], 2, |time: &Option<u64>| *time).is_empty());
    }
}
