//! `hintdex estimate`: the bytes, time and memory of a fleet before it is built.
//!
//! Bytes follow from the geometry of index and snapshot, with a sample of each packed for
//! real. Times follow from the same samples, measured on this machine. Memory follows from a
//! small fleet that a process of its own serves, scaled to the number of devices.

mod figures;
mod without_hints;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use hintdex::snapshot::{Dial, Encoding, SampleShard, Section, SnapshotParams};
use hintdex::wire::{
    AssociatedData, DeviceId, HintCipher, HintKey, KeyId, KeySource, Packet, PacketFormat,
    PacketKey, Sealer, Suite,
};
use hintdex::{DeviceRange, Durability, Params, Station, StationOptions, Stats};
use hintdex_core::WindowEstimate;
use serde_json::{Value, json};

use crate::args::{EstimateArgs, RunArgs, SuiteName, What};
use crate::dial;
use crate::failure::Failure;
use crate::measure::{Fleet, Memory, Runner};

/// The hints of the small fleet.
const SAMPLE_LEN_HINTS: u32 = 1 << 16;

/// The number of processes that serve the small fleet: their memory differs with the
/// allocator.
const SAMPLE_RUNS: u8 = 3;

/// How long key derivation, and hint computation, are measured.
const CALIBRATION: Duration = Duration::from_millis(60);

pub fn run(args: &EstimateArgs, run: &RunArgs) -> Result<(), Failure> {
    let (object, table): (Value, fn(&Value) -> String) = match args.suite {
        SuiteName::Hinted(suite) => (of_hints(args, suite, run)?, to_table),
        SuiteName::Ephemeral(suite) => {
            (without_hints::estimate(args, suite, CALIBRATION), without_hints::to_table)
        }
    };
    if args.json {
        println!("{object}");
    } else {
        print!("{}", table(&object));
    }
    Ok(())
}

/// The estimate of a fleet whose packets have hints.
fn of_hints(args: &EstimateArgs, suite: Suite, run: &RunArgs) -> Result<Value, Failure> {
    let here = Path::new("a temporary folder");
    let folder = tempfile::tempdir().map_err(|error| Failure::io("making", here, &error))?;
    let fleet = Fleet {
        path: folder.path().join("fleet"),
        devices: (SAMPLE_LEN_HINTS / args.lookahead).clamp(64, 4096),
        lookahead: args.lookahead,
        hint: args.hint.name(),
    };
    let sample = Sample::take(&fleet, args, run)?;
    let window = sample.station.estimate(args.devices)?;
    let live = live(&sample, &window, args, run);
    let own_snapshot = SnapshotForm::of_station(args).estimate(&sample, args, run)?;
    let snapshot = SnapshotForm::of_args(args)?.estimate(&sample, args, run)?;
    let memory = memory(&sample, args, window.memory_bytes)?;
    let hints = u64::from(args.devices) * u64::from(args.lookahead);
    Ok(json!({
        "devices": args.devices,
        "lookahead": args.lookahead,
        "hint_scheme": args.hint.name(),
        "hints": hints,
        "live": live.to_json(hints),
        "own_snapshot": own_snapshot.to_json(hints * u64::from(StationOptions::SNAPSHOT_LOOKAHEADS)),
        "snapshot": snapshot.to_json(hints),
        "memory": memory,
        "packet": packet(PacketFormat { scheme: args.hint, suite }),
    }))
}

/// A small fleet, and costs on this machine.
struct Sample {
    station: Station,
    stats: Stats,
    /// The memory of a process that serves the fleet.
    served: Memory,
    key_s: f64,
    hint_s: f64,
    /// The fixed time of provisioning: syncs.
    fixed_s: f64,
}

impl Sample {
    fn take(fleet: &Fleet, args: &EstimateArgs, run: &RunArgs) -> Result<Self, Failure> {
        let params = Params::counters(args.hint, args.lookahead);
        // The estimate is of a full index; the own snapshot is estimated beside it.
        let options = StationOptions { lean: false, ..run.station(Durability::ProcessCrash) };
        let station = Station::create(&fleet.path, None, params, &options)?;
        let started = Instant::now();
        station.provision(&[DeviceRange::new(DeviceId(0), fleet.devices)], None)?;
        let fixed_s = started.elapsed().as_secs_f64();
        let stats = station.stats()?;
        station.warm_up()?;
        // The next process can open the index only after this one has closed it.
        drop(station);
        let bar = indicatif::ProgressBar::hidden();
        let served = Runner::new(run, SAMPLE_RUNS, 1, &bar)?;
        let served = served.several(What::Station, fleet, &[])?.middle_resident().memory;
        let station = Station::open(&fleet.path, &options)?;
        let (key_s, hint_s) = costs(station.key_source().as_ref(), args);
        Ok(Self { station, stats, served, key_s, hint_s, fixed_s })
    }

    /// Core time to compute so many hints of each device `passes` times, in seconds.
    fn computing_s(&self, args: &EstimateArgs, horizon_nonces: u32, passes: u64) -> f64 {
        let device_s = self.key_s + self.hint_s * f64::from(horizon_nonces);
        passes as f64 * f64::from(args.devices) * device_s
    }
}

/// The time to derive a key and to compute a hint, on one thread, in seconds.
fn costs(keys: &dyn KeySource, args: &EstimateArgs) -> (f64, f64) {
    let key = |id: u32| keys.hint_key(KeyId::first(DeviceId(id)));
    let key_s = cost(&|id| u64::from(black_box(key(id)).is_some()));
    let hint_s = key(0).map_or(0.0, |key| {
        let made = |_| {
            let mut sum = 0_u64;
            let cipher = HintCipher::new(args.hint, &key);
            let nonces = u64::from(args.lookahead);
            cipher.each_hint(0..nonces, |hint| sum = sum.wrapping_add(hint.head()));
            sum
        };
        cost(&made) / f64::from(args.lookahead)
    });
    (key_s, hint_s)
}

/// The time of one call, in seconds.
fn cost(work: &dyn Fn(u32) -> u64) -> f64 {
    let (started, mut calls) = (Instant::now(), 0);
    while started.elapsed() < CALIBRATION {
        black_box((0..64).map(|call| work(calls + call)).fold(0, u64::wrapping_add));
        calls += 64;
    }
    started.elapsed().as_secs_f64() / f64::from(calls)
}

/// A part of a fleet: its bytes, and the time to build it.
struct Part {
    bytes: u64,
    sections: Vec<(&'static str, u64)>,
    build_s: f64,
    more: Value,
}

impl Part {
    fn to_json(&self, hints: u64) -> Value {
        let sections = self.sections.iter();
        let sections = sections.map(|(name, bytes)| json!({ "name": name, "bytes": bytes }));
        let mut object = json!({
            "bytes": self.bytes,
            "bytes_per_hint": self.bytes as f64 / hints.max(1) as f64,
            "build_s": self.build_s,
            "sections": sections.collect::<Vec<_>>(),
        });
        if let (Some(object), Some(more)) = (object.as_object_mut(), self.more.as_object()) {
            object.extend(more.clone());
        }
        object
    }
}

/// The live index: the window by its geometry, the other sections as in the small fleet.
fn live(sample: &Sample, window: &WindowEstimate, args: &EstimateArgs, run: &RunArgs) -> Part {
    let others = sample.stats.sections.iter().filter(|section| section.name != "hints");
    let others = others.map(|section| (section.name, section.disk_bytes));
    let sections: Vec<_> = std::iter::once(("hints", window.bytes)).chain(others).collect();
    let packing_s = window.sample_took.as_secs_f64() / window.sampled_hints.max(1) as f64;
    let work_s =
        sample.computing_s(args, args.lookahead, window.passes) + packing_s * window.hints as f64;
    let more = json!({
        "prefix_bits": window.prefix_bits,
        "suffix_bits": window.suffix_bits,
        "passes": window.passes,
        "memory_given_bytes": run.memory,
    });
    Part {
        bytes: sections.iter().map(|(_, bytes)| bytes).sum(),
        sections,
        build_s: sample.fixed_s + work_s / threads(),
        more,
    }
}

/// A snapshot whose bytes are estimated.
struct SnapshotForm {
    encoding: Encoding,
    dial: Dial,
    horizon_nonces: u32,
}

impl SnapshotForm {
    /// The snapshot of the command line, as far ahead as the index.
    fn of_args(args: &EstimateArgs) -> Result<Self, Failure> {
        let dial = dial::of(args.encoding, args.bits, args.tries, args.evaluations)?;
        Ok(Self { encoding: args.encoding, dial, horizon_nonces: args.lookahead })
    }

    /// The station's own snapshot.
    const fn of_station(args: &EstimateArgs) -> Self {
        Self {
            encoding: Encoding::Chain,
            dial: Dial::Evaluations(StationOptions::DEFAULT_EVALUATIONS),
            horizon_nonces: args.lookahead * StationOptions::SNAPSHOT_LOOKAHEADS,
        }
    }

    /// One shard is built, and the others are assumed equal.
    fn estimate(
        &self,
        sample: &Sample,
        args: &EstimateArgs,
        run: &RunArgs,
    ) -> Result<Part, Failure> {
        let params = SnapshotParams {
            encoding: self.encoding,
            dial: self.dial,
            check_bits: hintdex::RebuildOptions::default().check_bits,
            hint_scheme: args.hint,
            nonce_kind: 0,
            horizon_nonces: self.horizon_nonces.into(),
            slots: 0..args.devices,
            fleet_id: [0; 16],
            origin: [0; 16],
            built_at_unix_s: 0,
            time_unix_s: 0..0,
        };
        let hints = u64::from(args.devices) * u64::from(self.horizon_nonces);
        let refused = |error| Failure::usage(format!("such a snapshot cannot be built: {error}"));
        let shard = SampleShard::new(&params, hints).map_err(refused)?;
        let passes = shard.passes(run.memory as u64, rayon::current_num_threads());
        let started = Instant::now();
        let estimate = shard.build().map_err(refused)?;
        let shard_s = started.elapsed().as_secs_f64() * estimate.shards as f64;
        let computing_s = sample.computing_s(args, self.horizon_nonces, passes as u64);
        let section = |section: &Section| (section.name, section.bytes);
        Ok(Part {
            bytes: estimate.bytes,
            sections: estimate.sections.iter().map(section).collect(),
            build_s: (computing_s + shard_s) / threads(),
            more: json!({
                "encoding": self.encoding.name(),
                "tries": params.tries(),
                "evaluations": params.evaluations(),
                "value_bits": params.value_bits(),
                "passes": passes,
            }),
        })
    }
}

/// The memory of a station that serves the fleet and has read everything it holds.
fn memory(sample: &Sample, args: &EstimateArgs, cache_bytes: u64) -> Result<Value, Failure> {
    let (stats, served) = (&sample.stats, &sample.served);
    sample.station.warm_up()?;
    let small = stats.slots.max(1);
    let per_slot = |bytes: u64| bytes * u64::from(args.devices) / small;
    let table_bytes = sample.station.table_memory_bytes() as u64;
    let of_small = stats.states_memory_bytes + table_bytes + served.block_cache_bytes;
    let base_bytes = served.resident_bytes.saturating_sub(of_small);
    let (states, keys) = (per_slot(stats.states_memory_bytes), per_slot(table_bytes));
    Ok(json!({
        "resident_bytes": base_bytes + states + keys + cache_bytes,
        "states_bytes": states,
        "key_table_bytes": keys,
        "block_cache_bytes": cache_bytes,
        "program_bytes": base_bytes,
    }))
}

/// The payload of the packet that is opened.
const PAYLOAD: [u8; 20] = [0x2a; 20];

/// What a packet carries beside its payload, and how long opening it takes on one thread.
fn packet(format: PacketFormat) -> Value {
    let key = PacketKey::copy_of(&[1; 32]);
    let mut sealer = Sealer::new(format, &HintKey::copy_of(&[2; 16]), key.clone(), 0);
    let mut bytes = vec![0; sealer.packet_len_bytes(PAYLOAD.len())];
    let sealed = sealer.seal(&PAYLOAD, &mut bytes).ok();
    let open_s = sealed.and_then(|_| Packet::parse(format, &bytes).ok()).map(|packet| {
        cost(&|_| {
            let mut room = PAYLOAD;
            let opened = key.open(&packet, 0, AssociatedData::EMPTY, &mut room);
            u64::from(black_box(opened).is_some())
        })
    });
    json!({
        "suite": format.suite.name(),
        "overhead_bytes": format.overhead_bytes(),
        "open_s": open_s,
    })
}

fn threads() -> f64 {
    rayon::current_num_threads() as f64
}

/// The estimate as a table.
fn to_table(object: &Value) -> String {
    let number = |path: &str| figures::number(object, path);
    let bytes = |path: &str| figures::bytes(object, path);
    let mut text = format!(
        "{} devices × {} hints = {} hints\n\n",
        number("/devices"),
        number("/lookahead"),
        number("/hints")
    );
    for (name, part) in
        [("full index", "live"), ("own snapshot", "own_snapshot"), ("snapshot", "snapshot")]
    {
        let total = bytes(&format!("/{part}/bytes"));
        let per_hint = number(&format!("/{part}/bytes_per_hint"));
        let (build_s, passes) =
            (number(&format!("/{part}/build_s")), number(&format!("/{part}/passes")));
        text += &format!("{name:<22}{total}   {per_hint:.3} bytes a hint\n");
        let sections = object.pointer(&format!("/{part}/sections")).and_then(Value::as_array);
        for at in 0..sections.map_or(0, Vec::len) {
            let section = format!("/{part}/sections/{at}");
            let name = object.pointer(&format!("{section}/name")).and_then(Value::as_str);
            let size = bytes(&format!("{section}/bytes"));
            text += &format!("  {:<20}{size}\n", name.unwrap_or_default());
        }
        text += &format!("  {:<20}{build_s:>16.1} s, in {passes} passes\n", "building takes");
    }
    text += &format!("\n{:<22}{}\n", "resident, serving", bytes("/memory/resident_bytes"));
    let memory = [
        ("states", "states_bytes"),
        ("key table", "key_table_bytes"),
        ("rows, block cache", "block_cache_bytes"),
        ("the program", "program_bytes"),
    ];
    text.extend(
        memory.map(|(name, key)| format!("  {name:<20}{}\n", bytes(&format!("/memory/{key}")))),
    );
    let suite = object.pointer("/packet/suite").and_then(Value::as_str).unwrap_or_default();
    let open_us = number("/packet/open_s") * 1e6;
    text += &format!(
        "\n{:<22}{:>16} bytes around the payload, {suite}\n  {:<20}{open_us:>16.2} µs\n",
        "a packet",
        number("/packet/overhead_bytes"),
        "opening takes",
    );
    text
}
