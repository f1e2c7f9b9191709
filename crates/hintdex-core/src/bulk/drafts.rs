//! The files of a window that is being built, in a folder inside the store's own.
//!
//! An interrupted build can be resumed. The files of its finished passes are used as they are
//! if the resumed build would write the same files. A digest of everything that determines
//! the files, stored in a file of its own, decides that. The name of a finished file states
//! its partitions and its entries. A file is synced before it is renamed to that name.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use hintdex_host::remove_folder;

use crate::Error;

/// The digest that identifies the files of one build.
pub(crate) type PlanDigest = [u8; 32];

/// The file with the digest of the plan.
const PLAN_FILE: &str = "plan";

/// The bytes that are read back at a time.
const READ_BACK_LEN_BYTES: usize = 1 << 20;

/// Reads a file from beginning to end, so that it is in the system's cache: the store asks the
/// system to drop what it writes.
pub(super) fn read_back(path: &Path) -> std::io::Result<()> {
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; READ_BACK_LEN_BYTES];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// A folder of files to ingest.
pub(crate) struct Drafts {
    folder: PathBuf,
    /// The number of entries of each file that an earlier build finished, by its partitions.
    finished: BTreeMap<(usize, usize), u64>,
}

impl Drafts {
    /// Creates an empty folder; removes the files of any earlier build.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        remove_folder(folder)?;
        fs::create_dir(folder).map_err(Error::io("creating a folder", folder))?;
        Ok(Self { folder: folder.to_owned(), finished: BTreeMap::new() })
    }

    /// The files that an interrupted build of the same plan left, or an empty folder. If this
    /// build is interrupted, the next one can be resumed from its files.
    pub(crate) fn resume_or_empty(folder: &Path, plan: &PlanDigest) -> Result<Self, Error> {
        let path = folder.join(PLAN_FILE);
        if fs::read(&path).is_ok_and(|found| found == plan) {
            let mut drafts = Self { folder: folder.to_owned(), finished: BTreeMap::new() };
            drafts.list()?;
            return Ok(drafts);
        }
        let drafts = Self::new(folder)?;
        fs::write(&path, plan).map_err(Error::io("writing a plan", &path))?;
        Ok(drafts)
    }

    /// Whether the folder holds an interrupted build that can be resumed.
    pub(crate) fn is_resumable(folder: &Path) -> bool {
        folder.join(PLAN_FILE).is_file()
    }

    fn list(&mut self) -> Result<(), Error> {
        let failed = || Error::io("listing a folder", &self.folder);
        for entry in fs::read_dir(&self.folder).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let numbers: Vec<Option<u64>> = name.split('-').map(|text| text.parse().ok()).collect();
            let is_whole = path.extension().is_some_and(|extension| extension == "sst");
            if let ([Some(first), Some(end), Some(entries)], true) = (numbers.as_slice(), is_whole)
            {
                let place = |number: &u64| usize::try_from(*number).unwrap_or(usize::MAX);
                self.finished.insert((place(first), place(end)), *entries);
            }
        }
        Ok(())
    }

    /// The finished file of a share of partitions, and its number of entries.
    pub(crate) fn finished(&self, share: &Range<usize>) -> Option<(PathBuf, u64)> {
        let entries = *self.finished.get(&(share.start, share.end))?;
        Some((self.path(share, entries), entries))
    }

    /// The path of the draft of a share of partitions.
    pub(crate) fn draft(&self, share: &Range<usize>) -> PathBuf {
        self.folder.join(format!("{}-{}.draft", share.start, share.end))
    }

    /// Renames the draft of a share, which must be written and synced, to its final name.
    #[expect(clippy::disallowed_methods, reason = "the store synced the file; see the module")]
    pub(crate) fn finish(&self, share: &Range<usize>, entries: u64) -> Result<PathBuf, Error> {
        let path = self.path(share, entries);
        fs::rename(self.draft(share), &path).map_err(Error::io("renaming a file", &path))?;
        Ok(path)
    }

    fn path(&self, share: &Range<usize>, entries: u64) -> PathBuf {
        self.folder.join(format!("{}-{}-{entries}.sst", share.start, share.end))
    }
}
