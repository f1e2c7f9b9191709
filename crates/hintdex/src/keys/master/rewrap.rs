//! Changing how a fleet's folder keeps its master key.
//!
//! One step decides, and is atomic: a new file is renamed over `master.key`, or the file that was
//! set aside becomes `master.key.old`. Before the step the folder keeps the key as it did, after it
//! in the new way. The old file has the name `master.key.old` until its bytes are overwritten. The
//! next opening overwrites what an interrupted change left, and puts back what was set aside.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use hintdex_host::{Draft, SecretSource, check_target, publish, replace, shred, sync_folder_of};
use zerocopy::IntoBytes;

use super::access::{KeyAccess, Protection, read_master_key, read_new_passphrase};
use super::kept::{Kept, MasterFiles};
use super::wrapped::WrappedKey;
use super::{Secret, place, text};
use crate::Error;

impl MasterFiles {
    /// The master key of a fleet that is being created: the given key, or the key of an earlier
    /// call that was interrupted, or else a random one. It is kept as `protection` says, durably,
    /// before this function returns.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) and [`keep`](Self::keep).
    pub(crate) fn create(
        &self,
        access: &KeyAccess,
        given: Option<&Secret>,
        protection: &Protection,
    ) -> Result<Secret, Error> {
        let before = self.read()?;
        let secret = match (&before, given) {
            (Kept::Missing, Some(given)) => given.clone(),
            (Kept::Missing, None) => text::generate(&self.key)?,
            (Kept::Plain(secret), _) => self.check_same(given, secret.clone())?,
            (Kept::Wrapped(_), _) => {
                let stored = self.open(&KeyAccess { master_key: None, ..access.clone() })?;
                self.check_same(given, stored)?
            }
            (Kept::External(_), Some(given)) => given.clone(),
            (Kept::External(_), None) => self.open(access)?,
        };
        let is_kept_so = matches!(
            (&before, protection),
            (Kept::Plain(_), Protection::File)
                | (Kept::Wrapped(_), Protection::Passphrase { .. })
                | (Kept::External(_), Protection::External { .. })
        );
        if !is_kept_so {
            self.keep(&secret, protection)?;
        }
        // The key in use is always the key on disk.
        self.sync()?;
        match self.read()? {
            Kept::Plain(stored) => self.check_same(Some(&secret), stored),
            _ => Ok(secret),
        }
    }

    /// Keeps `secret`, the fleet's master key, as `protection` says. The caller holds the lock of
    /// the folder.
    ///
    /// # Errors
    /// [`Error::OtherMasterKey`] if an external source holds another key, [`Error::Secret`],
    /// [`Error::WrappedKey`] or [`Error::File`]. The key is kept as it was, unless
    /// [`FileError::is_published`](hintdex_host::FileError::is_published) or only the old bytes
    /// could not be overwritten.
    pub(crate) fn keep(&self, secret: &Secret, protection: &Protection) -> Result<(), Error> {
        self.settle();
        match protection {
            Protection::File => self.publish(text::of(secret).as_slice()),
            Protection::Passphrase { source, cost } => {
                let passphrase = read_new_passphrase(source)?;
                let mut salt = [0; 16];
                text::random(&mut salt, &self.key)?;
                let wrapped = WrappedKey::wrap(secret, &passphrase, *cost, salt);
                let wrapped = wrapped.map_err(|why| self.refused(why))?;
                self.publish(wrapped.as_bytes())
            }
            Protection::External { source } => self.leave_to(source, secret),
        }
    }

    /// Writes `bytes` as the key file, whole or not at all.
    fn publish(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut draft = Draft::beside(&self.key)?;
        draft.write(bytes)?;
        self.name_old()?;
        draft.publish()?;
        self.settle_after()
    }

    /// Leaves the key to `source`, and keeps the name of the source only.
    ///
    /// The source is read while the key file is set aside. So a source that reads the file of
    /// this folder, by whatever way, is refused before the file is gone.
    fn leave_to(&self, source: &SecretSource, secret: &Secret) -> Result<(), Error> {
        check_target(&self.key)?;
        let has_key = self.key.exists();
        publish(&self.place, &[place::to_text(&source.place()).as_bytes()])?;
        if has_key {
            replace(&self.key, &self.aside)?;
        }
        let found = read_master_key(source);
        if !found.as_ref().is_ok_and(|found| found == secret) {
            if has_key {
                self.settle();
            }
            return Err(match found {
                Ok(_) => Error::OtherMasterKey { path: self.key.clone() },
                Err(error) => error,
            });
        }
        if has_key {
            replace(&self.aside, &self.old)?;
        }
        self.settle_after()
    }

    /// Gives the present key file a second name, by which its bytes are overwritten later, also
    /// after a crash.
    fn name_old(&self) -> Result<(), Error> {
        match fs::hard_link(&self.key, &self.old) {
            // A file system without hard links: the bytes of the old file stay on the disk.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::Unsupported | ErrorKind::PermissionDenied
                ) =>
            {
                Ok(())
            }
            linked => linked.map_err(Error::io("naming the old master key", &self.old)),
        }
    }

    /// Overwrites the old file, and removes a record of a place beside a key.
    fn settle_after(&self) -> Result<(), Error> {
        sync_folder_of(&self.key)?;
        shred(&self.old)?;
        if self.key.exists() {
            remove_if_there(&self.place)?;
        }
        Ok(sync_folder_of(&self.key)?)
    }
}

fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io("removing a file of the master key", path)(error))
        }
        _ => Ok(()),
    }
}
