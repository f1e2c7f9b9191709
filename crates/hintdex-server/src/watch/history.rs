//! The rates of the last hour.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The seconds between two samples.
pub const SAMPLE_S: u64 = 15;
/// The samples of an hour.
const MAX_SAMPLES: usize = 240;

/// The counters of a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Receptions, copies included.
    pub received: u64,
    pub accepted: u64,
    /// Packets with another verdict.
    pub rejected: u64,
}

/// The packets of each sample of the last hour.
#[derive(Debug, Default)]
pub struct History {
    inner: Mutex<(Counts, VecDeque<Counts>)>,
}

impl History {
    /// Records the counters. Call this every [`SAMPLE_S`] seconds.
    pub fn sample(&self, now: Counts) {
        // A thread that panicked can have lost a sample and nothing else.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, samples) = &mut *inner;
        samples.push_back(Counts {
            received: now.received.saturating_sub(last.received),
            accepted: now.accepted.saturating_sub(last.accepted),
            rejected: now.rejected.saturating_sub(last.rejected),
        });
        if samples.len() > MAX_SAMPLES {
            samples.pop_front();
        }
        *last = now;
    }

    /// The samples, the oldest first.
    pub fn samples(&self) -> Vec<Counts> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_differences_and_an_hour_of_them_stays() {
        let history = History::default();
        let counts = |received| Counts { received, accepted: received / 2, rejected: 0 };
        for number in 1..=300 {
            history.sample(counts(10 * number));
        }
        let samples = history.samples();
        assert_eq!(samples.len(), MAX_SAMPLES);
        assert!(samples.iter().all(|sample| *sample == counts(10)));
    }
}
