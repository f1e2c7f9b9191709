//! The configuration file as it is written: TOML, every key known, no value checked yet.

use serde::Deserialize;

use super::nearest::nearest;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    pub web: Option<String>,
    pub drain_s: Option<u64>,
    pub silent_h: Option<u64>,
    #[serde(default)]
    pub log: LogTable,
    #[serde(default)]
    pub station: Vec<StationTable>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogTable {
    pub format: Option<String>,
    pub level: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StationTable {
    pub name: Option<String>,
    pub index: Option<Vec<String>>,
    pub master_key: Option<String>,
    pub passphrase: Option<String>,
    pub memory: Option<String>,
    pub threads: Option<u64>,
    pub sync: Option<String>,
    pub scan_share: Option<f64>,
    pub repeat_window_s: Option<u32>,
    pub gather_ms: Option<u64>,
    pub near_s: Option<u64>,
    pub batch_ms: Option<u64>,
    pub queue_packets: Option<u64>,
    pub outbox_payloads: Option<u64>,
    #[serde(default, rename = "in")]
    pub inputs: Vec<InputTable>,
    #[serde(default, rename = "out")]
    pub outputs: Vec<OutputTable>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputTable {
    pub from: Option<String>,
    pub name: Option<String>,
    pub topics: Option<Vec<String>>,
    pub payload: Option<String>,
    pub qos: Option<u8>,
    pub client_id: Option<String>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub ca: Option<String>,
    pub cert: Option<String>,
    pub key: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputTable {
    pub to: Option<String>,
    pub name: Option<String>,
    pub topic: Option<String>,
    pub ack: Option<bool>,
    pub rotate_bytes: Option<u64>,
    pub rotate_s: Option<u64>,
    pub keep_files: Option<u32>,
    pub client_id: Option<String>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub header: Option<Vec<String>>,
    pub ca: Option<String>,
    pub cert: Option<String>,
    pub key: Option<String>,
    pub timeout_s: Option<u64>,
}

/// Reads the text of a configuration file.
///
/// # Errors
/// What is wrong, with its line; for an unknown key also the nearest known one.
pub fn parse(text: &str) -> Result<FileConfig, String> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let message = error.message().replace('\n', " ");
        format!("line {line}: {}", known(&message))
    })
}

/// The number of the line with the byte `at`.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// The message of serde about an unknown key, with the nearest known key instead of all of them.
/// Names stand in backticks: the unknown key first, then those that are expected.
fn known(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field ") else { return in_words(message) };
    let mut names = rest.split('`').skip(1).step_by(2);
    let Some(unknown) = names.next() else { return message.to_owned() };
    let known: Vec<&str> = names.collect();
    match nearest(unknown, &known) {
        Some(near) => format!("unknown key {unknown:?}; did you mean {near:?}?"),
        None => format!("unknown key {unknown:?}; known here: {}", known.join(", ")),
    }
}

/// The message of serde about a wrong type, with words instead of types of Rust.
fn in_words(message: &str) -> String {
    let words = [
        ("expected u64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("expected a sequence", "expected a list in brackets"),
    ];
    words.iter().fold(message.to_owned(), |message, (of_rust, word)| message.replace(of_rust, word))
}

impl InputTable {
    /// The input of a URL of the command line.
    pub fn of_url(url: &str) -> Self {
        Self { from: Some(url.to_owned()), ..Self::default() }
    }
}

impl OutputTable {
    /// The output of a URL of the command line.
    pub fn of_url(url: &str) -> Self {
        Self { to: Some(url.to_owned()), ..Self::default() }
    }
}
