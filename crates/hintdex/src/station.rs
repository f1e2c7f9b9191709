//! A station: the fleet's folder, opened.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use hintdex_core::{ClockMove, DeviceRange, LiveIndex, Params, Report, Stats};
use hintdex_host::{Clock, Exposed, SystemClock};
use hintdex_scan::KeyTable;
use hintdex_snapshot::{BuildReport, ManifestKey, OpenError, Snapshot};
use hintdex_wire::{DeviceId, KeySource, MasterKey, Slot};

use crate::folder::FleetFolder;
use crate::keys::{FleetKeys, master_file};
use crate::options::StationOptions;
use crate::scans::{ScanStats, Scans};
use crate::snapshots::{Coming, Snapshots};
use crate::upkeep::{Background, Roller, Upkeep};
use crate::{Error, RebuildOptions};

/// The live index, inside a fleet's folder.
const INDEX_FOLDER: &str = "index";
/// The master key, inside a fleet's folder.
const KEY_FILE: &str = "master.key";
/// The snapshot a station builds for itself, inside a fleet's folder.
const SNAPSHOT_FILE: &str = "snapshot.hdx";
/// How many lookaheads that snapshot reaches ahead: it costs half as much a hint
/// as the live index, and few devices run past it before the next roll.
const SNAPSHOT_LOOKAHEADS: u32 = 4;

/// A fleet's folder, opened: packets in, verdicts out. Shared between threads as it is.
///
/// See the [crate documentation](crate) for an example.
pub struct Station {
    pub(crate) index: Arc<LiveIndex>,
    pub(crate) keys: Arc<FleetKeys>,
    /// The hint keys of all slots, once somebody asked for them.
    pub(crate) table: RwLock<Option<Arc<KeyTable>>>,
    pub(crate) snapshots: Arc<Snapshots>,
    /// Why the station's own snapshot was not attached at opening, if it was not.
    refused: Option<Error>,
    own_snapshot: PathBuf,
    options: StationOptions,
    pub(crate) background: Background,
    roller: Roller,
    /// Files of the fleet that others can read, until they are reported.
    exposed: Mutex<Vec<Exposed>>,
    pub(crate) scans: Scans,
    /// Ours until everything above is closed.
    folder: Arc<FleetFolder>,
}

impl Station {
    /// Makes a fleet without devices in the folder `dir`.
    ///
    /// `master_key` names a file of 64 hex digits, which is copied into the
    /// folder; without it a new key is made there, readable by its owner alone.
    ///
    /// # Errors
    /// [`Error::KeyFile`], [`Error::OtherMasterKey`], or what the index or the
    /// file system says. There may be a folder with a master key then; making the
    /// fleet again goes on from it.
    pub fn create(
        dir: &Path,
        master_key: Option<&Path>,
        params: Params,
        options: &StationOptions,
    ) -> Result<Self, Error> {
        Self::create_with(dir, master_key, params, options, Arc::new(SystemClock))
    }

    /// [`create`](Self::create) by another clock than the system's.
    ///
    /// # Errors
    /// Those of [`create`](Self::create).
    pub fn create_with(
        dir: &Path,
        master_key: Option<&Path>,
        params: Params,
        options: &StationOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        params.check()?;
        let given = master_key.map(master_file::read_given).transpose()?;
        let folder = FleetFolder::open_or_create(dir)?;
        let index = dir.join(INDEX_FOLDER);
        if index.exists() {
            return Err(hintdex_core::Error::AlreadyAnIndex { path: dir.to_owned() }.into());
        }
        let kept = dir.join(KEY_FILE);
        if !kept.exists() {
            let new = || master_file::generate(&kept);
            master_file::write(&kept, &given.clone().map_or_else(new, Ok)?)?;
        }
        let secret = master_file::settle(&kept)?;
        check_same(given.as_ref(), &secret, &kept)?;
        let keys = FleetKeys::open(dir, MasterKey::new(&secret))?;
        let index =
            LiveIndex::create_with(&index, keys.clone(), params, &options.of_index(), clock)?;
        Self::with(dir, folder, index, keys, options)
    }

    /// Opens the fleet in the folder `dir`.
    ///
    /// Reads every state, about 0.2 s a million devices. The hint keys are derived
    /// when the first packet comes, or by [`warm_up`](Self::warm_up).
    ///
    /// # Errors
    /// [`Error::KeyFile`], or what the index says.
    pub fn open(dir: &Path, options: &StationOptions) -> Result<Self, Error> {
        Self::open_with(dir, options, Arc::new(SystemClock))
    }

    /// [`open`](Self::open) by another clock than the system's.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(
        dir: &Path,
        options: &StationOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let index = dir.join(INDEX_FOLDER);
        // No lock is made in a folder that is somebody else's.
        if !LiveIndex::exists(&index) {
            return Err(hintdex_core::Error::NotAnIndex { path: dir.to_owned() }.into());
        }
        let folder = FleetFolder::open(dir)?;
        let secret = master_file::read(&dir.join(KEY_FILE))?;
        let keys = FleetKeys::open(dir, MasterKey::new(&secret))?;
        let index = LiveIndex::open_with(&index, keys.clone(), &options.of_index(), clock)?;
        Self::with(dir, folder, index, keys, options)
    }

    /// Removes the index of a fleet that has no device, and leaves its keys: for whoever
    /// made it and could not fill it. Nothing is removed of a fleet with devices, or whose
    /// index is [poisoned](Self::is_poisoned) and may have devices.
    ///
    /// # Errors
    /// What the file system says.
    pub fn discard_empty(self) -> Result<(), Error> {
        if self.is_poisoned() || self.index.slot_count() > 0 {
            return Ok(());
        }
        let index = self.own_snapshot.with_file_name(INDEX_FOLDER);
        let folder = self.folder.clone();
        drop(self);
        folder.remove(&index)
    }

    /// Whether a write or a sync has failed, so that nobody knows what reached the disk. The
    /// station refuses everything from then on; opening the fleet again tells what is there.
    pub fn is_poisoned(&self) -> bool {
        self.index.is_poisoned()
    }

    /// Whether there is a fleet in the folder `dir`.
    pub fn exists(dir: &Path) -> bool {
        dir.join(INDEX_FOLDER).is_dir()
    }

    /// Checks that the master key in the file `path` is the one kept in `dir`.
    ///
    /// # Errors
    /// [`Error::KeyFile`] if either is none, [`Error::OtherMasterKey`] if they differ.
    pub fn check_master_key(dir: &Path, path: &Path) -> Result<(), Error> {
        let kept = dir.join(KEY_FILE);
        check_same(Some(&master_file::read_given(path)?), &master_file::read(&kept)?, &kept)
    }

    pub(crate) fn with(
        dir: &Path,
        folder: FleetFolder,
        index: LiveIndex,
        keys: Arc<FleetKeys>,
        options: &StationOptions,
    ) -> Result<Self, Error> {
        keys.settle(&index)?;
        let own_snapshot = dir.join(SNAPSHOT_FILE);
        let snapshots = Arc::new(Snapshots::default());
        let left_to = index.lean_snapshot();
        let wanted = left_to.is_some() || (options.snapshot_at_roll && own_snapshot.exists());
        let attached = wanted.then(|| snapshots.attach(&index, &own_snapshot)).transpose();
        let is_there = left_to.is_none() || attached.as_ref().ok().copied().flatten() == left_to;
        if options.refill && (!is_there || index.lacks_window()) {
            index.roll(None)?;
        }
        let refused = attached.err();
        let station = Self {
            index: Arc::new(index),
            keys,
            table: RwLock::default(),
            snapshots,
            refused,
            own_snapshot,
            options: *options,
            background: Background::default(),
            roller: Roller::default(),
            exposed: Mutex::new(Exposed::find_in(dir)),
            scans: Scans::new(options.scan_core_share),
            folder: Arc::new(folder),
        };
        if station.params().nonces.is_clocked() {
            station.upkeep().attach_spans(options.refill)?;
            if options.refill {
                station.upkeep().run(None)?;
            }
            if options.roll_in_background {
                station.roller.start(station.upkeep(), &station.background)?;
            }
        }
        Ok(station)
    }

    /// Asks the snapshot in the file `path` first from now on. Two are asked at
    /// most: this one and the one before. No lookup waits for the change.
    ///
    /// Reads the file into memory of the station's own, so whatever happens to the file
    /// afterwards, lookups go on. Costs its length in memory and the reading of it.
    ///
    /// # Errors
    /// [`Error::Snapshot`] if the file is none, is damaged, or another fleet's;
    /// [`Error::SnapshotRefused`] if it is older than a change of keys.
    pub fn attach(&self, path: &Path) -> Result<(), Error> {
        self.attach_by(path, |path, key| Snapshot::open_in_memory(path, key))
    }

    /// [`attach`](Self::attach) for whoever promises that nobody writes into the file or
    /// truncates it while the station is open: other files may be *renamed* over it. Maps
    /// the file, so that processes share its pages. Broken, the promise ends the process.
    ///
    /// # Errors
    /// Those of [`attach`](Self::attach).
    pub fn attach_mapped(&self, path: &Path) -> Result<(), Error> {
        self.attach_by(path, |path, key| Snapshot::open(path, key))
    }

    fn attach_by(
        &self,
        path: &Path,
        open: fn(&Path, &ManifestKey) -> Result<Snapshot, OpenError>,
    ) -> Result<(), Error> {
        self.snapshots.attach_by(&self.index, path, open)?;
        self.lock_exposed().extend(Exposed::find(path));
        Ok(())
    }

    fn lock_exposed(&self) -> MutexGuard<'_, Vec<Exposed>> {
        self.exposed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files of the attached snapshots, the newest first.
    pub fn snapshots(&self) -> Vec<PathBuf> {
        self.snapshots.paths()
    }

    /// Why the station's own snapshot was not attached at opening, if it was there
    /// and was not. The live index answers in its place; the next roll mends it.
    pub const fn refused_snapshot(&self) -> Option<&Error> {
        self.refused.as_ref()
    }

    /// Builds a snapshot of what is coming from every device and publishes it as
    /// `path`, whole or not at all; attached decoders keep the file they have.
    ///
    /// Costs the making of every hint and about 0.1 µs for each; `report` counts hints.
    ///
    /// # Errors
    /// [`Error::Rebuild`].
    pub fn rebuild(
        &self,
        path: &Path,
        options: &RebuildOptions,
        report: Option<Report<'_>>,
    ) -> Result<BuildReport, Error> {
        let span = options.span.map(|(from, to)| from..to);
        let coming = Coming::of(&self.index, options.horizon_nonces, span);
        self.snapshots.rebuild(&self.index, &coming, path, options, report)
    }

    /// Adds devices. All of them are added or none. `report` counts slots.
    ///
    /// # Errors
    /// What the index says: ids that are there already, or past the last one.
    pub fn provision(
        &self,
        ranges: &[DeviceRange],
        report: Option<Report<'_>>,
    ) -> Result<Range<Slot>, Error> {
        self.keys.check_given(ranges)?;
        let slots = self.index.provision(ranges, report)?;
        self.extend_table()?;
        self.scans.forget();
        Ok(slots)
    }

    /// Retires a device: from now on its packets are unknown.
    ///
    /// # Errors
    /// What the index says: no such device.
    pub fn retire(&self, device: DeviceId) -> Result<(), Error> {
        let slots = self.index.retire(device)?;
        if let Some(table) = &mut *self.table.write().unwrap_or_else(PoisonError::into_inner) {
            slots.into_iter().for_each(|slot| Arc::make_mut(table).retire(slot));
        }
        self.scans.forget();
        Ok(())
    }

    /// Does now what the station does in the background when half of its index is
    /// stale: builds the next window and drops the stale one, and builds and
    /// attaches its own snapshot, as far as its options say so.
    ///
    /// # Errors
    /// What the index says, or [`Error::Rebuild`].
    pub fn roll(&self, report: Option<Report<'_>>) -> Result<(), Error> {
        self.upkeep().run(report)
    }

    /// Why the last roll in the background failed, if it did; told once. What was
    /// there before still answers.
    pub fn take_upkeep_failure(&self) -> Option<Error> {
        self.background.take_failure()
    }

    /// Takes the notes since the last call, one line each: damage found in the index and how
    /// it was mended, and files of the fleet that other users of the machine can read.
    pub fn take_notes(&self) -> Vec<String> {
        let exposed = std::mem::take(&mut *self.lock_exposed());
        let exposed = exposed.into_iter().map(|exposed| exposed.to_string());
        exposed.chain(self.index.take_notes()).collect()
    }

    /// The devices that are out of service, each with the reason: their stored state or
    /// their key is damaged, and nothing they send is accepted. All others go on.
    pub fn out_of_service(&self) -> Vec<(DeviceId, &'static str)> {
        let slots = self.index.out_of_service().into_iter();
        slots.map(|(key, why)| (key.device, why)).collect()
    }

    /// The device whose key stands at `slot`.
    pub fn device(&self, slot: Slot) -> Option<DeviceId> {
        self.index.key(slot).map(|key| key.device)
    }

    /// What the index holds and what it costs.
    ///
    /// # Errors
    /// What the index says.
    pub fn stats(&self) -> Result<Stats, Error> {
        Ok(self.index.stats()?)
    }

    /// What scans did and cost since the station was opened.
    pub fn scan_stats(&self) -> ScanStats {
        self.scans.stats()
    }

    /// What the fleet's index is for.
    pub fn params(&self) -> Params {
        self.index.params()
    }

    /// The station's time, in seconds since 1970.
    pub fn now_s(&self) -> u64 {
        self.index.now_s()
    }

    /// Where the fleet's keys come from.
    pub fn key_source(&self) -> &Arc<dyn KeySource> {
        self.index.key_source()
    }

    /// The devices whose clocks jumped, and were moved by two packets that agree, since
    /// this was asked last.
    pub fn take_clock_moves(&self) -> Vec<(DeviceId, ClockMove)> {
        let moves = self.index.take_clock_moves().into_iter();
        moves.filter_map(|moved| Some((self.index.key(moved.slot)?.device, moved))).collect()
    }

    /// Builds the present window, where nonces tell time and it is not there: after a
    /// clock that leapt, or a pause. Nothing but a scan would find a device without it,
    /// and that is what does when it cannot be built.
    pub(crate) fn keep_the_present(&self) {
        if self.params().nonces.is_clocked() && self.options.roll_in_background {
            let present = self.index.timing().span_at(self.index.now_s());
            if self.index.missing_spans().contains(&present) {
                self.background.run_now(&self.upkeep());
            }
        }
    }

    /// Whether a window of time is left to a snapshot that is damaged.
    fn has_damaged_span(&self) -> bool {
        let spans = self.index.spans().into_iter();
        spans.filter_map(|(_, left_to)| left_to).any(|id| self.snapshots.is_damaged(&id))
    }

    /// Starts upkeep in the background if it is due and not running.
    pub(crate) fn roll_if_due(&self) {
        if !self.options.roll_in_background {
            return;
        }
        if self.index.lean_snapshot().is_some_and(|id| self.snapshots.is_damaged(&id)) {
            // The snapshot does not hold any longer what was left to it.
            let full = Upkeep { lean: false, own_snapshot: None, ..self.upkeep() };
            self.background.start(full);
        } else if self.index.needs_roll() || self.index.is_span_due() || self.has_damaged_span() {
            self.background.start(self.upkeep());
        }
    }

    /// A round of upkeep by the station's options.
    pub(crate) fn upkeep(&self) -> Upkeep {
        let keeps =
            self.options.snapshot_at_roll || self.options.lean || self.params().nonces.is_clocked();
        Upkeep {
            index: self.index.clone(),
            snapshots: self.snapshots.clone(),
            own_snapshot: keeps.then(|| self.own_snapshot.clone()),
            rebuild: RebuildOptions {
                horizon_nonces: (self.params().lookahead * SNAPSHOT_LOOKAHEADS).into(),
                memory_bytes: self.options.memory_bytes,
                ..RebuildOptions::default()
            },
            lean: self.options.lean,
            alone: self.background.alone.clone(),
        }
    }
}

impl Drop for Station {
    /// Waits for a roll in the background, which would otherwise be lost.
    fn drop(&mut self) {
        self.roller.stop();
        self.background.wait();
    }
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station").field("index", &self.index).finish_non_exhaustive()
    }
}

fn check_same(
    given: Option<&master_file::Secret>,
    kept: &master_file::Secret,
    path: &Path,
) -> Result<(), Error> {
    // Whoever can give a key here can read the one beside the index, too: there
    // is nothing to learn from how long this takes.
    match given {
        Some(given) if given != kept => Err(Error::OtherMasterKey { path: path.to_owned() }),
        _ => Ok(()),
    }
}
