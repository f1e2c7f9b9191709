//! Measuring in turns: A B A B …, so that a noisy minute hits both.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::random::fold;

/// How often, and how many things an arm does in one turn.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    /// Rounds that count; one more is run before them to warm up.
    pub rounds: u64,
    /// What an arm's time is divided by.
    pub work: u64,
}

/// A named piece of work: does round `n` of it, counted from 0, and returns a
/// hash of its results.
pub type Arm<'a> = (&'a str, Box<dyn FnMut(u64) -> u64 + 'a>);

/// Least, middle and greatest of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle one.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of `values`; `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Some(Self {
            min: *values.first()?,
            median: *values.get(values.len() / 2)?,
            max: *values.last()?,
        })
    }
}

/// What each arm took in each round.
#[derive(Clone, Debug, Default)]
pub struct Times {
    work: u64,
    arms: Vec<ArmTimes>,
}

#[derive(Clone, Debug)]
struct ArmTimes {
    name: String,
    rounds: Vec<Duration>,
    hash: u64,
}

/// Runs every arm in turn, round after round.
pub fn measure(turns: &Turns, arms: &mut [Arm<'_>]) -> Times {
    let mut times = Times::new(turns.work);
    for round in 0..=turns.rounds {
        for (name, work) in arms.iter_mut() {
            let started = Instant::now();
            let hash = black_box(work(round));
            // The first round only warms up.
            let took = (round > 0).then(|| started.elapsed());
            times.record(name, took, hash);
        }
    }
    times
}

impl Times {
    /// No rounds yet, of `work` things each.
    pub const fn new(work: u64) -> Self {
        Self { work, arms: Vec::new() }
    }

    /// Adds a turn of the arm `name`; without a time it only warmed up.
    pub fn record(&mut self, name: &str, took: Option<Duration>, hash: u64) {
        let at = self.arms.iter().position(|arm| arm.name == name).unwrap_or(self.arms.len());
        if at == self.arms.len() {
            self.arms.push(ArmTimes { name: name.to_owned(), rounds: Vec::new(), hash: 0 });
        }
        if let Some(arm) = self.arms.get_mut(at) {
            arm.rounds.extend(took);
            arm.hash = fold(arm.hash, hash);
        }
    }

    fn arm(&self, name: &str) -> Option<&ArmTimes> {
        self.arms.iter().find(|arm| arm.name == name)
    }

    /// Nanoseconds a thing of the arm `name`.
    pub fn nanoseconds(&self, name: &str) -> Option<Spread> {
        let each = |took: &Duration| took.as_secs_f64() * 1e9 / self.work.max(1) as f64;
        Spread::of(self.arm(name)?.rounds.iter().map(each))
    }

    /// The time of `ours` over the time of `peer`, round by round.
    pub fn ratio(&self, ours: &str, peer: &str) -> Option<Spread> {
        let (ours, peer) = (self.arm(ours)?, self.arm(peer)?);
        let rounds = ours.rounds.iter().zip(&peer.rounds);
        Spread::of(rounds.map(|(ours, peer)| ours.as_secs_f64() / peer.as_secs_f64().max(1e-9)))
    }

    /// A hash of everything the arm `name` returned.
    pub fn hash(&self, name: &str) -> u64 {
        self.arm(name).map_or(0, |arm| arm.hash)
    }

    /// The arms, in the order they ran.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arms.iter().map(|arm| arm.name.as_str())
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::time::Duration;

    use super::{Spread, Times};

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let mut times = Times::new(10);
        for (round, noise) in [1, 1, 5, 2, 1, 3].into_iter().enumerate() {
            let counts = round > 0;
            times.record("a", counts.then(|| Duration::from_micros(20 * noise)), 1);
            times.record("b", counts.then(|| Duration::from_micros(10 * noise)), 1);
        }
        let ratio = times.ratio("a", "b").expect("both ran");
        assert!((ratio.min - 2.0).abs() < 1e-9 && (ratio.max - 2.0).abs() < 1e-9);
        assert_eq!(times.nanoseconds("b").expect("it ran").median.round() as u64, 2000);
        assert_eq!(times.hash("a"), times.hash("b"));
        assert_eq!(times.ratio("a", "c"), None);
        assert_eq!(Spread::of([]), None);
    }
}
