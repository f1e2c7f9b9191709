//! The thread that builds windows of time before they begin.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::failure::lock;
use super::pass::{MaintenancePass, is_due};
use super::thread::{MaintenanceThread, run_unless_paused};
use crate::Error;

/// How often the timer reads the clock.
const PERIOD: Duration = Duration::from_secs(1);

/// The name of the thread: 15 bytes, the most that Linux keeps.
const NAME: &str = "hintdex-windows";

/// Watches the clock with clocked nonces, and runs a pass when a window is due. Without it
/// the next window would not be built until a packet comes.
#[derive(Default)]
pub(crate) struct WindowTimer {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl WindowTimer {
    /// Starts the thread.
    pub(crate) fn start(
        &self,
        pass: MaintenancePass,
        maintenance: &MaintenanceThread,
    ) -> Result<(), Error> {
        let (stop, failure) = (self.stop.clone(), maintenance.failure().clone());
        let work = move || {
            let (stopped, changed) = &*stop;
            let mut stopped = lock(stopped);
            while !*stopped {
                drop(stopped);
                if is_due(&pass.index, &pass.snapshots) {
                    run_unless_paused(&pass, &failure);
                }
                stopped = lock(&stop.0);
                let waited = changed.wait_timeout(stopped, PERIOD);
                stopped = waited.map_or_else(|poisoned| poisoned.into_inner().0, |waited| waited.0);
            }
        };
        let spawned = std::thread::Builder::new().name(NAME.into()).spawn(work);
        let spawned =
            spawned.map_err(|source| Error::io("starting a thread", Path::new(NAME))(source))?;
        *lock(&self.thread) = Some(spawned);
        Ok(())
    }

    /// Stops the thread, and waits for the pass that it is running.
    pub(crate) fn stop(&self) {
        *lock(&self.stop.0) = true;
        self.stop.1.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // The panic hook has printed a panic of that thread.
            let _ = thread.join();
        }
    }
}
