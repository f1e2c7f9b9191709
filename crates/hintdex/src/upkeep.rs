//! Upkeep: rolling the index on and building the station's own snapshot.
//!
//! The index leans on nothing by default: the snapshot is a faster way to answers
//! that the index has, too. A *lean* station builds the snapshot first and then
//! rolls to a window that lacks what the snapshot holds.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hintdex_core::{Held, LiveIndex, Report};

use crate::snapshots::{Coming, Snapshots};
use crate::{Error, RebuildOptions};

/// How long nothing is tried after a round failed; twice as long after the next.
const LEAST_PAUSE: Duration = Duration::from_secs(10);

/// One round of upkeep, with all it needs to run on a thread of its own.
pub(crate) struct Upkeep {
    pub(crate) index: Arc<LiveIndex>,
    pub(crate) snapshots: Arc<Snapshots>,
    /// The station's own snapshot, if it keeps one.
    pub(crate) own_snapshot: Option<PathBuf>,
    pub(crate) rebuild: RebuildOptions,
    /// Whether the index leaves to the snapshot what it holds.
    pub(crate) lean: bool,
    /// Held for a round: two at a time could attach the older snapshot last.
    pub(crate) alone: Arc<Mutex<()>>,
}

impl Upkeep {
    /// Rolls, and builds and attaches the snapshot.
    ///
    /// A roll that fails leaves the old window, a build that fails the old
    /// snapshot, and both still answer.
    pub(crate) fn run(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        let _alone = lock(&self.alone);
        let Some(path) = &self.own_snapshot else { return Ok(self.index.roll(report)?) };
        if !self.lean {
            self.index.roll(report)?;
        }
        let coming = Coming::of(&self.index, self.rebuild.horizon_nonces);
        self.snapshots.rebuild(&self.index, &coming, path, &self.rebuild, None)?;
        let snapshot = self.snapshots.attach(&self.index, path)?;
        if self.lean {
            let held = Held {
                snapshot,
                first_nonces: coming.first_nonces(),
                horizon_nonces: u32::try_from(self.rebuild.horizon_nonces).unwrap_or(u32::MAX),
            };
            self.index.roll_beside(&held, report)?;
        }
        Ok(())
    }
}

/// The thread that upkeep runs on, one round at a time.
#[derive(Default)]
pub(crate) struct Background {
    thread: Mutex<Option<JoinHandle<()>>>,
    failed: Arc<Mutex<Failure>>,
    /// What every round of this station holds.
    pub(crate) alone: Arc<Mutex<()>>,
}

/// How the last round ended, if it ended badly.
#[derive(Default)]
struct Failure {
    error: Option<Error>,
    /// Rounds that failed one after another.
    count: u32,
    pause_until: Option<Instant>,
}

impl Failure {
    fn note(&mut self, round: Result<(), Error>) {
        *self = match round {
            Ok(()) => Self::default(),
            Err(error) => Self {
                error: Some(error),
                count: self.count + 1,
                pause_until: Some(Instant::now() + LEAST_PAUSE * (1 << self.count.min(6))),
            },
        };
    }
}

impl Background {
    /// Runs a round on the thread, unless it is at one already, or one has failed
    /// not long ago: what failed will fail again, at the cost of a roll.
    pub(crate) fn start(&self, upkeep: Upkeep) {
        let mut thread = lock(&self.thread);
        if thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        if lock(&self.failed).pause_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let failed = self.failed.clone();
        let work = move || lock(&failed).note(upkeep.run(None));
        let spawned = std::thread::Builder::new().name("hintdex-upkeep".into()).spawn(work);
        match spawned {
            Ok(spawned) => *thread = Some(spawned),
            Err(source) => {
                let (doing, path) = ("starting a thread", PathBuf::from("hintdex-upkeep"));
                lock(&self.failed).note(Err(Error::Io { doing, path, source }));
            }
        }
    }

    /// Why the last round failed, if it did; told once.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        lock(&self.failed).error.take()
    }

    pub(crate) fn wait(&self) {
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // A panic there was printed there, and the window is the old one.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
