//! The minutes by which points are remembered and forgotten.

use std::time::Instant;

use hintdex_host::FIRST_SET_UNIX_S;

/// The minutes of points, guarded against a clock that is not set or that jumps ahead: points are
/// forgotten by time that has passed, as far as a process can know.
#[derive(Debug)]
pub(crate) struct PointsClock {
    opened: Instant,
    opened_unix_s: u64,
}

impl PointsClock {
    /// A clock that showed this time when the index was opened.
    pub(crate) fn new(opened_unix_s: u64) -> Self {
        Self { opened: Instant::now(), opened_unix_s }
    }

    /// The minute of a packet that is accepted now, and the first minute whose points are
    /// remembered.
    pub(crate) fn minutes(&self, now_s: u64, repeat_window_s: u32) -> (u32, u32) {
        if now_s < FIRST_SET_UNIX_S {
            // The time of this packet is not known, so it is never forgotten.
            return (u32::MAX, 0);
        }
        let elapsed_s = self.opened.elapsed().as_secs();
        let known_s = now_s.min(self.opened_unix_s.saturating_add(elapsed_s).saturating_add(60));
        let window_s = u64::from(repeat_window_s).next_multiple_of(60);
        (minute_of(now_s), minute_of(known_s.saturating_sub(window_s)))
    }
}

/// The minute of a time, counted from the first one that a clock can have been set to.
fn minute_of(unix_s: u64) -> u32 {
    let minute = unix_s.saturating_sub(FIRST_SET_UNIX_S) / 60;
    u32::try_from(minute).unwrap_or(u32::MAX)
}
