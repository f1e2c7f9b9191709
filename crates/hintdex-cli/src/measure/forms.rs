//! Measuring every form of an index: the live index, each encoding of snapshots at each
//! number of tries, and no index at all.

use hintdex::snapshot::Encoding;

use super::figures::{Build, Cold, Form, Kind, Spread, Station};
use super::runner::{Fleet, Runner, Runs, cold_runs};
use super::take::Measurement;
use crate::args::{MeasureArgs, What};
use crate::failure::Failure;

/// Above this number of hints, only some numbers of tries are measured.
const MANY_HINTS: u64 = 64 << 20;

/// Encodings that decode whole buckets are useless with more tries than this.
const MAX_BUCKET_TRIES: u32 = 4096;

/// The evaluations of the chains that are measured.
const EVALUATIONS: [u32; 4] = [5, 9, 16, 50];

/// The snapshots to build: encodings, and tries or the evaluations of a chain.
pub struct Plan(Vec<(Encoding, u32)>);

impl Plan {
    /// Every number of tries, or some of them for `--quick` and for large fleets; and chains.
    pub fn new(args: &MeasureArgs) -> Self {
        let most_bits = u32::BITS - (args.devices - 1).leading_zeros();
        let hints = u64::from(args.devices) * u64::from(args.lookahead);
        let chains = EVALUATIONS.map(|evaluations| (Encoding::Chain, evaluations));
        if args.quick || hints > MANY_HINTS {
            let bits = [most_bits, most_bits.saturating_sub(5), most_bits.saturating_sub(10)];
            let ribbons = bits.map(|bits| (Encoding::Ribbon, tries(args.devices, bits)));
            let others = [(Encoding::Dense, 32), (Encoding::Sorted, 1), (Encoding::Sorted, 32)];
            return Self(ribbons.into_iter().chain(others).chain(chains).collect());
        }
        let stored = Encoding::ALL.iter().filter(|encoding| **encoding != Encoding::Chain);
        let all = stored.flat_map(|encoding| {
            let positions = (1..=most_bits).rev();
            positions.map(|bits| (*encoding, tries(args.devices, bits)))
        });
        let useful = |(encoding, tries): &(Encoding, u32)| match encoding {
            Encoding::Ribbon => true,
            // With one try, many buckets would be empty.
            Encoding::Dense => (2..=MAX_BUCKET_TRIES).contains(tries),
            _ => *tries <= MAX_BUCKET_TRIES,
        };
        Self(all.filter(useful).chain(chains).collect())
    }

    /// The number of processes that [`measure`] and [`measure_station`] start.
    pub fn processes(&self, runs: u8) -> u64 {
        let (runs, cold) = (u64::from(runs), u64::from(cold_runs(runs)));
        let snapshots = self.0.len() as u64 * (1 + runs + cold);
        1 + snapshots + (runs + cold) + runs + 2 * runs
    }
}

/// The number of devices to try that `bits` value bits leave.
fn tries(devices: u32, bits: u32) -> u32 {
    let groups = 1_u64 << bits.min(63);
    u32::try_from(u64::from(devices).div_ceil(groups)).unwrap_or(u32::MAX)
}

/// Builds each form of the fleet and measures lookups in it.
pub fn measure(
    runner: &Runner<'_>,
    fleet: &Fleet,
    plan: &Plan,
    provisioned: &Measurement,
) -> Result<Vec<Form>, Failure> {
    let scan = runner.several(What::Scan, fleet, &[])?;
    let mut forms = vec![Form {
        hints: fleet.hints(),
        ..form(Kind::Scan, &fleet.devices.to_string(), fleet, &scan, None, None)
    }];
    let live = runner.several(What::Live, fleet, &[])?;
    let cold = runner.cold(What::Live, fleet, &fleet.path.join("index"))?;
    let build = build(provisioned);
    forms.push(form(Kind::Live, "", fleet, &live, Some(cold), Some(build)));
    for (encoding, dial) in &plan.0 {
        let (name, dial) = (encoding.name(), dial.to_string());
        let option = if *encoding == Encoding::Chain { "--evaluations" } else { "--tries" };
        let built = runner.once(What::Rebuild, fleet, &["--encoding", name, option, &dial])?;
        let warm = runner.several(What::Snapshot, fleet, &[])?;
        let cold = runner.cold(What::Snapshot, fleet, &fleet.snapshot())?;
        let kind = match encoding {
            Encoding::Dense => Kind::Dense,
            Encoding::Sorted => Kind::Sorted,
            Encoding::Chain => Kind::Chain,
            _ => Kind::Ribbon,
        };
        forms.push(form(kind, &dial, fleet, &warm, Some(cold), Some(self::build(&built))));
    }
    Ok(forms)
}

/// Measures a whole station: its memory, and packets through it.
pub fn measure_station(runner: &Runner<'_>, fleet: &Fleet) -> Result<Station, Failure> {
    let held = runner.several(What::Station, fleet, &[])?;
    // A packet is accepted once, so each run sends the next nonces.
    let decode =
        |run: u8| runner.once(What::Decode, fleet, &["--nonce", &(2 * u32::from(run)).to_string()]);
    let decoded: Vec<Measurement> = (0..runner.runs).map(decode).collect::<Result<_, _>>()?;
    let spread = |figure: fn(&Measurement) -> f64| Spread::of(decoded.iter().map(figure));
    Ok(Station {
        memory: held.any().memory,
        resolve_ns_per_hint: held.spread(|measured| measured.cpu_ns),
        decode_cpu_ns_per_packet: spread(|measured| measured.cpu_ns),
        decode_wall_ns_per_packet: spread(|measured| measured.batch_wall_ns),
        decode_threads: rayon::current_num_threads(),
    })
}

/// The time of one try in a search of all keys, in nanoseconds.
pub fn ns_per_try(forms: &[Form]) -> f64 {
    let scan = forms.iter().find(|form| form.kind == Kind::Scan);
    scan.map_or(0.0, |scan| scan.ns_per_lookup.median / f64::from(scan.tries.max(1)))
}

/// The time and memory of a build.
pub fn build(measured: &Measurement) -> Build {
    Build {
        wall_s: measured.wall_s,
        cpu_ns_per_hint: measured.cpu_s * 1e9 / measured.hints.max(1) as f64,
        peak_resident_bytes: measured.memory.peak_resident_bytes,
    }
}

fn form(
    kind: Kind,
    dial: &str,
    fleet: &Fleet,
    warm: &Runs,
    cold: Option<Runs>,
    build: Option<Build>,
) -> Form {
    let any = warm.any();
    let bytes_per_hint = any.bytes as f64 / any.hints.max(1) as f64;
    let what = if dial == "1" { "try" } else { "tries" };
    let name = match kind {
        Kind::Live => kind.name().to_owned(),
        Kind::Chain => format!("{}, {dial} evaluations", kind.name()),
        _ => format!("{}, {dial} {what}", kind.name()),
    };
    Form {
        name,
        kind,
        tries: any.tries,
        evaluations: any.evaluations,
        hints: any.hints,
        bytes: any.bytes,
        bytes_per_hint,
        bits_per_hint: bytes_per_hint * 8.0,
        bound_bits_per_hint: (f64::from(fleet.devices) / f64::from(any.tries.max(1))).log2(),
        sections: any.sections,
        ns_per_lookup: warm.spread(|measured| measured.cpu_ns),
        wall_ns_per_lookup: warm.spread(|measured| measured.wall_ns),
        batch_ns_per_lookup: warm.spread(|measured| measured.batch_cpu_ns),
        cold: cold.map(|cold| Cold {
            open_ms: cold.spread(|measured| measured.open_ms),
            first_lookup_us: cold.spread(|measured| measured.first_lookup_us),
            read_bytes: cold.spread(|measured| measured.read_bytes as f64),
        }),
        memory: any.memory,
        build,
    }
}
