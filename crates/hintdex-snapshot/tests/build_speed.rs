//! The build times of all encodings, measured alternately in one run.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use std::fs;

use hintdex_snapshot::{Builder, Dial};
use support::{Fleet, key, params};

/// The number of measurements of each encoding.
const TURNS: usize = 7;

/// The processor time of this process in seconds, in steps of 10 ms.
fn processor_time_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux has it");
    // The name of the program, in parentheses, may hold spaces.
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let ticks = fields.split(' ').skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The figures of docs/results/snapshot.md.
#[test]
#[ignore = "long, prints figures only: a minute with --release"]
fn encodings_of_ten_million_hints() {
    let fleet = Fleet::new(1_000_000, 10);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fleet.hdx");
    let key = key();
    for tries in [1, 32] {
        let dial = Dial::Tries(tries);
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); support::STORED.len()];
        for _ in 0..TURNS {
            for (&encoding, times) in support::STORED.iter().zip(&mut times) {
                let params = params(encoding, dial, fleet.slots.clone());
                let started = processor_time_s();
                Builder::new(params, &key).threads(1).build(&fleet, &path).expect("built");
                times.push(processor_time_s() - started);
            }
        }
        let ribbon = times.first().cloned().unwrap_or_default();
        for (encoding, times) in support::STORED.iter().zip(times) {
            let ratios = times.iter().zip(&ribbon).map(|(own, ribbon)| own / ribbon).collect();
            let ns_per_hint = median(times) * 1e9 / 1e7;
            println!(
                "{encoding}, {tries} tries: {ns_per_hint:.0} ns a hint, {:.2} of ribbon",
                median(ratios)
            );
        }
    }
}
