//! Failures: one line on standard error, and an exit code.

use std::fmt;
use std::path::Path;

use hintdex::Error;

/// The message and the kind of a failure.
#[derive(Debug)]
pub struct Failure {
    message: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The data is bad, or could not be read or written: exit code 1.
    Data,
    /// The call is wrong: exit code 2.
    Usage,
    /// A running station has answered with this exit code.
    Answered(u8),
}

impl Failure {
    /// The call is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: Kind::Usage }
    }

    /// The data is bad, or something that the command needs has failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: Kind::Data }
    }

    /// A running station has answered with this exit code, and with the text of the failure.
    pub fn answered(code: u8, message: Option<String>) -> Self {
        Self { message: message.unwrap_or_default(), kind: Kind::Answered(code) }
    }

    /// An operation on a file failed.
    pub fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self { message: format!("{}: {doing} failed: {error}", path.display()), kind: Kind::Data }
    }

    /// A file holds bad data.
    pub fn data(path: &Path, error: &dyn fmt::Display) -> Self {
        Self { message: format!("{}: {error}", path.display()), kind: Kind::Data }
    }

    /// The same failure with more text.
    pub fn and(self, more: &str) -> Self {
        Self { message: format!("{}; {more}", self.message), ..self }
    }

    /// The exit code.
    pub const fn code(&self) -> u8 {
        match self.kind {
            Kind::Data => 1,
            Kind::Usage => 2,
            Kind::Answered(code) => code,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Messages of the store may have several lines; the program prints one.
        f.write_str(&self.message.replace('\n', " "))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = if error.is_usage() { Kind::Usage } else { Kind::Data };
        Self { message: error.to_string(), kind }
    }
}

impl From<hintdex_beacon::Error> for Failure {
    fn from(error: hintdex_beacon::Error) -> Self {
        let kind = if error.is_usage() { Kind::Usage } else { Kind::Data };
        Self { message: error.to_string(), kind }
    }
}
