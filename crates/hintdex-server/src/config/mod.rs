//! The configuration of the service: read from TOML or from URLs of the command line, and checked.

mod check;
mod check_endpoint;
mod checker;
mod endpoints;
mod file;
mod nearest;
mod url;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hintdex::{Durability, KeyAccess};

pub use endpoints::{FileRotation, Input, InputKind, MqttAccess, Output, OutputKind, PayloadForm};
pub use url::Broker;

use crate::ServeError;
use file::{FileConfig, StationTable};

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address of the page, the metrics and the health checks; `None` for none.
    pub web: Option<SocketAddr>,
    /// How long a stop waits for payloads to be handed out.
    pub drain: Duration,
    /// After how long without a packet a device counts as silent.
    pub silent: Duration,
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
    text: String,
}

impl FixedConfig {
    /// Whether another configuration has the same values.
    pub fn is_same(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// The command line in place of a configuration file.
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
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Where the master keys come from.
    pub access: KeyAccess,
    /// The memory of a station, in bytes.
    pub memory_bytes: usize,
    /// The threads that decode.
    pub threads: Option<usize>,
}

impl Config {
    /// Reads a configuration file. Paths in it are taken from the folder of the file.
    ///
    /// # Errors
    /// The file cannot be read, or a key or a value in it is wrong.
    pub fn read(path: &Path, defaults: &Defaults) -> Result<Self, ServeError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ServeError::failed(format!(
                "{}: reading the configuration failed: {error}; give its path with --config",
                path.display()
            ))
        })?;
        let base = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, base, defaults)
            .map_err(|why| ServeError::usage(format!("{}: {why}", path.display())))
    }

    /// Reads the text of a configuration file whose folder is `base`.
    ///
    /// # Errors
    /// What is wrong, where, and the remedy.
    pub fn parse(text: &str, base: &Path, defaults: &Defaults) -> Result<Self, String> {
        check::config(&file::parse(text)?, base, defaults)
    }

    /// The configuration of a command line without a file.
    ///
    /// # Errors
    /// A URL is wrong.
    pub fn of_call(call: &CallConfig, defaults: &Defaults) -> Result<Self, ServeError> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let station = StationTable {
            index: Some(call.folders.iter().map(text).collect()),
            inputs: call.inputs.iter().map(|url| file::InputTable::of_url(url)).collect(),
            outputs: call.outputs.iter().map(|url| file::OutputTable::of_url(url)).collect(),
            ..StationTable::default()
        };
        let file =
            FileConfig { web: call.web.clone(), station: vec![station], ..FileConfig::default() };
        check::config(&file, Path::new(""), defaults).map_err(ServeError::usage)
    }
}
