//! The station's own snapshots: the files that lean windows leave their hints to.
//!
//! A lean window and its snapshot change together, and the window's record decides: it names
//! the snapshot by its id. So the successor of the snapshot is built in a file of its own,
//! then the window is declared, and only then the successor takes the name of the snapshot. A
//! crash between any two of these steps leaves the snapshot that the declared window needs
//! under one of the two names.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hintdex_core::{LiveIndex, Report, SnapshotCoverage, SnapshotId, Span};
use hintdex_host::{check_target, replace};
use hintdex_scan::KeyTable;
use hintdex_snapshot::Snapshot;

use super::coming_hints::ComingHints;
use super::rebuild::{RebuildOptions, rebuild};
use super::registry::{Snapshots, open_of_fleet};
use crate::Error;

/// The name of the snapshot of counter nonces.
const NAME: &str = "snapshot";
/// The names of snapshots of spans: this prefix, and the beginning of the span.
const SPAN_PREFIX: &str = "window-";
/// The ending of the files.
const ENDING: &str = ".hdx";
/// The ending of a successor, until its window is declared.
const NEXT_ENDING: &str = "-next.hdx";

/// The files of one of the station's own snapshots, inside the folder of the fleet.
#[derive(Clone, Debug)]
pub(crate) struct OwnSnapshot {
    folder: PathBuf,
    path: PathBuf,
    next: PathBuf,
}

impl OwnSnapshot {
    /// The snapshot of counter nonces of the fleet in the folder `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        Self::named(dir, NAME)
    }

    /// The snapshot of a span of the same fleet.
    pub(crate) fn of_span(&self, span: &Span) -> Self {
        Self::named(&self.folder, &format!("{SPAN_PREFIX}{}", span.start))
    }

    fn named(folder: &Path, name: &str) -> Self {
        let file = |ending| folder.join(format!("{name}{ending}"));
        Self { folder: folder.to_owned(), path: file(ENDING), next: file(NEXT_ENDING) }
    }

    /// The folder of the fleet.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of the snapshot.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `path` is one of the two files.
    pub(crate) fn has_file(&self, path: &Path) -> bool {
        path == self.path || path == self.next
    }

    /// Whether `path` is a file of the snapshot of a span of the same fleet.
    pub(crate) fn is_span_file(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(NEXT_ENDING).or_else(|| name.strip_suffix(ENDING));
        let start = name.and_then(|name| name.strip_prefix(SPAN_PREFIX));
        let is_number = start.is_some_and(|start| start.parse::<u64>().is_ok());
        is_number && path.parent() == Some(self.folder.as_path())
    }

    /// Finishes what a crash has interrupted: the successor replaces the snapshot if the
    /// declared window needs the successor, whose id is then `needed`. A successor with another
    /// id is removed. A successor that cannot be opened stays until the next build.
    pub(crate) fn recover(
        &self,
        index: &LiveIndex,
        needed: Option<SnapshotId>,
    ) -> Result<(), Error> {
        if !self.next.exists() {
            return Ok(());
        }
        match self.next_id(index) {
            Ok(id) if Some(id) == needed => self.replace(),
            Ok(_) => remove(&self.next),
            Err(_) => Ok(()),
        }
    }

    /// Builds the successor of the snapshot, of the hints of `coming`. `table` has the keys of
    /// all slots of `coming`. `report` counts slots.
    pub(crate) fn build_next(
        &self,
        index: &LiveIndex,
        coming: &ComingHints,
        table: &KeyTable,
        options: &RebuildOptions,
        report: Option<Report<'_>>,
    ) -> Result<SnapshotCoverage, Error> {
        // Checked before the window is declared: afterwards, the new name is needed.
        check_target(&self.path)?;
        let slots = u64::from(coming.slot_count());
        let in_slots = |done: u64, all: u64| {
            let done = u128::from(done) * u128::from(slots) / u128::from(all.max(1));
            report.into_iter().for_each(|report| report(done.try_into().unwrap_or(slots), slots));
        };
        rebuild(index, coming, Some(table), &self.next, options, Some(&in_slots))?;
        Ok(SnapshotCoverage {
            snapshot: self.next_id(index)?,
            first_nonces: coming.first_nonces(),
            horizon_nonces: u32::try_from(options.horizon_nonces).unwrap_or(u32::MAX),
        })
    }

    /// The id of the successor.
    fn next_id(&self, index: &LiveIndex) -> Result<SnapshotId, Error> {
        let next = open_of_fleet(index, &self.next, |path, key| Snapshot::open(path, key))?;
        Ok(*next.id())
    }

    /// Attaches the successor under the name that it will have.
    pub(crate) fn attach_next(
        &self,
        index: &LiveIndex,
        snapshots: &Snapshots,
    ) -> Result<SnapshotId, Error> {
        let next = open_of_fleet(index, &self.next, |path, key| Snapshot::open_own(path, key))?;
        snapshots.attach_opened(index, &self.path, next)
    }

    /// Gives the successor the name of the snapshot, durably.
    pub(crate) fn replace(&self) -> Result<(), Error> {
        Ok(replace(&self.next, &self.path)?)
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io("removing an unused snapshot", path)(error))
        }
        _ => Ok(()),
    }
}
