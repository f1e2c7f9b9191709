//! The machine on which figures were measured.

use std::fs;

use serde::{Deserialize, Serialize};

/// The machine, as the system describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    /// The relevant instruction sets that the processor has.
    pub instructions: Vec<String>,
    pub memory_bytes: u64,
    pub kernel: String,
    /// The load average of the last minute.
    pub load: f64,
}

/// The instruction sets that determine how fast keys are derived and tried.
const INSTRUCTIONS: [&str; 5] = ["aes", "avx2", "vaes", "avx512f", "sha_ni"];

impl Machine {
    /// This machine.
    pub fn describe() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = field(&cpu, "flags").unwrap_or_default();
        let has = |name: &&str| flags.split(' ').any(|flag| flag == *name);
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let memory = read("/proc/meminfo");
        let memory_kib = field(&memory, "MemTotal").and_then(|text| text.strip_suffix(" kB"));
        let load = read("/proc/loadavg");
        Self {
            cpu: field(&cpu, "model name").unwrap_or("an unknown processor").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            instructions: INSTRUCTIONS
                .iter()
                .filter(|name| has(name))
                .map(|name| (*name).to_owned())
                .collect(),
            memory_bytes: memory_kib
                .and_then(|kib| kib.parse().ok())
                .map_or(0, |kib: u64| kib << 10),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        }
    }

    /// The description in one line.
    pub fn line(&self) -> String {
        format!(
            "{}, {} cores, {:.0} GiB, {}, Linux {}, load {:.1}",
            self.cpu,
            self.cores,
            self.memory_bytes as f64 / f64::from(1 << 30),
            self.instructions.join(" "),
            self.kernel,
            self.load
        )
    }
}

/// The first value called `name` in lines of `name: value`.
pub fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}
