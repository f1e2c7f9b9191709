//! Upkeep: rolling the index on and building the station's own snapshot.
//!
//! The index leans on nothing by default: the snapshot is a faster way to answers
//! that the index has, too. A *lean* station builds the snapshot first and then
//! rolls to a window that lacks what the snapshot holds.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hintdex_core::{LiveIndex, Report, SnapshotCoverage, SnapshotId, Span, on_plain_thread};

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
        on_plain_thread(|| {
            let _alone = lock(&self.alone);
            self.run_alone(report)
        })
    }

    fn run_alone(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        if self.index.params().nonces.is_clocked() {
            return self.keep_spans(report);
        }
        let Some(path) = &self.own_snapshot else { return Ok(self.index.roll(report)?) };
        if !self.lean {
            self.index.roll(report)?;
        }
        let coming = Coming::of(&self.index, self.rebuild.horizon_nonces, None);
        self.snapshots.rebuild(&self.index, &coming, path, &self.rebuild, None)?;
        let snapshot = self.snapshots.attach(&self.index, path)?;
        if self.lean {
            let held = SnapshotCoverage {
                snapshot,
                first_nonces: &coming.first_nonces(),
                horizon_nonces: u32::try_from(self.rebuild.horizon_nonces).unwrap_or(u32::MAX),
            };
            self.index.roll_lean(&held, report)?;
        }
        Ok(())
    }
}

impl Upkeep {
    /// Where nonces tell time: builds the windows that are missing, each as a snapshot
    /// if the index is lean, and drops what has passed. A window whose snapshot is gone or
    /// damaged, or that is left to one though the index is lean no longer, is built again.
    fn keep_spans(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        for (span, left_to) in self.index.spans() {
            let is_whole = left_to.is_none_or(|id| self.lean && self.snapshots.serves(&id));
            if !is_whole {
                self.index.close_span(&span)?;
            }
        }
        for span in self.index.missing_spans() {
            match self.own_snapshot.as_ref().filter(|_| self.lean) {
                Some(own) => {
                    let make = || self.hold_span(own, &span);
                    self.index.open_span_lean(span.clone(), report, make)?;
                }
                None => self.index.open_span(span, report)?,
            }
        }
        self.index.drop_passed()?;
        for passed in self.snapshots.detach_passed(&self.index) {
            let is_own = self.own_snapshot.as_ref().and_then(|own| own.parent()) == passed.parent();
            if is_own && is_of_span(&passed) {
                // Nobody asks it any longer. One that stays takes room and nothing else.
                let _ = std::fs::remove_file(&passed);
            }
        }
        Ok(())
    }

    /// Builds and attaches the snapshot of a span.
    fn hold_span(&self, own: &Path, span: &Span) -> Result<SnapshotId, Error> {
        let path = span_file(own, span);
        let coming = Coming::of(&self.index, 0, Some(span.clone()));
        self.snapshots.rebuild(&self.index, &coming, &path, &self.rebuild, None)?;
        self.snapshots.attach(&self.index, &path)
    }

    /// Attaches the station's own snapshots of the windows that are left to them. To mend
    /// is to drop windows whose snapshot is not there, so that they are built again, and
    /// to remove snapshots that nothing is left to.
    pub(crate) fn attach_spans(&self, mend: bool) -> Result<(), Error> {
        let Some(own) = &self.own_snapshot else { return Ok(()) };
        let mut known = Vec::new();
        for (span, left_to) in self.index.spans() {
            let Some(snapshot) = left_to else { continue };
            let path = span_file(own, &span);
            let attached = self.snapshots.attach(&self.index, &path).ok();
            if attached == Some(snapshot) {
                known.push(path);
            } else if mend {
                self.index.close_span(&span)?;
            }
        }
        if !mend {
            return Ok(());
        }
        let folder = own.parent().unwrap_or(Path::new("."));
        for entry in std::fs::read_dir(folder).map_err(Error::io("listing a folder", folder))? {
            let Ok(entry) = entry else { continue };
            let path = entry.path();
            if is_of_span(&path) && !known.contains(&path) {
                let _ = std::fs::remove_file(&path);
            }
        }
        Ok(())
    }
}

/// What the files of spans are called: this, the span's beginning, and the ending of snapshots.
const SPAN_FILE_PREFIX: &str = "window-";

/// The station's own snapshot of a span, beside the one without a time.
fn span_file(own: &Path, span: &Span) -> PathBuf {
    own.with_file_name(format!("{SPAN_FILE_PREFIX}{}.hdx", span.start))
}

fn is_of_span(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let start = name.strip_prefix(SPAN_FILE_PREFIX).and_then(|rest| rest.strip_suffix(".hdx"));
    start.is_some_and(|start| start.parse::<u64>().is_ok())
}

/// The thread that looks at the clock, where windows go by it: no packet need come for
/// the next one to be built before it begins.
#[derive(Default)]
pub(crate) struct Roller {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How often the roller looks at the clock.
const ROLLER_PERIOD: Duration = Duration::from_secs(1);

impl Roller {
    /// Starts the thread.
    pub(crate) fn start(&self, upkeep: Upkeep, background: &Background) -> Result<(), Error> {
        let (stop, failed) = (self.stop.clone(), background.failed.clone());
        let work = move || {
            let (stopped, changed) = &*stop;
            let mut stopped = lock(stopped);
            while !*stopped {
                drop(stopped);
                let is_paused =
                    lock(&failed).pause_until.is_some_and(|until| Instant::now() < until);
                if upkeep.index.is_span_due() && !is_paused {
                    let round = upkeep.run(None);
                    lock(&failed).note(round);
                }
                stopped = lock(&stop.0);
                let waited = changed.wait_timeout(stopped, ROLLER_PERIOD);
                stopped = waited.map_or_else(|poisoned| poisoned.into_inner().0, |waited| waited.0);
            }
        };
        let spawned = std::thread::Builder::new().name("hintdex-roller".into()).spawn(work);
        let spawned = spawned.map_err(|source| {
            Error::io("starting a thread", Path::new("hintdex-roller"))(source)
        })?;
        *lock(&self.thread) = Some(spawned);
        Ok(())
    }

    /// Stops the thread and waits for the round it is at.
    pub(crate) fn stop(&self) {
        *lock(&self.stop.0) = true;
        self.stop.1.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // A panic there was printed there.
            let _ = thread.join();
        }
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
    /// Runs a round now, unless one has failed not long ago.
    pub(crate) fn run_now(&self, upkeep: &Upkeep) {
        if lock(&self.failed).pause_until.is_none_or(|until| until <= Instant::now()) {
            let round = upkeep.run(None);
            lock(&self.failed).note(round);
        }
    }

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
                let error = Error::io("starting a thread", Path::new("hintdex-upkeep"))(source);
                lock(&self.failed).note(Err(error));
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
