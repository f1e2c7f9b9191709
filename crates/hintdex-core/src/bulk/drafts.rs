//! The files of a window that is being built, in a folder beside the store's own.
//!
//! A build that was cut off may go on: the files of its finished passes are taken as they
//! are, if the build that finds them would make the same. What it would make is told by a
//! digest of all that goes into it, in a file of its own; each finished file says in its
//! name what it holds. A file is synced before it is given that name.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use hintdex_host::remove_folder;

use crate::Error;

/// What tells the files of one build from those of any other.
pub(crate) type PlanDigest = [u8; 32];

/// The file with the digest of the plan.
const PLAN_FILE: &str = "plan";

/// Bytes that are read back at a time.
const READ_BACK_LEN_BYTES: usize = 1 << 20;

/// Reads a file from its beginning to its end: the store has the system forget what it
/// writes.
pub(super) fn read_back(path: &Path) -> std::io::Result<()> {
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; READ_BACK_LEN_BYTES];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// A folder of files to ingest.
pub(crate) struct Drafts {
    folder: PathBuf,
    /// By their partitions, the entries of files that an earlier build finished.
    finished: BTreeMap<(usize, usize), u64>,
}

impl Drafts {
    /// An empty folder: nothing of another build is of use.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        remove_folder(folder)?;
        fs::create_dir(folder).map_err(Error::io("making a folder", folder))?;
        Ok(Self { folder: folder.to_owned(), finished: BTreeMap::new() })
    }

    /// What a build of the same plan left in the folder, or an empty one. If this build is
    /// cut off, the next one goes on from what it leaves.
    pub(crate) fn of_plan(folder: &Path, plan: &PlanDigest) -> Result<Self, Error> {
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

    /// Whether a build was cut off here that may go on.
    pub(crate) fn may_go_on(folder: &Path) -> bool {
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

    /// The file of a run of partitions that is there already, and its entries.
    pub(crate) fn finished(&self, share: &Range<usize>) -> Option<(PathBuf, u64)> {
        let entries = *self.finished.get(&(share.start, share.end))?;
        Some((self.path(share, entries), entries))
    }

    /// The file to write a run of partitions to.
    pub(crate) fn draft(&self, share: &Range<usize>) -> PathBuf {
        self.folder.join(format!("{}-{}.draft", share.start, share.end))
    }

    /// Gives a file that was written, and synced, its name.
    #[expect(clippy::disallowed_methods, reason = "the store synced the file; see the module")]
    pub(crate) fn finish(&self, share: &Range<usize>, entries: u64) -> Result<PathBuf, Error> {
        let path = self.path(share, entries);
        fs::rename(self.draft(share), &path).map_err(Error::io("naming a file", &path))?;
        Ok(path)
    }

    fn path(&self, share: &Range<usize>, entries: u64) -> PathBuf {
        self.folder.join(format!("{}-{}-{entries}.sst", share.start, share.end))
    }
}
