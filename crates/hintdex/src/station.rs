//! A station: the folder of a fleet, opened.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use hintdex_core::{ClockMove, LiveIndex, Params, Report, Stats};
use hintdex_host::{Clock, Exposed, SystemClock};
use hintdex_scan::KeyTable;
use hintdex_snapshot::{BuildReport, Encoding, ManifestKey, OpenError, Snapshot};
use hintdex_wire::{DeviceId, KeySource, MasterKey, Slot};

use crate::folder::FleetFolder;
use crate::keys::{FleetKeys, master_file};
use crate::maintenance::{MaintenancePass, MaintenanceThread, WindowTimer};
use crate::options::StationOptions;
use crate::scans::{ScanStats, Scans};
use crate::snapshots::{ComingHints, Snapshots, rebuild};
use crate::{Error, RebuildOptions};

/// The live index, inside a fleet's folder.
const INDEX_FOLDER: &str = "index";
/// The master key, inside a fleet's folder.
const KEY_FILE: &str = "master.key";
/// The station's own snapshot, inside a fleet's folder.
const SNAPSHOT_FILE: &str = "snapshot.hdx";
/// How many lookaheads the station's own snapshot reaches ahead. A hint costs half as much
/// there as in the live index, and few devices run past four lookaheads before a roll.
const SNAPSHOT_LOOKAHEADS: u32 = 4;

/// The folder of a fleet, opened: packets in, verdicts out. Threads share a station by
/// reference.
///
/// See the [crate documentation](crate) for an example.
///
/// ```
/// use hintdex::{Malformed, Received, ScanStats, Station, StationOptions, Ticket, Unknown, Verdict};
/// # use hintdex::wire::{DeviceId, HintCipher, HintScheme, KeyId, KeySource, Sealer};
/// # let folder = tempfile::tempdir().unwrap();
/// # let dir = folder.path().join("fleet");
/// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
/// # use hintdex::DeviceRange;
/// // No time for scans while packets come in.
/// let options = StationOptions { scan_core_share: 0.0, ..StationOptions::default() };
/// let station = Station::create(&dir, None, params, &options)?;
/// station.provision(&[DeviceRange::new(DeviceId(0), 100)], None)?;
///
/// # let (keys, id) = (station.key_source(), KeyId::first(DeviceId(42)));
/// # let (hint_key, packet_key) = (keys.hint_key(id).unwrap(), keys.packet_key(id).unwrap());
/// # let mut packet = [0; 64];
/// # let len = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, 900)
/// #     .seal(b"21.5 C", &mut packet)
/// #     .unwrap();
/// # let packet = &packet[..len];
/// // Device 42 was away for 900 packets, so the index does not have its hint.
/// let heard = Received { packet, at_unix_s: 1_764_000_000 };
/// let noise = Received { packet: b"noise", ..heard };
/// let verdicts = station.decode_received(&[heard, noise])?;
/// let Verdict::Unknown(Unknown::ScanBudget { ticket }) = verdicts[0] else { panic!() };
/// let too_short = Malformed::TooShort { len_bytes: 5, least_bytes: 24 };
/// assert_eq!(verdicts[1], Verdict::Malformed(too_short));
///
/// // At the end of the input, every key is tried.
/// let waiting: Vec<(Ticket, Verdict)> = station.scan_all_waiting()?;
/// assert_eq!(waiting[0].0, ticket);
/// assert!(matches!(waiting[0].1, Verdict::Accepted { nonce: 900, .. }));
/// let ScanStats { hints, found, .. } = station.scan_stats();
/// assert_eq!((hints, found), (1, 1));
/// # Ok::<(), hintdex::Error>(())
/// ```
pub struct Station {
    pub(crate) index: Arc<LiveIndex>,
    pub(crate) keys: Arc<FleetKeys>,
    /// The hint keys of all slots; `None` until they are first needed.
    pub(crate) table: RwLock<Option<Arc<KeyTable>>>,
    pub(crate) snapshots: Arc<Snapshots>,
    /// Why the station's own snapshot was not attached at opening, if it was rejected.
    refused: Option<Error>,
    own_snapshot: PathBuf,
    pub(crate) options: StationOptions,
    pub(crate) maintenance: MaintenanceThread,
    window_timer: WindowTimer,
    /// Files of the fleet that other users can read, until they are reported.
    exposed: Mutex<Vec<Exposed>>,
    pub(crate) scans: Scans,
    /// The lock of the folder. Declared last, so that it is released after all else is closed.
    folder: Arc<FleetFolder>,
}

impl Station {
    /// Creates a fleet without devices in the folder `dir`.
    ///
    /// `master_key` names a file of 64 hex digits, which is copied into the folder. Without
    /// it, a new random key is generated there, readable by its owner alone.
    ///
    /// # Errors
    /// [`Error::KeyFile`], [`Error::OtherMasterKey`], [`Error::Index`] or [`Error::File`].
    /// A folder with a master key may then exist; the same call continues from it.
    pub fn create(
        dir: &Path,
        master_key: Option<&Path>,
        params: Params,
        options: &StationOptions,
    ) -> Result<Self, Error> {
        Self::create_with(dir, master_key, params, options, Arc::new(SystemClock))
    }

    /// [`create`](Self::create) with a clock other than the system's.
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
        let given = master_key.map(master_file::read_from_user).transpose()?;
        let folder = FleetFolder::open_or_create(dir)?;
        let index = dir.join(INDEX_FOLDER);
        if index.exists() {
            return Err(hintdex_core::Error::AlreadyAnIndex { path: dir.to_owned() }.into());
        }
        // The file exists if an earlier call was interrupted.
        let key_file = dir.join(KEY_FILE);
        if !key_file.exists() {
            let new = || master_file::generate(&key_file);
            master_file::write(&key_file, &given.clone().map_or_else(new, Ok)?)?;
        }
        let secret = master_file::sync_and_read(&key_file)?;
        check_same(given.as_ref(), &secret, &key_file)?;
        let keys = FleetKeys::open(dir, MasterKey::new(&secret))?;
        let index =
            LiveIndex::create_with(&index, keys.clone(), params, &options.of_index(), clock)?;
        Self::assemble(dir, folder, index, keys, options)
    }

    /// Opens the fleet in the folder `dir`.
    ///
    /// Reads every state, about 0.2 s a million devices. The hint keys are derived with the
    /// first packet, or by [`warm_up`](Self::warm_up).
    ///
    /// # Errors
    /// [`Error::KeyFile`], [`Error::KeysMissing`], [`Error::Index`] or [`Error::File`].
    pub fn open(dir: &Path, options: &StationOptions) -> Result<Self, Error> {
        Self::open_with(dir, options, Arc::new(SystemClock))
    }

    /// [`open`](Self::open) with a clock other than the system's.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(
        dir: &Path,
        options: &StationOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let index = dir.join(INDEX_FOLDER);
        // Checked first: no lock file is created in a folder that holds no fleet.
        if !LiveIndex::exists(&index) {
            return Err(hintdex_core::Error::NotAnIndex { path: dir.to_owned() }.into());
        }
        let folder = FleetFolder::open(dir)?;
        let secret = master_file::read(&dir.join(KEY_FILE))?;
        let keys = FleetKeys::open(dir, MasterKey::new(&secret))?;
        let index = LiveIndex::open_with(&index, keys.clone(), &options.of_index(), clock)?;
        Self::assemble(dir, folder, index, keys, options)
    }

    /// Removes the index of a fleet without devices and leaves its keys, for a caller that
    /// created the fleet and could not provision it. Removes nothing if the fleet has
    /// devices, or if the index is [poisoned](Self::is_poisoned) and may have devices.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn discard_empty(self) -> Result<(), Error> {
        if self.is_poisoned() || self.index.slot_count() > 0 {
            return Ok(());
        }
        let index = self.own_snapshot.with_file_name(INDEX_FOLDER);
        let folder = self.folder.clone();
        drop(self);
        folder.remove(&index)
    }

    /// Whether a write or a sync has failed, so that the state on disk is not known. The
    /// station then refuses everything until the fleet is opened again.
    pub fn is_poisoned(&self) -> bool {
        self.index.is_poisoned()
    }

    /// Whether the folder `dir` holds a fleet.
    pub fn exists(dir: &Path) -> bool {
        dir.join(INDEX_FOLDER).is_dir()
    }

    /// Checks that the master key in the file `path` is the key of the fleet in `dir`.
    ///
    /// # Errors
    /// [`Error::KeyFile`] if either file holds no key, [`Error::OtherMasterKey`] if the keys
    /// differ.
    pub fn check_master_key(dir: &Path, path: &Path) -> Result<(), Error> {
        let key_file = dir.join(KEY_FILE);
        let given = master_file::read_from_user(path)?;
        check_same(Some(&given), &master_file::read(&key_file)?, &key_file)
    }

    /// The station of an index that was created or opened: attaches the station's own
    /// snapshot, builds missing windows if the options ask for it, and starts the window timer.
    pub(crate) fn assemble(
        dir: &Path,
        folder: FleetFolder,
        index: LiveIndex,
        keys: Arc<FleetKeys>,
        options: &StationOptions,
    ) -> Result<Self, Error> {
        keys.reconcile(&index)?;
        let own_snapshot = dir.join(SNAPSHOT_FILE);
        let snapshots = Arc::new(Snapshots::default());
        let needed = index.lean_snapshot();
        let is_used = needed.is_some() || (options.snapshot_at_roll && own_snapshot.exists());
        let attached = is_used.then(|| snapshots.attach(&index, &own_snapshot)).transpose();
        let is_whole = needed.is_none() || attached.as_ref().ok().copied().flatten() == needed;
        if options.refill && (!is_whole || index.lacks_window()) {
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
            maintenance: MaintenanceThread::default(),
            window_timer: WindowTimer::default(),
            exposed: Mutex::new(Exposed::find_in(dir)),
            scans: Scans::new(options.scan_core_share),
            folder: Arc::new(folder),
        };
        if station.params().nonces.is_clocked() {
            station.maintenance_pass().attach_spans(options.refill)?;
            if options.refill {
                station.maintenance_pass().run(None)?;
            }
            if options.roll_in_background {
                station.window_timer.start(station.maintenance_pass(), &station.maintenance)?;
            }
        }
        Ok(station)
    }

    /// Attaches the snapshot in the file `path`: lookups ask it first from now on. At most two
    /// snapshots are asked, this one and its predecessor. No lookup waits for the change.
    ///
    /// Copies the file into memory, so a later change of the file does not affect lookups.
    /// Costs the length of the file in memory, and the time to read it.
    ///
    /// # Errors
    /// [`Error::Snapshot`] if the file is no snapshot, is damaged, or is of another fleet;
    /// [`Error::SnapshotRefused`] if it is older than a change of keys.
    pub fn attach(&self, path: &Path) -> Result<(), Error> {
        self.attach_by(path, |path, key| Snapshot::open_in_memory(path, key))
    }

    /// [`attach`](Self::attach) that maps the file, so that processes share its pages.
    ///
    /// The caller promises that no process writes into the file or truncates it while the
    /// station is open; *renaming* another file over it is allowed. If the promise is
    /// broken, a lookup can end the process with a bus error.
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

    /// The paths of the attached snapshots, the newest first.
    pub fn snapshots(&self) -> Vec<PathBuf> {
        self.snapshots.paths()
    }

    /// Why the station's own snapshot was rejected at opening, if there is one and it was.
    /// The live index answers in its place, and the next roll builds a new snapshot.
    pub const fn refused_snapshot(&self) -> Option<&Error> {
        self.refused.as_ref()
    }

    /// Builds a snapshot of the coming hints of every device and publishes it as `path`,
    /// whole or not at all. Stations that have attached an earlier file of that name keep it.
    ///
    /// Costs the computation of every hint and about 0.1 µs more for each. `report` counts
    /// hints.
    ///
    /// ```
    /// use hintdex::snapshot::{Dial, Encoding};
    /// use hintdex::{RebuildOptions, Station, StationOptions};
    /// # use hintdex::DeviceRange;
    /// # use hintdex::wire::{DeviceId, HintCipher, HintScheme, KeyId, KeySource, Sealer};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let dir = folder.path().join("fleet");
    /// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
    /// # let station = Station::create(&dir, None, params, &StationOptions::default())?;
    /// # station.provision(&[DeviceRange::new(DeviceId(0), 1000)], None)?;
    /// # let path = folder.path().join("coming.hdx");
    ///
    /// // The next 100 hints of every device, without a hint in the file.
    /// let options = RebuildOptions {
    ///     encoding: Encoding::Chain,
    ///     dial: Dial::Evaluations(16),
    ///     horizon_nonces: 100,
    ///     ..RebuildOptions::default()
    /// };
    /// let report = station.rebuild(&path, &options, None)?;
    /// assert_eq!(report.hints, 100_000);
    /// station.attach(&path)?;
    /// # Ok::<(), hintdex::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Rebuild`], and for a chain [`Error::Index`] if the key source lacks a key.
    pub fn rebuild(
        &self,
        path: &Path,
        options: &RebuildOptions,
        report: Option<Report<'_>>,
    ) -> Result<BuildReport, Error> {
        let span = options.span.map(|(from, to)| from..to);
        let coming = ComingHints::of(&self.index, options.horizon_nonces, span);
        let is_chain = options.encoding == Encoding::Chain;
        let table = is_chain.then(|| self.whole_table()).transpose()?;
        rebuild(&self.index, &coming, table.as_deref(), path, options, report)
    }

    /// The notes since the last call, one line each: damage found in the index and how it
    /// was repaired, and files of the fleet that other users of the machine can read.
    pub fn take_notes(&self) -> Vec<String> {
        let exposed = std::mem::take(&mut *self.lock_exposed());
        let exposed = exposed.into_iter().map(|exposed| exposed.to_string());
        exposed.chain(self.index.take_notes()).collect()
    }

    /// The devices that are out of service, each with the reason: their stored state or
    /// their key is damaged, and their packets are not accepted. All other devices go on.
    pub fn out_of_service(&self) -> Vec<(DeviceId, &'static str)> {
        let slots = self.index.out_of_service().into_iter();
        slots.map(|(key, why)| (key.device, why)).collect()
    }

    /// The device whose key has the number `slot`.
    pub fn device(&self, slot: Slot) -> Option<DeviceId> {
        self.index.key(slot).map(|key| key.device)
    }

    /// The contents of the index, and its bytes on disk and in memory.
    ///
    /// ```
    /// use hintdex::{Durability, Report, Section, Station, StationOptions, Stats, Verified};
    /// # use hintdex::DeviceRange;
    /// # use hintdex::wire::{DeviceId, HintScheme};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let dir = folder.path().join("fleet");
    /// # let params = hintdex::Params::counters(HintScheme::Aes128, 16);
    /// let options =
    ///     StationOptions { durability: Durability::ProcessCrash, ..StationOptions::default() };
    /// let station = Station::create(&dir, None, params, &options)?;
    /// let show: Report<'_> = &|done, total| eprintln!("{done} of {total}");
    /// station.provision(&[DeviceRange::new(DeviceId(0), 1000)], Some(show))?;
    ///
    /// let Stats { slots, entries, sections, .. } = station.stats()?;
    /// assert_eq!((slots, entries), (1000, 16_000));
    /// for Section { name, disk_bytes, .. } in sections {
    ///     println!("{name}: {disk_bytes} bytes");
    /// }
    /// let Verified { rows, .. } = station.verify(None)?;
    /// assert!(rows > 0);
    /// # Ok::<(), hintdex::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn stats(&self) -> Result<Stats, Error> {
        Ok(self.index.stats()?)
    }

    /// What scans did and cost since the station was opened.
    pub fn scan_stats(&self) -> ScanStats {
        self.scans.stats()
    }

    /// The parameters of the fleet's index.
    pub fn params(&self) -> Params {
        self.index.params()
    }

    /// The station's time, in seconds since 1970.
    pub fn now_s(&self) -> u64 {
        self.index.now_s()
    }

    /// The source of the fleet's keys.
    pub fn key_source(&self) -> &Arc<dyn KeySource> {
        self.index.key_source()
    }

    /// The devices whose clocks jumped since the last call: two packets that agree have moved
    /// each of them.
    pub fn take_clock_moves(&self) -> Vec<(DeviceId, ClockMove)> {
        let moves = self.index.take_clock_moves().into_iter();
        moves.filter_map(|moved| Some((self.index.key(moved.slot)?.device, moved))).collect()
    }

    /// A maintenance pass with the station's options.
    pub(crate) fn maintenance_pass(&self) -> MaintenancePass {
        let keeps =
            self.options.snapshot_at_roll || self.options.lean || self.params().nonces.is_clocked();
        MaintenancePass {
            index: self.index.clone(),
            snapshots: self.snapshots.clone(),
            own_snapshot: keeps.then(|| self.own_snapshot.clone()),
            rebuild: RebuildOptions {
                horizon_nonces: (self.params().lookahead * SNAPSHOT_LOOKAHEADS).into(),
                memory_bytes: self.options.memory_bytes,
                ..RebuildOptions::default()
            },
            lean: self.options.lean,
            alone: self.maintenance.alone.clone(),
        }
    }
}

impl Drop for Station {
    /// Waits for a roll in the background, whose work would otherwise be lost.
    fn drop(&mut self) {
        self.window_timer.stop();
        self.maintenance.wait();
    }
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station").field("index", &self.index).finish_non_exhaustive()
    }
}

/// Checks that a given master key, if any, is the key in the file `path`.
fn check_same(
    given: Option<&master_file::Secret>,
    stored: &master_file::Secret,
    path: &Path,
) -> Result<(), Error> {
    // The caller can read the key beside the index, so the duration of this comparison
    // reveals nothing.
    match given {
        Some(given) if given != stored => Err(Error::OtherMasterKey { path: path.to_owned() }),
        _ => Ok(()),
    }
}
