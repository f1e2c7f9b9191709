//! The command line of beacons.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use hintdex_beacon::Scheme;

use crate::args::parse_duration;
use crate::rows::Format;

#[derive(Debug, ClapArgs)]
pub struct ImportKeysArgs {
    /// The folder of the beacons; made if it is not there, added to if it is
    #[arg(long, value_name = "DIR")]
    pub beacons: PathBuf,
    /// How their identifiers are made: eddystone-eid, gaen, ble-rpa
    #[arg(long, value_name = "SCHEME", value_parser = parse_scheme)]
    pub scheme: Scheme,
    /// What the lines are; told by the first byte, if not given
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Keys. CSV with a header line or JSON lines, of these columns: id,key,k,clock_offset_s
    /// and, if you like, measured_s and randomized (eddystone-eid: the beacon's clock is unix
    /// time less clock_offset_s, as measured at unix time measured_s, now if not given;
    /// randomized is 1 where identifiers begin at a random point of their 2^k seconds, else
    /// 0); id,key,start_interval and rolling_period if you like, 144 if not given (gaen);
    /// id,key or id,irk (ble-rpa). - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct IdentifyArgs {
    /// The folder of the beacons
    #[arg(long, value_name = "DIR")]
    pub beacons: PathBuf,
    /// Core time to spend on looking for beacons whose clocks are not where they are
    /// expected (after power loss), like 30s
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    pub search: u32,
    /// How far a search looks from where a clock is expected, either way, and how far on
    /// from 0, like 30d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_duration)]
    pub search_reach: u32,
    /// Identifiers, a line of hex each; behind a space or comma when each was heard, in
    /// unix seconds or like 2026-11-23T07:00:00Z, now if not given; standard input if
    /// not given or -
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
}

/// What is done with one beacon of a folder.
#[derive(Debug, Subcommand)]
pub enum BeaconCommand {
    /// Forget what was learned of a beacon's clock: it is again what the registration says
    ForgetClock(ForgetClockArgs),
}

#[derive(Debug, ClapArgs)]
pub struct ForgetClockArgs {
    /// The folder of the beacons
    #[arg(long, value_name = "DIR")]
    pub beacons: PathBuf,
    /// The id of the beacon, as it was registered with --scheme eddystone-eid
    #[arg(value_name = "ID")]
    pub id: u32,
}

fn parse_scheme(name: &str) -> Result<Scheme, String> {
    Scheme::from_name(name).ok_or_else(|| {
        let known = Scheme::ALL.map(Scheme::name).join(", ");
        format!("this version knows {known}")
    })
}
