//! Tables: a figure, its spread, its goal, and whether it meets it.
//!
//! They are Markdown, so that what a bench prints can stand in the results as it is.

use crate::machine;
use crate::turns::{Clock, Spread, Times};

/// What a ratio has to be.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// Nothing: shown for comparison.
    None,
}

impl Goal {
    /// Whether `value` meets it, in a word.
    pub fn verdict(self, value: f64) -> &'static str {
        match self {
            Self::AtMost(most) if value <= most => "meets",
            Self::AtLeast(least) if value >= least => "meets",
            Self::None => "",
            _ => "MISSES",
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {most}"),
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::None => String::new(),
        }
    }
}

/// Prints what was run, where, and with which seed.
pub fn heading(title: &str, workload: &str, seed: u64) {
    println!("### {title}\n");
    println!("{workload}; seed {seed:#x}; {}.\n", machine::describe());
}

/// Prints what each arm took: nanoseconds a thing by both clocks, things a second.
pub fn times(times: &Times, thing: &str) {
    println!(
        "| arm | CPU ns a {thing}: min | median | max | wall ns: median | {thing}s a second | hash |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | --- |");
    for name in times.names() {
        let both = times.nanoseconds(Clock::Cpu, name).zip(times.nanoseconds(Clock::Wall, name));
        if let Some((Spread { min, median, max }, wall)) = both {
            let (wall, rate) = (wall.median, thousands(1e9 / wall.median));
            let hash = times.hash(name);
            println!(
                "| {name} | {min:.0} | {median:.0} | {max:.0} | {wall:.0} | {rate} | {hash:016x} |"
            );
        }
    }
    println!();
}

/// Rows of ratios, each with its goal.
#[derive(Debug, Default)]
pub struct Ratios {
    rows: Vec<(String, Spread, Goal)>,
}

impl Ratios {
    /// Adds the ratio of two arms' times.
    pub fn cost(&mut self, clock: Clock, times: &Times, ours: &str, peer: &str, goal: Goal) {
        if let Some(spread) = times.ratio(clock, ours, peer) {
            let clock = clock.name();
            self.rows.push((format!("cost of {ours} / {peer}, {clock}"), spread, goal));
        }
    }

    /// Adds the ratio of two arms' rates.
    pub fn rate(&mut self, clock: Clock, times: &Times, ours: &str, peer: &str, goal: Goal) {
        if let Some(spread) = times.ratio(clock, peer, ours) {
            let clock = clock.name();
            self.rows.push((format!("rate of {ours} / {peer}, {clock}"), spread, goal));
        }
    }

    /// Prints them; the median is what is held against the goal.
    pub fn print(&self) {
        println!("| ratio, round by round | min | median | max | goal | |");
        println!("| --- | ---: | ---: | ---: | --- | --- |");
        for (name, Spread { min, median, max }, goal) in &self.rows {
            let (text, verdict) = (goal.text(), goal.verdict(*median));
            println!("| {name} | {min:.2} | **{median:.2}** | {max:.2} | {text} | {verdict} |");
        }
        println!();
    }
}

/// Rows of plain figures, each with its goal.
#[derive(Debug, Default)]
pub struct Figures {
    rows: Vec<(String, f64, &'static str, Goal)>,
}

impl Figures {
    /// Adds a figure.
    pub fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str, goal: Goal) {
        self.rows.push((name.into(), value, unit, goal));
    }

    /// Prints them.
    pub fn print(&self) {
        println!("| figure | value | goal | |");
        println!("| --- | ---: | --- | --- |");
        for (name, value, unit, goal) in &self.rows {
            let shown = if *value >= 1000.0 { thousands(*value) } else { format!("{value:.2}") };
            println!("| {name} | {shown} {unit} | {} | {} |", goal.text(), goal.verdict(*value));
        }
        println!();
    }
}

/// A whole number with commas between its thousands.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Goal, thousands};

    #[test]
    fn numbers_are_cut_into_thousands() {
        assert_eq!(thousands(0.4), "0");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }

    #[test]
    fn a_goal_is_met_or_missed() {
        assert_eq!(Goal::AtMost(1.15).verdict(1.15), "meets");
        assert_eq!(Goal::AtMost(1.15).verdict(1.16), "MISSES");
        assert_eq!(Goal::AtLeast(12.0).verdict(11.9), "MISSES");
        assert_eq!(Goal::None.verdict(0.0), "");
    }
}
