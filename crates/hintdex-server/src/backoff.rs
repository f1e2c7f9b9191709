//! Waits between attempts: each twice as long, with jitter, so that many clients of a broker that
//! returns do not come at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);

/// The waits between attempts.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    random: RandomState,
    attempts: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST, random: RandomState::new(), attempts: 0 }
    }
}

impl Backoff {
    /// The attempt succeeded: the next wait is the shortest again.
    pub const fn reset(&mut self) {
        self.next = FIRST;
    }

    /// How long to wait before the next attempt: between half of the present wait and all of it.
    pub fn wait(&mut self) -> Duration {
        let half = self.next / 2;
        self.next = (self.next * 2).min(LONGEST);
        self.attempts += 1;
        let share = self.random.hash_one(self.attempts) % 1024;
        half + half * u32::try_from(share).unwrap_or(0) / 1024
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, FIRST, LONGEST};

    #[test]
    fn waits_grow_to_the_longest_and_begin_again() {
        let mut backoff = Backoff::default();
        let mut bound = FIRST;
        for _ in 0..20 {
            let wait = backoff.wait();
            assert!(wait >= bound / 2 && wait <= bound, "{wait:?} of {bound:?}");
            bound = (bound * 2).min(LONGEST);
        }
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }
}
