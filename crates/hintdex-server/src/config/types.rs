//! A configuration as the service uses it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hintdex::{Durability, KeyAccess};

use super::endpoints::{Input, Output};

/// A checked configuration of the service.
///
/// See the [example of the crate](crate).
#[derive(Clone, Debug)]
pub struct Config {
    /// The address of the page, the metrics and the health checks; `None` for none.
    pub(crate) web: Option<SocketAddr>,
    /// How long a stop waits for payloads to be handed out.
    pub(crate) drain: Duration,
    /// After how long without a packet a device counts as silent.
    pub(crate) silent: Duration,
    /// How the log is written.
    pub log: LogConfig,
    /// The stations, which share nothing but the process.
    pub stations: Vec<StationConfig>,
}

/// How the log is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// One JSON object a line instead of text.
    pub is_json: bool,
    /// A filter of `tracing_subscriber`: a level, or levels by module.
    pub level: Option<String>,
}

/// A station: the fleets that hear the same packets, their inputs and their outputs.
#[derive(Clone, Debug)]
pub struct StationConfig {
    /// The name in the log, the metrics and the page.
    pub name: String,
    /// What cannot change while the station runs.
    pub fixed: FixedConfig,
    /// How long the copies of a packet are gathered; no time for not at all.
    pub gather: Duration,
    /// How far the time of one gateway alone may be from the server's clock, in milliseconds.
    pub near_ms: u64,
    /// The inputs.
    pub inputs: Vec<Input>,
    /// The outputs.
    pub outputs: Vec<Output>,
}

/// What of a station cannot change while the station runs.
#[derive(Clone, Debug)]
pub struct FixedConfig {
    /// The folders of the fleets, in the order in which a packet is tried.
    pub folders: Vec<PathBuf>,
    /// Where the master keys come from.
    pub access: KeyAccess,
    /// The memory of each fleet, in bytes.
    pub memory_bytes: usize,
    /// The threads that decode; `None` for one for each core.
    pub threads: Option<usize>,
    /// Which crashes an accepted packet survives.
    pub durability: Durability,
    /// The share of one core that scans may take, for all fleets together.
    pub scan_core_share: f64,
    /// How long a packet without a nonce is remembered, in seconds.
    pub repeat_window_s: Option<u32>,
    /// How long a batch waits for further packets.
    pub batch: Duration,
    /// The room of the queue before the decoder, in packets.
    pub queue_packets: usize,
    /// The room of each fleet's outbox, in payloads.
    pub outbox_payloads: u64,
    /// The text of these values, to report a change.
    pub(super) text: String,
}

impl FixedConfig {
    /// Whether another configuration has the same values.
    pub fn is_same(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// The command line in place of a configuration file.
///
/// See the [example of the crate](crate).
#[derive(Clone, Debug, Default)]
pub struct CallConfig {
    /// The folders of the fleets.
    pub folders: Vec<PathBuf>,
    /// The inputs as URLs.
    pub inputs: Vec<String>,
    /// The outputs as URLs.
    pub outputs: Vec<String>,
    /// The address of the page.
    pub web: Option<String>,
}

/// What the options of every command set for stations of the service, unless the configuration
/// file does.
///
/// See the [example of the crate](crate).
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Where the master keys come from.
    pub access: KeyAccess,
    /// The memory of a station, in bytes.
    pub memory_bytes: usize,
    /// The threads that decode.
    pub threads: Option<usize>,
}
