//! A place in the configuration, and the checks that name it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hintdex::SecretSource;

use super::types::Defaults;

/// The value of a key, or its default; within bounds.
pub fn within(
    key: &str,
    value: Option<u64>,
    default: u64,
    least: u64,
    most: u64,
) -> Result<u64, String> {
    match value.unwrap_or(default) {
        value if (least..=most).contains(&value) => Ok(value),
        value => Err(format!("{key}: {value} is out of range; from {least} to {most}")),
    }
}

/// Names stand in metrics, topics and keys of the outbox.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 32 || !name.bytes().all(is_allowed) {
        return Err(format!("{name:?} is no name; up to 32 letters, digits, - _ and ."));
    }
    Ok(())
}

/// A table of the configuration.
pub struct Checker<'a> {
    /// The folder from which paths are taken.
    pub base: &'a Path,
    pub defaults: &'a Defaults,
    /// The table, as messages name it.
    pub place: String,
}

impl Checker<'_> {
    pub fn at(&self, key: &str) -> impl FnOnce(String) -> String {
        let place = format!("{}: {key}", self.place);
        move |why| format!("{place}: {why}")
    }

    pub fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    pub fn within(&self, key: &str, value: Option<u64>, range: [u64; 3]) -> Result<u64, String> {
        let [default, least, most] = range;
        within(key, value, default, least, most).map_err(|why| format!("{}: {why}", self.place))
    }

    pub fn millis(
        &self,
        key: &str,
        value: Option<u64>,
        range: [u64; 3],
    ) -> Result<Duration, String> {
        self.within(key, value, range).map(Duration::from_millis)
    }

    /// A source of a secret. A path is taken from the folder of the file.
    pub fn secret(&self, key: &str, text: &str) -> Result<SecretSource, String> {
        let source = SecretSource::parse(OsStr::new(text));
        let source = source.map_err(|why| self.at(key)(why.to_owned()))?;
        let source = match source {
            SecretSource::File(path) => SecretSource::File(self.base.join(path)),
            other => other,
        };
        Ok(source)
    }

    /// Refuses keys that this kind does not use: a wrong hope is worse than an error.
    pub fn only_for(
        &self,
        kinds: &str,
        is_used: bool,
        keys: &[(&str, bool)],
    ) -> Result<(), String> {
        match keys.iter().find(|(_, is_given)| *is_given && !is_used) {
            Some((key, _)) => {
                Err(self.at(key)(format!("it has a meaning with {kinds} only; leave it out")))
            }
            None => Ok(()),
        }
    }
}
