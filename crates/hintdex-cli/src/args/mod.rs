//! The command line.

mod ids;
mod measure;
mod time;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use hintdex::snapshot::Encoding;
use hintdex::wire::{HintScheme, NonceKind};
use hintdex::{Durability, StationOptions};

pub use ids::IdRange;
pub use measure::{EstimateArgs, MeasureArgs, TakeArgs, What};
pub use time::{BadTime, TimeArgs, parse_duration, parse_time, read_time, time_text};

use crate::beacons::args::{BeaconCommand, IdentifyArgs, ImportKeysArgs};

/// The index that turns the hint at the head of a radio packet back into
/// (device, nonce).
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub run: RunArgs,
}

/// How the program runs, whatever it does.
#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    /// Threads to use; all there are, if not given
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Memory for the block cache and the write buffers together, like 64M or 2G
    #[arg(long, global = true, value_name = "SIZE", default_value = "256M", value_parser = parse_size)]
    pub memory: usize,
    #[command(flatten)]
    pub time: TimeArgs,
}

impl RunArgs {
    /// The options of a station that runs like this.
    /// Only `refill`ing commands mend a lean index whose snapshot is gone, and only
    /// decoding rolls in the background: whoever looks at an index does not expect it
    /// to change.
    pub fn station(&self, durability: Durability) -> StationOptions {
        StationOptions {
            memory_bytes: self.memory,
            durability,
            scan_core_share: f64::INFINITY,
            refill: false,
            roll_in_background: false,
            timing: self.time.options(),
            ..StationOptions::default()
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an index of a fleet, or add devices to one
    Provision(ProvisionArgs),
    /// Decode packets, a line of hex each, to a line of JSON each
    Decode(DecodeArgs),
    /// Write a snapshot: the coming hints of every device in one small file
    Rebuild(RebuildArgs),
    /// Build the index's next window and the fleet's own snapshot now
    Roll(RollArgs),
    /// Say which devices made hints
    Resolve(ResolveArgs),
    /// Say what an index holds, and its bytes by section
    Inspect(InspectArgs),
    /// Check everything there is to check; exit 0 only when all holds
    Verify(VerifyArgs),
    /// Register beacons: their keys, from CSV or JSON lines
    ImportKeys(ImportKeysArgs),
    /// Say whose beacons were heard, a line of hex each, to a line of JSON each
    Identify(IdentifyArgs),
    /// Look after one beacon of a folder
    #[command(subcommand)]
    Beacon(BeaconCommand),
    /// Measure every form on this machine, and say it in one page
    Measure(MeasureArgs),
    /// Say what a fleet will need in bytes, memory and time before it is built
    Estimate(EstimateArgs),
    /// Take one figure in this process
    #[command(hide = true)]
    Take(TakeArgs),
}

#[derive(Debug, ClapArgs)]
pub struct ProvisionArgs {
    /// The folder of the fleet; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
    /// How many devices to add, with ids that follow one another
    #[arg(long, value_name = "N", required_unless_present_any = ["ids", "keys"])]
    pub devices: Option<u64>,
    /// The id of the first one
    #[arg(long, value_name = "ID", default_value_t = 0, requires = "devices")]
    pub first_device: u64,
    /// The ids of the devices to add, like 0-999,5000,70000-79999
    #[arg(long, value_name = "IDS", value_delimiter = ',', conflicts_with_all = ["devices", "keys"])]
    pub ids: Vec<IdRange>,
    /// A file of the devices to add: CSV with a header line or JSON lines, of the columns id,
    /// and hint_key and dev_key in hex where devices have keys of their own, or binary
    /// records (docs/format/device-keys.md); - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "devices")]
    pub keys: Option<PathBuf>,
    /// A file of 64 hex digits; without it, a new key is made and kept as DIR/master.key
    #[arg(long, value_name = "FILE")]
    pub master_key: Option<PathBuf>,
    /// Hints of each device to hold in the index [default: 16]
    #[arg(long, value_name = "W")]
    pub lookahead: Option<u32>,
    /// How hints are computed: aes128, speck64, or aes128-trunc:4 to :12 [default: aes128]
    #[arg(long, value_name = "SCHEME", value_parser = parse_scheme)]
    pub hint: Option<HintScheme>,
    /// How nonces are made: counter, day-counter, or step:SECONDS of a clock [default: counter]
    #[arg(long, value_name = "KIND", value_parser = time::parse_nonces)]
    pub nonce: Option<NonceKind>,
}

#[derive(Debug, ClapArgs)]
pub struct DecodeArgs {
    /// The folder of the fleet
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
    /// A snapshot to ask before the index; twice for two, the newer one first
    #[arg(long, value_name = "FILE")]
    pub snapshot: Vec<PathBuf>,
    /// When accepted packets are safe
    #[arg(long, value_enum, default_value_t = Sync::Batch)]
    pub sync: Sync,
    /// From the next roll on, leave to the fleet's own snapshot what it holds
    #[arg(long)]
    pub lean: bool,
    /// Share of one core that scans of all devices may take, like 0.1: for live
    /// traffic, so that garbage cannot hold up what is known. Packets that wait for
    /// a scan are told `unknown` and told again, with "late", once it is done
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub scan_share: Option<f64>,
    /// Packets, a line of hex each, and where nonces tell time the UNIX time of reception
    /// behind it, if it is not the present; standard input if not given or -
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
}

/// When accepted packets are safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sync {
    /// Each batch of verdicts survives the machine before it is written out
    Batch,
    /// They survive the process, not the machine
    None,
}

impl From<Sync> for Durability {
    fn from(sync: Sync) -> Self {
        match sync {
            Sync::Batch => Self::Sync,
            Sync::None => Self::ProcessCrash,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub struct RollArgs {
    /// The folder of the fleet
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
    /// Leave to the snapshot what it holds; without this, the index holds everything again
    #[arg(long)]
    pub lean: bool,
}

#[derive(Debug, ClapArgs)]
pub struct ResolveArgs {
    /// The folder of the fleet
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
    /// A snapshot to ask before the index
    #[arg(long, value_name = "FILE")]
    pub snapshot: Vec<PathBuf>,
    /// Hints, in hex
    #[arg(value_name = "HINT_HEX", required = true)]
    pub hints: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub struct InspectArgs {
    /// The folder of a fleet, or a snapshot file
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// One JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    /// The folder of a fleet, or a snapshot file
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// For a snapshot: the folder of its fleet, whose key authenticates it
    #[arg(long, value_name = "DIR")]
    pub index: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct RebuildArgs {
    /// The folder of the fleet
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
    /// The file to write; one that is there is replaced by a whole one
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Bits a hint: more of them, fewer tries
    #[arg(long, value_name = "R", conflicts_with = "tries", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub bits: Option<u8>,
    /// Devices tried a lookup: more of them, fewer bytes [default: 32]
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u32).range(1..))]
    pub tries: Option<u32>,
    /// How many coming nonces of each device it holds
    #[arg(long, value_name = "H", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    pub horizon: u64,
    /// Where nonces tell time, from when on: a UNIX time or RFC 3339 [default: the present window]
    #[arg(long, value_name = "T", requires = "to", value_parser = time::parse_time)]
    pub from: Option<u64>,
    /// Until when
    #[arg(long, value_name = "T", requires = "from", value_parser = time::parse_time)]
    pub to: Option<u64>,
    /// How hints are stored
    #[arg(long, value_name = "ENCODING", default_value = "ribbon", value_parser = parse_encoding)]
    pub encoding: Encoding,
}

fn parse_encoding(name: &str) -> Result<Encoding, String> {
    Encoding::from_name(name).ok_or_else(|| "this version knows ribbon, dense, sorted".into())
}

fn parse_scheme(name: &str) -> Result<HintScheme, String> {
    HintScheme::from_name(name).ok_or_else(|| {
        let known: Vec<_> = HintScheme::ALL.iter().map(|scheme| scheme.name()).collect();
        format!("this version knows {}", known.join(", "))
    })
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1024.0).contains(share));
    share.ok_or_else(|| "a share of one core is a number like 0.1, 1024 at most".into())
}

/// Reads a size like `64M`: a number and one of K, M, G, each 1,024 of the one before.
fn parse_size(text: &str) -> Result<usize, String> {
    let bad = || "a size is a number with K, M or G behind it, 1M at least".to_owned();
    let (digits, unit) = match text.trim_end_matches(['b', 'B']).to_ascii_uppercase() {
        text if text.ends_with('K') => (text.trim_end_matches('K').to_owned(), 1 << 10),
        text if text.ends_with('M') => (text.trim_end_matches('M').to_owned(), 1 << 20),
        text if text.ends_with('G') => (text.trim_end_matches('G').to_owned(), 1 << 30),
        text => (text, 1),
    };
    let number: usize = digits.parse().map_err(|_| bad())?;
    number.checked_mul(unit).filter(|bytes| *bytes >= 1 << 20).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_have_units_and_a_least_value() {
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("2g"), Ok(2 << 30));
        assert_eq!(parse_size("4096KB"), Ok(4 << 20));
        assert_eq!(parse_size("1048576"), Ok(1 << 20));
        for bad in
            ["", "M", "1", "-1M", "1.5G", "1T", "99999999999999999999G", "18446744073709551615G"]
        {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
