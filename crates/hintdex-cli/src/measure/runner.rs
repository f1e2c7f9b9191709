//! Running measurements, each in several fresh processes of this program.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use indicatif::ProgressBar;
use rustix::fs::{Advice, fadvise};

use super::figures::Spread;
use super::take::Measurement;
use crate::args::{RunArgs, What};
use crate::failure::Failure;

/// Starts processes that measure.
pub struct Runner<'a> {
    program: PathBuf,
    run: &'a RunArgs,
    pub runs: u8,
    /// How long one process measures each kind of lookup, in milliseconds.
    each_ms: u64,
    bar: &'a ProgressBar,
}

/// A measured fleet.
pub struct Fleet {
    /// The folder of the fleet.
    pub path: PathBuf,
    pub devices: u32,
    pub lookahead: u32,
    pub hint: &'static str,
}

impl Fleet {
    /// The number of live hints of the fleet.
    pub fn hints(&self) -> u64 {
        u64::from(self.devices) * u64::from(self.lookahead)
    }

    /// The path of the fleet's snapshot; one exists at a time.
    pub fn snapshot(&self) -> PathBuf {
        self.path.with_extension("hdx")
    }
}

impl<'a> Runner<'a> {
    /// A runner that advances `bar` with every process.
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

    /// Measures in one fresh process.
    pub fn once(&self, what: What, fleet: &Fleet, more: &[&str]) -> Result<Measurement, Failure> {
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
        let stderr = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let why = stderr.trim().trim_start_matches("hintdex: ");
            let why = if why.is_empty() { output.status.to_string() } else { why.to_owned() };
            return Err(Failure::data(&fleet.path, &why));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| {
            Failure::data(&self.program, &format!("the measurement cannot be read: {error}"))
        })
    }

    /// Measures in `runs` fresh processes.
    pub fn several(&self, what: What, fleet: &Fleet, more: &[&str]) -> Result<Runs, Failure> {
        let runs = (0..self.runs).map(|_| self.once(what, fleet, more));
        runs.collect::<Result<_, _>>().map(Runs)
    }

    /// Measures first lookups in fresh processes, each after `files` left the page cache.
    pub fn cold(&self, what: What, fleet: &Fleet, files: &Path) -> Result<Runs, Failure> {
        let cold = |_| {
            evict(files)
                .map_err(|error| Failure::io("evicting from the page cache", files, &error))?;
            self.once(what, fleet, &["--cold"])
        };
        (0..cold_runs(self.runs)).map(cold).collect::<Result<_, _>>().map(Runs)
    }
}

/// The measurements of several fresh processes.
pub struct Runs(Vec<Measurement>);

impl Runs {
    /// The spread of a figure over the processes.
    pub fn spread(&self, figure: impl Fn(&Measurement) -> f64) -> Spread {
        Spread::of(self.0.iter().map(figure))
    }

    /// The measurement with the median resident size.
    pub fn middle_resident(mut self) -> Measurement {
        self.0.sort_by_key(|measured| measured.memory.resident_bytes);
        let middle = self.0.len() / 2;
        self.0.into_iter().nth(middle).unwrap_or_default()
    }

    /// One of the measurements, for figures that hardly differ between processes.
    pub fn any(&self) -> Measurement {
        self.0.first().cloned().unwrap_or_default()
    }
}

/// The number of processes for cold figures, which take long: they read from the disk.
pub fn cold_runs(runs: u8) -> u8 {
    runs.min(2)
}

/// The method of [`evict`], for the report.
pub const COLD_BY: &str = "fsync and posix_fadvise(POSIX_FADV_DONTNEED) on each file";

/// Evicts a file, or every file of a folder, from the page cache. Eviction is by file, so the
/// cached files of other processes stay.
fn evict(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return fs::read_dir(path)?.try_for_each(|entry| evict(&entry?.path()));
    }
    let file = File::open(path)?;
    // Dirty pages would stay in the cache, so they are written first.
    file.sync_all()?;
    fadvise(&file, 0, None, Advice::DontNeed).map_err(Into::into)
}
