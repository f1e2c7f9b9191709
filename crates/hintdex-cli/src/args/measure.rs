//! The command line of what measures and foretells.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use hintdex::snapshot::Encoding;
use hintdex::wire::HintScheme;

use super::{parse_encoding, parse_scheme};

#[derive(Debug, ClapArgs)]
pub struct MeasureArgs {
    /// How many devices the fleet has
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..=1_000_000_000))]
    pub devices: u32,
    /// Hints of each device
    #[arg(long, value_name = "W", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub lookahead: u32,
    /// How hints are computed: those that tell their nonce, aes128 or speck64
    #[arg(long, value_name = "SCHEME", default_value = "aes128", value_parser = parse_reversible)]
    pub hint: HintScheme,
    /// The folder of the report; made if it is not there. The fleets are made in it, too,
    /// and removed at the end
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub out: PathBuf,
    /// Fewer positions of the dial and fewer runs
    #[arg(long)]
    pub quick: bool,
    /// Fresh processes each figure is taken in [default: 3, with --quick 2]
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u8).range(1..=99))]
    pub runs: Option<u8>,
    /// Sizes of the growth curves, in devices [default: powers of ten up to --devices]
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1000..=1_000_000_000))]
    pub growth: Option<Vec<u32>>,
    /// The growth curves alone
    #[arg(long)]
    pub growth_only: bool,
    /// Figures of peers to show, as `make compare` writes them [default:
    /// docs/results/compare.json, if it is there]
    #[arg(long, value_name = "FILE")]
    pub peers: Option<PathBuf>,
}

/// What a fresh process takes: for `measure` alone, which runs it.
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
    /// The nonce of the first packets that are decoded.
    #[arg(long, default_value_t = 0)]
    pub nonce: u64,
    /// How long each kind of lookup is measured, in milliseconds.
    #[arg(long, default_value_t = 100)]
    pub each_ms: u64,
    /// First lookups only, of files that are not in the page cache.
    #[arg(long)]
    pub cold: bool,
}

/// What there is to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// A fleet provisioned
    Provision,
    /// The next window built
    Roll,
    /// A snapshot built
    Rebuild,
    /// Lookups in the live index
    Live,
    /// Lookups in a snapshot
    Snapshot,
    /// Hints looked for under every key
    Scan,
    /// A station with everything it holds
    Station,
    /// Packets decoded
    Decode,
}

#[derive(Debug, ClapArgs)]
pub struct EstimateArgs {
    /// How many devices the fleet will have
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub devices: u32,
    /// Hints of each device in the index, and in the snapshot
    #[arg(long, value_name = "W", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    pub lookahead: u32,
    /// Bits a hint of the snapshot
    #[arg(long, value_name = "R", conflicts_with = "tries", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub bits: Option<u8>,
    /// Devices tried a lookup in the snapshot [default: 32]
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u32).range(1..))]
    pub tries: Option<u32>,
    /// How hints are computed: aes128, speck64, or aes128-trunc:4 to :12
    #[arg(long, value_name = "SCHEME", default_value = "aes128", value_parser = parse_scheme)]
    pub hint: HintScheme,
    /// How the snapshot stores hints: ribbon, dense or sorted
    #[arg(long, value_name = "ENCODING", default_value = "ribbon", value_parser = parse_encoding)]
    pub encoding: Encoding,
    /// One JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

fn parse_reversible(name: &str) -> Result<HintScheme, String> {
    let scheme = parse_scheme(name)?;
    let refused = || "measure knows hints that tell their nonce: aes128 and speck64".into();
    scheme.is_reversible().then_some(scheme).ok_or_else(refused)
}
