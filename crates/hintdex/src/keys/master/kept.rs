//! What the folder of a fleet keeps of its master key.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use hintdex_host::{replace, shred, sync_folder_of};
use zeroize::Zeroizing;

use super::access::{KeyAccess, MASTER_KEY, read_passphrase};
use super::wrapped::{self, PassphraseCost, WrapError, WrappedKey};
use super::{Secret, place, text};
use crate::Error;

/// The master key, in the clear or wrapped.
const KEY_FILE: &str = "master.key";
/// Where the master key of a fleet is that keeps none.
const PLACE_FILE: &str = "master.place";
/// The file of the master key that a rewrapping replaces, until it is overwritten.
const OLD_FILE: &str = "master.key.old";
/// The file of the master key while it is tried whether another source has the key as well.
const ASIDE_FILE: &str = "master.key.aside";

/// Why a fleet without a key file and without a record of its place does not open.
const MISSING: &str =
    "No such file; restore it from a backup, or give the key itself with --master-key";

/// Room for 64 hex digits and white space around them, and for a wrapped key.
const MAX_FILE_LEN_BYTES: usize = 256;

/// What a fleet's folder keeps of its master key.
///
/// See the example of [`Station::rewrap_key`](crate::Station::rewrap_key).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptKey {
    /// The key in the clear.
    File,
    /// The key, wrapped under a passphrase.
    Passphrase(PassphraseCost),
    /// Not the key; where it was when that was chosen, unless that record is damaged.
    External(Option<String>),
    /// Neither a key nor a record of its place.
    Missing,
}

/// What is kept, as it was read.
pub(super) enum Kept {
    Plain(Secret),
    Wrapped(WrappedKey),
    External(Option<String>),
    Missing,
}

/// The files of a fleet's folder that are about its master key.
///
/// The key file decides: where there is one, a record of a place is left of an interrupted
/// change.
pub(crate) struct MasterFiles {
    pub(super) key: PathBuf,
    pub(super) place: PathBuf,
    pub(super) old: PathBuf,
    pub(super) aside: PathBuf,
}

impl MasterFiles {
    /// The files of the fleet in the folder `dir`.
    pub(crate) fn of(dir: &Path) -> Self {
        let [key, place, old, aside] =
            [KEY_FILE, PLACE_FILE, OLD_FILE, ASIDE_FILE].map(|name| dir.join(name));
        Self { key, place, old, aside }
    }

    /// The file of the key.
    pub(crate) fn key_path(&self) -> &Path {
        &self.key
    }

    /// The record of the place of a key that is not kept.
    pub(crate) fn place_path(&self) -> &Path {
        &self.place
    }

    /// What is kept.
    ///
    /// # Errors
    /// A file is damaged or cannot be read.
    pub(crate) fn describe(&self) -> Result<KeptKey, Error> {
        Ok(match self.read()? {
            Kept::Plain(_) => KeptKey::File,
            Kept::Wrapped(wrapped) => KeptKey::Passphrase(wrapped.cost()),
            Kept::External(place) => KeptKey::External(place),
            Kept::Missing => KeptKey::Missing,
        })
    }

    pub(super) fn read(&self) -> Result<Kept, Error> {
        let Some(bytes) = self.read_bounded(&self.key, MAX_FILE_LEN_BYTES)? else {
            let record = self.read_bounded(&self.place, place::MAX_LEN_BYTES)?;
            return Ok(record.map_or(Kept::Missing, |text| Kept::External(place::parse(&text))));
        };
        if bytes.starts_with(&wrapped::MAGIC) {
            return Ok(Kept::Wrapped(WrappedKey::read(&bytes).map_err(|why| self.refused(why))?));
        }
        let bad =
            |why| Error::KeyFile { path: self.key.clone(), what: MASTER_KEY, digits: 64, why };
        Ok(Kept::Plain(text::parse(&bytes).map_err(bad)?))
    }

    /// The bytes of a file, at most one more than `max_len_bytes`; `None` if there is no file.
    fn read_bounded(
        &self,
        path: &Path,
        max_len_bytes: usize,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let failed = Error::io("reading the master key", path);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // The capacity is twice the most that is read, so the buffer never moves.
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * max_len_bytes));
        let limit = u64::try_from(max_len_bytes + 1).unwrap_or(u64::MAX);
        file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(bytes))
    }

    pub(super) fn refused(&self, why: WrapError) -> Error {
        let path = self.key.clone();
        match why {
            WrapError::WrongPassphrase => Error::WrongPassphrase { path },
            WrapError::Unusable(why) => Error::WrappedKey { path, why },
        }
    }

    /// The master key of an existing fleet.
    ///
    /// A given key must be the one in the clear. In all other cases the index decides whether
    /// it is the fleet's: its check value is compared at opening.
    ///
    /// # Errors
    /// [`Error::OtherMasterKey`], [`Error::NoPassphrase`], [`Error::WrongPassphrase`],
    /// [`Error::KeyElsewhere`], [`Error::KeyFile`], [`Error::WrappedKey`], [`Error::Secret`], or
    /// [`Error::File`].
    pub(crate) fn open(&self, access: &KeyAccess) -> Result<Secret, Error> {
        let given = access.given()?;
        match (self.read(), given) {
            (Ok(Kept::Plain(secret)), given) => self.check_same(given.as_ref(), secret),
            (_, Some(given)) => Ok(given),
            (Err(error), None) => Err(error),
            (Ok(Kept::Wrapped(wrapped)), None) => {
                let source = access.passphrase.as_ref();
                let source =
                    source.ok_or_else(|| Error::NoPassphrase { path: self.key.clone() })?;
                let passphrase = read_passphrase(source)?;
                wrapped.unwrap(&passphrase).map_err(|why| self.refused(why))
            }
            (Ok(Kept::External(place)), None) => {
                Err(Error::KeyElsewhere { path: self.place.clone(), place })
            }
            (Ok(Kept::Missing), None) => {
                let missing = io::Error::new(ErrorKind::NotFound, MISSING);
                Err(Error::io("reading the master key", &self.key)(missing))
            }
        }
    }

    /// Checks that a given master key, if any, is the stored one.
    pub(super) fn check_same(
        &self,
        given: Option<&Secret>,
        stored: Secret,
    ) -> Result<Secret, Error> {
        // The caller can read the key beside the index, so the duration of this comparison
        // reveals nothing.
        match given {
            Some(given) if *given != stored => {
                Err(Error::OtherMasterKey { path: self.key.clone() })
            }
            _ => Ok(stored),
        }
    }

    /// Makes what is kept durable: it may be of an earlier call that was interrupted.
    pub(super) fn sync(&self) -> Result<(), Error> {
        for path in [&self.key, &self.place] {
            match File::open(path) {
                Ok(file) => file.sync_all().map_err(Error::io("syncing the master key", path))?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("reading the master key", path)(error)),
            }
        }
        Ok(sync_folder_of(&self.key)?)
    }

    /// Puts back a key that was set aside, and removes what an interrupted change left: the old
    /// key, and the record of a place beside a key. The caller holds the lock of the folder.
    ///
    /// If this fails, the next opening tries again.
    pub(crate) fn settle(&self) {
        if self.aside.exists() && !self.key.exists() {
            let _ = replace(&self.aside, &self.key);
        }
        let _ = shred(&self.old);
        if self.key.exists() {
            let _ = std::fs::remove_file(&self.place);
        }
    }
}
