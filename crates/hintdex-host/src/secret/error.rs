//! Why a secret was not read. No message holds the secret, nor a text that may be the secret in
//! the wrong place.

use std::error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::MAX_SECRET_LEN_BYTES;

/// A secret that was not read: which, from where, and why. The message names the remedy.
///
/// See the example of [`SecretSource`](crate::SecretSource).
#[derive(Debug)]
pub struct SecretError {
    what: &'static str,
    place: Place,
    why: Why,
}

/// Where the secret was expected.
pub(super) enum Place {
    /// A path that can be opened: it is not the secret.
    File(PathBuf),
    /// A path that cannot be opened, and may be the secret: its folder, if that exists, and its
    /// length in characters.
    NoFile {
        folder: Option<PathBuf>,
        len_chars: usize,
    },
    Credential(String),
    Command(String),
    Terminal,
}

/// What went wrong.
#[derive(Debug)]
pub(super) enum Why {
    Opening(io::Error),
    Reading(io::Error),
    NoCredentials,
    Starting(io::Error),
    Ended(ExitStatus),
    Late(Duration),
    NoTerminal(io::Error),
    Cancelled,
    Differ,
    Empty,
    TooLong,
}

impl Place {
    pub(super) fn of_file(path: &Path) -> Self {
        if path.exists() {
            return Self::File(path.to_owned());
        }
        let folder = path.parent().filter(|folder| folder.is_dir()).map(Path::to_owned);
        Self::NoFile { folder, len_chars: path.to_string_lossy().chars().count() }
    }
}

/// Whether no spelling of a key has the form of `name`: it is short, of lower-case letters and
/// the separators of names.
fn is_plain_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || b"-_./".contains(&byte);
    name.len() <= 40 && name.bytes().all(is_allowed)
}

/// A name of the user, as a message may quote it.
fn shown(name: &str) -> String {
    match is_plain_name(name) {
        true => name.to_owned(),
        false => format!("({} characters)", name.chars().count()),
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::NoFile { folder, len_chars } => {
                write!(f, "the path, {len_chars} characters long")?;
                match folder {
                    Some(folder) if !folder.as_os_str().is_empty() => {
                        write!(f, " and in {},", folder.display())
                    }
                    _ => f.write_str(","),
                }
            }
            Self::Credential(name) => write!(f, "the credential {}", shown(name)),
            Self::Command(program) => write!(f, "the command {}", shown(program)),
            Self::Terminal => f.write_str("the prompt"),
        }
    }
}

impl SecretError {
    pub(super) const fn new(what: &'static str, place: Place, why: Why) -> Self {
        Self { what, place, why }
    }

    /// Whether the source was read, and yields nothing or too much.
    pub const fn is_of_length(&self) -> bool {
        matches!(self.why, Why::Empty | Why::TooLong)
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, place, why } = self;
        write!(f, "the {what}: {place} ")?;
        match why {
            Why::Opening(error) => write!(
                f,
                "cannot be opened: {error}; give the name of a source (PATH, credential:NAME, \
                 command:WORDS or prompt), not the {} itself",
                what.rsplit(' ').next().unwrap_or(what)
            ),
            Why::Reading(error) => write!(f, "cannot be read: {error}"),
            Why::NoCredentials => f.write_str(
                "is not here: $CREDENTIALS_DIRECTORY is not set; start this program as a service \
                 of systemd with LoadCredential= or LoadCredentialEncrypted=",
            ),
            Why::Starting(error) => write!(
                f,
                "cannot be started: {error}; give a program and its arguments, separated by \
                 spaces, without quotes"
            ),
            Why::Ended(status) => write!(f, "failed ({status}); run it by hand to see why"),
            Why::Late(limit) => write!(
                f,
                "printed no {what} within {} s and was killed; its standard input is empty",
                limit.as_secs()
            ),
            Why::NoTerminal(error) => write!(
                f,
                "needs a terminal: {error}; give a file, credential:NAME or command:WORDS"
            ),
            Why::Cancelled => f.write_str("was cancelled"),
            Why::Differ => f.write_str("got two that differ; enter the same twice"),
            Why::Empty => write!(f, "yields nothing; it must hold the {what}"),
            Why::TooLong => write!(
                f,
                "yields more than {MAX_SECRET_LEN_BYTES} bytes; it must hold the {what} alone"
            ),
        }
    }
}

impl error::Error for SecretError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.why {
            Why::Opening(error)
            | Why::Reading(error)
            | Why::Starting(error)
            | Why::NoTerminal(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_name_that_may_be_a_key_is_described() {
        assert_eq!(shown("hintdex-master-key"), "hintdex-master-key");
        assert_eq!(shown("/usr/bin/pass"), "/usr/bin/pass");
        for key in ["00112233", "AbCdEfGh", "a0b1c2d3e4f5", &"a".repeat(41)] {
            assert_eq!(shown(key), format!("({} characters)", key.len()));
        }
    }
}
