//! Beacons of a minute's step (row S8): what it costs to have every value they may send
//! next at hand, beside a hash map that does the same.
//!
//! Each arm runs in a process of its own, by a made-up clock. An hour is lived through
//! twice: the first warms up. Ours builds the next window and drops the past one, as the
//! roller does; one map has a window of an hour, too, and is filled anew for the next;
//! another has only the present minute, one on each side and the next, and every minute
//! takes a minute's values in and another's out.

use std::process::Command;
use std::sync::Arc;

use clap::{Args as ClapArgs, ValueEnum};
use hashbrown::HashMap;
use hintdex::ManualClock;
use hintdex::wire::{
    DeviceId, Hint, HintCipher, HintKey, HintScheme, KeyId, KeySource, MasterKey, NonceKind,
    StepLen,
};
use hintdex::{DeviceRange, Durability, Params, Station, StationOptions};
use hintdex_benches::fleet::Fleet;
use hintdex_benches::table::{self, Figures, Goal};
use hintdex_benches::turns::Stopwatch;
use hintdex_benches::{DEFAULT_SEED, Failure, Outcome, machine};
use hintdex_host::SplitMix64;

/// When it begins: the beginning of an hour.
const START_UNIX_S: u64 = 1_795_392_000;
const HOUR_S: u64 = 3600;
const STEP_S: u64 = 60;
const STEPS: u64 = HOUR_S / STEP_S;
/// Minutes that the sliding map is measured through; an hour has so many more.
const SLIDES: u64 = 6;
/// Values that are looked up.
const LOOKUPS: usize = 1 << 20;

/// Measures windows of time.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Small enough for a test
    #[arg(long)]
    pub quick: bool,
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// Beacons; once for each size
    #[arg(long, default_values_t = [1_000_000, 3_000_000])]
    devices: Vec<u32>,
    /// Only this arm, in this process: how the bench runs itself
    #[arg(long)]
    arm: Option<Arm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Arm {
    /// Windows as chains
    Snapshot,
    /// Windows in RocksDB
    Live,
    /// A map of an hour
    Map,
    /// A map of four minutes
    Sliding,
}

impl Arm {
    const ALL: [Self; 4] = [Self::Snapshot, Self::Live, Self::Map, Self::Sliding];

    const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "hintdex, windows as chains",
            Self::Live => "hintdex, windows in the live index",
            Self::Map => "hashbrown, a window of an hour",
            Self::Sliding => "hashbrown, four minutes that slide",
        }
    }
}

/// What an arm says of itself.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// CPU seconds of keeping an hour.
    cpu_s: f64,
    /// Bytes of the values at hand, on disk and in memory, and of a window hour.
    window_bytes: f64,
    disk_bytes: f64,
    resident_bytes: f64,
    /// CPU nanoseconds of a lookup, its device confirmed where that needs to be.
    lookup_ns: f64,
}

pub fn run(args: &Args) -> Outcome {
    let devices = if args.quick { vec![20_000] } else { args.devices.clone() };
    if let Some(arm) = args.arm {
        let Cost { cpu_s, window_bytes, disk_bytes, resident_bytes, lookup_ns } =
            take(arm, devices.first().copied().unwrap_or(0), args.seed)?;
        println!("{cpu_s} {window_bytes} {disk_bytes} {resident_bytes} {lookup_ns}");
        return Ok(());
    }
    for devices in devices {
        let costs = Arm::ALL
            .iter()
            .map(|arm| elsewhere(*arm, devices, args).map(|cost| (*arm, cost)))
            .collect::<Result<Vec<_>, _>>()?;
        print(devices, &costs, args.seed);
    }
    Ok(())
}

/// Runs an arm in a process of its own.
fn elsewhere(arm: Arm, devices: u32, args: &Args) -> Result<Cost, Failure> {
    let name = arm.to_possible_value().map(|value| value.get_name().to_owned());
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["windows", "--arm", &name.unwrap_or_default()]);
    command.args(["--devices", &devices.to_string(), "--seed", &args.seed.to_string()]);
    if args.quick {
        command.arg("--quick");
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, std::num::ParseFloatError>>()?;
    match *figures {
        [cpu_s, window_bytes, disk_bytes, resident_bytes, lookup_ns] => {
            Ok(Cost { cpu_s, window_bytes, disk_bytes, resident_bytes, lookup_ns })
        }
        _ => Err(format!("{}: five figures were expected", arm.name()).into()),
    }
}

fn print(devices: u32, costs: &[(Arm, Cost)], seed: u64) {
    let title = format!("{} beacons of a minute's step", table::thousands(devices.into()));
    let workload =
        "An hour by a made-up clock, each arm in a process of its own; CPU seconds of all threads";
    table::heading(&title, workload, seed);
    println!(
        "| arm | % of a core | B a device and window hour | on disk, B a device | resident, B a device | CPU ns a lookup | lookups a second and core |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let each = f64::from(devices.max(1));
    for (arm, cost) in costs {
        println!(
            "| {} | {:.3} | {:.1} | {:.1} | {:.1} | {:.0} | {} |",
            arm.name(),
            cost.cpu_s / HOUR_S as f64 * 100.0,
            cost.window_bytes / each,
            cost.disk_bytes / each,
            cost.resident_bytes / each,
            cost.lookup_ns,
            table::thousands(1e9 / cost.lookup_ns.max(1e-9)),
        );
    }
    println!();
    let of = |arm| costs.iter().find(|(of, _)| *of == arm).map(|(_, cost)| *cost);
    let (Some(ours), Some(map), Some(sliding)) =
        (of(Arm::Snapshot), of(Arm::Map), of(Arm::Sliding))
    else {
        return;
    };
    let mut figures = Figures::default();
    let bytes = ours.window_bytes / each;
    figures.add("snapshot form, bytes a device and window hour", bytes, "B", Goal::AtMost(40.0));
    let share = ours.cpu_s / HOUR_S as f64 * 100.0;
    figures.add("snapshot form, share of a core", share, "%", Goal::AtMost(0.5));
    let times = |map: f64, ours: f64| map / ours.max(1e-9);
    let bytes = times(map.window_bytes, ours.window_bytes);
    figures.add("bytes, the map of an hour / ours", bytes, "×", Goal::AtLeast(10.0));
    let cpu = times(map.cpu_s, ours.cpu_s);
    figures.add("CPU, the map of an hour / ours", cpu, "×", Goal::AtLeast(10.0));
    let cpu = times(sliding.cpu_s, ours.cpu_s);
    figures.add("CPU, the sliding map / ours", cpu, "×", Goal::AtLeast(10.0));
    let rate = times(map.lookup_ns, ours.lookup_ns);
    figures.add("rate of lookups, ours / the map of an hour", rate, "×", Goal::None);
    figures.print();
}

fn take(arm: Arm, devices: u32, seed: u64) -> Result<Cost, Failure> {
    let fleet = Fleet { devices, lookahead: 1, seed };
    rayon::ThreadPoolBuilder::new().num_threads(2).build_global()?;
    match arm {
        Arm::Snapshot => take_ours(&fleet, true),
        Arm::Live => take_ours(&fleet, false),
        Arm::Map => Ok(take_map(&fleet)),
        Arm::Sliding => Ok(take_sliding(&fleet)),
    }
}

fn minutes() -> Result<NonceKind, Failure> {
    Ok(NonceKind::Step(StepLen::new(60).ok_or("a minute is a step")?))
}

fn take_ours(fleet: &Fleet, lean: bool) -> Result<Cost, Failure> {
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("the.key");
    std::fs::write(&key, hex(&fleet.secret()))?;
    let dir = folder.path().join("fleet");
    let clock = Arc::new(ManualClock::new(START_UNIX_S));
    let params =
        Params::clocked(HintScheme::Aes128, minutes()?, 1).ok_or("a block has room for a step")?;
    let options = StationOptions {
        durability: Durability::ProcessCrash,
        roll_in_background: false,
        lean,
        ..StationOptions::default()
    };
    let station = Station::create_with(&dir, Some(&key), params, &options, clock.clone())?;
    station.provision(&[DeviceRange::new(DeviceId(0), fleet.devices)], None)?;
    station.warm_up()?;
    let mut cpu_s = 0.0;
    let mut begins = START_UNIX_S;
    for _ in 0..2 {
        // The next window before it begins, and the past one once a minute's drift cannot
        // reach it any longer.
        let watch = Stopwatch::start();
        clock.set(begins + HOUR_S - STEP_S);
        station.roll(None)?;
        clock.set(begins + HOUR_S + STEP_S);
        station.roll(None)?;
        cpu_s = watch.took().cpu.as_secs_f64();
        begins += HOUR_S;
    }
    let disk_bytes = machine::folder_bytes(&dir)? as f64;
    let stats = station.stats()?;
    let held = dir.join(format!("window-{begins}.hdx"));
    let window_bytes = if lean {
        std::fs::metadata(&held)?.len() as f64
    } else {
        stats.section_bytes("hints") as f64
    };
    let now_s = begins + HOUR_S / 2;
    clock.set(now_s);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let hints = values(fleet, now_s / STEP_S);
    let lookup_ns = pool.install(|| -> Result<f64, Failure> {
        let mut found = 0;
        let mut watch = Stopwatch::start();
        for round in 0..2 {
            // The first round warms up.
            if round == 1 {
                (watch, found) = (Stopwatch::start(), 0);
            }
            for (hints, wanted) in hints.0.chunks(1024).zip(hints.1.chunks(1024)) {
                let resolved = station.resolve(hints)?;
                let right = resolved.iter().zip(wanted).filter(|(found, wanted)| {
                    found.iter().any(|found| found.device().0 == **wanted)
                });
                found += right.count();
            }
        }
        if found != hints.0.len() {
            return Err(format!("{found} of {} beacons were found", hints.0.len()).into());
        }
        Ok(watch.took().cpu.as_secs_f64() * 1e9 / hints.0.len() as f64)
    })?;
    let resident_bytes = machine::resident_bytes() as f64;
    Ok(Cost { cpu_s, window_bytes, disk_bytes, resident_bytes, lookup_ns })
}

/// Values of random beacons that may come at a step, and whose they are.
fn values(fleet: &Fleet, step: u64) -> (Vec<Hint>, Vec<u32>) {
    let master = MasterKey::new(&fleet.secret());
    let mut random = SplitMix64::new(fleet.seed ^ step);
    let count = LOOKUPS.min(fleet.devices as usize);
    (0..count)
        .filter_map(|_| {
            let device = random.below_u32(fleet.devices);
            let key = master.hint_key(KeyId::first(DeviceId(device)))?;
            let step = step + u64::from(random.below_u32(3)) - 1;
            Some((HintCipher::new(HintScheme::Aes128, &key).hint(step)?, device))
        })
        .unzip()
}

/// The digits of a key file.
fn hex(secret: &[u8]) -> String {
    secret.iter().map(|byte| format!("{byte:02x}")).collect()
}

type Map = HashMap<[u8; 16], u32>;

/// The values of an hour's steps in a map that has room for them.
fn hour_map(fleet: &Fleet, master: &MasterKey, first: u64) -> Map {
    let mut map =
        Map::with_capacity(usize::try_from(u64::from(fleet.devices) * STEPS).unwrap_or(0));
    for device in 0..fleet.devices {
        if let Some(key) = master.hint_key(KeyId::first(DeviceId(device))) {
            let cipher = HintCipher::new(HintScheme::Aes128, &key);
            cipher.each_hint(first..first + STEPS, |hint| {
                map.insert(*hint.as_bytes(), device);
            });
        }
    }
    map
}

fn take_map(fleet: &Fleet) -> Cost {
    let master = MasterKey::new(&fleet.secret());
    let before = machine::resident_bytes();
    let first = START_UNIX_S / STEP_S;
    // It stands for the one before: both are there for a moment, as ours are. Two of three
    // million would not fit, so the one before goes first.
    drop(hour_map(fleet, &master, first));
    let watch = Stopwatch::start();
    let map = hour_map(fleet, &master, first + STEPS);
    let cpu_s = watch.took().cpu.as_secs_f64();
    let resident_bytes = machine::resident_bytes().saturating_sub(before) as f64;
    let lookup_ns = look_up(&map, fleet, first + STEPS + STEPS / 2);
    let watch = Stopwatch::start();
    drop(map);
    let cpu_s = cpu_s + watch.took().cpu.as_secs_f64();
    Cost { cpu_s, window_bytes: resident_bytes, disk_bytes: 0.0, resident_bytes, lookup_ns }
}

fn take_sliding(fleet: &Fleet) -> Cost {
    let master = MasterKey::new(&fleet.secret());
    let keys: Vec<HintKey> = (0..fleet.devices)
        .filter_map(|device| master.hint_key(KeyId::first(DeviceId(device))))
        .collect();
    let before = machine::resident_bytes();
    let mut map = Map::new();
    let mut now = START_UNIX_S / STEP_S;
    let take_in = |map: &mut Map, step: u64, out: bool| {
        for (key, device) in keys.iter().zip(0..) {
            let hint = HintCipher::new(HintScheme::Aes128, key).hint(step);
            let Some(hint) = hint.as_ref().map(Hint::as_bytes) else { continue };
            if out {
                map.remove(hint);
            } else {
                map.insert(*hint, device);
            }
        }
    };
    (now - 1..now + 3).for_each(|step| take_in(&mut map, step, false));
    let watch = Stopwatch::start();
    for _ in 0..SLIDES {
        take_in(&mut map, now - 1, true);
        now += 1;
        take_in(&mut map, now + 2, false);
    }
    let cpu_s = watch.took().cpu.as_secs_f64() * (STEPS / SLIDES) as f64;
    let resident_bytes = machine::resident_bytes().saturating_sub(before) as f64;
    let lookup_ns = look_up(&map, fleet, now);
    // Four of an hour's sixty steps.
    let window_bytes = resident_bytes / 4.0 * STEPS as f64;
    Cost { cpu_s, window_bytes, disk_bytes: 0.0, resident_bytes, lookup_ns }
}

fn look_up(map: &Map, fleet: &Fleet, step: u64) -> f64 {
    let (hints, devices) = values(fleet, step);
    let mut right = 0;
    let watch = Stopwatch::start();
    for (hint, device) in hints.iter().zip(&devices) {
        right += usize::from(map.get(hint.as_bytes()) == Some(device));
    }
    let took = watch.took().cpu.as_secs_f64() * 1e9 / hints.len().max(1) as f64;
    // Two beacons with one value would be a miracle.
    if right == hints.len() { took } else { f64::NAN }
}
