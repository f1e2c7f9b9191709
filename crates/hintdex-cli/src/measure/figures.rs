//! What is measured: the figures, as they stand in `results.json`.
//!
//! Units are at the end of each name. A [`Spread`] is over fresh processes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::memory::Memory;

/// Everything one call of `hintdex measure` found out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub program: String,
    pub command: String,
    pub taken_unix_s: u64,
    pub machine: Machine,
    pub workload: Workload,
    /// Nanoseconds one key takes in a search of all of them: what a try costs at least.
    pub ns_per_try: f64,
    /// Every form a hint can be found in.
    pub forms: Vec<Form>,
    pub station: Option<Station>,
    /// The same at several sizes, the smallest first.
    pub growth: Vec<Size>,
    pub peers: Vec<Peer>,
}

/// What was measured with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workload {
    pub devices: u32,
    pub lookahead: u32,
    pub hints: u64,
    pub hint_scheme: String,
    pub memory_bytes: u64,
    pub threads: usize,
    /// Fresh processes a figure was taken in.
    pub runs: u8,
    /// How files were taken out of the page cache for what is called cold.
    pub cold_by: String,
}

/// Least, middle and greatest of several fresh processes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    /// Of `values`; all zeros if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let last = values.len().saturating_sub(1);
        Self { min: at(0), median: at(last / 2), max: at(last) }
    }
}

/// A form: the live index, an encoding at a position of its dial, or no index at all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Form {
    pub name: String,
    pub kind: Kind,
    /// Devices tried a lookup.
    pub tries: u32,
    pub hints: u64,
    /// The lengths of its files.
    pub bytes: u64,
    pub bytes_per_hint: f64,
    pub bits_per_hint: f64,
    /// log2(devices / tries): what any index takes that leaves so many tries.
    pub bound_bits_per_hint: f64,
    /// Disk bytes by section.
    pub sections: BTreeMap<String, u64>,
    /// Processor time of a hint turned into a confirmed device, one at a time.
    pub ns_per_lookup: Spread,
    /// The same by the wall.
    pub wall_ns_per_lookup: Spread,
    /// Processor time in batches of 256.
    pub batch_ns_per_lookup: Spread,
    pub cold: Option<Cold>,
    pub memory: Memory,
    pub build: Option<Build>,
}

/// What kind of form it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Live,
    Ribbon,
    Dense,
    Sorted,
    Scan,
}

impl Kind {
    /// Every kind, in the order of the legend.
    pub const ALL: [Self; 5] = [Self::Live, Self::Ribbon, Self::Dense, Self::Sorted, Self::Scan];

    /// What it is called on the page.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live index",
            Self::Ribbon => "ribbon",
            Self::Dense => "dense",
            Self::Sorted => "sorted",
            Self::Scan => "no index",
        }
    }
}

/// First lookups after the files were taken out of the page cache.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cold {
    pub open_ms: Spread,
    pub first_lookup_us: Spread,
    /// What the process read from the disk: more than nothing, or it was not cold.
    pub read_bytes: Spread,
}

/// What building took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Build {
    pub wall_s: f64,
    pub cpu_ns_per_hint: f64,
    pub peak_resident_bytes: u64,
}

/// A station with everything it holds, and packets through it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Station {
    pub memory: Memory,
    pub resolve_ns_per_hint: Spread,
    /// Processor time of an accepted packet on one thread, and wall time on all.
    pub decode_cpu_ns_per_packet: Spread,
    pub decode_wall_ns_per_packet: Spread,
    pub decode_threads: usize,
}

/// The same fleet at one size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Size {
    pub devices: u32,
    pub hints: u64,
    pub live: Point,
    /// A ribbon of 32 tries.
    pub ribbon: Point,
    /// Processor time a hint of building the next window of the live index.
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

/// What `make compare` found, as far as it is shown here.
#[derive(Debug, Deserialize)]
pub struct Comparison {
    rows: Vec<Compared>,
}

#[derive(Debug, Deserialize)]
struct Compared {
    /// Whether its lookups end with the device that made the hint.
    confirmed: bool,
    #[serde(flatten)]
    row: Peer,
}

impl Comparison {
    /// The peers, each until its device is confirmed; ours are measured here.
    pub fn peers(self) -> Vec<Peer> {
        let is_peer = |compared: &Compared| compared.confirmed && compared.row.kind != "ours";
        self.rows.into_iter().filter(is_peer).map(|compared| compared.row).collect()
    }
}

/// A peer, measured by somebody else.
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
    fn the_comparison_that_is_kept_can_be_shown() {
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
    fn a_spread_has_a_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(Spread::of([4.0]), Spread { min: 4.0, median: 4.0, max: 4.0 });
        assert_eq!(Spread::of([]), Spread { min: 0.0, median: 0.0, max: 0.0 });
    }
}
