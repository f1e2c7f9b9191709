//! Files and folders that exist whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use crate::FileError;
use crate::folder::{folder_of, remove_folder, sync};

/// The end of the name of a draft: `.NAME.RANDOM.making` becomes `NAME`.
const DRAFT_SUFFIX: &str = ".making";

/// A file, mode 0600, that is written beside the file it will become.
///
/// Readers see the old file until [`publish`](Self::publish) renames the draft over it. A
/// draft that is dropped is removed. A draft whose process was killed stays, and the next
/// draft of the same target removes it.
///
/// A draft is locked (`flock`) while it is written, and the system releases the lock with
/// the process. So a draft that can be locked is abandoned. A process number in the name
/// would not show that: numbers are used again, and each container counts its own.
///
/// See the [example of the crate](crate).
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    target: PathBuf,
}

impl Draft {
    /// Makes an empty draft in the folder of `target`, and removes abandoned ones.
    ///
    /// # Errors
    ///
    /// The draft cannot be made, or `target` exists and is not a regular file: a rename
    /// would replace a symbolic link, a pipe or a device by a file.
    pub fn beside(target: &Path) -> Result<Self, FileError> {
        check_target(target)?;
        let name = target.file_name().unwrap_or_default();
        remove_abandoned_of(target, &name.to_string_lossy());
        let mut prefix = hidden(name);
        prefix.push(".");
        loop {
            let mut builder = tempfile::Builder::new();
            builder.prefix(&prefix).suffix(DRAFT_SUFFIX);
            let file = builder
                .tempfile_in(folder_of(target))
                .map_err(FileError::of("making a file in the folder", folder_of(target)))?;
            // Between the two lines another draft of the same target may take this one for
            // abandoned: then that one has the lock, or has removed the file. A file system
            // without locks has no abandoned drafts removed, either.
            let is_locked = !matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
            if is_locked && file.path().exists() {
                return Ok(Self { file, target: target.to_owned() });
            }
        }
    }

    /// Moves to `offset_bytes` from the beginning.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn seek(&mut self, offset_bytes: u64) -> Result<(), FileError> {
        let moved = self.file.as_file_mut().seek(SeekFrom::Start(offset_bytes));
        moved.map(drop).map_err(FileError::of("writing", self.file.path()))
    }

    /// Writes `bytes` at the present place.
    ///
    /// # Errors
    ///
    /// The disk is full or fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let written = self.file.as_file_mut().write_all(bytes);
        written.map_err(FileError::of("writing", self.file.path()))
    }

    /// Gives the draft its name, in place of the file of that name: the draft is synced,
    /// renamed, and the folder is synced.
    ///
    /// # Errors
    ///
    /// The old file is in place, unless [`FileError::is_published`].
    pub fn publish(self) -> Result<(), FileError> {
        self.sync()?;
        check_target(&self.target)?;
        let renamed = self.file.persist(&self.target);
        renamed.map_err(|refused| moved_into_place(&self.target)(refused.error))?;
        settle(&self.target)
    }

    /// Gives the draft its name, unless a file of that name exists; returns the file.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish), and [`ErrorKind::AlreadyExists`].
    pub fn publish_new(self) -> Result<File, FileError> {
        self.sync()?;
        let renamed = self.file.persist_noclobber(&self.target);
        let kept = renamed.map_err(|refused| moved_into_place(&self.target)(refused.error))?;
        // The lock said that the draft is being written.
        let _ = kept.unlock();
        settle(&self.target)?;
        Ok(kept)
    }

    fn sync(&self) -> Result<(), FileError> {
        let synced = self.file.as_file().sync_all();
        synced.map_err(FileError::of("syncing", self.file.path()))
    }
}

/// Writes `parts`, one after the other, as the file `target`: mode 0600, whole or not at
/// all, durable. A file of that name is replaced.
///
/// # Errors
///
/// As [`Draft::publish`].
///
/// ```
/// use hintdex_host::{is_draft, publish, sweep_drafts};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let target = folder.join("fleet.keys");
/// publish(&target, &[b"a header", b", and the rest"])?;
/// assert_eq!(std::fs::read(&target).unwrap(), b"a header, and the rest");
///
/// // What a killed process left is removed before the next draft.
/// sweep_drafts(folder);
/// let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
/// assert!(!names.into_iter().any(|name| is_draft(&name)));
/// # Ok::<(), hintdex_host::FileError>(())
/// ```
pub fn publish(target: &Path, parts: &[&[u8]]) -> Result<(), FileError> {
    let mut draft = Draft::beside(target)?;
    for part in parts {
        draft.write(part)?;
    }
    draft.publish()
}

/// Gives a published file `from` the name `target`, durably. A file of that name is replaced.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let (next, present) = (folder.path().join("next"), folder.path().join("present"));
/// hintdex_host::publish(&next, &[b"new"])?;
/// hintdex_host::replace(&next, &present)?;
/// assert_eq!(std::fs::read(&present)?, b"new");
/// assert!(!next.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Both files are as they were, unless [`FileError::is_published`].
pub fn replace(from: &Path, target: &Path) -> Result<(), FileError> {
    check_target(target)?;
    rename(from, target).map_err(moved_into_place(target))?;
    settle(target)
}

fn moved_into_place(target: &Path) -> impl FnOnce(io::Error) -> FileError {
    FileError::of("moving a new file into place", target)
}

/// Makes the name of a file that was renamed durable.
fn settle(target: &Path) -> Result<(), FileError> {
    // Without this sync a loss of power may undo the rename.
    sync(folder_of(target)).map_err(FileError::of_published(target))
}

/// Checks that a file may be published as `target`: the name is free, or of a regular file.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// assert!(hintdex_host::check_target(&folder.path().join("fleet.hdx")).is_ok());
/// assert!(hintdex_host::check_target(folder.path()).is_err(), "it is a folder");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if another thing has the name; else the system refuses.
pub fn check_target(target: &Path) -> Result<(), FileError> {
    let refused = |why| {
        let source = io::Error::new(ErrorKind::InvalidInput, why);
        Err(FileError::new("writing a file in place of another", target, source))
    };
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_symlink() => {
            refused("it is a symbolic link; give the path of the file itself")
        }
        Ok(found) if !found.is_file() => {
            refused("it is not a regular file; give the path of a file")
        }
        Ok(_) => Ok(()),
        // The draft would be refused as well, with the draft's random name in the message.
        Err(_) => fs::metadata(folder_of(target))
            .map(drop)
            .map_err(FileError::of("making a file in the folder", folder_of(target))),
    }
}

/// Removes the drafts of `target` that no process is writing.
fn remove_abandoned_of(target: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(folder_of(target)) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let file = path.file_name().unwrap_or_default();
        if is_draft_of(&file.to_string_lossy(), name) {
            remove_abandoned(&path);
        }
    }
}

/// Removes a draft unless a process is writing it. A draft that cannot be read, locked or
/// removed stays: it takes room and does no other harm.
fn remove_abandoned(path: &Path) {
    let Ok(draft) = File::open(path) else { return };
    // A lock belongs to an open file, so a draft of this process refuses it, too. The lock
    // is held until the file is gone: else its maker may lock it in between and find it.
    if draft.try_lock().is_ok() {
        let _ = fs::remove_file(path);
    }
}

/// Whether [`Draft::beside`] gives a draft of the file `name` the name `file`.
fn is_draft_of(file: &str, name: &str) -> bool {
    let random = file
        .strip_prefix('.')
        .and_then(|rest| rest.strip_prefix(name))
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| rest.strip_suffix(DRAFT_SUFFIX));
    random.is_some_and(|random| {
        !random.is_empty() && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// A folder, mode 0700, that is filled beside the folder it will become. A draft that is
/// dropped is removed with its contents.
///
/// ```
/// use hintdex_host::{DraftFolder, remove_folder_at_once};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let target = folder.path().join("index");
/// let draft = DraftFolder::beside(&target)?;
/// std::fs::write(draft.path().join("CURRENT"), b"1").unwrap();
/// draft.publish()?;
/// assert_eq!(std::fs::read(target.join("CURRENT")).unwrap(), b"1");
///
/// remove_folder_at_once(&target)?;
/// assert!(!target.exists());
/// # Ok::<(), hintdex_host::FileError>(())
/// ```
#[derive(Debug)]
pub struct DraftFolder {
    folder: TempDir,
    target: PathBuf,
}

impl DraftFolder {
    /// Makes an empty draft in the folder of `target`.
    ///
    /// # Errors
    ///
    /// The draft cannot be made.
    pub fn beside(target: &Path) -> Result<Self, FileError> {
        let mut prefix: OsString = hidden(target.file_name().unwrap_or_default());
        prefix.push(".");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(DRAFT_SUFFIX).permissions(Permissions::from_mode(0o700));
        let folder = builder.tempdir_in(folder_of(target));
        let making = FileError::of("making a folder in the folder", folder_of(target));
        let folder = folder.map_err(making)?;
        Ok(Self { folder, target: target.to_owned() })
    }

    /// Where the draft is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the draft its name and makes the name durable. The caller has made the files
    /// in it durable. An empty folder of that name is replaced; anything else is left alone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DirectoryNotEmpty`] or [`ErrorKind::NotADirectory`] where the name is
    /// taken; else the system refuses.
    pub fn publish(self) -> Result<(), FileError> {
        rename(self.folder.path(), &self.target)
            .map_err(FileError::of("moving a new folder into place", &self.target))?;
        // The name is the target's now; nothing is left to remove.
        let _ = self.folder.keep();
        settle(&self.target)
    }
}

/// Removes a folder in one step: after a crash the folder is whole, or is a draft for
/// [`sweep_drafts`].
///
/// # Errors
///
/// The folder cannot be renamed, or its contents cannot be removed.
///
/// See the example of [`DraftFolder`].
pub fn remove_folder_at_once(path: &Path) -> Result<(), FileError> {
    let mut name = hidden(path.file_name().unwrap_or_default());
    name.push(DRAFT_SUFFIX);
    let draft = path.with_file_name(name);
    rename(path, &draft).map_err(FileError::of("removing a folder", path))?;
    remove_folder(&draft)
}

/// Removes every draft of a file that no process is writing, and every draft of a folder.
///
/// The caller holds the lock of `folder`: only the lock's owner makes drafts of folders
/// there. A draft that cannot be removed takes room and does no other harm.
///
/// See the example of [`publish`].
pub fn sweep_drafts(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if !path.file_name().is_some_and(is_draft) {
            continue;
        }
        if path.is_dir() {
            let _ = fs::remove_dir_all(path);
        } else {
            remove_abandoned(&path);
        }
    }
}

/// Whether a file or a folder of this name is a draft.
///
/// See the example of [`publish`].
pub fn is_draft(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.') && name.ends_with(DRAFT_SUFFIX)
}

fn hidden(name: &OsStr) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden
}

/// The one place that renames: each caller syncs before and after.
#[expect(clippy::disallowed_methods, reason = "the publications of this crate rest on it")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}
