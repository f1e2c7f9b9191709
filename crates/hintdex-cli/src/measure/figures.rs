//! The figures of a report, as `results.json` stores them.
//!
//! Each name ends with its unit. A [`Spread`] is over fresh processes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::memory::Memory;

/// The figures of one call of `hintdex measure`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub program: String,
    pub command: String,
    pub taken_unix_s: u64,
    pub machine: Machine,
    pub workload: Workload,
    /// Nanoseconds a key in a search of all keys: the least cost of a try.
    pub ns_per_try: f64,
    /// Every form of the index.
    pub forms: Vec<Form>,
    pub station: Option<Station>,
    /// Figures at several sizes, the smallest first.
    pub growth: Vec<Size>,
    pub peers: Vec<Peer>,
}

/// The fleet and the settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workload {
    pub devices: u32,
    pub lookahead: u32,
    pub hints: u64,
    pub hint_scheme: String,
    pub memory_bytes: u64,
    pub threads: usize,
    /// The number of fresh processes for each figure.
    pub runs: u8,
    /// How files were evicted from the page cache for cold figures.
    pub cold_by: String,
}

/// The minimum, median and maximum over several fresh processes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    /// The spread of `values`; all zeros without values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let last = values.len().saturating_sub(1);
        Self { min: at(0), median: at(last / 2), max: at(last) }
    }
}

/// A form: the live index, an encoding of snapshots with a number of tries, or no index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Form {
    pub name: String,
    pub kind: Kind,
    /// Devices tried for a lookup.
    pub tries: u32,
    /// Hints computed for a lookup in a chain; 0 for the other forms.
    #[serde(default)]
    pub evaluations: u32,
    pub hints: u64,
    /// The length of all files of the form.
    pub bytes: u64,
    pub bytes_per_hint: f64,
    pub bits_per_hint: f64,
    /// log2(devices / tries): the least bits a hint of an index that leaves this many tries and
    /// treats hints as opaque random strings. A chain computes hints and lies below.
    pub bound_bits_per_hint: f64,
    /// Disk bytes by section.
    pub sections: BTreeMap<String, u64>,
    /// Processor time from a hint to a confirmed device, one hint at a time.
    pub ns_per_lookup: Spread,
    /// The same in wall time.
    pub wall_ns_per_lookup: Spread,
    /// Processor time in batches of 256.
    pub batch_ns_per_lookup: Spread,
    pub cold: Option<Cold>,
    pub memory: Memory,
    pub build: Option<Build>,
}

/// The kind of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Live,
    Ribbon,
    Dense,
    Sorted,
    Chain,
    Scan,
}

impl Kind {
    /// Every kind, in the order of the legend.
    pub const ALL: [Self; 6] =
        [Self::Live, Self::Ribbon, Self::Dense, Self::Sorted, Self::Chain, Self::Scan];

    /// The name of the kind on the page.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live index",
            Self::Ribbon => "ribbon",
            Self::Dense => "dense",
            Self::Sorted => "sorted",
            Self::Chain => "chain",
            Self::Scan => "no index",
        }
    }
}

/// First lookups after the files were evicted from the page cache.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cold {
    pub open_ms: Spread,
    pub first_lookup_us: Spread,
    /// The bytes that the process read from the disk. If this is 0, the lookups were not cold.
    pub read_bytes: Spread,
}

/// The time and memory of a build.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Build {
    pub wall_s: f64,
    pub cpu_ns_per_hint: f64,
    pub peak_resident_bytes: u64,
}

/// A whole station: its memory, and packets through it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Station {
    pub memory: Memory,
    pub resolve_ns_per_hint: Spread,
    /// Processor time of an accepted packet on one thread, and wall time on all threads.
    pub decode_cpu_ns_per_packet: Spread,
    pub decode_wall_ns_per_packet: Spread,
    pub decode_threads: usize,
}

/// The figures of the fleet at one size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Size {
    pub devices: u32,
    pub hints: u64,
    pub live: Point,
    /// A ribbon of 32 tries.
    pub ribbon: Point,
    /// Processor time a hint for building the next window of the live index.
    pub roll_cpu_ns_per_hint: f64,
}

/// One form at one size.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Point {
    pub bytes_per_hint: f64,
    pub ns_per_lookup: Spread,
    pub batch_ns_per_lookup: Spread,
    pub build_cpu_ns_per_hint: f64,
    pub build_wall_s: f64,
    pub build_peak_resident_bytes: u64,
    pub resident_bytes: u64,
}

/// The figures of `make compare`, as far as the report shows them.
#[derive(Debug, Deserialize)]
pub struct Comparison {
    rows: Vec<Compared>,
}

#[derive(Debug, Deserialize)]
struct Compared {
    /// Whether a lookup ends with the confirmed device of the hint.
    confirmed: bool,
    #[serde(flatten)]
    row: Peer,
}

impl Comparison {
    /// The peers whose lookups confirm the device. Forms of hintdex are left out: this report
    /// measures them.
    pub fn peers(self) -> Vec<Peer> {
        let is_peer = |compared: &Compared| compared.confirmed && compared.row.kind != "ours";
        self.rows.into_iter().filter(is_peer).map(|compared| compared.row).collect()
    }
}

/// A peer, measured by `make compare`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    pub name: String,
    pub kind: String,
    pub bytes_per_hint: f64,
    pub ns_per_lookup: Spread,
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Spread};

    #[test]
    fn the_stored_comparison_can_be_read() {
        let kept = include_str!("../../../../docs/results/compare.json");
        let comparison: Result<Comparison, _> = serde_json::from_str(kept);
        let peers = comparison.map(Comparison::peers).unwrap_or_default();
        assert!(peers.len() >= 12, "{} peers", peers.len());
        assert!(
            peers.iter().any(|peer| peer.name == "lmdb")
                && peers.iter().all(|peer| peer.kind != "ours")
        );
    }

    #[test]
    fn a_spread_has_minimum_median_and_maximum() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(Spread::of([4.0]), Spread { min: 4.0, median: 4.0, max: 4.0 });
        assert_eq!(Spread::of([]), Spread { min: 0.0, median: 0.0, max: 0.0 });
    }
}
