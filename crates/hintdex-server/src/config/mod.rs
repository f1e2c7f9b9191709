//! The configuration of the service: read from TOML or from URLs of the command line, and checked.

mod check;
mod check_endpoint;
mod checker;
mod endpoints;
mod file;
mod nearest;
#[cfg(test)]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests;
mod types;
mod url;

use std::path::{Path, PathBuf};

pub use endpoints::{FileRotation, Input, InputKind, MqttAccess, Output, OutputKind, PayloadForm};
pub use types::{CallConfig, Config, Defaults, FixedConfig, LogConfig, StationConfig};

use crate::ServeError;
use file::{FileConfig, StationTable};

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
