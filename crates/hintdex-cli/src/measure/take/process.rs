//! What the measurements of one process share: figures, clocks, options and keys.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use hintdex::snapshot::{Dial, Encoding};
use hintdex::wire::MasterKey;
use hintdex::{Durability, StationOptions};
use serde::{Deserialize, Serialize};

use crate::args::{RunArgs, TakeArgs};
use crate::failure::Failure;
use crate::measure::memory::{self, Memory};

/// The figures of one process. A figure that does not apply is 0.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measurement {
    pub hints: u64,
    pub bytes: u64,
    pub sections: BTreeMap<String, u64>,
    pub tries: u32,
    /// Hints computed for a lookup in a chain; 0 for the other forms.
    pub evaluations: u32,
    /// Wall and processor time of the work, without opening and closing.
    pub wall_s: f64,
    pub cpu_s: f64,
    /// The time to open, and the time of a first lookup after it.
    pub open_ms: f64,
    pub first_lookup_us: f64,
    pub read_bytes: u64,
    /// The time of a lookup or a packet, one at a time and in batches.
    pub cpu_ns: f64,
    pub wall_ns: f64,
    pub batch_cpu_ns: f64,
    pub batch_wall_ns: f64,
    pub memory: Memory,
}

/// Prints the figures as one line of JSON, then waits until standard input is closed. All
/// that was measured stays open meanwhile.
pub fn print_and_wait(measurement: &Measurement) -> Result<(), Failure> {
    let line =
        serde_json::to_string(measurement).map_err(|error| Failure::usage(error.to_string()))?;
    let mut out = io::stdout();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.map_err(|error| Failure::io("writing", Path::new("standard output"), &error))?;
    let _ = io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}

/// The options of a measured station: durable through a crash of the process, and without
/// background work.
pub fn options(run: &RunArgs) -> StationOptions {
    StationOptions {
        roll_in_background: false,
        snapshot_at_roll: false,
        lean: false,
        ..run.station(Durability::ProcessCrash)
    }
}

/// The dial of a snapshot of `--encoding`.
pub const fn dial(args: &TakeArgs) -> Dial {
    match args.encoding {
        Encoding::Chain => Dial::Evaluations(args.evaluations),
        _ => Dial::Tries(args.tries),
    }
}

/// The memory of this process now, or why it is not known.
pub fn memory_now(before_bytes: u64, mapped: Option<&Path>) -> Result<Memory, Failure> {
    let memory = Memory::now(before_bytes, mapped);
    memory.map_err(|error| Failure::io("reading", Path::new("/proc/self/status"), &error))
}

/// The path of `--snapshot`.
pub fn snapshot_path(args: &TakeArgs) -> Result<&Path, Failure> {
    args.snapshot.as_deref().ok_or_else(|| Failure::usage("take needs --snapshot for that"))
}

/// The master key of a measured fleet.
pub fn master_key(fleet: &Path) -> Result<MasterKey, Failure> {
    let path = fleet.join("master.key");
    let digits =
        fs::read_to_string(&path).map_err(|error| Failure::io("reading", &path, &error))?;
    let mut secret = [0; 32];
    hex::decode_to_slice(digits.trim(), &mut secret)
        .map_err(|error| Failure::data(&path, &error))?;
    Ok(MasterKey::new(&secret))
}

/// Wall time and processor time since its creation.
pub struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub fn start() -> Self {
        Self { wall: Instant::now(), cpu: memory::cpu_time() }
    }

    pub fn wall(&self) -> Duration {
        self.wall.elapsed()
    }

    pub fn cpu(&self) -> Duration {
        memory::cpu_time().saturating_sub(self.cpu)
    }
}
