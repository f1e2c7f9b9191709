//! The command lines of the commands on the devices of a fleet.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args as ClapArgs, Subcommand};
use hintdex::{MaxGap, Rate, SecretSource};

use super::fleet::{FormArgs, ProvisionArgs};
use super::ids::IdRange;
use super::key::source;
use super::lists::ListArgs;
use crate::settings_text::{parse_late, parse_max_gap, parse_rate};
use crate::unix_time::{parse_duration, parse_time};

/// The commands on the devices of a fleet.
#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// List devices: state, generation, nonce, and when each was heard last
    #[command(
        after_help = "Example: hintdex device list --index fleet --not-heard-since 2026-11-01T00:00:00Z"
    )]
    List(DeviceListArgs),
    /// Show every key of one device
    #[command(after_help = "Example: hintdex device show --index fleet 42")]
    Show(DeviceShowArgs),
    /// Add devices, like provision
    #[command(after_help = "Example: hintdex device add --index fleet --ids 5000-5099")]
    Add(ProvisionArgs),
    /// Bring the fleet to a list: add what is new, change what differs
    #[command(after_help = "Example: hintdex device sync --index fleet devices.csv --dry-run")]
    Sync(DeviceSyncArgs),
    /// Retire devices: their packets are unknown from now on, or from a time on
    #[command(after_help = "Example: hintdex device retire --index fleet 42,100-109")]
    Retire(DeviceRetireArgs),
    /// Revoke the keys of devices, as after a theft: at once, and for ever
    #[command(after_help = "Example: hintdex device revoke --index fleet 42")]
    Revoke(DeviceRevokeArgs),
    /// Give the ids of devices to new units: the old keys retire, and nonces begin at 0
    #[command(after_help = "Example: hintdex device replace --index fleet 42")]
    Replace(DeviceReplaceArgs),
    /// Let devices change to the keys of a list; the first packet under one retires the old
    #[command(after_help = "Example: hintdex device rekey --index fleet new-keys.csv --grace 1h")]
    Rekey(DeviceRekeyArgs),
    /// Let devices change to their next derived keys; the first packet under one retires the old
    #[command(after_help = "Example: hintdex device rotate --index fleet --all --grace 1h")]
    Rotate(DeviceRotateArgs),
    /// Set how late a packet of a device may be and how far ahead, for devices or for all
    #[command(
        after_help = "Example: hintdex device set --index fleet 42,100-109 --late 1000 --max-gap 100:10000 --rate 4/h"
    )]
    Set(DeviceSetArgs),
    /// Write all devices with their states to a file, for another fleet
    #[command(
        after_help = "Example: hintdex device export --index fleet --out devices.jsonl --wrap-key wrap.key"
    )]
    Export(DeviceExportArgs),
    /// Add devices with their states from the export of another fleet
    #[command(
        after_help = "Example: hintdex device import --index fleet devices.jsonl --wrap-key wrap.key"
    )]
    Import(DeviceImportArgs),
}

impl DeviceCommand {
    /// The folder of the fleet.
    pub fn fleet(&self) -> &Path {
        match self {
            Self::List(args) => &args.fleet.index,
            Self::Show(args) => &args.fleet.index,
            Self::Export(args) => &args.fleet.index,
            Self::Add(args) => &args.index,
            Self::Sync(args) => &args.changed.fleet.index,
            Self::Retire(args) => &args.changed.fleet.index,
            Self::Revoke(args) => &args.changed.fleet.index,
            Self::Replace(args) => &args.changed.fleet.index,
            Self::Rekey(args) => &args.changed.fleet.index,
            Self::Rotate(args) => &args.changed.fleet.index,
            Self::Set(args) => &args.changed.fleet.index,
            Self::Import(args) => &args.changed.fleet.index,
        }
    }

    /// Whether the command changes devices.
    pub const fn changes(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Show(_) | Self::Export(_))
    }

    /// The wrap key of an export.
    pub const fn secret(&self) -> Option<&SecretSource> {
        match self {
            Self::Export(args) => args.wrap_key.as_ref(),
            Self::Import(args) => args.wrap_key.as_ref(),
            _ => None,
        }
    }

    /// The list of devices that the command reads.
    pub fn list(&self) -> Option<&Path> {
        match self {
            Self::Add(args) => args.keys.as_deref(),
            Self::Sync(args) => Some(&args.file),
            Self::Rekey(args) => Some(&args.file),
            Self::Replace(args) => args.keys.as_deref(),
            _ => None,
        }
    }
}

/// The fleet of a command.
#[derive(Debug, ClapArgs)]
pub struct FleetArgs {
    /// The folder of the fleet
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
}

/// The fleet of a command that changes it.
#[derive(Debug, ClapArgs)]
pub struct ChangedFleetArgs {
    #[command(flatten)]
    pub fleet: FleetArgs,
    #[command(flatten)]
    pub form: FormArgs,
}

/// Devices on the command line.
#[derive(Debug, ClapArgs)]
pub struct IdArgs {
    /// The ids of the devices, like 7,100-109
    #[arg(value_name = "IDS", value_delimiter = ',', required = true)]
    pub ids: Vec<IdRange>,
}

/// How long older keys stay valid.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct GraceArgs {
    /// How long the older keys of a device stay valid after its first packet under a new one,
    /// for packets under way: seconds, or like 1h
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    pub grace: u32,
}

#[derive(Debug, ClapArgs)]
pub struct DeviceListArgs {
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// Only these devices, like 7,100-109
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub ids: Vec<IdRange>,
    /// Only devices without an accepted packet since this time: a unix time or RFC 3339
    #[arg(long, value_name = "T", value_parser = parse_time)]
    pub not_heard_since: Option<u64>,
    /// Only retired devices, which are left out otherwise
    #[arg(long)]
    pub retired: bool,
    /// Only devices whose present key is of this generation
    #[arg(long, value_name = "G")]
    pub generation: Option<u16>,
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct DeviceShowArgs {
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// The id of the device
    #[arg(value_name = "ID")]
    pub id: u32,
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct DeviceSyncArgs {
    #[command(flatten)]
    pub changed: ChangedFleetArgs,
    /// The list of devices, as provision --keys reads it; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Retire the devices that the list lacks
    #[arg(long)]
    pub retire_missing: bool,
    /// Report what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object for each line that is not unchanged
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub grace: GraceArgs,
    #[command(flatten)]
    pub list: ListArgs,
}

#[derive(Debug, ClapArgs)]
pub struct DeviceRetireArgs {
    #[command(flatten)]
    pub changed: ChangedFleetArgs,
    #[command(flatten)]
    pub ids: IdArgs,
    /// The time of reception from which on packets are not accepted: a unix time or RFC 3339
    /// [default: now]
    #[arg(long, value_name = "T", value_parser = parse_time)]
    pub at: Option<u64>,
}

#[derive(Debug, ClapArgs)]
pub struct DeviceRevokeArgs {
    #[command(flatten)]
    pub changed: ChangedFleetArgs,
    #[command(flatten)]
    pub ids: IdArgs,
    /// Only the keys of this generation: the next key of a rotated device stays [default: all]
    #[arg(long, value_name = "G")]
    pub generation: Option<u16>,
}

#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("devices").args(["ids", "keys"]).required(true)))]
pub struct DeviceReplaceArgs {
    #[command(flatten)]
    pub changed: ChangedFleetArgs,
    /// The ids of the devices, like 7,100-109: the new units have the next derived keys
    #[arg(value_name = "IDS", value_delimiter = ',')]
    pub ids: Vec<IdRange>,
    /// A list of the devices with the keys of the new units, as provision --keys reads it
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    #[command(flatten)]
    pub list: ListArgs,
}

#[derive(Debug, ClapArgs)]
pub struct DeviceRekeyArgs {
    #[command(flatten)]
    pub changed: ChangedFleetArgs,
    /// The list of devices with their new keys, as provision --keys reads it; - for standard
    /// input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub grace: GraceArgs,
    #[command(flatten)]
    pub list: ListArgs,
}

#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("devices").args(["ids", "all"]).required(true)))]
pub struct DeviceRotateArgs {
    #[command(flatten)]
    pub changed: ChangedFleetArgs,
    /// The ids of the devices, like 7,100-109
    #[arg(value_name = "IDS", value_delimiter = ',')]
    pub ids: Vec<IdRange>,
    /// All devices but those that are retired or are to retire, and those whose next key is
    /// awaited already
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub grace: GraceArgs,
}

#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("devices").args(["ids", "all"]).required(true)))]
#[command(group(
    ArgGroup::new("settings").args(["late", "max_gap", "rate", "default"]).required(true).multiple(true)
))]
pub struct DeviceSetArgs {
    #[command(flatten)]
    pub changed: ChangedFleetArgs,
    /// The ids of the devices, like 7,100-109
    #[arg(value_name = "IDS", value_delimiter = ',')]
    pub ids: Vec<IdRange>,
    /// The fleet: all devices that have no such setting of their own
    #[arg(long)]
    pub all: bool,
    /// How many nonces up to the highest accepted one are kept one by one, 64 to 65536. A packet
    /// further behind is stale
    #[arg(long, value_name = "N", value_parser = parse_late)]
    pub late: Option<u32>,
    /// How many nonces a packet may skip: A at once; B if a second packet agrees, which is ahead
    /// of the first by the lookahead at most; or none, for no limit
    #[arg(long, value_name = "A[:B]", value_parser = parse_max_gap)]
    pub max_gap: Option<MaxGap>,
    /// How often the device sends: packets a second, like 4/h, or none. A packet may skip so
    /// many more nonces, for the time since the last one
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub rate: Option<Rate>,
    /// Drop the settings: those of the fleet apply to devices, and the usual ones to the fleet
    #[arg(long, conflicts_with_all = ["late", "max_gap", "rate"])]
    pub default: bool,
}

#[derive(Debug, ClapArgs)]
pub struct DeviceExportArgs {
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// The file to write; an existing file is replaced as a whole
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The source of the key under which the keys of the devices are wrapped, named as that of
    /// the master key. Without it the file has no keys, and suits fleets with the same master key
    #[arg(long, value_name = "SOURCE", value_parser = source())]
    pub wrap_key: Option<SecretSource>,
}

#[derive(Debug, ClapArgs)]
pub struct DeviceImportArgs {
    #[command(flatten)]
    pub changed: ChangedFleetArgs,
    /// The file that export has written
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The wrap key of the export
    #[arg(long, value_name = "SOURCE", value_parser = source())]
    pub wrap_key: Option<SecretSource>,
}
