//! The failure of the last maintenance pass, and the pause after it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Error;

/// The pause after a pass that failed; each further failure doubles it, up to 64 times this.
const MIN_PAUSE: Duration = Duration::from_secs(10);

/// How the last pass ended, if it failed.
#[derive(Default)]
pub(super) struct Failure {
    error: Option<Error>,
    /// Passes that failed one after another.
    count: u32,
    pause_until: Option<Instant>,
}

impl Failure {
    /// Records the result of a pass.
    pub(super) fn record(&mut self, result: Result<(), Error>) {
        *self = match result {
            Ok(()) => Self::default(),
            Err(error) => Self {
                error: Some(error),
                count: self.count + 1,
                pause_until: Some(Instant::now() + MIN_PAUSE * (1 << self.count.min(6))),
            },
        };
    }

    /// Whether no pass may start yet: a pass that failed a moment ago would fail again, at
    /// the cost of a roll.
    pub(super) fn is_paused(&self) -> bool {
        self.pause_until.is_some_and(|until| Instant::now() < until)
    }

    /// The error of the last pass, if it failed; returned once.
    pub(super) const fn take(&mut self) -> Option<Error> {
        self.error.take()
    }
}

/// Locks a mutex whose value stays valid if a thread panics while it holds the lock.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
