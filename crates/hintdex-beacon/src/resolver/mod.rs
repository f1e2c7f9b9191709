//! The resolver: identifiers in, beacons out.

mod confirm;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hintdex_wire::Slot;
use rayon::prelude::*;

use crate::bounds::{ClockBounds, LAST_UNIX_S};
use crate::clock_store::ClockStore;
use crate::folder::Folder;
use crate::identities::Identities;
use crate::owned_windows::OwnedWindows;
use crate::records::BeaconRecord;
use crate::registration::{FUTURE_ALLOWANCE_S, Rule};
use crate::registry::Registry;
use crate::rings::SearchCursor;
use crate::steps;
use crate::window::{Damaged, Window};
use crate::windows::{BuiltWindow, WindowBuilder, Windows};
use crate::{Answer, Clock, Error, Event, Identification, Options, Sighting, Source};

/// Sightings that one task looks up.
const SIGHTINGS_PER_TASK: usize = 256;

/// Finds the beacons of a folder by what they send.
///
/// Of each beacon it keeps 88 bytes in memory, 16 more of one with a resolvable
/// address, some 200 more of one whose clock moved or is suspected to have, and the
/// windows' pages as they are touched.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use hintdex_beacon::wire::DeviceId;
/// use hintdex_beacon::{
///     Answer, Event, Identification, ManualClock, Options, Resolver, SearchResult, Source, Stats,
///     WindowStats,
/// };
/// # use hintdex_beacon::wire::HintKey;
/// # use hintdex_beacon::wire::beacon::eddystone::{EidCipher, RotationExponent};
/// # use hintdex_beacon::{Identifier, Changes, Registration, Rule, Sighting};
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("beacons");
/// # let now = 1_764_000_000;
/// # let (key, k) = (HintKey::from_bytes([7; 16]), RotationExponent::new(10).unwrap());
/// # let mut changes = Changes::open(&folder, now)?;
/// # let clock_offset_s = now as i64 - 1_000_000;
/// # let is_randomized = false;
/// # let rule = Rule::EddystoneEid { k, clock_offset_s, measured_unix_s: now, is_randomized };
/// # changes.add(&Registration { device: DeviceId(42), key: key.clone(), rule })?;
/// # changes.publish()?;
/// # let heard = |clock_s, time_unix_s| {
/// #     let identifier = Identifier::Eid(EidCipher::new(&key, k).eid(clock_s));
/// #     Sighting { identifier, time_unix_s }
/// # };
///
/// // The folder has beacon 42, whose clock shows 1,000,000 s now.
/// let clock = Arc::new(ManualClock::new(now));
/// let mut resolver = Resolver::open(&folder, Options::default(), Box::new(clock.clone()))?;
/// resolver.advance()?;
/// let answers = resolver.resolve_batch(&[heard(1_000_000, now)])?;
/// let expected = Identification {
///     device: DeviceId(42),
///     source: Source::Snapshot,
///     ..*answers[0].identification().unwrap()
/// };
/// assert_eq!(answers, [Answer::Identified(expected)]);
///
/// // Its clock stood still for a day. No window has such an identifier; a search finds it.
/// let late = heard(1_000_000 - 86_400, now);
/// assert_eq!(resolver.resolve_batch(&[late])?, [Answer::Unknown]);
/// let SearchResult { answers, is_complete, .. } = resolver.search(&[late], Duration::from_secs(60));
/// assert!(is_complete && answers[0].identification().is_some());
///
/// // The next rotation agrees with it, so the clock moves.
/// clock.set(now + 1024);
/// resolver.advance()?;
/// resolver.resolve_batch(&[heard(1_000_000 - 86_400 + 1024, now + 1024)])?;
/// let events: Vec<Event> = resolver.take_events();
/// assert!(matches!(events[..], [Event::ClockMoved { device: DeviceId(42), .. }]), "{events:?}");
///
/// let Stats { beacons, windows, .. } = resolver.stats();
/// let identifiers: u64 = windows.iter().map(|WindowStats { identifiers, .. }| identifiers).sum();
/// assert!(beacons == 1 && identifiers > 0);
/// resolver.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Resolver {
    pub(crate) maker: WindowBuilder,
    pub(crate) learned: ClockStore,
    clock: Box<dyn Clock>,
    pub(crate) windows: Windows,
    /// What beacons send whose clock has just begun; made when it is first needed.
    pub(crate) epoch: Option<Window>,
    /// Slots whose clocks this run has moved, in the order in which it did.
    pub(crate) moved: Vec<u32>,
    pub(crate) identities: Identities,
    pub(crate) events: Vec<Event>,
    last_now_unix_s: u64,
    /// When the newest of the clocks was measured.
    pub(crate) newest_measured_unix_s: u64,
    /// Where the next search begins.
    pub(crate) search_cursor: SearchCursor,
    /// Dropped last: the folder is ours as long as anything writes into it.
    folder: Folder,
}

/// A sighting that was confirmed.
#[derive(Clone, Copy)]
pub(crate) struct Hit {
    pub slot: u32,
    pub step: u64,
    pub source: Source,
}

impl Resolver {
    /// Opens a folder of beacons that were imported.
    ///
    /// No window is built yet: [`advance`](Self::advance) builds what the present
    /// needs, however long nobody was here, and a sighting what its own time needs.
    /// 0.1 to 0.2 s a million beacons.
    ///
    /// # Errors
    /// [`Error::NoBeacons`], [`Error::Locked`], [`Error::Option`]; [`Error::Damaged`]
    /// when the keys are not what was written, or the clocks are those of another folder.
    /// What is damaged of the clocks is told by [`take_events`](Self::take_events).
    pub fn open(path: &Path, options: Options, clock: Box<dyn Clock>) -> Result<Self, Error> {
        options.check()?;
        let (folder, registry) = Registry::of_folder(path)?;
        let mut events = Vec::new();
        let learned = ClockStore::read(&folder, &registry, &mut events)?;
        let made = OwnedWindows::read(&folder, registry.folder_id(), &mut events)?;
        let newest_measured_unix_s = registry.newest_measured_unix_s();
        let identities = Identities::of(&registry);
        let maker =
            WindowBuilder { folder: path.to_owned(), registry: Arc::new(registry), options };
        Ok(Self {
            maker,
            learned,
            clock,
            windows: Windows::new(made),
            epoch: None,
            moved: Vec::new(),
            identities,
            events,
            last_now_unix_s: 0,
            newest_measured_unix_s,
            search_cursor: SearchCursor::default(),
            folder,
        })
    }

    /// The station's time.
    pub fn now_unix_s(&self) -> u64 {
        self.clock.now_unix_s().min(LAST_UNIX_S)
    }

    /// Follows the clock: builds the present window if it is not there, begins the
    /// next one in the background when it is near, drops those that have passed.
    ///
    /// Call it before each batch of live sightings, or every few seconds. It costs
    /// nothing unless a window begins or ends. What it built is on disk and is used
    /// again by the next run.
    ///
    /// # Errors
    /// What building a window says: a full disk, for example. Nothing is lost then,
    /// and the next call tries again.
    pub fn advance(&mut self) -> Result<(), Error> {
        let now = self.now_unix_s();
        if now.saturating_add(self.maker.options.before_s) < self.last_now_unix_s {
            let from_unix_s = self.last_now_unix_s;
            self.events.push(Event::StationClockWentBack { from_unix_s, to_unix_s: now });
        }
        self.last_now_unix_s = now;
        if self.windows.has_built()
            && let Some(arrived) = self.windows.take_built(&mut self.events)
        {
            self.welcome(&arrived);
        }
        let present = self.maker.number_of(now);
        self.ensure(present)?;
        let next = present + 1;
        let lead_s = self.maker.options.lead_s;
        let is_near = self.maker.start_unix_s(next).saturating_sub(now) <= lead_s;
        // Asked before clocks are saved: that takes a while, and there may be no build.
        if is_near && self.windows.get(next).is_none() && self.windows.may_build_ahead(now) {
            self.save()?;
            let (moved, ours) = (self.moved.len(), (&self.maker, &self.folder));
            if let Err(error) = self.windows.build_ahead(next, ours, &self.learned, moved, now) {
                self.events.push(Event::NextWindowFailed { what: error.to_string() });
            }
        }
        self.windows.keep(&self.current(), &self.maker, &self.folder)
    }

    /// The beacons whose keys make the addresses among `sightings` with their bytes reversed.
    ///
    /// Phones and sniffers write an identity resolving key in either order of its bytes. A
    /// match shows that a key may be registered in the wrong order. A wrong key matches an
    /// address once in 2²⁴, so ask for few addresses. Every call reverses every key: about
    /// 10 ns each, and 1 to 3 ns for each address.
    ///
    /// ```
    /// # use hintdex_beacon::wire::{DeviceId, HintKey};
    /// # use hintdex_beacon::{
    /// #     Answer, Identifier, Changes, Options, Registration, Resolver, Rule, Sighting, SystemClock,
    /// # };
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path().join("beacons");
    /// // The sample of the Bluetooth Core Specification, its key in the wrong order.
    /// let key = HintKey::from_bytes(0xec0234a357c8ad05341010a60a397d9b_u128.to_le_bytes());
    /// let identifier = Identifier::from_bytes(&[0x70, 0x81, 0x94, 0x0d, 0xfb, 0xaa])?;
    /// # let mut changes = Changes::open(&folder, 1_764_000_000)?;
    /// changes.add(&Registration { device: DeviceId(5), key, rule: Rule::BleRpa })?;
    /// # changes.publish()?;
    /// # let mut resolver = Resolver::open(&folder, Options::default(), Box::new(SystemClock))?;
    /// let heard = Sighting { identifier, time_unix_s: 1_764_000_000 };
    /// assert_eq!(resolver.resolve_batch(&[heard])?, [Answer::Unknown]);
    /// let reversed = resolver.resolve_reversed(&[heard]);
    /// assert_eq!(reversed[0].identification().map(|found| found.device), Some(DeviceId(5)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resolve_reversed(&self, sightings: &[Sighting]) -> Vec<Answer> {
        let mut answers = vec![Answer::Unknown; sightings.len()];
        let registry = &self.maker.registry;
        Identities::reversed(registry).resolve(sightings, registry, &mut answers);
        answers
    }

    /// Says who sends what was heard, sightings in the order they are given.
    ///
    /// Each is answered from the window of its own time, which is built if it is
    /// neither the present nor the next, and kept until four others were visited: sort
    /// sightings of the past by time, or make windows longer. Where that time is more than
    /// 30 days from the present, every beacon is tried instead, at 0.3 µs a beacon for
    /// each such window and call; where it is more than a year ahead, or so far back that
    /// clocks may have drifted anywhere, nothing is looked for ([`Answer::OutOfRange`]). All are
    /// answered by what was known before the call; what they tell of clocks counts
    /// from the next call on.
    ///
    /// On one core an identifier takes 1 to 2 µs, and one of nobody, which is looked up in the
    /// epoch probe, too, twice as long; an address takes 1 to 3 ns for every key there is.
    ///
    /// # Errors
    /// What building a window says, as in [`advance`](Self::advance).
    pub fn resolve_batch(&mut self, sightings: &[Sighting]) -> Result<Vec<Answer>, Error> {
        let mut answers = vec![Answer::Unknown; sightings.len()];
        self.identities.resolve(sightings, &self.maker.registry, &mut answers);
        let latest_unix_s = self.latest_sighting_unix_s();
        let mut of_windows: Vec<(u64, usize)> = Vec::with_capacity(sightings.len());
        for (at, (sighting, answer)) in sightings.iter().zip(&mut answers).enumerate() {
            if sighting.identifier.head().is_none() {
                continue;
            }
            if time_of(sighting) > latest_unix_s {
                *answer = Answer::OutOfRange;
            } else {
                of_windows.push((self.maker.number_of(time_of(sighting)), at));
            }
        }
        of_windows.sort_unstable();
        let mut hits = Vec::new();
        for run in of_windows.chunk_by(|a, b| a.0 == b.0) {
            let Some((number, _)) = run.first() else { continue };
            if self.is_distant(*number) {
                match self.resolve_distant(run, sightings) {
                    Some(found) => hits.extend(found),
                    None => run.iter().for_each(|(_, at)| {
                        if let Some(answer) = answers.get_mut(*at) {
                            *answer = Answer::OutOfRange;
                        }
                    }),
                }
                continue;
            }
            self.ensure(*number)?;
            // The clock runs on: what is kept has to be what was looked at.
            let current = self.current();
            if !current.contains(number) {
                self.windows.visit(*number);
            }
            self.windows.keep(&current, &self.maker, &self.folder)?;
            hits.extend(self.look_up_or_rebuild(*number, run, sightings)?);
        }
        self.take_in(hits, sightings, &mut answers);
        Ok(answers)
    }

    /// Answers what was found. Clocks learn in the order of the input, wherever it was.
    pub(crate) fn take_in(
        &mut self,
        mut hits: Vec<(usize, Hit)>,
        sightings: &[Sighting],
        answers: &mut [Answer],
    ) {
        hits.sort_unstable_by_key(|(at, _)| *at);
        let registry = self.maker.registry.clone();
        let present_unix_s = self.latest_present_unix_s();
        let latest_unix_s = present_unix_s.saturating_add(FUTURE_ALLOWANCE_S);
        for (at, hit) in hits {
            let (Some(answer), Some(sighting), Some(row)) =
                (answers.get_mut(at), sightings.get(at), registry.get(hit.slot))
            else {
                continue;
            };
            *answer = answer_of(row, &hit);
            // Until it is that late, all that comes would be older than such a sighting.
            if time_of(sighting) <= latest_unix_s {
                self.update_clock(row, &hit, time_of(sighting), present_unix_s);
            }
        }
    }

    /// What happened since this was last asked, for the log.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Keeps what was learned of clocks, durably. Otherwise that is done whenever a
    /// window is built.
    ///
    /// # Errors
    /// What the file system says.
    pub fn close(mut self) -> Result<(), Error> {
        self.save()
    }

    pub(crate) fn save(&mut self) -> Result<(), Error> {
        self.learned.save(&self.folder, &self.maker.registry)
    }

    /// Makes the window of this number live, and the file of beginnings with it.
    fn ensure(&mut self, number: u64) -> Result<(), Error> {
        if self.epoch.is_none() {
            self.windows.claim_epoch(&self.maker, &self.folder)?;
            self.epoch = Some(self.maker.epoch(&mut self.events)?);
        }
        if self.windows.get(number).is_some() {
            return Ok(());
        }
        self.save()?;
        let (ours, events) = ((&self.maker, &self.folder), &mut self.events);
        let moved = self.moved.len();
        if let Some(arrived) = self.windows.ensure(number, ours, &self.learned, moved, events)? {
            self.welcome(&arrived);
        }
        Ok(())
    }

    /// Adds to a window that has come to be live what its file lacks: clocks that
    /// moved since it was begun, and those that are only suspected to have moved.
    fn welcome(&mut self, arrived: &BuiltWindow) {
        let since = self.moved.get(arrived.moved..).unwrap_or_default();
        let moved = since.iter().filter_map(|slot| Some((*slot, *self.learned.known(*slot)?)));
        let suspected = self.learned.all_suspected().map(|(slot, clock)| (slot, *clock));
        let all: Vec<_> = moved.chain(suspected).collect();
        for (slot, clock) in all {
            self.add_to(arrived.number, slot, &clock);
        }
    }

    pub(crate) fn add_to(&mut self, number: u64, slot: u32, clock: &ClockBounds) {
        let maker = &self.maker;
        if let (Some(window), Some(row)) = (self.windows.get_mut(number), maker.registry.get(slot))
        {
            let span = maker.span(number);
            window.add(slot, row, steps::expected(row, clock, span, maker.options.allowance()));
        }
    }

    /// The present window, the next, and the one before while identifiers may be as old.
    pub(crate) fn current(&self) -> Vec<u64> {
        let now = self.now_unix_s();
        let present = self.maker.number_of(now);
        let mut current = vec![present, present + 1];
        let age_s = now - self.maker.start_unix_s(present);
        if age_s <= self.maker.options.before_s {
            current.extend(present.checked_sub(1));
        }
        current
    }

    /// Looks sightings up in their window, which is built again if it is damaged.
    fn look_up_or_rebuild(
        &mut self,
        number: u64,
        run: &[(u64, usize)],
        sightings: &[Sighting],
    ) -> Result<Vec<(usize, Hit)>, Error> {
        let what = match self.look_up(number, run, sightings) {
            Ok(hits) => return Ok(hits),
            Err(Damaged(what)) => what,
        };
        let path = self.maker.path(number);
        self.events.push(Event::WindowDamaged { path: path.clone(), what });
        self.windows.forget(number)?;
        self.epoch.take().map_or(Ok(()), Window::remove)?;
        self.ensure(number)?;
        self.look_up(number, run, sightings).map_err(|Damaged(_)| Error::Damaged {
            path,
            what: "a window that was built a moment ago is damaged",
            offset_bytes: 0,
            remedy: "check the disk and the memory of this machine",
        })
    }

    fn look_up(
        &self,
        number: u64,
        run: &[(u64, usize)],
        sightings: &[Sighting],
    ) -> Result<Vec<(usize, Hit)>, Damaged> {
        let (Some(window), Some(epoch)) = (self.windows.get(number), &self.epoch) else {
            return Ok(Vec::new());
        };
        let tasks = run.par_chunks(SIGHTINGS_PER_TASK).map(|task| {
            let heard = |(_, at): &(u64, usize)| Some((*at, sightings.get(*at)?));
            let heard: Vec<_> = task.iter().filter_map(heard).collect();
            self.look_up_task(window, epoch, &heard)
        });
        let hits: Vec<Vec<_>> = tasks.collect::<Result<_, _>>()?;
        Ok(hits.into_iter().flatten().collect())
    }

    /// Looks sightings up in the window, then the others in the epoch probe.
    fn look_up_task(
        &self,
        window: &Window,
        epoch: &Window,
        heard: &[(usize, &Sighting)],
    ) -> Result<Vec<(usize, Hit)>, Damaged> {
        let registry = &self.maker.registry;
        let head_of = |sighting: &Sighting| sighting.identifier.head().unwrap_or(0);
        let heads: Vec<_> = heard.iter().map(|(_, sighting)| head_of(sighting)).collect();
        let mut hits: Vec<Option<Hit>> = vec![None; heard.len()];
        window.find(registry, &heads, |place, slot, step| {
            if let (Some(hit), Some((_, sighting))) = (hits.get_mut(place), heard.get(place)) {
                *hit = hit.or_else(|| self.confirm_step(slot, step, sighting));
            }
        })?;
        for ((hit, head), (_, sighting)) in hits.iter_mut().zip(&heads).zip(heard) {
            *hit = hit.or_else(|| self.confirm(Slot(window.extra(*head)?), sighting));
        }
        let open = hits.iter().enumerate().filter(|(_, hit)| hit.is_none());
        let open: Vec<_> = open.map(|(place, _)| place).collect();
        let heads: Vec<_> = open.iter().filter_map(|place| heads.get(*place).copied()).collect();
        epoch.find(registry, &heads, |at, slot, step| {
            let Some(place) = open.get(at).copied() else { return };
            if let (Some(hit), Some((_, sighting)), Some(row)) =
                (hits.get_mut(place), heard.get(place), registry.get(slot))
                && steps::is_of(row, &sighting.identifier, step)
            {
                hit.get_or_insert(Hit { slot, step, source: Source::Epoch });
            }
        })?;
        let hits = heard.iter().zip(hits).filter_map(|((at, _), hit)| Some((*at, hit?)));
        Ok(hits.collect())
    }
}

/// What is said of a sighting of a beacon.
fn answer_of(row: &BeaconRecord, hit: &Hit) -> Answer {
    let clock_s = steps::clocks_of(row, hit.step).start;
    let is_eddystone = matches!(row.rule(), Some(Rule::EddystoneEid { .. }));
    Answer::Identified(Identification {
        device: row.device(),
        slot: Slot(hit.slot),
        clock_s: Some(if is_eddystone { clock_s & u64::from(u32::MAX) } else { clock_s }),
        source: hit.source,
    })
}

/// When it was heard, if there is such a time.
pub(crate) fn time_of(sighting: &Sighting) -> u64 {
    sighting.time_unix_s.min(LAST_UNIX_S)
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("folder", &self.maker.folder)
            .field("registry", &self.maker.registry)
            .field("options", &self.maker.options)
            .finish_non_exhaustive()
    }
}
