//! The command lines of `measure` and `estimate`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use hintdex::snapshot::Encoding;
use hintdex::wire::HintScheme;

use super::values::{SuiteName, parse_any_suite, parse_encoding, parse_reversible, parse_scheme};

#[derive(Debug, ClapArgs)]
pub struct MeasureArgs {
    /// The number of devices of the measured fleet
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..=1_000_000_000))]
    pub devices: u32,
    /// How many coming hints of each device are indexed
    #[arg(long, value_name = "W", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub lookahead: u32,
    /// The hint scheme: aes128 or speck64, as only reversible hints are measured
    #[arg(long, value_name = "SCHEME", default_value = "aes128", value_parser = parse_reversible)]
    pub hint: HintScheme,
    /// The folder of the report; created if it does not exist. The measured fleets are created
    /// in it, too, and removed at the end
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub out: PathBuf,
    /// Measure fewer snapshots, in fewer and shorter runs
    #[arg(long)]
    pub quick: bool,
    /// The number of fresh processes for each figure [default: 3, with --quick 2]
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u8).range(1..=99))]
    pub runs: Option<u8>,
    /// The sizes of the growth curves, in devices [default: powers of ten up to --devices]
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1000..=1_000_000_000))]
    pub growth: Option<Vec<u32>>,
    /// Measure the growth curves alone
    #[arg(long)]
    pub growth_only: bool,
    /// Figures of peers to show, as `make compare` writes them [default:
    /// docs/results/compare.json, if that file exists]
    #[arg(long, value_name = "FILE")]
    pub peers: Option<PathBuf>,
}

/// One measurement in a fresh process. Only `measure` and `estimate` start it.
#[derive(Clone, Debug, ClapArgs)]
pub struct TakeArgs {
    #[arg(value_enum)]
    pub what: What,
    #[arg(long)]
    pub index: PathBuf,
    #[arg(long)]
    pub snapshot: Option<PathBuf>,
    #[arg(long, default_value_t = 0)]
    pub devices: u32,
    #[arg(long, default_value_t = 16)]
    pub lookahead: u32,
    #[arg(long, default_value = "aes128", value_parser = parse_scheme)]
    pub hint: HintScheme,
    #[arg(long, default_value = "ribbon", value_parser = parse_encoding)]
    pub encoding: Encoding,
    #[arg(long, default_value_t = 32)]
    pub tries: u32,
    /// Of a chain, in the place of the tries.
    #[arg(long, default_value_t = 16)]
    pub evaluations: u32,
    /// The nonce of the first packet of each device.
    #[arg(long, default_value_t = 0)]
    pub nonce: u64,
    /// How long each kind of lookup is measured, in milliseconds.
    #[arg(long, default_value_t = 100)]
    pub each_ms: u64,
    /// Measure the first lookups only, in files that are not in the page cache.
    #[arg(long)]
    pub cold: bool,
}

/// What one process measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Provisioning a fleet
    Provision,
    /// Building the next window
    Roll,
    /// Building a snapshot
    Rebuild,
    /// Lookups in the live index
    Live,
    /// Lookups in a snapshot
    Snapshot,
    /// Scans for hints under every key
    Scan,
    /// The memory of a whole station
    Station,
    /// Decoding packets
    Decode,
}

#[derive(Debug, ClapArgs)]
pub struct EstimateArgs {
    /// The number of devices of the fleet
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub devices: u32,
    /// How many coming hints of each device the index holds, and the snapshot
    #[arg(long, value_name = "W", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    pub lookahead: u32,
    /// Bits a hint of the snapshot, 1 to 32
    #[arg(long, value_name = "R", conflicts_with = "tries", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub bits: Option<u8>,
    /// Devices tried for a lookup in the snapshot [default: 32]
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u32).range(1..))]
    pub tries: Option<u32>,
    /// The hint scheme: aes128, speck64, aes128-trunc:4 to aes128-trunc:12, or carry24
    #[arg(long, value_name = "SCHEME", default_value = "aes128", value_parser = parse_scheme)]
    pub hint: HintScheme,
    /// How packets are encrypted and authenticated: aes-ctr-hmac, chacha20poly1305,
    /// xchacha20poly1305, aes-siv or aes-ccm-8; or x25519 or x25519-seq, whose packets have no
    /// hints
    #[arg(long, value_name = "NAME", default_value = "aes-ctr-hmac", value_parser = parse_any_suite)]
    pub suite: SuiteName,
    /// How the snapshot stores hints: ribbon, dense, sorted, or chain, which stores none and
    /// computes them
    #[arg(long, value_name = "ENCODING", default_value = "ribbon", value_parser = parse_encoding)]
    pub encoding: Encoding,
    /// Chain: hints computed for a lookup on average; more evaluations need fewer bytes
    /// [default: 16]
    #[arg(long, value_name = "T", conflicts_with_all = ["bits", "tries"], value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub evaluations: Option<u32>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}
