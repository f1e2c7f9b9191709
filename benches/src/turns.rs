//! Measuring in turns: A B A B …, so that a noisy minute hits both.
//!
//! Two clocks are read: the one on the wall, and the CPU time of the process. On
//! a machine that others use too, work on one thread is compared by CPU time,
//! which does not count the turns of others; work that is spread over threads can
//! only be compared by the wall.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::hash::fold;

/// What something took, by both clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    /// By the wall.
    pub wall: Duration,
    /// CPU time, that of RocksDB's background threads included.
    pub cpu: Duration,
}

/// Which clock a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The wall's.
    Wall,
    /// The process's.
    Cpu,
}

impl Clock {
    /// Its name in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Cpu => "CPU",
        }
    }
}

impl Took {
    fn by(&self, clock: Clock) -> f64 {
        match clock {
            Clock::Wall => self.wall.as_secs_f64(),
            Clock::Cpu => self.cpu.as_secs_f64(),
        }
    }

    /// A `count`th of it.
    pub fn each(&self, count: u32) -> Self {
        Self { wall: self.wall / count.max(1), cpu: self.cpu / count.max(1) }
    }
}

/// Reads both clocks when it is made and again when it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self { wall: Instant::now(), cpu: process_cpu() }
    }

    /// What passed since it was started.
    pub fn took(&self) -> Took {
        Took { wall: self.wall.elapsed(), cpu: process_cpu().saturating_sub(self.cpu) }
    }
}

/// CPU time of all threads of this process so far.
fn process_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

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
    rounds: Vec<Took>,
    hash: u64,
}

/// Runs every arm in turn, round after round.
pub fn measure(turns: &Turns, arms: &mut [Arm<'_>]) -> Times {
    let mut times = Times::new(turns.work);
    for round in 0..=turns.rounds {
        for (name, work) in arms.iter_mut() {
            let watch = Stopwatch::start();
            let hash = black_box(work(round));
            // The first round only warms up.
            let took = (round > 0).then(|| watch.took());
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
    pub fn record(&mut self, name: &str, took: Option<Took>, hash: u64) {
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
    pub fn nanoseconds(&self, clock: Clock, name: &str) -> Option<Spread> {
        let each = |took: &Took| took.by(clock) * 1e9 / self.work.max(1) as f64;
        Spread::of(self.arm(name)?.rounds.iter().map(each))
    }

    /// The time of `ours` over the time of `peer`, round by round.
    pub fn ratio(&self, clock: Clock, ours: &str, peer: &str) -> Option<Spread> {
        let (ours, peer) = (self.arm(ours)?, self.arm(peer)?);
        let rounds = ours.rounds.iter().zip(&peer.rounds);
        Spread::of(rounds.map(|(ours, peer)| ours.by(clock) / peer.by(clock).max(1e-9)))
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

    use super::{Clock, Spread, Stopwatch, Times, Took};

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let mut times = Times::new(10);
        for (round, noise) in [1, 1, 5, 2, 1, 3].into_iter().enumerate() {
            let both = |cpu| Took { wall: Duration::from_secs(1), cpu: Duration::from_micros(cpu) };
            let took = |cpu| (round > 0).then(|| both(cpu));
            times.record("a", took(20 * noise), 1);
            times.record("b", took(10 * noise), 1);
        }
        let ratio = times.ratio(Clock::Cpu, "a", "b").expect("both ran");
        assert!((ratio.min - 2.0).abs() < 1e-9 && (ratio.max - 2.0).abs() < 1e-9);
        let each = times.nanoseconds(Clock::Cpu, "b").expect("it ran").median;
        assert!((each - 2000.0).abs() < 1e-6, "{each}");
        assert_eq!(times.hash("a"), times.hash("b"));
        assert_eq!(times.ratio(Clock::Wall, "a", "c"), None);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn work_takes_cpu_time_and_sleep_does_not() {
        let watch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(50));
        let slept = watch.took();
        assert!(slept.wall >= Duration::from_millis(50) && slept.cpu < slept.wall);
        while watch.took().cpu < Duration::from_millis(5) {}
    }
}
