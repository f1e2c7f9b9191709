//! The command lines of the commands on beacons.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use hintdex_beacon::Scheme;

use super::lists::ListArgs;
use crate::input::lists::Format;
use crate::unix_time::parse_duration;

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

/// The commands on one beacon of a folder.
#[derive(Debug, Subcommand)]
pub enum BeaconCommand {
    /// Reset the clock of a beacon to its registration
    #[command(after_help = "Example: hintdex beacon forget-clock --beacons beacons 1001")]
    ForgetClock(ForgetClockArgs),
}

#[derive(Debug, ClapArgs)]
pub struct ForgetClockArgs {
    /// The folder of the beacons
    #[arg(long, value_name = "DIR")]
    pub beacons: PathBuf,
    /// The id of the beacon, as registered with --scheme eddystone-eid
    #[arg(value_name = "ID")]
    pub id: u32,
}

fn parse_scheme(name: &str) -> Result<Scheme, String> {
    Scheme::from_name(name).ok_or_else(|| {
        let known = Scheme::ALL.map(Scheme::name).join(", ");
        format!("this version knows {known}")
    })
}
