//! The command lines of the commands on fleets.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use hintdex::snapshot::Encoding;
use hintdex::wire::{AssociatedDataBuf, Derivation, Lead, NonceKind, RatchetBits, Schedule};
use hintdex::{Durability, SecretSource, StationOptions};

use super::ids::IdRange;
use super::key::{KeyKind, source};
use super::lists::ListArgs;
use super::values::{
    HintName, SuiteName, parse_any_suite, parse_associated_data, parse_derivation, parse_encoding,
    parse_hint, parse_lead, parse_nonces, parse_ratchet_bits, parse_schedule, parse_share,
};
use crate::settings_text::parse_late;
use crate::unix_time::{parse_duration, parse_time};

#[derive(Debug, ClapArgs)]
pub struct ProvisionArgs {
    /// The folder of the fleet; created if it does not exist
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
    /// The number of devices to add, with consecutive ids
    #[arg(long, value_name = "N", required_unless_present_any = ["ids", "keys"])]
    pub devices: Option<u64>,
    /// The id of the first of these devices
    #[arg(long, value_name = "ID", default_value_t = 0, requires = "devices")]
    pub first_device: u64,
    /// The ids of the devices to add, like 0-999,5000,70000-79999
    #[arg(long, value_name = "IDS", value_delimiter = ',', conflicts_with_all = ["devices", "keys"])]
    pub ids: Vec<IdRange>,
    /// A file of the devices to add; - for standard input. CSV with a header line or JSON with
    /// the column id, an id or an EUI, and with hint_key and dev_key in hex or base64 where
    /// devices bring their own keys, chain_key where their keys move on (docs/guide/lists.md); or
    /// binary records
    /// (docs/format/device-keys.md)
    #[arg(long, value_name = "FILE", conflicts_with = "devices")]
    pub keys: Option<PathBuf>,
    #[command(flatten)]
    pub list: ListArgs,
    /// How the folder keeps the master key, chosen at creation [default: passphrase if
    /// --passphrase is given; external if --master-key is no file; else file]
    #[arg(long, value_enum)]
    pub protect: Option<KeyKind>,
    /// How many coming hints of each device are stored at all times; the fleet's own snapshot
    /// holds four times as many [default: 16]
    #[arg(long, value_name = "W")]
    pub lookahead: Option<u32>,
    /// The hint scheme: aes128, speck64, aes128-trunc:4 to aes128-trunc:12, or carry24; none where
    /// packets have no hints [default: aes128, or none if the suite has no hints]
    #[arg(long, value_name = "SCHEME", value_parser = parse_hint)]
    pub hint: Option<HintName>,
    /// The kind of nonces: counter; or from the device's clock, day-counter or step:SECONDS
    /// [default: counter]
    #[arg(long, value_name = "KIND", value_parser = parse_nonces)]
    pub nonce: Option<NonceKind>,
    /// How keys of devices are derived from the master key: hmac or hkdf [default: hmac]
    #[arg(long, value_name = "NAME", value_parser = parse_derivation)]
    pub derivation: Option<Derivation>,
    /// How packets are encrypted and authenticated: aes-ctr-hmac, chacha20poly1305,
    /// xchacha20poly1305, aes-siv or aes-ccm-8; or x25519 or x25519-seq, whose packets have no
    /// hints. docs/suites.md compares them [default: aes-ctr-hmac]
    #[arg(long, value_name = "NAME", value_parser = parse_any_suite)]
    pub suite: Option<SuiteName>,
    /// With x25519 and x25519-seq: the source of the station key, 64 hex digits: a PATH,
    /// credential:NAME, command:WORDS or prompt. Without it, a new fleet gets a random one
    #[arg(long, value_name = "SOURCE", value_parser = source())]
    pub station_key: Option<SecretSource>,
    /// Devices that are named by time alone: the shortest and the longest delay between two packets,
    /// in milliseconds, like 600000:4200000. Packets have no hint, or one of aes128-trunc:4 in
    /// front. docs/suites.md says when that serves
    #[arg(long, value_name = "MIN_MS:MAX_MS", value_parser = parse_schedule)]
    pub schedule: Option<Schedule>,
    /// With --schedule: by how many milliseconds the time from sending a packet to the time stamp
    /// of its reception varies [default: 50]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub jitter: Option<u32>,
    /// What every packet of the fleet authenticates without carrying it, in hex, 240 bytes at
    /// most; not with aes-ctr-hmac [default: nothing]
    #[arg(long, value_name = "HEX", value_parser = parse_associated_data)]
    pub associated_data: Option<Box<AssociatedDataBuf>>,
    /// A byte in front of every packet, two hex digits: e0 lets packets pass LoRa Basics Station
    /// (docs/guide/gateways.md) [default: none]
    #[arg(long, value_name = "HEX", value_parser = parse_lead)]
    pub lead: Option<Lead>,
    /// Let the keys of each device move on after every 2^E nonces, E from 1 to 24: an opened device
    /// does not reveal what it sent before. For counters; chosen at creation
    #[arg(long, value_name = "E", value_parser = parse_ratchet_bits)]
    pub ratchet_bits: Option<RatchetBits>,
    /// How many nonces of each device up to the highest accepted one are kept one by one, 64 to
    /// 65536. A packet further behind is stale [default: 64]
    #[arg(long, value_name = "N", value_parser = parse_late)]
    pub late: Option<u32>,
    #[command(flatten)]
    pub form: FormArgs,
}

/// The form of the index, from the next roll on.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct FormArgs {
    /// Store every coming hint in the index, and leave none to the fleet's own snapshot
    #[arg(long)]
    pub full: bool,
    /// Hints computed for a lookup in the fleet's own snapshot, on average; more evaluations
    /// need fewer bytes [default: those of the present snapshot, or 9]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub evaluations: Option<u32>,
}

impl FormArgs {
    /// `options` with this form.
    pub const fn of(&self, options: StationOptions) -> StationOptions {
        StationOptions { lean: !self.full, evaluations: self.evaluations, ..options }
    }
}

#[derive(Debug, ClapArgs)]
pub struct DecodeArgs {
    /// The folder of the fleet; given up to 16 times for several fleets, whose packets are told
    /// apart by their tags
    #[arg(long, value_name = "DIR", required = true)]
    pub index: Vec<PathBuf>,
    /// A snapshot to ask before the index; given twice for two, the newer one first. With one
    /// fleet only
    #[arg(long, value_name = "FILE")]
    pub snapshot: Vec<PathBuf>,
    /// Which crashes an accepted packet survives
    #[arg(long, value_enum, default_value_t = Sync::Batch)]
    pub sync: Sync,
    /// Whether an accepted payload is stored with the state of its device until its line is flushed.
    /// The next call writes the payloads that were not, with "again" [default: on with --sync batch]
    #[arg(long, value_enum, value_name = "SWITCH")]
    pub outbox: Option<Switch>,
    #[command(flatten)]
    pub form: FormArgs,
    /// The share of one core that scans of all devices may take, like 0.1, so that garbage
    /// cannot delay packets that the index resolves. A packet that waits for a scan is reported
    /// as unknown, and after its scan once more with "late" [default: no bound]
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub scan_share: Option<f64>,
    /// With x25519: how long a packet is remembered, so that its repeat is a replay, like 6h or 7d
    /// [default: 1d]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub repeat_window: Option<u32>,
    /// How an accepted payload is written: json, its bytes in hex; or cose, a COSE_Encrypt0 in hex
    /// under the hop key, so that only the application behind the station reads it
    #[arg(long, value_enum, default_value_t = Output::Json)]
    pub output: Output,
    /// With --output cose: the source of the hop key, 32 hex digits: a PATH, credential:NAME,
    /// command:WORDS or prompt. Each fleet needs a hop key of its own: with several --index, one
    /// for each, in the same order
    #[arg(long, value_name = "SOURCE", value_parser = source())]
    pub hop_key: Vec<SecretSource>,
    /// Packets, one line of hex each; - for standard input. With clocked nonces, the time of
    /// reception may follow on the line: a unix time or RFC 3339, the present if absent. With a
    /// schedule, it must follow, with a fraction of a second
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
}

/// Whether a part is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

impl DecodeArgs {
    /// Whether accepted payloads are stored until they are handed on.
    pub fn has_outbox(&self) -> bool {
        let usual = if self.sync == Sync::Batch { Switch::On } else { Switch::Off };
        self.outbox.unwrap_or(usual) == Switch::On
    }
}

/// The form of an accepted payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The payload
    Json,
    /// The payload sealed for the application (RFC 9052)
    Cose,
}

#[derive(Debug, Subcommand)]
pub enum CoseCommand {
    /// Open what decode --output cose has written: one JSON object for each line
    #[command(
        after_help = "Example: hintdex cose open --hop-key hop.key --fleet 067ce53349a8a510b30b3389d6192210 verdicts.jsonl"
    )]
    Open(CoseOpenArgs),
}

#[derive(Debug, ClapArgs)]
pub struct CoseOpenArgs {
    /// The source of the hop key, as for decode
    #[arg(long, value_name = "SOURCE", value_parser = source())]
    pub hop_key: SecretSource,
    /// The id of the fleet in 32 hex digits: index_id in hintdex inspect --json
    #[arg(long, value_name = "ID")]
    pub fleet: String,
    /// Lines of decode --output cose, or messages in hex; - for standard input. Lines of other
    /// verdicts are skipped
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
}

/// Which crashes an accepted packet survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sync {
    /// Crashes of the machine: each batch of verdicts is synced before it is written out
    Batch,
    /// Crashes of the process only
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
    #[command(flatten)]
    pub form: FormArgs,
}

#[derive(Debug, ClapArgs)]
pub struct ResolveArgs {
    /// The folder of the fleet
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
    /// A snapshot to ask before the index; given twice for two, the newer one first
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
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    /// The folder of a fleet, or a snapshot file
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// For a snapshot: the folder of its fleet, whose key authenticates the snapshot
    #[arg(long, value_name = "DIR")]
    pub index: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct RebuildArgs {
    /// The folder of the fleet
    #[arg(long, value_name = "DIR")]
    pub index: PathBuf,
    /// The file to write; an existing file is replaced as a whole
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Bits a hint, 1 to 32: more bits need fewer tries
    #[arg(long, value_name = "R", conflicts_with = "tries", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub bits: Option<u8>,
    /// Devices tried for a lookup: more tries need fewer bytes [default: 32]
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u32).range(1..))]
    pub tries: Option<u32>,
    /// How many coming hints of each device the snapshot holds, with counter nonces
    #[arg(long, value_name = "H", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    pub horizon: u64,
    /// With clocked nonces, the beginning of the snapshot's span: a unix time or RFC 3339
    /// [default: the present window]
    #[arg(long, value_name = "T", requires = "to", value_parser = parse_time)]
    pub from: Option<u64>,
    /// The end of that span
    #[arg(long, value_name = "T", requires = "from", value_parser = parse_time)]
    pub to: Option<u64>,
    /// How the snapshot stores hints: ribbon, dense, sorted, or chain, which stores none and
    /// computes them
    #[arg(long, value_name = "ENCODING", default_value = "ribbon", value_parser = parse_encoding)]
    pub encoding: Encoding,
    /// Chain: hints computed for a lookup on average; more evaluations need fewer bytes
    /// [default: 16]
    #[arg(long, value_name = "T", conflicts_with_all = ["bits", "tries"], value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub evaluations: Option<u32>,
}
