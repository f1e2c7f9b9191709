//! Progress reports of long work.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A callback that receives (steps done, steps in total). Any thread may call it.
///
/// See the example of [`LiveIndex`](crate::LiveIndex).
pub type Report<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Counts the steps of one piece of work and passes them to a [`Report`].
pub(crate) struct Progress<'a> {
    report: Option<Report<'a>>,
    done: AtomicU64,
    total: AtomicU64,
}

impl<'a> Progress<'a> {
    pub(crate) const fn new(report: Option<Report<'a>>) -> Self {
        Self { report, done: AtomicU64::new(0), total: AtomicU64::new(0) }
    }

    /// Sets the number of steps in total.
    pub(crate) fn set_total(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// Counts `steps` more, and reports the sum.
    pub(crate) fn advance(&self, steps: u64) {
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        if let Some(report) = self.report {
            report(done, self.total.load(Ordering::Relaxed).max(done));
        }
    }
}

impl fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("done", &self.done).field("total", &self.total).finish()
    }
}
