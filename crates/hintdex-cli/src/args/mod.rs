//! The command line: commands, and the options that every command takes.

mod backup;
mod beacons;
mod devices;
mod fleet;
mod generate;
mod ids;
mod key;
mod lists;
mod measure;
mod serve;
mod time;
mod values;

use std::num::NonZeroUsize;
use std::path::Path;

use clap::{Args as ClapArgs, Parser, Subcommand};
use hintdex::{Durability, SecretSource, StationOptions};

pub use backup::{BackupArgs, RestoreArgs};
pub use beacons::{
    BeaconCommand, BeaconExportArgs, BeaconImportArgs, BeaconListArgs, BeaconRekeyArgs,
    BeaconReplaceArgs, BeaconSetArgs, BeaconShowArgs, BeaconSyncArgs, ForgetClockArgs,
    IdentifyArgs, ImportKeysArgs, SelectionArgs,
};
pub use devices::{
    ChangedFleetArgs, DeviceCommand, DeviceExportArgs, DeviceImportArgs, DeviceListArgs,
    DeviceRekeyArgs, DeviceReplaceArgs, DeviceRetireArgs, DeviceRevokeArgs, DeviceRotateArgs,
    DeviceSetArgs, DeviceShowArgs, DeviceSyncArgs,
};
pub use fleet::{
    CoseCommand, CoseOpenArgs, DecodeArgs, InspectArgs, Output, ProvisionArgs, RebuildArgs,
    ResolveArgs, RollArgs, VerifyArgs,
};
pub use generate::{CompletionsArgs, GenerateCommand, ManArgs};
pub use ids::IdRange;
pub use key::{KeyCommand, KeyKind, KeyShowArgs, RewrapArgs, SecretArgs};
pub use lists::ListArgs;
pub use measure::{EstimateArgs, MeasureArgs, TakeArgs, What};
pub use serve::ServeArgs;
pub use time::TimeArgs;

use values::parse_size;
pub use values::{HintName, SuiteName};

/// The index that resolves the hint at the head of a radio packet to (device, nonce).
#[derive(Debug, Parser)]
#[command(name = "hintdex", version, about, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub run: RunArgs,
}

/// The options of every command.
#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    /// The number of threads [default: one for each core]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// The memory for rows, block cache and write buffers together, in bytes or like 64M or 2G
    #[arg(long, global = true, value_name = "SIZE", default_value = "256M", value_parser = parse_size)]
    pub memory: usize,
    #[command(flatten)]
    pub secrets: SecretArgs,
    #[command(flatten)]
    pub time: TimeArgs,
}

impl RunArgs {
    /// The options of a station with these settings.
    ///
    /// The index does not change by itself: a lean index whose snapshot is missing is not
    /// refilled, and nothing rolls in the background. Commands that change the index set
    /// `refill` and `roll_in_background`.
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
    /// Create the index of a fleet, or add devices to an existing index
    #[command(after_help = "Example: hintdex provision --index fleet --devices 20000")]
    Provision(ProvisionArgs),
    /// List and change the devices of a fleet: add, retire, revoke, replace, rekey, rotate, move
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Decode packets: read one line of hex for each packet, write one JSON object for each line
    #[command(after_help = "Example: hintdex decode --index fleet packets.hex")]
    Decode(DecodeArgs),
    /// Run stations as a service: packets in from gateways, payloads out at least once
    #[command(
        after_help = "Example: hintdex serve --index fleet --in semtech-udp://0.0.0.0:1700 --out lines:-"
    )]
    Serve(ServeArgs),
    /// Open payloads behind the station
    #[command(subcommand)]
    Cose(CoseCommand),
    /// Write a snapshot: one small file with the coming hints of every device
    #[command(after_help = "Example: hintdex rebuild --index fleet --out fleet.hdx --tries 32")]
    Rebuild(RebuildArgs),
    /// Build the next window of the index and the fleet's own snapshot now
    #[command(after_help = "Example: hintdex roll --index fleet")]
    Roll(RollArgs),
    /// Report the devices that made the given hints, one JSON object for each
    #[command(
        after_help = "Example: hintdex resolve --index fleet 067ce53349a8a510b30b3389d6192210"
    )]
    Resolve(ResolveArgs),
    /// Report the contents of an index or a snapshot, and its bytes by section
    #[command(after_help = "Example: hintdex inspect fleet --json")]
    Inspect(InspectArgs),
    /// Run every check on an index or a snapshot; exit with 0 only if all of them hold
    #[command(after_help = "Example: hintdex verify fleet.hdx --index fleet")]
    Verify(VerifyArgs),
    /// Write a backup of a fleet, also while its station runs
    #[command(
        after_help = "Example: hintdex backup --index fleet --to backups/monday --backup-passphrase pass.txt"
    )]
    Backup(BackupArgs),
    /// Restore a fleet from a backup; every file is checked
    #[command(after_help = "Example: hintdex restore --from backups/monday --index fleet")]
    Restore(RestoreArgs),
    /// Report or change how a fleet's folder keeps the master key
    #[command(subcommand)]
    Key(KeyCommand),
    /// Register beacons with their keys, from CSV or JSON lines
    #[command(
        after_help = "Example: hintdex import-keys --beacons beacons --scheme eddystone-eid keys.csv"
    )]
    ImportKeys(ImportKeysArgs),
    /// Resolve identifiers of beacons: read one line of hex each, write one JSON object each
    #[command(after_help = "Example: hintdex identify --beacons beacons heard.txt")]
    Identify(IdentifyArgs),
    /// List and change the beacons of a folder: add, retire, revoke, replace, rekey, correct, move
    #[command(subcommand)]
    Beacon(BeaconCommand),
    /// Measure every form of the index on this machine and write the figures to one page
    #[command(after_help = "Example: hintdex measure --devices 100000 --quick --out report")]
    Measure(MeasureArgs),
    /// Estimate the bytes, memory and time of a fleet before it is built
    #[command(after_help = "Example: hintdex estimate --devices 1000000 --lookahead 16")]
    Estimate(EstimateArgs),
    /// Write man pages and shell completions
    #[command(subcommand)]
    Generate(GenerateCommand),
    /// Take one measurement in this process
    #[command(hide = true)]
    Take(TakeArgs),
}

impl Command {
    /// The folder of the fleet on which a running station can do the command. `None` for a command
    /// that needs no station, or a closed fleet.
    pub fn fleet(&self) -> Option<&Path> {
        match self {
            Self::Provision(args) => Some(&args.index),
            Self::Device(command) => Some(command.fleet()),
            Self::Rebuild(args) => Some(&args.index),
            Self::Roll(args) => Some(&args.index),
            Self::Resolve(args) => Some(&args.index),
            Self::Inspect(args) => Some(args.path.as_path()).filter(|path| path.is_dir()),
            Self::Verify(args) if args.path.is_dir() => Some(&args.path),
            Self::Verify(args) => args.index.as_deref(),
            Self::Backup(args) => Some(&args.index),
            Self::Restore(_)
            | Self::Key(_)
            | Self::Decode(_)
            | Self::Serve(_)
            | Self::Cose(_)
            | Self::ImportKeys(_)
            | Self::Identify(_)
            | Self::Beacon(_)
            | Self::Measure(_)
            | Self::Estimate(_)
            | Self::Generate(_)
            | Self::Take(_) => None,
        }
    }

    /// Whether the command changes the devices of a fleet, or their ids.
    pub const fn changes(&self) -> bool {
        match self {
            Self::Provision(_) | Self::Roll(_) => true,
            Self::Device(command) => command.changes(),
            _ => false,
        }
    }

    /// The secret that the command reads beside those that open the fleet.
    pub const fn secret(&self) -> Option<&SecretSource> {
        match self {
            Self::Device(command) => command.secret(),
            Self::Backup(args) => {
                let key = &args.key;
                match &key.backup_passphrase {
                    Some(source) => Some(source),
                    None => key.key_from.as_ref(),
                }
            }
            _ => None,
        }
    }

    /// The list of devices that the command reads.
    pub fn list(&self) -> Option<&Path> {
        match self {
            Self::Provision(args) => args.keys.as_deref(),
            Self::Device(command) => command.list(),
            _ => None,
        }
    }
}
