//! The folder of a fleet: one process owns it at a time.

use std::path::Path;

use hintdex_host::{
    FolderLock, LockError, create_private_folders, remove_folder_at_once, sweep_drafts,
};

use crate::Error;

/// The file whose lock shows which process owns the folder.
const LOCK_FILE: &str = "fleet.lock";

/// The folder of a fleet, owned by this process until the value is dropped.
///
/// The lock is taken before anything in the folder is read, so two processes never create
/// the same fleet.
#[derive(Debug)]
pub(crate) struct FleetFolder {
    _lock: FolderLock,
}

impl FleetFolder {
    /// Locks an existing folder, and removes the drafts that a killed process left: only the
    /// owner of the lock creates drafts here.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let lock = FolderLock::take(dir, LOCK_FILE).map_err(|error| match error {
            LockError::Held => hintdex_core::Error::InUse { path: dir.to_owned() }.into(),
            LockError::File(error) => Error::from(error),
        })?;
        sweep_drafts(dir);
        Ok(Self { _lock: lock })
    }

    /// [`open`](Self::open) that creates a missing folder.
    pub(crate) fn open_or_create(dir: &Path) -> Result<Self, Error> {
        create_private_folders(dir)?;
        Self::open(dir)
    }

    /// Removes a folder inside this folder, whole or not at all.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), Error> {
        Ok(remove_folder_at_once(path)?)
    }
}
