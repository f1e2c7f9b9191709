//! The forms a hint can be found in: the live index, every encoding at every
//! position of its dial, and no index at all.

use hintdex::snapshot::Encoding;

use super::figures::{Build, Cold, Form, Kind, Spread, Station};
use super::take::Taken;
use super::taker::{Fleet, Runs, Taker, cold_runs};
use crate::args::{MeasureArgs, What};
use crate::failure::Failure;

/// Hints of a fleet from which on only some positions of the dial are measured.
const MANY_HINTS: u64 = 64 << 20;

/// Encodings that decode whole buckets are of no use with more tries than this.
const MAX_BUCKET_TRIES: u32 = 4096;

/// The snapshots to build: encodings and tries.
pub struct Plan(Vec<(Encoding, u32)>);

impl Plan {
    /// Every position of the dial, or some of them in a hurry.
    pub fn new(args: &MeasureArgs) -> Self {
        let most_bits = u32::BITS - (args.devices - 1).leading_zeros();
        let hints = u64::from(args.devices) * u64::from(args.lookahead);
        if args.quick || hints > MANY_HINTS {
            let bits = [most_bits, most_bits.saturating_sub(5), most_bits.saturating_sub(10)];
            let ribbons = bits.map(|bits| (Encoding::Ribbon, tries(args.devices, bits)));
            let others = [(Encoding::Dense, 32), (Encoding::Sorted, 1), (Encoding::Sorted, 32)];
            return Self(ribbons.into_iter().chain(others).collect());
        }
        let all = Encoding::ALL.iter().flat_map(|encoding| {
            let positions = (1..=most_bits).rev();
            positions.map(|bits| (*encoding, tries(args.devices, bits)))
        });
        let useful = |(encoding, tries): &(Encoding, u32)| match encoding {
            Encoding::Ribbon => true,
            // With one try a bucket would be empty as often as not.
            Encoding::Dense => (2..=MAX_BUCKET_TRIES).contains(tries),
            _ => *tries <= MAX_BUCKET_TRIES,
        };
        Self(all.filter(useful).collect())
    }

    /// How many processes [`take`] and [`take_station`] start.
    pub fn processes(&self, runs: u8) -> u64 {
        let (runs, cold) = (u64::from(runs), u64::from(cold_runs(runs)));
        let snapshots = self.0.len() as u64 * (1 + runs + cold);
        1 + snapshots + (runs + cold) + runs + 2 * runs
    }
}

/// How many devices so many bits leave to try.
fn tries(devices: u32, bits: u32) -> u32 {
    let groups = 1_u64 << bits.min(63);
    u32::try_from(u64::from(devices).div_ceil(groups)).unwrap_or(u32::MAX)
}

/// Builds each form of the fleet and looks hints up in it.
pub fn take(
    taker: &Taker<'_>,
    fleet: &Fleet,
    plan: &Plan,
    provisioned: &Taken,
) -> Result<Vec<Form>, Failure> {
    let scan = taker.several(What::Scan, fleet, &[])?;
    let mut forms = vec![Form {
        hints: fleet.hints(),
        ..form(Kind::Scan, &fleet.devices.to_string(), fleet, &scan, None, None)
    }];
    let live = taker.several(What::Live, fleet, &[])?;
    let cold = taker.cold(What::Live, fleet, &fleet.path.join("index"))?;
    let build = build(provisioned);
    forms.push(form(Kind::Live, "", fleet, &live, Some(cold), Some(build)));
    for (encoding, tries) in &plan.0 {
        let (name, tries) = (encoding.name(), tries.to_string());
        let built = taker.once(What::Rebuild, fleet, &["--encoding", name, "--tries", &tries])?;
        let warm = taker.several(What::Snapshot, fleet, &[])?;
        let cold = taker.cold(What::Snapshot, fleet, &fleet.snapshot())?;
        let kind = match encoding {
            Encoding::Dense => Kind::Dense,
            Encoding::Sorted => Kind::Sorted,
            _ => Kind::Ribbon,
        };
        forms.push(form(kind, &tries, fleet, &warm, Some(cold), Some(self::build(&built))));
    }
    Ok(forms)
}

/// A station with everything it holds, and packets through it.
pub fn take_station(taker: &Taker<'_>, fleet: &Fleet) -> Result<Station, Failure> {
    let held = taker.several(What::Station, fleet, &[])?;
    // A packet can be accepted once: every run sends the next ones.
    let decode =
        |run: u8| taker.once(What::Decode, fleet, &["--nonce", &(2 * u32::from(run)).to_string()]);
    let decoded: Vec<Taken> = (0..taker.runs).map(decode).collect::<Result<_, _>>()?;
    let spread = |figure: fn(&Taken) -> f64| Spread::of(decoded.iter().map(figure));
    Ok(Station {
        memory: held.any().memory,
        resolve_ns_per_hint: held.spread(|taken| taken.cpu_ns),
        decode_cpu_ns_per_packet: spread(|taken| taken.cpu_ns),
        decode_wall_ns_per_packet: spread(|taken| taken.batch_wall_ns),
        decode_threads: rayon::current_num_threads(),
    })
}

/// What one key takes in a search of all of them.
pub fn ns_per_try(forms: &[Form]) -> f64 {
    let scan = forms.iter().find(|form| form.kind == Kind::Scan);
    scan.map_or(0.0, |scan| scan.ns_per_lookup.median / f64::from(scan.tries.max(1)))
}

/// What building took.
pub fn build(taken: &Taken) -> Build {
    Build {
        wall_s: taken.wall_s,
        cpu_ns_per_hint: taken.cpu_s * 1e9 / taken.hints.max(1) as f64,
        peak_resident_bytes: taken.memory.peak_resident_bytes,
    }
}

fn form(
    kind: Kind,
    tries: &str,
    fleet: &Fleet,
    warm: &Runs,
    cold: Option<Runs>,
    build: Option<Build>,
) -> Form {
    let any = warm.any();
    let bytes_per_hint = any.bytes as f64 / any.hints.max(1) as f64;
    let what = if tries == "1" { "try" } else { "tries" };
    let name = match kind {
        Kind::Live => kind.name().to_owned(),
        _ => format!("{}, {tries} {what}", kind.name()),
    };
    Form {
        name,
        kind,
        tries: any.tries,
        hints: any.hints,
        bytes: any.bytes,
        bytes_per_hint,
        bits_per_hint: bytes_per_hint * 8.0,
        bound_bits_per_hint: (f64::from(fleet.devices) / f64::from(any.tries.max(1))).log2(),
        sections: any.sections,
        ns_per_lookup: warm.spread(|taken| taken.cpu_ns),
        wall_ns_per_lookup: warm.spread(|taken| taken.wall_ns),
        batch_ns_per_lookup: warm.spread(|taken| taken.batch_cpu_ns),
        cold: cold.map(|cold| Cold {
            open_ms: cold.spread(|taken| taken.open_ms),
            first_lookup_us: cold.spread(|taken| taken.first_lookup_us),
            read_bytes: cold.spread(|taken| taken.read_bytes as f64),
        }),
        memory: any.memory,
        build,
    }
}
