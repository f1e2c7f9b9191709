//! `hintdex take`: one figure, taken in this process and nothing else, printed as
//! one line of JSON. `hintdex measure` runs it, a fresh process each time.
//!
//! Having printed it the process waits until its standard input is closed, so that
//! whoever started it can look at it from outside.

mod build;
mod lookups;
mod packets;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use hintdex::snapshot::Dial;
use hintdex::wire::MasterKey;
use hintdex::{Durability, StationOptions};
use serde::{Deserialize, Serialize};

use super::memory::{self, Memory};
use crate::args::{RunArgs, TakeArgs, What};
use crate::failure::Failure;

/// What a process took. What does not apply is 0.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Taken {
    pub hints: u64,
    pub bytes: u64,
    pub sections: BTreeMap<String, u64>,
    pub tries: u32,
    /// What the work took, opening and closing left out.
    pub wall_s: f64,
    pub cpu_s: f64,
    /// Opening, and the first lookups after it.
    pub open_ms: f64,
    pub first_lookup_us: f64,
    pub read_bytes: u64,
    /// A lookup or a packet, one at a time and in batches.
    pub cpu_ns: f64,
    pub wall_ns: f64,
    pub batch_cpu_ns: f64,
    pub batch_wall_ns: f64,
    pub memory: Memory,
}

/// Takes what was asked for and prints it.
pub fn run(args: &TakeArgs, run: &RunArgs) -> Result<(), Failure> {
    let before_bytes = memory::resident_bytes();
    match args.what {
        What::Provision => build::provision(args, run, before_bytes),
        What::Roll => build::roll(args, run, before_bytes),
        What::Rebuild => build::rebuild(args, run, before_bytes),
        What::Live => lookups::live(args, run, before_bytes),
        What::Snapshot => lookups::snapshot(args, before_bytes),
        What::Scan => lookups::scan(args, before_bytes),
        What::Station => packets::station(args, run, before_bytes),
        What::Decode => packets::decode(args, run, before_bytes),
    }
}

/// Prints a figure and waits; what was measured is still open meanwhile.
fn tell(taken: &Taken) -> Result<(), Failure> {
    let line = serde_json::to_string(taken).map_err(|error| Failure::usage(error.to_string()))?;
    let mut out = io::stdout();
    let told = writeln!(out, "{line}").and_then(|()| out.flush());
    told.map_err(|error| Failure::io("writing", Path::new("standard output"), &error))?;
    let _ = io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}

/// The options of a station that is measured: safe through a crash of the process,
/// and doing nothing by itself.
fn options(run: &RunArgs) -> StationOptions {
    StationOptions {
        roll_in_background: false,
        snapshot_at_roll: false,
        ..run.station(Durability::ProcessCrash)
    }
}

/// The dial of a snapshot that tries so many slots.
const fn dial(args: &TakeArgs) -> Dial {
    Dial::Tries(args.tries)
}

/// Memory now, or why it is not known.
fn memory_now(before_bytes: u64, mapped: Option<&Path>) -> Result<Memory, Failure> {
    let memory = Memory::now(before_bytes, mapped);
    memory.map_err(|error| Failure::io("reading", Path::new("/proc/self/status"), &error))
}

/// The file of a snapshot that was asked for.
fn snapshot_path(args: &TakeArgs) -> Result<&Path, Failure> {
    args.snapshot.as_deref().ok_or_else(|| Failure::usage("take needs --snapshot for that"))
}

/// The keys of a fleet that was made to be measured.
fn master_key(fleet: &Path) -> Result<MasterKey, Failure> {
    let path = fleet.join("master.key");
    let digits =
        fs::read_to_string(&path).map_err(|error| Failure::io("reading", &path, &error))?;
    let mut secret = [0; 32];
    hex::decode_to_slice(digits.trim(), &mut secret)
        .map_err(|error| Failure::data(&path, &error))?;
    Ok(MasterKey::new(&secret))
}

/// Both clocks, read when it is made.
struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: memory::cpu_time() }
    }

    fn wall(&self) -> Duration {
        self.wall.elapsed()
    }

    fn cpu(&self) -> Duration {
        memory::cpu_time().saturating_sub(self.cpu)
    }
}
