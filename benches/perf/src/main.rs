//! `hintdex-perf`: how many instructions the hot paths take, held against figures
//! that are checked in.
//!
//! Times move with the machine's mood, instructions do not: the same binary and
//! input take the same number, on one thread, to a thousandth. So a change that
//! makes a path 3 % longer is seen, whoever else is using the machine.
//!
//! ```text
//! hintdex-perf check           counts every path and compares with expected.tsv
//! hintdex-perf accept          counts every path and writes expected.tsv
//! hintdex-perf run PATH        does the work of one path: what is counted
//! ```
//!
//! Each path runs in a process of its own under callgrind (Nethercote, Seward,
//! "Valgrind: a framework for heavyweight dynamic binary instrumentation", PLDI
//! 2007), which counts between entering and leaving [`counted`] and emulates a
//! processor of its own: no AVX-512, no VAES, no SHA-NI, wherever it runs.
#![forbid(unsafe_code)]

mod counter;
mod expected;
mod paths;

use std::hint::black_box;
use std::process::ExitCode;

use crate::counter::Count;
use crate::expected::Expected;
use crate::paths::Path;

/// Any error, on its way to the user.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Callgrind counts while this is being executed, and knows it by its name.
#[inline(never)]
pub fn counted(work: &mut dyn FnMut() -> u64) -> u64 {
    black_box(work())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["check"] => check(),
        ["accept"] => accept(),
        ["run", name] => run(name),
        _ => Err("what to do: check, accept, or run PATH".into()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("hintdex-perf: {error}");
        ExitCode::from(2)
    })
}

/// Does the work of one path and prints a hash of its results.
fn run(name: &str) -> Result<ExitCode, Failure> {
    let path = Path::all().find(|path| path.name == name);
    let path = path.ok_or_else(|| format!("there is no path called {name}"))?;
    // Searches of a whole table go to rayon's threads: let that be this one.
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global()?;
    println!("{:016x}", (path.work)()?);
    Ok(ExitCode::SUCCESS)
}

/// Counts every path and says which grew, which fell and which are new.
fn check() -> Result<ExitCode, Failure> {
    let expected = Expected::read()?;
    for line in expected.other_tools(&counter::tools()?) {
        println!("note: {line}");
    }
    println!("{:<34} {:>14} {:>14} {:>9}", "path", "accepted", "now", "change");
    let (mut bad, mut fell) = (Vec::new(), Vec::new());
    for path in Path::all() {
        let now = counter::count(path.name)?;
        let verdict = expected.judge(path.name, now);
        println!("{}", verdict.row(path.name, now));
        if verdict.is_bad() {
            bad.push(path.name);
        } else if verdict.fell() {
            fell.push(path.name);
        }
    }
    let gone: Vec<_> = expected.names().filter(|name| !is_path(name)).collect();
    if !fell.is_empty() {
        println!("\n{} fell by more than 3 %: accept that with make perf-accept", fell.join(", "));
    }
    if bad.is_empty() && gone.is_empty() {
        println!("\nno path takes more than 3 % more instructions than was accepted");
        return Ok(ExitCode::SUCCESS);
    }
    let rows = bad.iter().copied().chain(gone).collect::<Vec<_>>().join(", ");
    eprintln!(
        "hintdex-perf: not as accepted in {}: {rows}; make it as fast as it was, or accept it \
         with make perf-accept and say why in the commit",
        expected::FILE,
    );
    Ok(ExitCode::FAILURE)
}

/// Counts every path and writes the figures down.
fn accept() -> Result<ExitCode, Failure> {
    let mut counts: Vec<(&str, Count)> = Vec::new();
    for path in Path::all() {
        let count = counter::count(path.name)?;
        println!("{:<34} {:>14}", path.name, count.instructions);
        counts.push((path.name, count));
    }
    Expected::write(&counts, &counter::tools()?)?;
    println!("\naccepted in {}", expected::FILE);
    Ok(ExitCode::SUCCESS)
}

fn is_path(name: &str) -> bool {
    Path::all().any(|path| path.name == name)
}
