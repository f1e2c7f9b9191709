//! What the index takes: bytes a hint and a device on disk, and in memory while
//! decoding.
//!
//! The decoding runs in a fresh process of this program, so that its peak is not
//! that of the provisioning; packets are made a batch at a time, so that they are
//! not what is measured.
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args as ClapArgs, ValueEnum};
use hintdex::{Station, StationOptions, Stats};
use hintdex_benches::fleet::{Fleet, PACKETS_PER_BATCH, full_options, station_options};
use hintdex_benches::table::{self, Figures, Goal};
use hintdex_benches::turns::Stopwatch;
use hintdex_benches::{DEFAULT_SEED, Failure, Outcome, machine};

const MIB: f64 = (1 << 20) as f64;
/// What a station may take beside `--memory`, in MiB.
const BESIDE_MEMORY_MIB: f64 = 64.0;

/// The form of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The index stores all coming hints.
    Full,
    /// A chain holds them, as the station builds it by itself.
    Usual,
    /// The same with 16 evaluations a lookup.
    Small,
}

impl Form {
    const ALL: [Self; 3] = [Self::Full, Self::Usual, Self::Small];

    const fn name(self) -> &'static str {
        match self {
            Self::Full => "--full",
            Self::Usual => "as usual",
            Self::Small => "--evaluations 16",
        }
    }

    fn options(self, memory_bytes: usize) -> StationOptions {
        match self {
            Self::Full => full_options(memory_bytes),
            Self::Usual => station_options(memory_bytes),
            Self::Small => {
                StationOptions { evaluations: Some(16), ..station_options(memory_bytes) }
            }
        }
    }

    /// The options of a build: a chain of so many hints takes more memory to build than to use.
    fn building_options(self, memory_mib: usize) -> StationOptions {
        self.options(memory_mib.max(256) << 20)
    }

    /// A full index of 10 hints a device, a chain of 64.
    const fn lookahead(self) -> u32 {
        if matches!(self, Self::Full) { 10 } else { 16 }
    }

    /// The bytes a device of all files, after packets.
    const fn goal_on_disk(self) -> Goal {
        match self {
            Self::Full => Goal::None,
            Self::Usual => Goal::AtMost(80.0),
            Self::Small => Goal::AtMost(46.0),
        }
    }
}

/// Measures what an index takes on disk and in memory.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Small enough for a test
    #[arg(long)]
    pub quick: bool,
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// What the block cache and the write buffers may take, in MiB
    #[arg(long, value_delimiter = ',', default_value = "64,256")]
    memory_mib: Vec<usize>,
    /// Forms of the index
    #[arg(long, value_delimiter = ',')]
    form: Vec<Form>,
    /// Decode packets of the fleet in this folder and say what it took
    #[arg(long, hide = true)]
    decode: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let fleet = |form: Form| Fleet {
        devices: if args.quick { 20_000 } else { 1_000_000 },
        lookahead: form.lookahead(),
        seed: args.seed,
    };
    if let Some(folder) = &args.decode {
        let form = args.form.first().copied().unwrap_or(Form::Full);
        return decode(&fleet(form), form, folder, args);
    }
    let forms = if args.form.is_empty() { &Form::ALL[..] } else { &args.form };
    for form in forms {
        let (name, fleet) = (form.name(), fleet(*form));
        table::heading(
            &format!("Sizes, {name}"),
            &format!(
                "{} devices, lookahead {}, then as many accepted packets of random devices, no \
                 manual compaction",
                fleet.devices, fleet.lookahead
            ),
            args.seed,
        );
        for memory_mib in &args.memory_mib {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("fleet");
            let station = fleet.provision_as(&path, &form.building_options(*memory_mib))?;
            println!("With --memory {memory_mib}M, after provisioning:\n");
            let goal = if *form == Form::Full { Goal::AtMost(5.5) } else { Goal::None };
            on_disk(&station.stats()?, &path, goal, Goal::None)?.print();
            drop(station);
            decode_elsewhere(args, *form, *memory_mib, &path)?;
        }
    }
    Ok(())
}

/// Runs this program again for the decoding alone.
fn decode_elsewhere(args: &Args, form: Form, memory_mib: usize, path: &Path) -> Outcome {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("sizes").arg("--decode").arg(path);
    command.args(["--seed", &args.seed.to_string(), "--memory-mib", &memory_mib.to_string()]);
    let form = form.to_possible_value().ok_or("every form has a name")?;
    command.args(["--form", form.get_name()]);
    if args.quick {
        command.arg("--quick");
    }
    if command.status()?.success() { Ok(()) } else { Err("the decoding failed".into()) }
}

fn decode(fleet: &Fleet, form: Form, path: &Path, args: &Args) -> Outcome {
    let memory_mib = args.memory_mib.first().copied().unwrap_or(256);
    let options = form.options(memory_mib << 20);
    let before = machine::resident_bytes();
    let watch = Stopwatch::start();
    let station = Station::open(path, &options)?;
    let opening = watch.took();
    let opened = machine::resident_bytes();
    let keys = station.key_source().clone();
    let mut traffic = fleet.traffic();
    let mut left = fleet.devices as usize;
    while left > 0 {
        let packets = traffic.packets(left.min(PACKETS_PER_BATCH), keys.as_ref());
        let verdicts = station.decode_batch(&packets)?;
        if verdicts.iter().any(|verdict| verdict.name() != "accepted") {
            return Err("a good packet was not accepted".into());
        }
        left -= packets.len();
    }
    let (resident, peak) = (machine::resident_bytes(), machine::peak_resident_bytes());
    let stats = station.stats()?;
    println!("After {} accepted packets in a fresh process, in memory:\n", fleet.devices);
    let mut figures = Figures::default();
    let limit = memory_mib as f64 + BESIDE_MEMORY_MIB;
    figures.add("opening, files in the page cache", opening.wall.as_secs_f64(), "s", Goal::None);
    figures.add("of it, processor", opening.cpu.as_secs_f64(), "s", Goal::None);
    figures.add("resident, before opening", before as f64 / MIB, "MiB", Goal::None);
    figures.add("resident, opened", opened as f64 / MIB, "MiB", Goal::None);
    figures.add("resident, peak", peak as f64 / MIB, "MiB", Goal::AtMost(limit));
    // The next nonce of each device is the bench's, not the station's.
    let own = traffic.memory_bytes();
    let a_device = (resident - own as u64) as f64 / f64::from(fleet.devices);
    let goal = if form == Form::Full { Goal::None } else { Goal::AtMost(130.0) };
    figures.add("resident without the list of what is sent, bytes a device", a_device, "B", goal);
    let parts = [
        ("of it, states", stats.states_memory_bytes),
        ("of it, key table", station.table_memory_bytes() as u64),
        ("of it, block cache and write buffers", stats.cache_bytes),
        ("of it, tables of blocks", stats.tables_memory_bytes),
    ];
    for (name, bytes) in parts {
        figures.add(name, bytes as f64 / MIB, "MiB", Goal::None);
    }
    figures.print();
    println!("Rolls meanwhile: {}; entries a live hint: {:.3}.\n", stats.rolls, entries(&stats));
    println!("On disk, while it runs:\n");
    on_disk(&stats, path, Goal::None, Goal::None)?.print();
    drop(station);
    // Opening writes what the log holds into files of the families.
    let station = Station::open(path, &options)?;
    println!("On disk, opened again, the log's share in files:\n");
    let goal = if form == Form::Full { Goal::AtMost(6.5) } else { Goal::None };
    on_disk(&station.stats()?, path, goal, form.goal_on_disk())?.print();
    if form != Form::Full {
        // Every device has its whole horizon again.
        drop(station);
        Station::open(path, &form.building_options(memory_mib))?.roll(None)?;
        let station = Station::open(path, &options)?;
        println!("On disk, after a roll:\n");
        on_disk(&station.stats()?, path, Goal::None, form.goal_on_disk())?.print();
    }
    Ok(())
}

fn entries(stats: &Stats) -> f64 {
    stats.entries as f64 / stats.hints.max(1) as f64
}

/// Bytes on disk, by section.
fn on_disk(stats: &Stats, path: &Path, a_hint: Goal, a_device: Goal) -> Result<Figures, Failure> {
    let (hints, devices) = (stats.hints.max(1) as f64, stats.slots.max(1) as f64);
    let mut figures = Figures::default();
    let files = stats.hint_bytes() as f64;
    figures.add("hint families and snapshot, bytes a live hint", files / hints, "B", a_hint);
    let states = stats.section_bytes("states") as f64;
    figures.add("states, bytes a device", states / devices, "B", Goal::AtMost(32.0));
    figures.add(
        "states in memory, bytes a device",
        stats.states_memory_bytes as f64 / devices,
        "B",
        Goal::AtMost(32.0),
    );
    let log = stats.section_bytes("log") as f64;
    figures.add("log", log / MIB, "MiB", Goal::None);
    let all = machine::folder_bytes(path)? as f64;
    figures.add("all files", all / MIB, "MiB", Goal::None);
    figures.add("all files, bytes a live hint", all / hints, "B", Goal::None);
    figures.add("all files, bytes a device", all / devices, "B", a_device);
    Ok(figures)
}
