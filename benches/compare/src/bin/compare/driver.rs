//! The whole run: everybody loaded, then round after round of turns.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Outcome;
use crate::gauge::{self, Took};
use crate::peers::{Entry, Home, Way};
use crate::worker::{self, Ready};
use crate::workload::{Site, Size};

/// From how much on freed memory goes back to the system: 1 MiB.
const FREED_BYTES: &str = "1048576";

/// What is to be run.
pub struct Plan {
    pub size: Size,
    pub rounds: usize,
    /// Where the files go.
    pub folder: std::path::PathBuf,
    /// Only the contestants that are named here, or all.
    pub only: Vec<String>,
}

/// What one contestant took.
pub struct Measured {
    pub entry: Entry,
    /// What it took to load, by its own process.
    pub load: Took,
    pub ready: Ready,
    /// Nanoseconds a lookup, a figure a round, by the number of the way.
    pub rounds: [Vec<f64>; Way::ALL.len()],
}

/// What the run found.
pub struct Found {
    pub measured: Vec<Measured>,
    /// Titles of those that were not run, each with what it lacks.
    pub missing: Vec<(&'static str, String)>,
    /// The machine's load before and after, this run included.
    pub load: (f64, f64),
}

/// Runs `plan` with everybody of `entries`.
pub fn run(plan: &Plan, entries: Vec<Entry>) -> Outcome<Found> {
    let load_before = gauge::load();
    let folder = tempfile::Builder::new().prefix("hintdex-compare-").tempdir_in(&plan.folder)?;
    // A server that runs as somebody else has a folder of its own in this one.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
    eprintln!("{} hints into {}", plan.size.hint_count(), folder.path().display());
    Site::prepare(plan.size, folder.path())?;
    let (mut contestants, mut missing) = (Vec::new(), Vec::new());
    for entry in entries {
        let wanted = plan.only.is_empty() || plan.only.iter().any(|name| *name == entry.name);
        match (entry.lacks)() {
            _ if !wanted => {}
            Some(lacks) => missing.push((entry.title, lacks)),
            None => contestants.push(Contestant::start(entry, plan.size, folder.path())?),
        }
    }
    let count = contestants.len();
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        for turn in 0..count {
            contestants[(round + turn) % count].take_turns()?;
        }
    }
    let measured = contestants.into_iter().map(Contestant::finish).collect::<Outcome<_>>()?;
    Ok(Found { measured, missing, load: (load_before, gauge::load()) })
}

/// A contestant's process, and what it said so far.
struct Contestant {
    process: Process,
    measured: Measured,
}

impl Contestant {
    /// Loads it in one process, if it has files, and opens it in another.
    fn start(entry: Entry, size: Size, folder: &Path) -> Outcome<Self> {
        let is_in_files = matches!(entry.home, Home::Files { .. });
        let loaded = if is_in_files {
            let mut process = Process::start("load", &entry, size, folder)?;
            let ready = process.ready()?;
            process.finish()?;
            Some(ready.took)
        } else {
            None
        };
        let mut process = Process::start("serve", &entry, size, folder)?;
        let ready = process.ready()?;
        let load = loaded.unwrap_or(ready.took);
        let hints = size.hint_count() as f64;
        eprintln!(
            "{:40} {:7.2} B a hint, loaded in {:.1} s",
            entry.title,
            ready.stored_bytes as f64 / hints,
            load.wall_ns / 1e9
        );
        let measured = Measured { entry, load, ready, rounds: Default::default() };
        Ok(Self { process, measured })
    }

    /// A turn each way.
    fn take_turns(&mut self) -> Outcome<()> {
        for way in self.measured.entry.ways() {
            let number = worker::number(way);
            let ns = self.process.ask(&number.to_string())?;
            self.measured.rounds[number].push(ns.trim().parse()?);
        }
        Ok(())
    }

    fn finish(self) -> Outcome<Measured> {
        self.process.finish()?;
        Ok(self.measured)
    }
}

/// This program again, for one contestant.
struct Process {
    title: &'static str,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Process {
    fn start(what: &str, entry: &Entry, size: Size, folder: &Path) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--worker", what, "--only", entry.name, "--folder"]).arg(folder);
        command.args(["--devices", &size.devices.to_string()]);
        command.args(["--horizon", &size.horizon.to_string(), "--seed", &size.seed.to_string()]);
        // Memory that has been freed is given back, however glibc's habits have
        // changed by then, so that what is resident is what is used.
        command.envs([
            ("MALLOC_MMAP_THRESHOLD_", FREED_BYTES),
            ("MALLOC_TRIM_THRESHOLD_", FREED_BYTES),
        ]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let to = child.stdin.take().ok_or("no pipe to a process")?;
        let from = BufReader::new(child.stdout.take().ok_or("no pipe from a process")?);
        Ok(Self { title: entry.title, child, to, from })
    }

    fn listen(&mut self) -> Outcome<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err(format!("{} failed; its own words are above", self.title).into());
        }
        Ok(line)
    }

    fn ready(&mut self) -> Outcome<Ready> {
        let line = self.listen()?;
        Ready::parse(&line).ok_or_else(|| format!("{} said {line:?}", self.title).into())
    }

    fn ask(&mut self, line: &str) -> Outcome<String> {
        writeln!(self.to, "{line}")?;
        self.to.flush()?;
        self.listen()
    }

    /// Closes its input, at which it ends, and whatever it started with it.
    fn finish(self) -> Outcome<()> {
        let Self { title, mut child, to, from } = self;
        drop((to, from));
        let status = child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("{title} ended with {status}").into()) }
    }
}
