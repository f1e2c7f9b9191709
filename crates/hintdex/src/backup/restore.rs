//! The restoring of a backup: every file is checked before the fleet gets its name.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use hintdex_core::Report;
use hintdex_host::{Clock, DraftFolder, SystemClock, create_private_folders, folder_of};
use hintdex_wire::CheckValue;

use super::archive::unpack;
use super::files::{copy, sync_names};
use super::manifest::{BackupFile, MAX_LEN_BYTES, Manifest};
use super::restored::Restored;
use crate::{Error, Station};

/// The manifest, inside the folder of a backup.
pub(super) const MANIFEST_FILE: &str = "MANIFEST";
/// The name of the folder, beside that of the fleet, into which an archive is unpacked.
const UNPACKED: &str = "backup";
/// The files of the fleet, inside the folder of a backup.
pub(super) const FLEET_FOLDER: &str = "fleet";

impl Station {
    /// Restores the backup in the folder or the archive `from` as the fleet in the folder `dir`, which must not exist or
    /// be empty: whole or not at all. The files of the backup stay as they are.
    ///
    /// The fleet [knows](Self::restored) that it is restored. The next opening checks by the master key
    /// that the station of the fleet has written the backup.
    ///
    /// Costs a read and a write of every file. `report` counts bytes.
    ///
    /// See the example of [`backup`](Self::backup).
    ///
    /// # Errors
    /// [`Error::BackupRefused`] if `from` holds no backup or `dir` is not empty; [`Error::Backup`] if a
    /// file of the backup is missing or damaged; or [`Error::File`].
    pub fn restore(from: &Path, dir: &Path, report: Option<Report<'_>>) -> Result<Restored, Error> {
        if from.is_file() {
            create_private_folders(folder_of(dir))?;
            let unpacked = DraftFolder::beside(&folder_of(dir).join(UNPACKED))?;
            unpack(from, unpacked.path())?;
            return Self::restore(unpacked.path(), dir, report);
        }
        let (manifest, check_value) = read_manifest(from)?;
        if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file() {
            let why = "it is not empty; give the path of a new folder";
            return Err(Error::BackupRefused { path: dir.to_owned(), why });
        }
        create_private_folders(folder_of(dir))?;
        let draft = DraftFolder::beside(dir)?;
        let all_bytes: u64 = manifest.files.iter().map(|file| file.len_bytes).sum();
        let mut done_bytes = 0;
        for BackupFile { path, len_bytes, hash } in &manifest.files {
            let source = from.join(FLEET_FOLDER).join(path);
            let why = match copy(&source, &draft.path().join(path)) {
                Ok(written) if written == (*len_bytes, *hash) => None,
                Ok(_) => Some("it is damaged: its length or its hash is not that of the manifest"),
                Err(_) if !source.exists() => Some("it is missing from the backup"),
                Err(error) => return Err(error),
            };
            if let Some(why) = why {
                return Err(Error::Backup { path: source, why });
            }
            done_bytes += len_bytes;
            report.into_iter().for_each(|report| report(done_bytes, all_bytes));
        }
        let made_unix_s = manifest.made_unix_s;
        let restored_unix_s = SystemClock.now_unix_s();
        let digest = manifest.digest();
        let restored = Restored { made_unix_s, restored_unix_s, digest, check_value };
        restored.store(draft.path())?;
        sync_names(draft.path())?;
        draft.publish()?;
        Ok(restored)
    }
}

/// The manifest of a backup, and its check value.
pub(super) fn read_manifest(folder: &Path) -> Result<(Manifest, CheckValue), Error> {
    let path = folder.join(MANIFEST_FILE);
    let refused = |why| Error::Backup { path: path.clone(), why };
    if !path.is_file() {
        let why = "there is no backup here; give the folder or the .tar file that hintdex backup has written";
        return Err(Error::BackupRefused { path: folder.to_owned(), why });
    }
    let failed = || Error::io("reading the manifest of a backup", &path);
    let mut text = String::new();
    let file = File::open(&path).map_err(failed())?;
    let read = file.take(MAX_LEN_BYTES + 1).read_to_string(&mut text);
    match read {
        Ok(_) if text.len() as u64 > MAX_LEN_BYTES => Err(refused("it is too long")),
        Ok(_) => Manifest::parse(&text).map_err(refused),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(refused("it is no manifest of a backup"))
        }
        Err(error) => Err(failed()(error)),
    }
}
