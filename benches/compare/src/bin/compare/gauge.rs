//! Clocks, resident memory, sizes of files, spreads.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use hintdex_compare::memory::field_bytes;
pub use hintdex_compare::memory::resident_bytes;
use hintdex_compare::turns;

/// What something took, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// By the wall.
    pub wall_ns: f64,
    /// Processor time of all threads of this process.
    pub cpu_ns: f64,
}

/// Reads both clocks when it is made and again when it is asked.
pub struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub fn start() -> Self {
        Self { wall: Instant::now(), cpu: turns::now() }
    }

    pub fn took(&self) -> Took {
        let cpu = turns::now().saturating_sub(self.cpu);
        Took { wall_ns: self.wall.elapsed().as_secs_f64() * 1e9, cpu_ns: cpu.as_secs_f64() * 1e9 }
    }
}

/// The resident size of process `id`, in bytes, with an equal share of every page
/// that it has in common with others.
pub fn proportional_bytes(id: u32) -> u64 {
    field_bytes(&format!("/proc/{id}/smaps_rollup"), "Pss:").unwrap_or(0)
}

/// The processes that process `id` started and that still run.
pub fn children(id: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Bytes of all files under `path`, or of the file it is.
pub fn file_bytes(path: &Path) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    fs::read_dir(path)?.map(|entry| file_bytes(&entry?.path())).sum()
}

/// Least, middle and greatest of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    /// Of `values`; `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        Some(Self { min, median: *values.get(values.len() / 2)?, max })
    }
}

/// The machine in one line: CPU, cores, memory, kernel.
pub fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field_bytes("/proc/meminfo", "MemTotal:").unwrap_or(0) >> 30;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let has = |flag| cpus.contains(flag).then_some(flag);
    let wide: Vec<_> = ["avx2", "avx512f", "vaes"].into_iter().filter_map(has).collect();
    format!(
        "{}, {cores} cores ({}), {memory} GiB, Linux {}",
        name.map_or("unknown CPU", |(_, name)| name.trim()),
        wide.join(", "),
        kernel.trim()
    )
}

/// How many processes wanted a core of this machine, on average over the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}
