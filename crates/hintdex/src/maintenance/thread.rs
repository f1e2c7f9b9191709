//! The thread that runs maintenance passes while the station decodes.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::failure::{Failure, lock};
use super::pass::MaintenancePass;
use crate::Error;

/// The name of the thread: 15 bytes, the most that Linux keeps.
const NAME: &str = "hdx-maintenance";

/// Runs maintenance passes on a thread of its own, one at a time.
#[derive(Default)]
pub(crate) struct MaintenanceThread {
    thread: Mutex<Option<JoinHandle<()>>>,
    failure: Arc<Mutex<Failure>>,
    /// The lock that each pass of this station holds.
    pub(crate) alone: Arc<Mutex<()>>,
}

impl MaintenanceThread {
    /// Runs a pass on the calling thread, unless a pass failed a moment ago.
    pub(crate) fn run_now(&self, pass: &MaintenancePass) {
        run_unless_paused(pass, &self.failure);
    }

    /// Starts a pass on the thread if it is due, unless one is running or failed a moment ago.
    pub(crate) fn start(&self, pass: MaintenancePass) {
        let mut thread = lock(&self.thread);
        if thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        if lock(&self.failure).is_paused() {
            return;
        }
        let failure = self.failure.clone();
        let work = move || {
            let result = pass.run_if_due();
            lock(&failure).record(result);
        };
        match std::thread::Builder::new().name(NAME.into()).spawn(work) {
            Ok(spawned) => *thread = Some(spawned),
            Err(source) => {
                let error = Error::io("starting a thread", Path::new(NAME))(source);
                lock(&self.failure).record(Err(error));
            }
        }
    }

    /// Where passes of this station record their failures.
    pub(super) const fn failure(&self) -> &Arc<Mutex<Failure>> {
        &self.failure
    }

    /// Records the failure of a pass that was run elsewhere.
    pub(crate) fn record_failure(&self, error: Error) {
        lock(&self.failure).record(Err(error));
    }

    /// The error of the last pass, if it failed; returned once.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        lock(&self.failure).take()
    }

    /// Waits for the pass that is running.
    pub(crate) fn wait(&self) {
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // The panic hook has printed a panic of that thread, and the old window stays.
            let _ = thread.join();
        }
    }
}

/// Runs a pass on the calling thread and records its result, unless a pass failed a moment
/// ago.
pub(super) fn run_unless_paused(pass: &MaintenancePass, failure: &Mutex<Failure>) {
    if !lock(failure).is_paused() {
        let result = pass.run(None);
        lock(failure).record(result);
    }
}
