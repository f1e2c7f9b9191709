//! The error of the service: one line, and whether the call or the data is wrong.

use std::fmt;
use std::io;

/// Why the service cannot start, or why it ended.
///
/// The message is one line that names what is wrong, where, and the remedy. See the
/// [example of the crate](crate).
#[derive(Debug)]
pub struct ServeError {
    message: String,
    is_usage: bool,
}

impl ServeError {
    /// The configuration or the command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_usage: true }
    }

    /// A file, a socket or the index failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_usage: false }
    }

    /// An address cannot be bound: `place` is the option or key that names it.
    pub(crate) fn bind(place: &str, address: &str, error: &io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another process listens there; stop it (ss -lnp shows it) or choose another port"
            }
            io::ErrorKind::PermissionDenied => {
                "choose a port above 1023, or allow the service CAP_NET_BIND_SERVICE"
            }
            io::ErrorKind::AddrNotAvailable => {
                "no interface of this machine has that address; 0.0.0.0 is all of them"
            }
            _ => "check the address",
        };
        Self::failed(format!("{place}: cannot listen on {address}: {error}; {remedy}"))
    }

    /// Whether the call or the configuration is wrong, and not the data.
    pub const fn is_usage(&self) -> bool {
        self.is_usage
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Messages of libraries may have several lines.
        f.write_str(&self.message.replace('\n', " "))
    }
}

impl std::error::Error for ServeError {}

impl From<hintdex::Error> for ServeError {
    fn from(error: hintdex::Error) -> Self {
        Self { message: error.to_string(), is_usage: error.is_usage() }
    }
}
