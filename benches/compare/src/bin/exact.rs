//! Exactness and build of a chain at any size: every known hint is looked up and its slot and
//! nonce are compared with those that made it; foreign hints must be refused.
//!
//! ```text
//! cargo run --release --no-default-features --bin exact -- [--devices 10000000] [--horizon 10]
//!                         [--evaluations 16] [--memory-mib 4096] [--threads 2] [--every 1]
//! ```
//!
//! Looks up all hints of each device whose number is a multiple of `--every`, and one foreign hint
//! of it: of a nonce behind the horizon. The expected hints come from `HintCipher`, not from the
//! key table that the chain computes with. Prints counts, bytes a hint, rates, the mean
//! evaluations and the memory of the build. The exit code is 1 if an answer is wrong or missing.

use std::ops::AddAssign;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hintdex_compare::fleet::{SEED, key, manifest_key, params};
use hintdex_compare::memory::{forget_peak, peak_resident_bytes, resident_bytes};
use hintdex_compare::table_hints::TableHints;
use hintdex_compare::turns::{argument, now};
use hintdex_scan::KeyTable;
use hintdex_snapshot::{Builder, Dial, Encoding, PointHints, Snapshot, SnapshotParams};
use hintdex_wire::{Hint, HintCipher, HintScheme, Nonce, Slot};
use rayon::prelude::*;

/// The devices whose hints a thread looks up in one call.
const TASK_LEN_DEVICES: u32 = 1024;

const MIB: f64 = (1 << 20) as f64;

/// The fleet and the dial.
struct Workload {
    devices: u32,
    horizon: u32,
    evaluations: u32,
    memory_mib: u32,
    threads: usize,
    every: u32,
}

impl Workload {
    fn from_arguments() -> Self {
        Self {
            devices: argument("--devices", 10_000_000),
            horizon: argument("--horizon", 10),
            evaluations: argument("--evaluations", 16),
            memory_mib: argument("--memory-mib", 4096),
            threads: argument("--threads", 2) as usize,
            every: argument("--every", 1).max(1),
        }
    }

    fn params(&self) -> SnapshotParams {
        let dial = Dial::Evaluations(self.evaluations);
        params(self.devices, self.horizon, Encoding::Chain, dial)
    }

    /// The nonce of the foreign hint of `slot`.
    fn foreign_nonce(&self, slot: u32) -> Nonce {
        Nonce::from(self.horizon) + Nonce::from(slot % 7)
    }
}

/// Computes hints and counts them.
struct Counted<'t> {
    hints: TableHints<'t>,
    evaluations: AtomicU64,
}

impl PointHints for Counted<'_> {
    fn prefetch(&self, slot: Slot) {
        self.hints.prefetch(slot);
    }

    fn hints(&self, points: &[(Slot, Nonce)], hints: &mut [Hint]) {
        self.hints.hints(points, hints);
        self.evaluations.fetch_add(points.len() as u64, Ordering::Relaxed);
    }
}

/// The answers of lookups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Answers {
    asked: u64,
    /// Hints that were found with the one point that made them.
    right: u64,
    /// Points that did not make the hint, and points found twice.
    wrong: u64,
    /// Hints without their point.
    missing: u64,
}

impl AddAssign for Answers {
    fn add_assign(&mut self, other: Self) {
        self.asked += other.asked;
        self.right += other.right;
        self.wrong += other.wrong;
        self.missing += other.missing;
    }
}

impl Answers {
    fn and(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

/// Looks up `hints`, whose points are `made`; `None` for a foreign hint.
fn look_up(
    chain: &Snapshot,
    source: &Counted<'_>,
    hints: &[Hint],
    made: &[Option<(Slot, Nonce)>],
) -> Answers {
    let mut found = vec![0_u32; hints.len()];
    let mut answers = Answers { asked: hints.len() as u64, ..Answers::default() };
    let looked_up = chain.points(source, hints, |at, slot, nonce| {
        if made[at] == Some((slot, nonce)) {
            found[at] += 1;
        } else {
            answers.wrong += 1;
        }
    });
    looked_up.expect("a sound file");
    for (found, made) in found.into_iter().zip(made) {
        answers.right += u64::from(found == 1);
        answers.wrong += u64::from(found.saturating_sub(1));
        answers.missing += u64::from(found == 0 && made.is_some());
    }
    answers
}

fn main() -> ExitCode {
    let workload = Workload::from_arguments();
    let mut pool = rayon::ThreadPoolBuilder::new().num_threads(workload.threads);
    pool = pool.thread_name(|number| format!("lookup {number}"));
    pool.build_global().unwrap();
    let mut table = KeyTable::new(HintScheme::Aes128);
    table.extend((0..workload.devices).into_par_iter().map(key).collect());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("exact.hdx");
    build(&workload, &table, &path);
    let chain = Snapshot::open(&path, &manifest_key()).unwrap();
    chain.verify().unwrap();
    let right = check(&workload, &chain, &table);
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Builds the chain and prints the bytes, the rate and the memory.
fn build(workload: &Workload, table: &KeyTable, path: &std::path::Path) {
    let nonces = 0..Nonce::from(workload.horizon);
    let runs: Vec<_> = (0..workload.devices).map(|slot| (Slot(slot), nonces.clone())).collect();
    forget_peak().unwrap();
    let given_bytes = resident_bytes();
    let (wall, processor) = (Instant::now(), now());
    let key = manifest_key();
    let report = Builder::new(workload.params(), &key)
        .memory_bytes(u64::from(workload.memory_mib) << 20)
        .threads(workload.threads)
        .build_chain(&runs, &TableHints(table), path)
        .unwrap();
    let (wall, processor) = (wall.elapsed(), now() - processor);
    let peak_bytes = peak_resident_bytes();
    let hints = report.hints as f64;
    println!(
        "{} hints of {} devices, seed {SEED}, {} evaluations, {}: {} bytes, {:.4} a hint; \
         {} passes; {:.1} s by the wall ({:.2} M hints/s), {:.1} s of processor ({:.1} ns a hint)",
        report.hints,
        workload.devices,
        workload.evaluations,
        table.backend(),
        report.bytes,
        report.bytes as f64 / hints,
        report.passes,
        wall.as_secs_f64(),
        hints / wall.as_secs_f64() / 1e6,
        processor.as_secs_f64(),
        processor.as_secs_f64() * 1e9 / hints,
    );
    println!(
        "the build took at most {:.0} MiB of {} MiB; resident were {:.0} MiB of keys and runs \
         before, and {:.0} MiB at most",
        peak_bytes.saturating_sub(given_bytes) as f64 / MIB,
        workload.memory_mib,
        given_bytes as f64 / MIB,
        peak_bytes as f64 / MIB,
    );
}

/// Looks hints up and prints the counts. Returns whether all answers are right.
fn check(workload: &Workload, chain: &Snapshot, table: &KeyTable) -> bool {
    let source = || Counted { hints: TableHints(table), evaluations: AtomicU64::new(0) };
    let sampled = workload.devices.div_ceil(workload.every);
    let known = |slot: u32| (0..Nonce::from(workload.horizon)).map(move |nonce| (slot, nonce));
    let foreign = |slot: u32| std::iter::once((slot, workload.foreign_nonce(slot)));
    let mut all_right = true;
    let mut report = |what: &str, source: &Counted<'_>, (processor, answers): (f64, Answers)| {
        let Answers { asked, right, wrong, missing } = answers;
        let mean = source.evaluations.load(Ordering::Relaxed) as f64 / asked as f64;
        println!(
            "{what}: {asked} hints looked up, {right} found with their point, {wrong} wrong points, \
             {missing} missing; {mean:.2} evaluations and {:.0} ns of processor each, the \
             expected hint included",
            processor * 1e9 / asked as f64
        );
        all_right &= wrong == 0 && missing == 0;
    };
    let counted = source();
    report("known", &counted, ask(workload, chain, &counted, sampled, true, known));
    let counted = source();
    report("foreign", &counted, ask(workload, chain, &counted, sampled, false, foreign));
    all_right
}

/// Looks up the hints of `points` of each of `sampled` devices, on all threads. Returns the
/// processor time in seconds, that of the expected hints included.
fn ask<P: Iterator<Item = (u32, Nonce)>>(
    workload: &Workload,
    chain: &Snapshot,
    source: &Counted<'_>,
    sampled: u32,
    are_known: bool,
    points: impl Fn(u32) -> P + Sync,
) -> (f64, Answers) {
    let before = now();
    let tasks = (0..sampled.div_ceil(TASK_LEN_DEVICES)).into_par_iter().map(|task| {
        let devices = task * TASK_LEN_DEVICES..sampled.min((task + 1) * TASK_LEN_DEVICES);
        let (mut hints, mut made) = (Vec::new(), Vec::new());
        for slot in devices.map(|number| number * workload.every) {
            let cipher = HintCipher::new(HintScheme::Aes128, &key(slot));
            for (slot, nonce) in points(slot) {
                hints.push(cipher.hint(nonce).unwrap());
                made.push(are_known.then_some((Slot(slot), nonce)));
            }
        }
        look_up(chain, source, &hints, &made)
    });
    let answers = tasks.reduce(Answers::default, Answers::and);
    ((now() - before).as_secs_f64(), answers)
}
