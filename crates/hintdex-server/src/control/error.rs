//! Why a command could not be handed to the station.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::greeting::VERSION;

/// Why a control socket could not be used, or a command was not answered.
///
/// See the [example of the module](super).
#[derive(Debug)]
#[non_exhaustive]
pub enum ControlError {
    /// The socket cannot be made, or a connection to it failed.
    Socket {
        /// The folder of the fleet.
        folder: PathBuf,
        /// What the system reports.
        source: io::Error,
    },
    /// The station accepts connections and does not answer.
    Silent {
        /// The folder of the fleet.
        folder: PathBuf,
    },
    /// The station runs another version of the program.
    OtherVersion {
        /// The folder of the fleet.
        folder: PathBuf,
        /// The version that the station runs; empty if it cannot be read.
        version: String,
    },
    /// The connection ended before the answer: the station was stopped or killed.
    Lost {
        /// The folder of the fleet.
        folder: PathBuf,
    },
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { folder, source } => {
                write!(f, "{}: the control socket failed: {source}", folder.display())
            }
            Self::Silent { folder } => write!(
                f,
                "{}: a running station accepts no commands; is its process stopped? Continue it, \
                 or end it and call again",
                folder.display()
            ),
            Self::OtherVersion { folder, version } => write!(
                f,
                "{}: the running station is hintdex {}, and this program is {VERSION}; call the \
                 program of the station, or start the station again with this one",
                folder.display(),
                if version.is_empty() { "of another version" } else { version }
            ),
            Self::Lost { folder } => {
                write!(f, "{}: the station ended before it answered", folder.display())
            }
        }
    }
}

impl std::error::Error for ControlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Socket { source, .. } => Some(source),
            _ => None,
        }
    }
}
