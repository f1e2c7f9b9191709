//! What time it is at the station: passed in, so that a test can make it up.

use core::sync::atomic::{AtomicU64, Ordering};

/// A clock: seconds since 1970-01-01 UTC, without leap seconds.
///
/// It may step back and leap; whoever asks it is ready for that.
pub trait Clock: Send + Sync {
    /// The present, in seconds since 1970.
    fn now_unix_s(&self) -> u64;
}

/// The first moment that a clock shows which was set, 2020-01-01: no fleet of ours is older,
/// and a clock that starts without power begins at 1970, 1980 or 2000.
pub const FIRST_SET_UNIX_S: u64 = 1_577_836_800;

/// A clock that is set by hand: for tests, and for captures that carry their times.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `unix_s` until it is set.
    pub const fn new(unix_s: u64) -> Self {
        Self(AtomicU64::new(unix_s))
    }

    /// Lets it show `unix_s` from now on.
    pub fn set(&self, unix_s: u64) {
        self.0.store(unix_s, Ordering::Release);
    }
}

impl Clock for ManualClock {
    fn now_unix_s(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The system's clock. One that stands before 1970 shows 0.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[cfg(feature = "std")]
impl Clock for SystemClock {
    fn now_unix_s(&self) -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |since| since.as_secs())
    }
}

#[cfg(feature = "std")]
impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now_unix_s(&self) -> u64 {
        (**self).now_unix_s()
    }
}
