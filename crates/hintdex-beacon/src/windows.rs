//! The windows there are: the present one, the next, and those that are visited.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use hintdex_host::is_draft;
use hintdex_snapshot::Snapshot;

use crate::clock_store::{ClockStore, ServedClocks};
use crate::folder::Folder;
use crate::owned_windows::{EPOCH_START_UNIX_S, OwnedWindows};
use crate::point_hints::StepOrigin;
use crate::registry::Registry;
use crate::steps::{self, Span};
use crate::window::{Plan, Window, remove_file};
use crate::{Error, Event, Options};

const NAME_PREFIX: &str = "window-";
const NAME_SUFFIX: &str = ".hdx";
const EPOCH_FILE: &str = "epoch.hdx";

/// What a file holds, as a part of its origin: with 1 and 2, windows were ribbons.
const KIND_WINDOW: u64 = 3;
const KIND_EPOCH: u64 = 4;

/// Windows that sightings of other times have visited are kept up to this many: times
/// may alternate, as those of two receivers do of which one is late, and building a
/// window takes as long as answering a million sightings.
const MAX_VISITED: usize = 4;

/// How long a build that failed in the background is not tried again.
const RETRY_S: u64 = 60;

/// Makes windows of a folder's beacons.
#[derive(Clone)]
pub struct WindowBuilder {
    pub folder: PathBuf,
    pub registry: Arc<Registry>,
    pub options: Options,
}

impl WindowBuilder {
    /// The number of the window that a time is in.
    pub const fn number_of(&self, unix_s: u64) -> u64 {
        unix_s / self.options.span_s
    }

    /// When a window begins.
    pub const fn start_unix_s(&self, number: u64) -> u64 {
        number.saturating_mul(self.options.span_s)
    }

    pub fn span(&self, number: u64) -> Span {
        let first_unix_s = self.start_unix_s(number);
        Span { first_unix_s, last_unix_s: first_unix_s.saturating_add(self.options.span_s - 1) }
    }

    /// The file of what beacons send at first.
    pub fn epoch_path(&self) -> PathBuf {
        self.folder.join(EPOCH_FILE)
    }

    /// The file of a window.
    pub fn path(&self, number: u64) -> PathBuf {
        self.folder.join(name_of(self.start_unix_s(number)))
    }

    /// The window of this number, as the clocks are known now.
    fn window(
        &self,
        number: u64,
        served: &ServedClocks,
        threads: usize,
        events: &mut Vec<Event>,
    ) -> Result<Window, Error> {
        let (span, allowed) = (self.span(number), self.options.allowance());
        let Options { span_s, before_s, after_s, max_drift_ppm, evaluations, .. } = self.options;
        let steps = |slot: u32, row: &_| {
            let clocks = served.of(slot).map(|clock| steps::expected(row, clock, span, allowed));
            steps::union(clocks)
        };
        let drift_ppm = max_drift_ppm.into();
        let of = [span_s, before_s, after_s, drift_ppm, evaluations.into(), served.moves];
        let of = [&[KIND_WINDOW, number], of.as_slice()].concat();
        let plan = Plan {
            path: self.path(number),
            registry: &self.registry,
            steps: &steps,
            origin: self.registry.origin_of(&of),
            step_origin: StepOrigin { unix_s: span.first_unix_s },
            evaluations,
            threads,
        };
        plan.open_or_build(events)
    }

    /// What every beacon sends when its clock has just begun.
    pub fn epoch(&self, events: &mut Vec<Event>) -> Result<Window, Error> {
        let Options { probe_span_s, evaluations, .. } = self.options;
        let plan = Plan {
            path: self.epoch_path(),
            registry: &self.registry,
            steps: &|_, row| [steps::first(row, probe_span_s), 0..0],
            origin: self.registry.origin_of(&[KIND_EPOCH, probe_span_s, evaluations.into()]),
            step_origin: StepOrigin { unix_s: 0 },
            evaluations,
            threads: 0,
        };
        plan.open_or_build(events)
    }
}

/// A window on its way, in a thread of its own.
struct Building {
    number: u64,
    /// How many clocks this run had moved when it was begun.
    moved: usize,
    thread: JoinHandle<Result<(Window, Vec<Event>), Error>>,
}

/// The windows there are, by number.
pub struct Windows {
    /// Which files are ours.
    made: OwnedWindows,
    live: BTreeMap<u64, Window>,
    /// Those that were visited last, the latest at the end.
    visited: Vec<u64>,
    building: Option<Building>,
    /// When a build in the background may be tried again.
    retry_unix_s: u64,
    /// Whether the folder was swept since it was opened.
    swept: bool,
}

/// A window that has come to be live, and how many clocks had moved when it was begun.
pub struct BuiltWindow {
    pub number: u64,
    pub moved: usize,
}

impl Windows {
    pub fn new(made: OwnedWindows) -> Self {
        Self {
            made,
            live: BTreeMap::new(),
            visited: Vec::new(),
            building: None,
            retry_unix_s: 0,
            swept: false,
        }
    }

    /// Makes sure that the file of what beacons send at first is ours to write.
    pub fn claim_epoch(&mut self, maker: &WindowBuilder, folder: &Folder) -> Result<(), Error> {
        self.claim(EPOCH_START_UNIX_S, &maker.epoch_path(), maker, folder)
    }

    fn claim_window(
        &mut self,
        number: u64,
        maker: &WindowBuilder,
        folder: &Folder,
    ) -> Result<(), Error> {
        self.claim(maker.start_unix_s(number), &maker.path(number), maker, folder)
    }

    /// Notes that a file is ours, before it is written. A file that is there and that
    /// neither the record nor the folder's key knows is somebody else's.
    fn claim(
        &mut self,
        start_unix_s: u64,
        path: &Path,
        maker: &WindowBuilder,
        folder: &Folder,
    ) -> Result<(), Error> {
        let is_unknown = || Snapshot::open(path, &maker.registry.window_key()).is_err();
        if !self.made.contains(start_unix_s) && path.is_file() && is_unknown() {
            return Err(Error::ForeignFile { path: path.to_owned() });
        }
        self.made.add(start_unix_s, folder)
    }

    pub fn get(&self, number: u64) -> Option<&Window> {
        self.live.get(&number)
    }

    pub fn get_mut(&mut self, number: u64) -> Option<&mut Window> {
        self.live.get_mut(&number)
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Window)> {
        self.live.iter().map(|(number, window)| (*number, window))
    }

    pub fn numbers(&self) -> Vec<u64> {
        self.live.keys().copied().collect()
    }

    pub fn is_building(&self, number: u64) -> bool {
        self.building.as_ref().is_some_and(|building| building.number == number)
    }

    /// Makes a window live, now, if it is not.
    pub fn ensure(
        &mut self,
        number: u64,
        (maker, folder): (&WindowBuilder, &Folder),
        learned: &ClockStore,
        moved: usize,
        events: &mut Vec<Event>,
    ) -> Result<Option<BuiltWindow>, Error> {
        if self.live.contains_key(&number) {
            return Ok(None);
        }
        if self.is_building(number)
            && let arrived @ Some(_) = self.take_built(events)
        {
            return Ok(arrived);
        }
        self.claim_window(number, maker, folder)?;
        let window = maker.window(number, &learned.served(), 0, events)?;
        self.live.insert(number, window);
        Ok(Some(BuiltWindow { number, moved }))
    }

    /// Whether a build in the background may begin: none is under way, and none failed
    /// a moment ago.
    pub const fn may_build_ahead(&self, now_unix_s: u64) -> bool {
        self.building.is_none() && now_unix_s >= self.retry_unix_s
    }

    /// Begins to build a window in the background, if that may be.
    pub fn build_ahead(
        &mut self,
        number: u64,
        (maker, folder): (&WindowBuilder, &Folder),
        learned: &ClockStore,
        moved: usize,
        now_unix_s: u64,
    ) -> Result<(), Error> {
        if !self.may_build_ahead(now_unix_s) {
            return Ok(());
        }
        self.retry_unix_s = now_unix_s.saturating_add(RETRY_S);
        self.claim_window(number, maker, folder)?;
        let (maker, served) = (maker.clone(), learned.served());
        let build = move || {
            let (threads, mut events) = (maker.options.background_threads, Vec::new());
            let window = maker.window(number, &served, threads, &mut events)?;
            Ok((window, events))
        };
        self.building = Some(Building { number, moved, thread: std::thread::spawn(build) });
        Ok(())
    }

    /// Whether the build in the background has ended, one way or the other.
    pub fn has_built(&self) -> bool {
        self.building.as_ref().is_some_and(|building| building.thread.is_finished())
    }

    /// Waits for the build in the background and makes its window live. `None` if
    /// there is none, or it failed, which is told.
    pub fn take_built(&mut self, events: &mut Vec<Event>) -> Option<BuiltWindow> {
        let Building { number, moved, thread } = self.building.take()?;
        let what = match thread.join() {
            Ok(Ok((window, more))) => {
                events.extend(more);
                self.live.insert(number, window);
                self.retry_unix_s = 0;
                return Some(BuiltWindow { number, moved });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "its thread ended early".to_owned(),
        };
        events.push(Event::NextWindowFailed { what });
        None
    }

    /// Forgets a window and its file, to be built again.
    pub fn forget(&mut self, number: u64) -> Result<(), Error> {
        self.live.remove(&number).map_or(Ok(()), Window::remove)
    }

    /// Notes that sightings of another time than the present are answered from a window.
    pub fn visit(&mut self, number: u64) {
        self.visited.retain(|visited| *visited != number);
        if self.visited.len() >= MAX_VISITED {
            self.visited.remove(0);
        }
        self.visited.push(number);
    }

    /// Forgets all windows that are neither wanted nor were visited of late, and their
    /// files; the first time also those that an earlier run made and left.
    pub fn keep(
        &mut self,
        wanted: &[u64],
        maker: &WindowBuilder,
        folder: &Folder,
    ) -> Result<(), Error> {
        let wanted: Vec<_> = wanted.iter().chain(&self.visited).copied().collect();
        let mut gone = Vec::new();
        for number in self.numbers().into_iter().filter(|number| !wanted.contains(number)) {
            self.forget(number)?;
            gone.push(maker.start_unix_s(number));
        }
        if !self.swept {
            let kept = wanted.iter().copied().chain(self.building.as_ref().map(|on| on.number));
            let kept: Vec<_> = kept.map(|number| maker.start_unix_s(number)).collect();
            let left = self.made.windows().filter(|start| !kept.contains(start));
            gone.extend(sweep(&left.collect::<Vec<_>>(), maker)?);
            self.swept = true;
        }
        self.made.remove(&gone, folder)
    }
}

/// Removes windows that an earlier run made, and what killed builds of theirs have left.
/// What has such a name and is not in the record is not ours.
fn sweep(starts: &[u64], maker: &WindowBuilder) -> Result<Vec<u64>, Error> {
    let failed = || Error::io("listing", &maker.folder);
    let drafts: Vec<_> = starts.iter().map(|start| format!(".{}.", name_of(*start))).collect();
    for entry in fs::read_dir(&maker.folder).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_draft(name.as_ref().as_ref()) && drafts.iter().any(|draft| name.starts_with(draft)) {
            remove_file(&path)?;
        }
    }
    for start in starts {
        remove_file(&maker.folder.join(name_of(*start)))?;
    }
    Ok(starts.to_vec())
}

/// The name of the file of the window that begins then.
fn name_of(start_unix_s: u64) -> String {
    format!("{NAME_PREFIX}{start_unix_s}{NAME_SUFFIX}")
}

impl Drop for Windows {
    /// A build that is under way writes into the folder, which is ours no longer.
    fn drop(&mut self) {
        if let Some(building) = self.building.take() {
            let _ = building.thread.join();
        }
    }
}
