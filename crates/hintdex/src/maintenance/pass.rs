//! One maintenance pass.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hintdex_core::{LiveIndex, Report, SnapshotCoverage, SnapshotId, Span, on_plain_thread};

use super::failure::lock;
use super::span_files::{is_span_file, span_file};
use crate::snapshots::{ComingHints, Snapshots, rebuild};
use crate::{Error, RebuildOptions};

/// One maintenance pass, with everything that it needs to run on a thread of its own.
pub(crate) struct MaintenancePass {
    pub(crate) index: Arc<LiveIndex>,
    pub(crate) snapshots: Arc<Snapshots>,
    /// The path of the station's own snapshot, if the station keeps one.
    pub(crate) own_snapshot: Option<PathBuf>,
    pub(crate) rebuild: RebuildOptions,
    /// Whether the next window lacks the hints that the snapshot holds.
    pub(crate) lean: bool,
    /// Held for a pass: two passes at a time could attach the older snapshot last.
    pub(crate) alone: Arc<Mutex<()>>,
}

impl MaintenancePass {
    /// Rolls the index, and builds and attaches the snapshot.
    ///
    /// A roll that fails leaves the old window, a build that fails leaves the old snapshot,
    /// and lookups go on with both.
    pub(crate) fn run(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        on_plain_thread(|| {
            let _alone = lock(&self.alone);
            self.run_alone(report)
        })
    }

    /// Whether a window of time must be built or dropped now.
    pub(super) fn is_due(&self) -> bool {
        self.index.is_span_due()
    }

    fn run_alone(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        if self.index.params().nonces.is_clocked() {
            return self.maintain_spans(report);
        }
        let Some(path) = &self.own_snapshot else { return Ok(self.index.roll(report)?) };
        if !self.lean {
            self.index.roll(report)?;
        }
        let coming = ComingHints::of(&self.index, self.rebuild.horizon_nonces, None);
        rebuild(&self.index, &coming, None, path, &self.rebuild, None)?;
        let snapshot = self.snapshots.attach(&self.index, path)?;
        if self.lean {
            let coverage = SnapshotCoverage {
                snapshot,
                first_nonces: &coming.first_nonces(),
                horizon_nonces: u32::try_from(self.rebuild.horizon_nonces).unwrap_or(u32::MAX),
            };
            self.index.roll_lean(&coverage, report)?;
        }
        Ok(())
    }

    /// With clocked nonces: builds the windows that are missing, each as a snapshot if the
    /// index is lean, and drops the windows that have passed. A lean window is built again
    /// if its snapshot is missing or damaged, or if the index is lean no longer.
    fn maintain_spans(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        for (span, snapshot) in self.index.spans() {
            let is_whole = snapshot.is_none_or(|id| self.lean && self.snapshots.serves(&id));
            if !is_whole {
                self.index.close_span(&span)?;
            }
        }
        for span in self.index.missing_spans() {
            match self.own_snapshot.as_ref().filter(|_| self.lean) {
                Some(own) => {
                    let make = || self.build_span_snapshot(own, &span);
                    self.index.open_span_lean(span.clone(), report, make)?;
                }
                None => self.index.open_span(span, report)?,
            }
        }
        self.index.drop_passed()?;
        for passed in self.snapshots.detach_passed(&self.index) {
            let is_own = self.own_snapshot.as_ref().and_then(|own| own.parent()) == passed.parent();
            if is_own && is_span_file(&passed) {
                // The file is detached. If it cannot be removed, it takes room and nothing else.
                let _ = std::fs::remove_file(&passed);
            }
        }
        Ok(())
    }

    /// Builds and attaches the snapshot of a span.
    fn build_span_snapshot(&self, own: &Path, span: &Span) -> Result<SnapshotId, Error> {
        let path = span_file(own, span);
        let coming = ComingHints::of(&self.index, 0, Some(span.clone()));
        rebuild(&self.index, &coming, None, &path, &self.rebuild, None)?;
        self.snapshots.attach(&self.index, &path)
    }

    /// Attaches the station's own snapshots of the lean windows.
    ///
    /// With `repair`, drops the windows whose snapshot cannot be attached, so that the next
    /// pass builds them, and removes the files of spans that no window needs.
    pub(crate) fn attach_spans(&self, repair: bool) -> Result<(), Error> {
        let Some(own) = &self.own_snapshot else { return Ok(()) };
        let mut needed = Vec::new();
        for (span, snapshot) in self.index.spans() {
            let Some(snapshot) = snapshot else { continue };
            let path = span_file(own, &span);
            let attached = self.snapshots.attach(&self.index, &path).ok();
            if attached == Some(snapshot) {
                needed.push(path);
            } else if repair {
                self.index.close_span(&span)?;
            }
        }
        if !repair {
            return Ok(());
        }
        let folder = own.parent().unwrap_or(Path::new("."));
        for entry in std::fs::read_dir(folder).map_err(Error::io("listing a folder", folder))? {
            let Ok(entry) = entry else { continue };
            let path = entry.path();
            if is_span_file(&path) && !needed.contains(&path) {
                let _ = std::fs::remove_file(&path);
            }
        }
        Ok(())
    }
}
