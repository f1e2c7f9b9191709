//! The windows there are: the present one, the next, and those that are visited.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::bounds::ClockBounds;
use crate::learned::Learned;
use crate::registry::Registry;
use crate::steps::{self, Span};
use crate::window::{Plan, Window, remove_file};
use crate::{Error, Event, Options};

const NAME_PREFIX: &str = "window-";
const NAME_SUFFIX: &str = ".hdx";
/// What the name of a file that is being built ends in.
const DRAFT_SUFFIX: &str = ".building";
const EPOCH_FILE: &str = "epoch.hdx";

/// Windows that sightings of other times have visited are kept up to this many: times
/// may alternate, as those of two receivers do of which one is late, and building a
/// window takes as long as answering a million sightings.
const MAX_VISITED: usize = 4;

/// How long a build that failed in the background is not tried again.
const RETRY_S: u64 = 60;

/// Makes windows of a folder's beacons.
#[derive(Clone)]
pub struct Maker {
    pub folder: PathBuf,
    pub registry: Arc<Registry>,
    pub options: Options,
}

impl Maker {
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

    /// Its file.
    pub fn path(&self, number: u64) -> PathBuf {
        self.folder.join(self.name(number))
    }

    fn name(&self, number: u64) -> String {
        format!("{NAME_PREFIX}{}{NAME_SUFFIX}", self.start_unix_s(number))
    }

    /// The window of this number, as the clocks are known now.
    fn window(
        &self,
        number: u64,
        bounds: &[ClockBounds],
        moves: u64,
        threads: usize,
        events: &mut Vec<Event>,
    ) -> Result<Window, Error> {
        let (span, allowed) = (self.span(number), self.options.allowance());
        let Options { span_s, before_s, after_s, max_drift_ppm, tries, .. } = self.options;
        let steps = |slot: u32, row: &_| {
            let clock = bounds.get(slot as usize);
            clock.map_or(0..0, |clock| steps::expected(row, clock, span, allowed))
        };
        let drift_ppm = max_drift_ppm.into();
        let of = [1, number, span_s, before_s, after_s, drift_ppm, tries.into(), moves];
        let plan = Plan {
            path: self.path(number),
            registry: &self.registry,
            steps: &steps,
            origin: self.registry.origin_of(&of),
            tries,
            threads,
        };
        plan.open_or_build(events)
    }

    /// What every beacon sends when its clock has just begun.
    pub fn epoch(&self, events: &mut Vec<Event>) -> Result<Window, Error> {
        let Options { probe_span_s, tries, .. } = self.options;
        let plan = Plan {
            path: self.folder.join(EPOCH_FILE),
            registry: &self.registry,
            steps: &|_, row| steps::first(row, probe_span_s),
            origin: self.registry.origin_of(&[2, probe_span_s, tries.into()]),
            tries,
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
#[derive(Default)]
pub struct Windows {
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
pub struct Arrived {
    pub number: u64,
    pub moved: usize,
}

impl Windows {
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
        maker: &Maker,
        learned: &Learned,
        moved: usize,
        events: &mut Vec<Event>,
    ) -> Result<Option<Arrived>, Error> {
        if self.live.contains_key(&number) {
            return Ok(None);
        }
        if self.is_building(number)
            && let arrived @ Some(_) = self.take_built(events)
        {
            return Ok(arrived);
        }
        let window = maker.window(number, learned.bounds(), learned.moves(), 0, events)?;
        self.live.insert(number, window);
        Ok(Some(Arrived { number, moved }))
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
        maker: &Maker,
        learned: &Learned,
        moved: usize,
        now_unix_s: u64,
    ) {
        if !self.may_build_ahead(now_unix_s) {
            return;
        }
        self.retry_unix_s = now_unix_s.saturating_add(RETRY_S);
        let (maker, bounds, moves) = (maker.clone(), learned.bounds().to_vec(), learned.moves());
        let build = move || {
            let (threads, mut events) = (maker.options.background_threads, Vec::new());
            let window = maker.window(number, &bounds, moves, threads, &mut events)?;
            Ok((window, events))
        };
        self.building = Some(Building { number, moved, thread: std::thread::spawn(build) });
    }

    /// Whether the build in the background has ended, one way or the other.
    pub fn has_built(&self) -> bool {
        self.building.as_ref().is_some_and(|building| building.thread.is_finished())
    }

    /// Waits for the build in the background and makes its window live. `None` if
    /// there is none, or it failed, which is told.
    pub fn take_built(&mut self, events: &mut Vec<Event>) -> Option<Arrived> {
        let Building { number, moved, thread } = self.building.take()?;
        let what = match thread.join() {
            Ok(Ok((window, more))) => {
                events.extend(more);
                self.live.insert(number, window);
                self.retry_unix_s = 0;
                return Some(Arrived { number, moved });
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
    /// files; the first time also those that an earlier run left.
    pub fn keep(&mut self, wanted: &[u64], maker: &Maker) -> Result<(), Error> {
        let wanted: Vec<_> = wanted.iter().chain(&self.visited).copied().collect();
        let unwanted = |number: &u64| !wanted.contains(number);
        for number in self.numbers().into_iter().filter(unwanted) {
            self.forget(number)?;
        }
        if !self.swept {
            self.sweep(&wanted, maker)?;
            self.swept = true;
        }
        Ok(())
    }

    fn sweep(&self, wanted: &[u64], maker: &Maker) -> Result<(), Error> {
        let failed = || Error::io("listing", &maker.folder);
        let kept: Vec<_> = wanted.iter().map(|number| maker.path(*number)).collect();
        let being_built = self.building.as_ref().map(|building| maker.name(building.number));
        for entry in fs::read_dir(&maker.folder).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // A build that was killed has left a draft, behind a dot.
            let name = name.strip_prefix('.').unwrap_or(&name);
            let is_window = name.starts_with(NAME_PREFIX)
                && [NAME_SUFFIX, DRAFT_SUFFIX].iter().any(|end| name.ends_with(end));
            let is_being_built = being_built.as_ref().is_some_and(|built| name.starts_with(built));
            if is_window && !is_being_built && !kept.contains(&path) {
                remove_file(&path)?;
            }
        }
        Ok(())
    }
}

impl Drop for Windows {
    /// A build that is under way writes into the folder, which is ours no longer.
    fn drop(&mut self) {
        if let Some(building) = self.building.take() {
            let _ = building.thread.join();
        }
    }
}
