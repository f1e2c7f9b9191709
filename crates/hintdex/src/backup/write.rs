//! The writing of a backup.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use hintdex_core::Report;
use hintdex_host::{DraftFolder, is_draft, publish};

use super::archive::{is_archive, pack};
use super::files::{copy, hash_of, link, sync_names};
use super::manifest::{BackupFile, Hash, Manifest};
use super::restore::{FLEET_FOLDER, MANIFEST_FILE, read_manifest};
use super::restored::{RESTORED_FILE, check_context};
use crate::keys::{KeptKey, MasterFiles};
use crate::opening::INDEX_FOLDER;
use crate::{Error, Protection, Station};

/// The name of the folder, inside that of the fleet, with what is copied.
const STAGE: &str = "backup";

/// How a backup is written.
///
/// See the example of [`Station::backup`].
#[derive(Clone, Debug, Default)]
pub struct BackupOptions {
    /// An earlier backup of the fleet: files that have not changed are linked from there. It must be on
    /// the file system of the new one, or the files are copied.
    pub base: Option<PathBuf>,
    /// How the backup keeps the master key of a fleet that keeps it in the clear. A backup of any other
    /// fleet keeps the key as the fleet does.
    pub key: Option<Protection>,
}

/// What a backup consists of.
///
/// See the example of [`Station::backup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The number of files.
    pub files: u64,
    /// The length of all files.
    pub bytes: u64,
    /// The part of it that is linked from the base.
    pub linked_bytes: u64,
    /// When the index was copied, in seconds since 1970.
    pub made_unix_s: u64,
}

impl Station {
    /// Writes a backup of the fleet into the new folder `to`, whole or not at all. If the name ends in `.tar`, the
    /// backup is one file, an archive of the folder. Packets are decoded meanwhile; what is accepted after the
    /// call began may be missing.
    ///
    /// Costs a read of every file, and a write of those that are not linked; an archive costs a read and a write
    /// more, and room for both. `report` counts bytes.
    ///
    /// ```
    /// use hintdex::{BackupOptions, BackupReport, KeyAccess, PassphraseCost, Protection, SecretSource};
    /// use hintdex::{Restored, Station, StationOptions};
    /// # use hintdex::{DeviceRange, Params};
    /// # use hintdex::wire::{DeviceId, HintScheme};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let (dir, other) = (folder.path().join("fleet"), folder.path().join("other"));
    /// # let (monday, tuesday) = (folder.path().join("monday"), folder.path().join("tuesday"));
    /// # let params = Params::counters(HintScheme::Aes128, 16);
    /// let options = StationOptions::default();
    /// # let station = Station::create(&dir, None, params, &options)?;
    /// # station.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
    /// # let source = SecretSource::parse("command:echo seven words".as_ref()).unwrap();
    /// # let cost = PassphraseCost { memory_kib: 1024, passes: 1, lanes: 1 };
    /// // The fleet keeps its master key in the clear; the backup is to keep it wrapped.
    /// let key = Some(Protection::Passphrase { source: source.clone(), cost });
    /// let first = BackupOptions { key: key.clone(), base: None };
    /// station.backup(&monday, &first, None)?;
    ///
    /// // The next day: what has not changed takes no room.
    /// let next = BackupOptions { key, base: Some(monday) };
    /// let report: BackupReport = station.backup(&tuesday, &next, None)?;
    /// assert!(report.linked_bytes > report.bytes / 2);
    ///
    /// Station::restore(&tuesday, &other, None)?;
    /// let access = KeyAccess { passphrase: Some(source), ..KeyAccess::default() };
    /// # let clock = std::sync::Arc::new(hintdex::SystemClock);
    /// let restored = Station::open_by(&other, &access, &options, clock)?;
    /// let Some(Restored { made_unix_s, .. }) = restored.restored() else { panic!() };
    /// assert_eq!(*made_unix_s, report.made_unix_s);
    /// # Ok::<(), hintdex::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BackupRefused`] if the folder exists, the base is of another fleet, or nothing states how
    /// the backup keeps a key that the fleet keeps in the clear; [`Error::Backup`] if the base is
    /// damaged; [`Error::Index`], [`Error::File`], or
    /// those of the protection.
    pub fn backup(
        &self,
        to: &Path,
        options: &BackupOptions,
        report: Option<Report<'_>>,
    ) -> Result<BackupReport, Error> {
        let refused = |why| Error::BackupRefused { path: to.to_owned(), why };
        if to.exists() {
            return Err(refused(
                "it exists already; give the path of a new folder, or of a new .tar file",
            ));
        }
        let dir = self.own.folder();
        let kept = MasterFiles::of(dir).describe()?;
        match (&kept, &options.key) {
            (KeptKey::File, None) => {
                return Err(refused(
                    "the fleet keeps its master key in the clear; state how the backup keeps the key",
                ));
            }
            (KeptKey::File, Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                return Err(refused(
                    "the fleet keeps its master key wrapped or elsewhere, and so does the backup; \
                     leave the protection out",
                ));
            }
        }
        let base = options.base.as_deref().map(|base| self.base(base)).transpose()?;
        let draft = DraftFolder::beside(to)?;
        let stage = DraftFolder::beside(&dir.join(STAGE))?;
        let made_unix_s = self.now_s();
        self.fill(stage.path(), options.key.is_none())?;
        let fleet = draft.path().join(FLEET_FOLDER);
        let mut writer = Writer { base, files: Vec::new(), linked_bytes: 0, done_bytes: 0, report };
        writer.copy_all(stage.path(), &fleet)?;
        if let Some(protection) = &options.key {
            let secret = MasterFiles::of(dir).open(&crate::KeyAccess::default())?;
            MasterFiles::of(&fleet).keep(&secret, protection)?;
            writer.list_keys(&fleet)?;
        }
        let Writer { mut files, linked_bytes, .. } = writer;
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let manifest = Manifest { fleet_id: *self.fleet_id(), made_unix_s, files };
        let check_value = self.key_source().check_value(&check_context(&manifest.digest()));
        let text = manifest.to_text(&check_value);
        publish(&draft.path().join(MANIFEST_FILE), &[text.as_bytes()])?;
        if is_archive(to) {
            let files: Vec<PathBuf> = manifest
                .files
                .iter()
                .map(|file| Path::new(FLEET_FOLDER).join(&file.path))
                .collect();
            let first = Path::new(MANIFEST_FILE);
            pack(
                draft.path(),
                std::iter::once(first).chain(files.iter().map(PathBuf::as_path)),
                to,
            )?;
        } else {
            sync_names(draft.path())?;
            draft.publish()?;
        }
        let bytes = manifest.files.iter().map(|file| file.len_bytes).sum();
        let files = manifest.files.len() as u64;
        Ok(BackupReport { files, bytes, linked_bytes, made_unix_s })
    }

    /// The base of a backup: its folder, and its files by path.
    fn base(&self, base: &Path) -> Result<Base, Error> {
        let (manifest, _) = read_manifest(base)?;
        if manifest.fleet_id != *self.fleet_id() {
            let why = "it is a backup of another fleet, and so no base of this one";
            return Err(Error::BackupRefused { path: base.to_owned(), why });
        }
        let files = manifest.files.into_iter().map(|file| (file.path, (file.len_bytes, file.hash)));
        Ok(Base { folder: base.join(FLEET_FOLDER), files: files.collect() })
    }

    /// Fills a folder with consistent files: links where they do not change any more, else copies.
    fn fill(&self, stage: &Path, has_key: bool) -> Result<(), Error> {
        let (dir, chains) = (self.own.folder(), self.keys.chain_path());
        let files = MasterFiles::of(dir);
        self.index.while_fleet_rests(|| {
            self.keys.while_chains_rest(|| {
                if chains.exists() {
                    let name = chains.file_name().unwrap_or_default();
                    copy(chains, &stage.join(name))?;
                }
                Ok::<_, Error>(self.index.checkpoint(&stage.join(INDEX_FOLDER))?)
            })?;
            let listing = || Error::io("listing a folder", dir);
            for entry in fs::read_dir(dir).map_err(listing())? {
                let path = entry.map_err(listing())?.path();
                let name = path.file_name().unwrap_or_default();
                // The file behind a link is a file of the fleet as well.
                let is_wanted = path.is_file() && !is_draft(name);
                let is_key = path == files.key_path() || path == files.place_path();
                if !is_wanted || path == chains || is_left_out(name) || is_key && !has_key {
                    continue;
                }
                if name.to_str().is_none_or(|name| name.contains(['\n', '\r'])) {
                    let why = "a backup cannot list this name; give the file another one";
                    return Err(Error::BackupRefused { path, why });
                }
                let is_linked =
                    is_snapshot(&path) && !path.is_symlink() && link(&path, &stage.join(name))?;
                if !is_linked {
                    copy(&path, &stage.join(name))?;
                }
            }
            Ok(())
        })
    }
}

/// Whether a file is a snapshot, which never changes in place.
fn is_snapshot(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "hdx")
}

/// Whether a file of a fleet's folder is of this folder alone: its lock, the mark of a restored one, and
/// what a change of the key's protection left.
fn is_left_out(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["fleet.lock", RESTORED_FILE, "master.key.old", "master.key.aside"].contains(&&*name)
}

/// An earlier backup.
struct Base {
    folder: PathBuf,
    files: HashMap<PathBuf, (u64, Hash)>,
}

/// Copies the files of a backup, and lists them.
struct Writer<'a> {
    base: Option<Base>,
    files: Vec<BackupFile>,
    linked_bytes: u64,
    done_bytes: u64,
    report: Option<Report<'a>>,
}

impl Writer<'_> {
    fn copy_all(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        let mut paths = Vec::new();
        list(from, Path::new(""), &mut paths)?;
        let all_bytes: u64 = paths.iter().map(|(_, len_bytes)| len_bytes).sum();
        for (path, _) in paths {
            let (source, target) = (from.join(&path), to.join(&path));
            let (len_bytes, hash) = match self.link_of_base(&path, &source, &target)? {
                Some(linked) => linked,
                None => copy(&source, &target)?,
            };
            self.done_bytes += len_bytes;
            if let Some(report) = self.report {
                report(self.done_bytes, all_bytes.max(self.done_bytes));
            }
            self.files.push(BackupFile { path, len_bytes, hash });
        }
        Ok(())
    }

    /// Links a file from the base, if the base has the same one.
    fn link_of_base(
        &mut self,
        path: &Path,
        source: &Path,
        target: &Path,
    ) -> Result<Option<(u64, Hash)>, Error> {
        let Some(base) = &self.base else { return Ok(None) };
        let Some((len_bytes, hash)) = base.files.get(path) else { return Ok(None) };
        let is_of_length = fs::metadata(source).is_ok_and(|found| found.len() == *len_bytes);
        if !is_of_length || hash_of(source)? != (*len_bytes, *hash) {
            return Ok(None);
        }
        let of_base = base.folder.join(path);
        // A base that was damaged since lends nothing.
        if hash_of(&of_base).ok() != Some((*len_bytes, *hash)) || !link(&of_base, target)? {
            return Ok(None);
        }
        self.linked_bytes += len_bytes;
        Ok(Some((*len_bytes, *hash)))
    }

    /// Lists the files of the master key in the folder of the copies.
    fn list_keys(&mut self, fleet: &Path) -> Result<(), Error> {
        let files = MasterFiles::of(fleet);
        for path in [files.key_path(), files.place_path()] {
            if path.exists() {
                let (len_bytes, hash) = hash_of(path)?;
                let path = path.file_name().unwrap_or_default().into();
                self.files.push(BackupFile { path, len_bytes, hash });
            }
        }
        Ok(())
    }
}

/// The files in a folder and in the folders inside, each with its length.
fn list(folder: &Path, inside: &Path, paths: &mut Vec<(PathBuf, u64)>) -> Result<(), Error> {
    let listing = || Error::io("listing a folder", folder);
    for entry in fs::read_dir(folder).map_err(listing())? {
        let entry = entry.map_err(listing())?;
        let (path, metadata) =
            (inside.join(entry.file_name()), entry.metadata().map_err(listing())?);
        if metadata.is_dir() {
            list(&entry.path(), &path, paths)?;
        } else {
            paths.push((path, metadata.len()));
        }
    }
    Ok(())
}
