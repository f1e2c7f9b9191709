//! The time at the station, passed in so that a test can choose it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock: seconds since 1970-01-01 UTC, without leap seconds.
///
/// A clock may step back and may leap; its callers must be ready for both.
///
/// See the example of [`ManualClock`].
pub trait Clock: Send + Sync {
    /// The present, in seconds since 1970.
    fn now_unix_s(&self) -> u64;
}

/// The first moment of a clock that was set: 2020-01-01. No fleet is older, and a clock that
/// starts without power begins at 1970, 1980 or 2000.
pub const FIRST_SET_UNIX_S: u64 = 1_577_836_800;

/// A clock that is set by hand: for tests, and for captures that carry their times.
///
/// ```
/// use hintdex_host::{Clock, ManualClock, SystemClock};
///
/// fn age_s(clock: &dyn Clock, made_unix_s: u64) -> u64 {
///     clock.now_unix_s().saturating_sub(made_unix_s)
/// }
///
/// let clock = ManualClock::new(1_764_000_000);
/// clock.set(1_764_000_060);
/// assert_eq!(age_s(&clock, 1_764_000_000), 60);
/// assert!(age_s(&SystemClock, 1_500_000_000) > 60);
/// ```
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that returns `unix_s` until [`set`](Self::set) is called.
    pub const fn new(unix_s: u64) -> Self {
        Self(AtomicU64::new(unix_s))
    }

    /// Sets the present to `unix_s`.
    pub fn set(&self, unix_s: u64) {
        self.0.store(unix_s, Ordering::Release);
    }
}

impl Clock for ManualClock {
    fn now_unix_s(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The system's clock. Before 1970 the clock returns 0.
///
/// See the example of [`ManualClock`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_unix_s(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |since| since.as_secs())
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now_unix_s(&self) -> u64 {
        (**self).now_unix_s()
    }
}
