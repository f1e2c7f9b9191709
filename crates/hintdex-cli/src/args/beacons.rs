//! The command lines of the commands on beacons.

use std::path::PathBuf;

use clap::{ArgGroup, Args as ClapArgs, Subcommand};
use hintdex::SecretSource;
use hintdex_beacon::Scheme;

use super::ids::IdRange;
use super::key::source;
use super::lists::ListArgs;
use crate::input::lists::Format;
use crate::unix_time::{parse_duration, parse_time};

#[derive(Debug, ClapArgs)]
pub struct ImportKeysArgs {
    /// The folder of the beacons; created if it does not exist
    #[arg(long, value_name = "DIR")]
    pub beacons: PathBuf,
    /// How the beacons compute their identifiers: eddystone-eid, gaen or ble-rpa
    #[arg(long, value_name = "SCHEME", value_parser = parse_scheme)]
    pub scheme: Scheme,
    /// The format of the file [default: recognised by the first byte]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    #[command(flatten)]
    pub list: ListArgs,
    /// gaen: the id of the first key of an export, which names no devices; the next keys have the
    /// ids after it [default: the id after the greatest registered one]
    #[arg(long, value_name = "ID")]
    pub first_id: Option<u32>,
    /// Keys in hex or base64, as CSV with a header line, JSON lines or a JSON array; - for
    /// standard input. gaen also reads export.bin, or the zip archive that holds it.
    /// eddystone-eid: columns id,key,k,clock_offset_s and optionally measured_s,randomized. The
    /// beacon's clock is unix time less clock_offset_s, as measured at the unix time measured_s
    /// [default: now]; randomized is 1 if identifiers begin at a random point of their 2^k
    /// seconds, else 0. gaen: columns id,key,start_interval and optionally rolling_period
    /// [default: 144 intervals]. ble-rpa: columns id,key or id,irk
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct IdentifyArgs {
    /// The folder of the beacons
    #[arg(long, value_name = "DIR")]
    pub beacons: PathBuf,
    /// The core time for searches for beacons whose clocks are not where they are expected, as
    /// after a power loss: seconds, or like 30s
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    pub search: u32,
    /// How far a search looks to either side of the expected clock, and onward from 0: seconds,
    /// or like 30d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_duration)]
    pub search_reach: u32,
    /// Identifiers, one line of hex each; - for standard input. The time of reception may follow
    /// after a space, comma or semicolon: a unix time or RFC 3339, the present if absent
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
}

/// The folder of a command.
#[derive(Debug, ClapArgs)]
pub struct BeaconFolderArgs {
    /// The folder of the beacons
    #[arg(long, value_name = "DIR")]
    pub beacons: PathBuf,
}

/// The commands on the beacons of a folder.
#[derive(Debug, Subcommand)]
pub enum BeaconCommand {
    /// List beacons: state, rule, clock, and when each was heard last
    #[command(
        after_help = "Example: hintdex beacon list --beacons beacons --not-heard-since 2026-11-01T00:00:00Z"
    )]
    List(BeaconListArgs),
    /// Show every registration of one id
    #[command(after_help = "Example: hintdex beacon show --beacons beacons 1001")]
    Show(BeaconShowArgs),
    /// Register beacons, like import-keys
    #[command(
        after_help = "Example: hintdex beacon add --beacons beacons --scheme eddystone-eid keys.csv"
    )]
    Add(ImportKeysArgs),
    /// Bring the beacons of a scheme to a list: add what is new, change what differs
    #[command(
        after_help = "Example: hintdex beacon sync --beacons beacons --scheme eddystone-eid keys.csv --dry-run"
    )]
    Sync(BeaconSyncArgs),
    /// Retire beacons: their identifiers are unknown from now on
    #[command(after_help = "Example: hintdex beacon retire --beacons beacons 1001,1100-1109")]
    Retire(SelectionArgs),
    /// Revoke beacons, as after a theft: retire them, and wipe their keys for ever
    #[command(after_help = "Example: hintdex beacon revoke --beacons beacons 1001")]
    Revoke(SelectionArgs),
    /// Give the ids of beacons to new units, with the keys and clocks of a list
    #[command(
        after_help = "Example: hintdex beacon replace --beacons beacons --scheme eddystone-eid units.csv"
    )]
    Replace(BeaconReplaceArgs),
    /// Give beacons other keys, those of a list of ids and keys; their clocks stay
    #[command(
        after_help = "Example: hintdex beacon rekey --beacons beacons --scheme ble-rpa new-keys.csv"
    )]
    Rekey(BeaconRekeyArgs),
    /// Correct the clock offset, the exponent or the rolling period of beacons
    #[command(
        after_help = "Example: hintdex beacon set --beacons beacons 1001 --clock-offset 1763000000"
    )]
    Set(BeaconSetArgs),
    /// Write all beacons with their learned clocks to a file, for another folder
    #[command(
        after_help = "Example: hintdex beacon export --beacons beacons --out beacons.jsonl --wrap-key wrap.key"
    )]
    Export(BeaconExportArgs),
    /// Register the beacons of the export of another folder, with their learned clocks
    #[command(
        after_help = "Example: hintdex beacon import --beacons beacons beacons.jsonl --wrap-key wrap.key"
    )]
    Import(BeaconImportArgs),
    /// Reset the clock of a beacon to its registration
    #[command(after_help = "Example: hintdex beacon forget-clock --beacons beacons 1001")]
    ForgetClock(ForgetClockArgs),
}

#[derive(Debug, ClapArgs)]
pub struct ForgetClockArgs {
    #[command(flatten)]
    pub folder: BeaconFolderArgs,
    /// The id of the beacon, as registered with --scheme eddystone-eid
    #[arg(value_name = "ID")]
    pub id: u32,
}

#[derive(Debug, ClapArgs)]
pub struct BeaconListArgs {
    #[command(flatten)]
    pub folder: BeaconFolderArgs,
    /// Only these beacons, like 7,100-109
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub ids: Vec<IdRange>,
    /// Only beacons of this scheme: eddystone-eid, gaen or ble-rpa
    #[arg(long, value_name = "SCHEME", value_parser = parse_scheme)]
    pub scheme: Option<Scheme>,
    /// Only eddystone-eid beacons that were not heard since this time: a unix time or RFC 3339
    #[arg(long, value_name = "T", value_parser = parse_time)]
    pub not_heard_since: Option<u64>,
    /// Only retired and revoked beacons, which are left out otherwise
    #[arg(long)]
    pub retired: bool,
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct BeaconShowArgs {
    #[command(flatten)]
    pub folder: BeaconFolderArgs,
    /// The id of the beacon
    #[arg(value_name = "ID")]
    pub id: u32,
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    pub json: bool,
}

/// The list of a command.
#[derive(Debug, ClapArgs)]
pub struct BeaconFileArgs {
    #[command(flatten)]
    pub folder: BeaconFolderArgs,
    /// The scheme of the beacons: eddystone-eid, gaen or ble-rpa
    #[arg(long, value_name = "SCHEME", value_parser = parse_scheme)]
    pub scheme: Scheme,
    /// The list, with the columns that import-keys reads; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub list: ListArgs,
}

#[derive(Debug, ClapArgs)]
pub struct BeaconSyncArgs {
    #[command(flatten)]
    pub list: BeaconFileArgs,
    /// Retire the beacons of the scheme that the list lacks
    #[arg(long)]
    pub retire_missing: bool,
    /// Report what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object for each line that is not unchanged
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct BeaconReplaceArgs {
    #[command(flatten)]
    pub list: BeaconFileArgs,
}

#[derive(Debug, ClapArgs)]
pub struct BeaconRekeyArgs {
    #[command(flatten)]
    pub folder: BeaconFolderArgs,
    /// The scheme of the beacons: eddystone-eid or ble-rpa. A new daily key is added, not changed
    #[arg(long, value_name = "SCHEME", value_parser = parse_scheme)]
    pub scheme: Scheme,
    /// The list, with the columns id,key or id,irk; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub list: ListArgs,
}

/// Beacons on the command line.
#[derive(Debug, ClapArgs)]
pub struct SelectionArgs {
    #[command(flatten)]
    pub folder: BeaconFolderArgs,
    /// The ids of the beacons, like 7,100-109
    #[arg(value_name = "IDS", value_delimiter = ',', required = true)]
    pub ids: Vec<IdRange>,
    /// Only beacons of this scheme: eddystone-eid, gaen or ble-rpa
    #[arg(long, value_name = "SCHEME", value_parser = parse_scheme)]
    pub scheme: Option<Scheme>,
    /// Only the daily key of gaen with this rolling start
    #[arg(long, value_name = "INTERVAL")]
    pub start_interval: Option<u32>,
}

#[derive(Debug, ClapArgs)]
#[command(group(
    ArgGroup::new("settings")
        .args(["clock_offset", "exponent", "randomized", "rolling_period"])
        .required(true)
        .multiple(true)
))]
pub struct BeaconSetArgs {
    #[command(flatten)]
    pub which: SelectionArgs,
    /// eddystone-eid: unix time less the clock of the beacon, in seconds
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    pub clock_offset: Option<i64>,
    /// When the offset was measured: a unix time or RFC 3339 [default: now]
    #[arg(long, value_name = "T", value_parser = parse_time, requires = "clock_offset")]
    pub measured: Option<u64>,
    /// eddystone-eid: an identifier lasts 2^K seconds, 0 to 15
    #[arg(long = "k", value_name = "K", value_parser = clap::value_parser!(u8).range(0..=15))]
    pub exponent: Option<u8>,
    /// eddystone-eid: whether identifiers begin at a random point of their 2^k seconds
    #[arg(long, value_name = "BOOL")]
    pub randomized: Option<bool>,
    /// gaen: how many intervals of ten minutes a daily key is valid for, 1 to 144
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=144))]
    pub rolling_period: Option<u32>,
}

#[derive(Debug, ClapArgs)]
pub struct BeaconExportArgs {
    #[command(flatten)]
    pub folder: BeaconFolderArgs,
    /// The file to write; an existing file is replaced as a whole
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The source of the key under which the keys of the beacons are wrapped, 64 hex digits: a
    /// PATH, credential:NAME, command:WORDS or prompt
    #[arg(long, value_name = "SOURCE", value_parser = source())]
    pub wrap_key: SecretSource,
}

#[derive(Debug, ClapArgs)]
pub struct BeaconImportArgs {
    /// The folder of the beacons; created if it does not exist
    #[arg(long, value_name = "DIR")]
    pub beacons: PathBuf,
    /// The file that export has written
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The wrap key of the export
    #[arg(long, value_name = "SOURCE", value_parser = source())]
    pub wrap_key: SecretSource,
}

fn parse_scheme(name: &str) -> Result<Scheme, String> {
    Scheme::from_name(name).ok_or_else(|| {
        let known = Scheme::ALL.map(Scheme::name).join(", ");
        format!("this version knows {known}")
    })
}
