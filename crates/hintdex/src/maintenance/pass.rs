//! One maintenance pass.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hintdex_core::{
    DeviceRange, FleetView, LiveIndex, Report, SnapshotCoverage, SnapshotId, Span, on_plain_thread,
};
use hintdex_snapshot::{BuildError, Dial};
use hintdex_wire::Slot;

use super::failure::lock;
use crate::keys::HintKeys;
use crate::snapshots::{ComingHints, OwnSnapshot, Snapshots};
use crate::{Error, RebuildOptions, StationOptions};

/// Keys to add to a fleet.
#[derive(Clone, Copy)]
pub(crate) enum Addition<'a> {
    /// The first keys of devices.
    Devices(&'a [DeviceRange]),
    /// Later keys of devices that the fleet has, and the seconds for which the keys before stay
    /// valid.
    LaterKeys(&'a [DeviceRange], u32),
}

impl<'a> Addition<'a> {
    /// The devices, with the generation and the origin of the keys.
    pub(crate) const fn ranges(self) -> &'a [DeviceRange] {
        match self {
            Self::Devices(ranges) | Self::LaterKeys(ranges, _) => ranges,
        }
    }
}

/// Keys that were added.
pub(crate) struct Added {
    /// Their slots.
    pub(crate) slots: Vec<Range<Slot>>,
    /// The failure of what followed when the keys were added.
    pub(crate) finished: Result<(), Error>,
}

/// Whether a pass is due: half of the index is stale, a window of time must be built or
/// dropped, or a lean window lacks its snapshot.
pub(crate) fn is_due(index: &LiveIndex, snapshots: &Snapshots) -> bool {
    let (timing, now_s) = (index.timing(), index.now_s());
    // The snapshot of a window that has passed is attached no longer.
    let is_lost = |(span, id): (Span, Option<SnapshotId>)| {
        id.is_some_and(|id| !snapshots.serves(&id)) && timing.is_kept(&span, now_s)
    };
    index.needs_roll()
        || index.is_span_due()
        || index.lean_snapshot().is_some_and(|id| !snapshots.serves(&id))
        || index.spans().into_iter().any(is_lost)
}

/// Whether no chain can be built of so many hints, or within this memory: a full window can.
const fn is_out_of_reach(error: &Error) -> bool {
    matches!(error, Error::Rebuild(BuildError::ChainNeedsMemory { .. } | BuildError::Params { .. }))
}

/// One maintenance pass, with everything that it needs to run on a thread of its own.
pub(crate) struct MaintenancePass {
    pub(crate) index: Arc<LiveIndex>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) hint_keys: Arc<HintKeys>,
    /// The station's own snapshot, if the station keeps one.
    pub(crate) own: Option<OwnSnapshot>,
    /// The options of the own snapshot, but for its dial.
    pub(crate) rebuild: RebuildOptions,
    /// The evaluations of the own snapshot; `None` for those of the present one.
    pub(crate) evaluations: Option<u32>,
    /// Whether the next window lacks the hints that the snapshot holds.
    pub(crate) lean: bool,
    /// Held for a pass: two passes at a time could attach the older snapshot last.
    pub(crate) alone: Arc<Mutex<()>>,
}

impl MaintenancePass {
    /// Rolls the index, and builds and attaches the snapshot.
    ///
    /// A roll that fails leaves the old window, a build that fails leaves the old snapshot,
    /// and lookups go on with both. If the memory does not suffice for a chain, the window is
    /// full, and the error is returned all the same.
    pub(crate) fn run(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        self.run_alone(|| {
            self.roll(report)?;
            self.free_slots()
        })
    }

    /// [`run`](Self::run), unless another pass has just done what was due.
    pub(super) fn run_if_due(&self) -> Result<(), Error> {
        self.run_alone(|| {
            if !is_due(&self.index, &self.snapshots) {
                return Ok(());
            }
            self.roll(None)?;
            self.free_slots()
        })
    }

    /// Runs `work` on a plain thread while no other pass runs.
    fn run_alone<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        on_plain_thread(|| {
            let _alone = lock(&self.alone);
            self.hint_keys.store_chains()?;
            work()
        })
    }

    fn roll(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        if self.index.params().nonces.is_clocked() {
            return self.maintain_spans(report);
        }
        let Some(own) = &self.own else { return Ok(self.index.roll(report)?) };
        if self.lean {
            self.shorten_horizon()?;
        } else {
            self.index.roll(report)?;
        }
        let _held = self.hint_keys.hold();
        let report = report.filter(|_| self.lean);
        let built = self.build_next(own, &self.index.fleet_view(), None, report);
        if self.lean && built.as_ref().is_err_and(is_out_of_reach) {
            self.index.roll(None)?;
        }
        let coverage = built?;
        own.attach_next(&self.index, &self.snapshots)?;
        if self.lean {
            self.index.roll_lean(coverage, None)?;
        }
        own.replace()
    }

    /// Rolls to a full window if the snapshot of the present lean window reaches further ahead
    /// than the next one will: a lean window may only follow one of at most the same horizon.
    fn shorten_horizon(&self) -> Result<(), Error> {
        if u64::from(self.index.lean_horizon_nonces()) > self.rebuild.horizon_nonces {
            self.index.roll(None)?;
        }
        Ok(())
    }

    /// Adds keys: all of them, or none. If they are so many that the index rolls, a lean
    /// index rolls to a lean window.
    ///
    pub(crate) fn add(
        &self,
        addition: Addition<'_>,
        report: Option<Report<'_>>,
    ) -> Result<Added, Error> {
        if matches!(addition, Addition::LaterKeys(..)) {
            self.free_slots()?;
        }
        let index = self.index.as_ref();
        let Some(own) = self.own.as_ref().filter(|_| self.lean) else {
            let slots = match addition {
                Addition::Devices(ranges) => vec![index.provision(ranges, report)?],
                Addition::LaterKeys(ranges, grace_s) => index.renew(ranges, grace_s, report)?,
            };
            let finished = self.hint_keys.extend(&slots);
            return Ok(Added { slots, finished });
        };
        self.run_alone(|| {
            self.shorten_horizon()?;
            let _held = self.hint_keys.hold();
            let mut built = None;
            let build = |view: &FleetView<'_>, span: Option<&Span>| {
                let own = span.map_or_else(|| own.clone(), |span| own.of_span(span));
                self.build_next(built.insert(own), view, span, report)
            };
            let slots = match addition {
                Addition::Devices(ranges) => vec![index.provision_lean(ranges, None, build)?],
                Addition::LaterKeys(ranges, grace_s) => {
                    index.renew_lean(ranges, grace_s, None, build)?
                }
            };
            let finished = self.finish_addition(&slots, built);
            Ok(Added { slots, finished })
        })
    }

    /// Attaches the snapshot that was `built` for new keys, if one was, and builds the
    /// windows that the addition dropped.
    fn finish_addition(
        &self,
        slots: &[Range<Slot>],
        built: Option<OwnSnapshot>,
    ) -> Result<(), Error> {
        self.hint_keys.extend(slots)?;
        if let Some(own) = built {
            own.attach_next(&self.index, &self.snapshots)?;
            own.replace()?;
        }
        if self.index.is_span_due() { self.maintain_spans(None) } else { Ok(()) }
    }

    /// Takes the keys of retired slots away that nothing needs any longer.
    fn free_slots(&self) -> Result<(), Error> {
        self.hint_keys.retire(&self.index.take_dropped(1));
        let freed = self.index.free_slots(|slot| self.hint_keys.is_needed(slot))?;
        self.hint_keys.retire(&freed);
        Ok(())
    }

    /// Builds the successor of one of the station's own snapshots: of the coming nonces, or of
    /// those of a span.
    fn build_next(
        &self,
        own: &OwnSnapshot,
        view: &FleetView<'_>,
        span: Option<&Span>,
        report: Option<Report<'_>>,
    ) -> Result<SnapshotCoverage, Error> {
        let table = self.hint_keys.table_of(view)?;
        let coming = ComingHints::of(view, self.rebuild.horizon_nonces, span.cloned());
        let present = || self.snapshots.evaluations_in(own.folder());
        let evaluations = self.evaluations.or_else(present);
        let evaluations = evaluations.unwrap_or(StationOptions::DEFAULT_EVALUATIONS);
        let options = RebuildOptions { dial: Dial::Evaluations(evaluations), ..self.rebuild };
        own.build_next(&self.index, &coming, &table, &options, report)
    }

    /// With clocked nonces: builds the windows that are missing, each as a snapshot if the
    /// index is lean, and drops the windows that have passed. A lean window is built again
    /// if its snapshot is missing or damaged, or if the index is lean no longer.
    fn maintain_spans(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        let (timing, now_s) = (self.index.timing(), self.index.now_s());
        for (span, snapshot) in self.index.spans() {
            let is_whole = snapshot.is_none_or(|id| self.lean && self.snapshots.serves(&id));
            // The snapshot of a window that has passed is attached no longer.
            if !is_whole && timing.is_kept(&span, now_s) {
                self.index.close_span(&span)?;
            }
        }
        let mut built = Ok(());
        for span in self.index.missing_spans() {
            built = built.and(self.open_span(&span, report));
        }
        self.index.drop_passed()?;
        self.snapshots.detach_passed(&self.index);
        self.remove_unneeded_files()?;
        built
    }

    /// Builds and declares the window of a span. If a chain cannot be built of so many hints,
    /// the window is full, and the error is returned all the same.
    fn open_span(&self, span: &Span, report: Option<Report<'_>>) -> Result<(), Error> {
        let Some(own) = self.own.as_ref().filter(|_| self.lean) else {
            return Ok(self.index.open_span(span.clone(), report)?);
        };
        let _held = self.hint_keys.hold();
        let (own, mut is_built) = (own.of_span(span), false);
        let build = || {
            self.build_next(&own, &self.index.fleet_view(), Some(span), report)?;
            is_built = true;
            own.attach_next(&self.index, &self.snapshots)
        };
        let opened = self.index.open_span_lean(span.clone(), None, build);
        if opened.as_ref().is_err_and(is_out_of_reach) {
            self.index.open_span(span.clone(), report)?;
        }
        opened?;
        // The window may have been there: the last two spans that have a number are one.
        if is_built { own.replace() } else { Ok(()) }
    }

    /// Removes the files of spans whose window is not declared.
    fn remove_unneeded_files(&self) -> Result<(), Error> {
        let Some(own) = &self.own else { return Ok(()) };
        let spans = self.index.spans().into_iter();
        let needed: Vec<_> = spans.map(|(span, _)| own.of_span(&span)).collect();
        let is_needed = |path: &Path| needed.iter().any(|own| own.has_file(path));
        let folder = own.folder();
        for entry in std::fs::read_dir(folder).map_err(Error::io("listing a folder", folder))? {
            let Ok(entry) = entry else { continue };
            let path = entry.path();
            if own.is_span_file(&path) && !is_needed(&path) {
                // The file is not attached. If it stays, it takes room and nothing else.
                let _ = std::fs::remove_file(&path);
            }
        }
        Ok(())
    }

    /// Attaches the station's own snapshots of the lean windows.
    ///
    /// With `repair`, drops the windows whose snapshot cannot be attached, so that the next
    /// pass builds them.
    pub(crate) fn attach_spans(&self, repair: bool) -> Result<(), Error> {
        let Some(own) = &self.own else { return Ok(()) };
        for (span, snapshot) in self.index.spans() {
            let Some(snapshot) = snapshot else { continue };
            let of_span = own.of_span(&span);
            // If it fails, the snapshot is not the one that is needed.
            let _ = of_span.recover(&self.index, Some(snapshot));
            let attached = self.snapshots.attach(&self.index, of_span.path()).ok();
            if attached != Some(snapshot) && repair {
                self.index.close_span(&span)?;
            }
        }
        Ok(())
    }
}
