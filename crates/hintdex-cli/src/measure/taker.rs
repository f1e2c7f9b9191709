//! Taking figures: each in a fresh process of this program, several times over.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use indicatif::ProgressBar;
use rustix::fs::{Advice, fadvise};

use super::figures::Spread;
use super::take::Taken;
use crate::args::{RunArgs, What};
use crate::failure::Failure;

/// What is measured, and how often.
pub struct Taker<'a> {
    program: PathBuf,
    run: &'a RunArgs,
    pub runs: u8,
    /// How long each kind of lookup is measured in one process, in milliseconds.
    each_ms: u64,
    bar: &'a ProgressBar,
}

/// A fleet that was made to be measured.
pub struct Fleet {
    /// Its folder.
    pub path: PathBuf,
    pub devices: u32,
    pub lookahead: u32,
    pub hint: &'static str,
}

impl Fleet {
    /// How many live hints it has.
    pub fn hints(&self) -> u64 {
        u64::from(self.devices) * u64::from(self.lookahead)
    }

    /// Where a snapshot of it goes; there is one at a time.
    pub fn snapshot(&self) -> PathBuf {
        self.path.with_extension("hdx")
    }
}

impl<'a> Taker<'a> {
    /// A taker that moves `bar` on with every process.
    pub fn new(
        run: &'a RunArgs,
        runs: u8,
        each_ms: u64,
        bar: &'a ProgressBar,
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe();
        let program =
            program.map_err(|error| Failure::io("finding itself", Path::new("hintdex"), &error))?;
        Ok(Self { program, run, runs, each_ms, bar })
    }

    /// Takes a figure in one fresh process.
    pub fn once(&self, what: What, fleet: &Fleet, more: &[&str]) -> Result<Taken, Failure> {
        let name = what.to_possible_value().map_or_else(String::new, |name| name.get_name().into());
        self.bar.set_message(format!("{} devices: {name}", fleet.devices));
        let mut command = Command::new(&self.program);
        command.arg("take").arg(name).arg("--index").arg(&fleet.path);
        command.arg("--snapshot").arg(fleet.snapshot()).args(["--hint", fleet.hint]);
        let numbers = [
            ("--devices", u64::from(fleet.devices)),
            ("--lookahead", fleet.lookahead.into()),
            ("--each-ms", self.each_ms),
            ("--memory", self.run.memory as u64),
        ];
        for (name, number) in numbers {
            command.arg(name).arg(number.to_string());
        }
        if let Some(threads) = self.run.threads {
            command.arg("--threads").arg(threads.to_string());
        }
        let output = command.args(more).stdin(Stdio::null()).output();
        let output = output.map_err(|error| Failure::io("running", &self.program, &error))?;
        self.bar.inc(1);
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let why = said.trim().trim_start_matches("hintdex: ");
            let why = if why.is_empty() { output.status.to_string() } else { why.to_owned() };
            return Err(Failure::data(&fleet.path, &why));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| Failure::data(&self.program, &format!("no figure came: {error}")))
    }

    /// Takes a figure in as many fresh processes as were asked for.
    pub fn several(&self, what: What, fleet: &Fleet, more: &[&str]) -> Result<Runs, Failure> {
        let runs = (0..self.runs).map(|_| self.once(what, fleet, more));
        runs.collect::<Result<_, _>>().map(Runs)
    }

    /// Takes first lookups in fresh processes, each with `files` out of the page cache.
    pub fn cold(&self, what: What, fleet: &Fleet, files: &Path) -> Result<Runs, Failure> {
        let cold = |_| {
            evict(files).map_err(|error| Failure::io("dropping from memory", files, &error))?;
            self.once(what, fleet, &["--cold"])
        };
        (0..cold_runs(self.runs)).map(cold).collect::<Result<_, _>>().map(Runs)
    }
}

/// What several fresh processes took.
pub struct Runs(Vec<Taken>);

impl Runs {
    /// A figure of each.
    pub fn spread(&self, figure: impl Fn(&Taken) -> f64) -> Spread {
        Spread::of(self.0.iter().map(figure))
    }

    /// The process whose resident size was the middle one.
    pub fn middle_resident(mut self) -> Taken {
        self.0.sort_by_key(|taken| taken.memory.resident_bytes);
        let middle = self.0.len() / 2;
        self.0.into_iter().nth(middle).unwrap_or_default()
    }

    /// What does not differ between them, or hardly.
    pub fn any(&self) -> Taken {
        self.0.first().cloned().unwrap_or_default()
    }
}

/// How often cold figures are taken: reading everything from the disk takes its time.
pub fn cold_runs(runs: u8) -> u8 {
    runs.min(2)
}

/// How [`evict`] does it, for the report.
pub const COLD_BY: &str = "fsync and posix_fadvise(POSIX_FADV_DONTNEED) on each file";

/// Takes the file, or every file of the folder, out of the page cache: asked for by
/// file, so that whoever else uses the machine keeps theirs.
fn evict(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return fs::read_dir(path)?.try_for_each(|entry| evict(&entry?.path()));
    }
    let file = File::open(path)?;
    // Pages that were not written yet would stay.
    file.sync_all()?;
    fadvise(&file, 0, None, Advice::DontNeed).map_err(Into::into)
}
