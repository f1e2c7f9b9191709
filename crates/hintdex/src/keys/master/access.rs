//! Where the secrets of a fleet come from, and how its folder is to keep the master key.

use std::path::PathBuf;

use hintdex_host::{Exposed, SecretSource, SecretText};

use super::Secret;
use super::text::read_key;
use super::wrapped::PassphraseCost;
use crate::Error;
use crate::keys::StationKey;

/// The name of a master key in messages.
pub(super) const MASTER_KEY: &str = "master key";
/// The name of a passphrase in messages.
const PASSPHRASE: &str = "passphrase";

/// The sources of the secrets that open a fleet. A fleet whose folder holds its master key in
/// the clear needs none.
///
/// See the example of [`Station::rewrap_key`](crate::Station::rewrap_key).
#[derive(Clone, Debug, Default)]
pub struct KeyAccess {
    /// The source of the master key, 64 hex digits. It must be the fleet's.
    pub master_key: Option<SecretSource>,
    /// The source of the passphrase. One line end behind the passphrase is no part of it.
    pub passphrase: Option<SecretSource>,
    /// The station key of a fleet whose packets have no hints. A new fleet needs it; an existing
    /// one whose file of it is lost gets the file anew.
    pub station_key: Option<StationKey>,
}

impl KeyAccess {
    /// The files among the sources that other users of the machine can read.
    pub fn exposed(&self) -> Vec<Exposed> {
        let sources = self.master_key.iter().chain(&self.passphrase);
        sources.filter_map(SecretSource::exposed).collect()
    }

    /// The given master key, if there is a source.
    pub(crate) fn given(&self) -> Result<Option<Secret>, Error> {
        self.master_key.as_ref().map(read_master_key).transpose()
    }
}

/// How the folder of a fleet keeps the master key.
///
/// See the example of [`Station::rewrap_key`](crate::Station::rewrap_key).
#[derive(Clone, Debug)]
pub enum Protection {
    /// In the clear, in a file that its owner alone can read.
    File,
    /// Wrapped under a passphrase.
    Passphrase {
        /// The source of the passphrase.
        source: SecretSource,
        /// The work for a guess, and for an opening.
        cost: PassphraseCost,
    },
    /// Not at all: every opening needs a source of the master key.
    External {
        /// The source of the key. Its name is stored for messages, and never used.
        source: SecretSource,
    },
}

impl Protection {
    /// The source, if it is a file that other users of the machine can read.
    pub fn exposed(&self) -> Option<Exposed> {
        match self {
            Self::File => None,
            Self::Passphrase { source, .. } | Self::External { source } => source.exposed(),
        }
    }
}

/// Reads a master key from a source.
pub(super) fn read_master_key(source: &SecretSource) -> Result<Secret, Error> {
    read_key(source, MASTER_KEY)
}

/// Reads the passphrase of a wrapped key.
pub(super) fn read_passphrase(source: &SecretSource) -> Result<SecretText, Error> {
    without_line_end(source.read(PASSPHRASE)?, source)
}

/// Reads a passphrase for a new wrapping.
pub(super) fn read_new_passphrase(source: &SecretSource) -> Result<SecretText, Error> {
    without_line_end(source.read_new(PASSPHRASE)?, source)
}

fn without_line_end(
    mut passphrase: SecretText,
    source: &SecretSource,
) -> Result<SecretText, Error> {
    for end in [b'\n', b'\r'] {
        if passphrase.last() == Some(&end) {
            passphrase.pop();
        }
    }
    if passphrase.is_empty() {
        let (path, why) =
            (PathBuf::from(source.place()), "the passphrase is empty; choose one of several words");
        return Err(Error::WrappedKey { path, why });
    }
    Ok(passphrase)
}
