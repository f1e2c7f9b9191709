//! Measuring in turns: the machine's moods hit ours and the peer's alike.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time by name, a time for each turn.
///
/// Time that others have the processor does not count; what they do to the
/// caches does, to both alike, which is why the ratios are taken turn by turn.
#[derive(Default)]
pub struct Turns(Vec<(String, Vec<f64>)>);

impl Turns {
    /// Does `work`, which is `per` lookups, and notes the time of one.
    pub fn measure(&mut self, name: &str, per: usize, work: impl FnOnce() -> u64) {
        let before = now();
        black_box(work());
        let ns = (now() - before).as_secs_f64() * 1e9 / per as f64;
        match self.0.iter_mut().find(|(other, _)| other == name) {
            Some((_, times)) => times.push(ns),
            None => self.0.push((name.to_owned(), vec![ns])),
        }
    }

    /// Prints the median time and the median ratio to each of `against`.
    pub fn print(&self, against: &[&str]) {
        let times = |name: &str| &self.0.iter().find(|(other, _)| other == name).unwrap().1;
        for (name, all) in &self.0 {
            print!("{name:44} {:8.1} ns (least {:.1})", median(all.clone()), least(all));
            for peer in against {
                let ratios = all.iter().zip(times(peer)).map(|(ours, peers)| ours / peers);
                print!("  {:5.2} x {peer}", median(ratios.collect()));
            }
            println!();
        }
    }
}

/// The processor time of all threads of this process.
pub fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

fn least(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The number after `name` on the command line.
pub fn argument(name: &str, default: u32) -> u32 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).map_or(default, |value| value.parse().expect("a number"))
}

/// Whether `name` stands on the command line.
pub fn has_argument(name: &str) -> bool {
    std::env::args().any(|argument| argument == name)
}
