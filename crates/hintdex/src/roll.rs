//! Rolling: when a maintenance pass is due, and how it is started.

use hintdex_core::Report;

use crate::maintenance::is_due;
use crate::{Error, Station};

impl Station {
    /// Runs a maintenance pass now: builds the next window and drops the present one, and
    /// builds and attaches the station's own snapshot if the options ask for it. The station
    /// does the same in the background when half of its index is stale.
    ///
    /// # Errors
    /// [`Error::Index`] or [`Error::Rebuild`].
    pub fn roll(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        self.maintenance_pass().run(report)
    }

    /// The error of the last maintenance pass in the background, if it failed; returned
    /// once. The old window and the old snapshot still serve lookups.
    pub fn take_maintenance_failure(&self) -> Option<Error> {
        self.maintenance.take_failure()
    }

    /// With clocked nonces: builds the windows that the present time needs and drops those
    /// that have passed, on this thread. Call this after the clock has leapt; while time
    /// passes steadily, the station's own thread builds windows ahead of time.
    /// [`take_maintenance_failure`](Self::take_maintenance_failure) returns a failure.
    pub fn keep_windows(&self) {
        if self.index.is_span_due() {
            self.maintenance.run_now(&self.maintenance_pass());
        }
    }

    /// With clocked nonces: builds the window of the present time if it is missing, as after
    /// a clock that leapt or after a pause. If it cannot be built, packets are scanned for.
    pub(crate) fn ensure_present_window(&self) {
        if self.params().nonces.is_clocked() && self.options.roll_in_background {
            let present = self.index.timing().span_at(self.index.now_s());
            if self.index.missing_spans().contains(&present) {
                self.maintenance.run_now(&self.maintenance_pass());
            }
        }
    }

    /// Starts a maintenance pass in the background if it is due and none is running.
    pub(crate) fn roll_if_due(&self) {
        if self.options.roll_in_background && is_due(&self.index, &self.snapshots) {
            self.maintenance.start(self.maintenance_pass());
        }
    }
}
