//! The names of sources, and reading from files and credentials.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{Place, Why};
use super::{MAX_SECRET_LEN_BYTES, SecretError, SecretText, command, empty_text, prompt};
use crate::Exposed;

/// What a command has at most to print a secret. Beyond that the command is killed.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// The variable in which systemd names the folder of a service's credentials (systemd.exec(5)).
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// Where a secret comes from: a name of the secret, never the secret itself.
///
/// ```text
/// SOURCE = PATH               the file
///        | credential:NAME    the file NAME in $CREDENTIALS_DIRECTORY (systemd.exec(5))
///        | command:WORDS      the standard output of a command, without a shell
///        | prompt             the terminal, without echo
/// ```
///
/// The words of a command are separated by white space, and there are no quotes: a command
/// that needs more is a script. The path of a file that is called `prompt` is `./prompt`.
///
/// [`Debug`] prints the kind alone: the words of a command may hold a token.
///
/// ```
/// use hintdex_host::{MAX_SECRET_LEN_BYTES, SecretError, SecretSource, SecretText};
///
/// let source = SecretSource::parse("command:printf %s hunter2".as_ref()).unwrap();
/// let text: SecretText = source.read("passphrase")?;
/// assert_eq!(text.as_slice(), b"hunter2");
/// assert!(text.len() <= MAX_SECRET_LEN_BYTES);
///
/// let missing = SecretSource::parse("credential:station-key".as_ref()).unwrap();
/// let error: SecretError = missing.read("master key").unwrap_err();
/// assert!(error.to_string().starts_with("the master key: the credential station-key"));
/// assert!(SecretSource::parse("credential:../key".as_ref()).is_err());
/// # Ok::<(), SecretError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretSource {
    /// A file.
    File(PathBuf),
    /// A credential that systemd passes to a service, by its name.
    Credential(String),
    /// A command and its arguments; at least one word.
    Command(Vec<String>),
    /// The terminal of the process.
    Prompt,
}

impl SecretSource {
    /// Reads the name of a source.
    ///
    /// # Errors
    /// What is wrong with the name, without the name: a user may have given the secret itself.
    pub fn parse(text: &OsStr) -> Result<Self, &'static str> {
        let Some(name) = text.to_str() else { return Ok(Self::File(text.into())) };
        if name.is_empty() {
            return Err("a source is PATH, credential:NAME, command:WORDS or prompt");
        }
        if name == "prompt" {
            return Ok(Self::Prompt);
        }
        if let Some(name) = name.strip_prefix("credential:") {
            let is_name = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
            let refused = "a credential is named as in LoadCredential=, without a path";
            return is_name.then(|| Self::Credential(name.to_owned())).ok_or(refused);
        }
        if let Some(words) = name.strip_prefix("command:") {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            let refused = "command: is followed by a command and its arguments";
            return (!words.is_empty()).then_some(Self::Command(words)).ok_or(refused);
        }
        Ok(Self::File(name.into()))
    }

    /// Reads the secret, whose name in messages is `what`: at most
    /// [`MAX_SECRET_LEN_BYTES`](super::MAX_SECRET_LEN_BYTES), as they are, line end included.
    ///
    /// A command has 60 seconds, and reads nothing: its standard input is empty. A prompt waits
    /// until a line is entered.
    ///
    /// # Errors
    /// The source is missing, empty or too long, or the command failed. The message quotes no
    /// part of the secret, and no name that may be the secret in the wrong place.
    pub fn read(&self, what: &'static str) -> Result<SecretText, SecretError> {
        self.read_within(what, COMMAND_LIMIT)
    }

    /// [`read`](Self::read) of a secret that is chosen now: a prompt asks twice and compares.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), and the two differ.
    pub fn read_new(&self, what: &'static str) -> Result<SecretText, SecretError> {
        match self {
            Self::Prompt => prompt::read_twice(what).map_err(self.failed(what)),
            _ => self.read(what),
        }
    }

    /// [`read`](Self::read) with another limit for a command.
    pub(super) fn read_within(
        &self,
        what: &'static str,
        limit: Duration,
    ) -> Result<SecretText, SecretError> {
        let text = match self {
            Self::File(path) => read_file(path),
            Self::Credential(name) => read_credential(name),
            Self::Command(words) => command::read(words, limit),
            Self::Prompt => prompt::read(what),
        };
        let text = text.and_then(|text| match text.len() {
            0 => Err(Why::Empty),
            len if len > MAX_SECRET_LEN_BYTES => Err(Why::TooLong),
            _ => Ok(text),
        });
        text.map_err(self.failed(what))
    }

    /// Whether the file of this source has permissions for other users.
    pub fn exposed(&self) -> Option<Exposed> {
        match self {
            Self::File(path) => Exposed::find_secret(path),
            Self::Credential(name) => Exposed::find_secret(&credential_path(name).ok()?),
            Self::Command(_) | Self::Prompt => None,
        }
    }

    /// The source as a record may keep it: of a command, the program alone, since its
    /// arguments may hold a token.
    pub fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Credential(name) => format!("credential:{name}"),
            Self::Command(words) => {
                format!("command:{}", words.first().map_or("", String::as_str))
            }
            Self::Prompt => "prompt".to_owned(),
        }
    }

    /// Whether the source is a file, of which a fleet may keep a copy. The other sources are
    /// chosen so that no copy is kept.
    pub const fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(Why) -> SecretError {
        let place = match self {
            Self::File(path) => Place::of_file(path),
            Self::Credential(name) => Place::Credential(name.clone()),
            Self::Command(words) => Place::Command(words.first().cloned().unwrap_or_default()),
            Self::Prompt => Place::Terminal,
        };
        move |why| SecretError::new(what, place, why)
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(_) => "SecretSource::File",
            Self::Credential(_) => "SecretSource::Credential",
            Self::Command(_) => "SecretSource::Command",
            Self::Prompt => "SecretSource::Prompt",
        })
    }
}

fn read_file(path: &Path) -> Result<SecretText, Why> {
    let file = File::open(path).map_err(Why::Opening)?;
    let mut text = empty_text();
    let limit = u64::try_from(MAX_SECRET_LEN_BYTES + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut text).map_err(Why::Reading)?;
    Ok(text)
}

fn read_credential(name: &str) -> Result<SecretText, Why> {
    read_file(&credential_path(name)?)
}

fn credential_path(name: &str) -> Result<PathBuf, Why> {
    let folder = std::env::var_os(CREDENTIALS_VARIABLE);
    let folder = folder.filter(|folder| !folder.as_bytes().is_empty());
    folder.map(|folder| Path::new(&folder).join(name)).ok_or(Why::NoCredentials)
}
