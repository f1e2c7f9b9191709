//! The live index as a whole: creation, opening, and questions about its slots.

use std::fmt;
use std::io::ErrorKind;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hintdex_host::{
    Clock, DraftFolder, FIRST_SET_UNIX_S, SystemClock, remove_folder, sync_folder_of,
};
use hintdex_wire::{DeviceId, KeyId, KeySource, Nonce, Slot};
use rayon::ThreadPool;
use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use crate::Error;
use crate::bulk::Drafts;
use crate::coverage::SnapshotId;
use crate::device_range::DeviceRange;
use crate::fleet::{Extent, Fleet};
use crate::load::{
    lean_record_of, load_fleet, load_meta, load_settings, load_states, load_windows,
};
use crate::options::Options;
use crate::outbox::OutboxLog;
use crate::params::Params;
use crate::points_clock::PointsClock;
use crate::records::{FORMAT_VERSION, META_FAMILY, META_KEY, Meta, OUTBOX_FAMILY, POINTS_FAMILY};
use crate::settings::Settings;
use crate::states::StateTable;
use crate::store::{Store, Tuning};
use crate::successors::Successors;
use crate::threads::{on_plain_thread, workers};
use crate::time::{ClockMove, Timing};
use crate::window::Windows;

/// The folder inside an index for files that will be ingested.
const BULK_FOLDER: &str = "bulk";

/// The live index of a fleet. Any number of threads may share it.
///
/// See the [crate documentation](crate) for an example. Lookups and admission hold their locks
/// in leaf tasks only, never across a rayon fork: a thread that steals work while it waits must
/// not meet a lock that it holds itself. Provisioning, rolling, retiring and verifying
/// [run on a plain thread](on_plain_thread).
///
/// ```
/// use hintdex_core::{
///     Candidates, DeviceRange, Durability, Error, LiveIndex, Options, Report, Section, Stats,
///     Verified, WindowEstimate,
/// };
/// # use hintdex_wire::{HintCipher, KeySource};
/// # use std::sync::Arc;
/// # use hintdex_wire::{DeviceId, HintScheme, MasterKey, Slot};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("index");
/// # let keys = Arc::new(MasterKey::new(&[7; 32]));
/// # let params = hintdex_core::Params::counters(HintScheme::Aes128, 16);
/// # let key_source = keys.clone();
/// let options = Options { durability: Durability::ProcessCrash, ..Options::default() };
/// let index = LiveIndex::create(&path, keys, params, &options)?;
/// let show: Report<'_> = &|done, total| eprintln!("{done} of {total}");
/// index.provision(&[DeviceRange::new(DeviceId(0), 1000)], Some(show))?;
/// let again = index.provision(&[DeviceRange::new(DeviceId(999), 2)], None);
/// assert!(matches!(again, Err(Error::AlreadyProvisioned { .. })));
///
/// # let hint_key = key_source.hint_key(index.key(Slot(5)).unwrap()).unwrap();
/// # let hint = HintCipher::new(HintScheme::Aes128, &hint_key).hint(3).unwrap();
/// // Almost always one slot.
/// let candidates: Candidates = index.candidates(&hint)?;
/// assert!(candidates.contains(&Slot(5)));
///
/// let Stats { entries, sections, .. } = index.stats()?;
/// assert_eq!(entries, 16_000);
/// for Section { name, disk_bytes, .. } in sections {
///     println!("{name}: {disk_bytes} bytes");
/// }
/// // Every check that there is.
/// let Verified { slots, hints, .. } = index.verify(None)?;
/// assert_eq!((slots, hints), (1000, 16_000));
/// // What a million devices would take: about 4 bytes a hint.
/// let WindowEstimate { bytes, hints, .. } = index.estimate(1_000_000)?;
/// assert!((3 * hints..5 * hints).contains(&bytes));
/// # Ok::<(), Error>(())
/// ```
pub struct LiveIndex {
    pub(crate) store: Store,
    pub(crate) keys: Arc<dyn KeySource>,
    pub(crate) params: Params,
    pub(crate) options: Options,
    timing: Timing,
    clock: Arc<dyn Clock>,
    pub(crate) clock_moves: Mutex<Vec<ClockMove>>,
    /// Slots that admission has retired, until [`take_dropped`](Self::take_dropped) takes them.
    pub(crate) dropped: Mutex<Vec<Slot>>,
    pub(crate) index_id: [u8; 16],
    points_clock: PointsClock,
    pub(crate) outbox: Option<OutboxLog>,
    pub(crate) created_unix_s: u64,
    fleet: RwLock<Arc<Fleet>>,
    pub(crate) states: StateTable,
    pub(crate) successors: Successors,
    /// Whether a slot was to retire at a time since the index was opened, or is.
    pub(crate) has_ends: AtomicBool,
    /// The settings of devices; `None` if there are none, and no slot has a late window.
    pub(crate) settings: RwLock<Option<Arc<Settings>>>,
    pub(crate) windows: Windows,
    /// Held while the fleet or the windows change. Never taken on a rayon thread: see
    /// [`maintain`](Self::maintain).
    maintenance: Mutex<()>,
    /// The pool that holders of `maintenance` fork on. It runs nothing else.
    pub(crate) workers: ThreadPool,
    /// Messages for the operator, until [`take_notes`](Self::take_notes) takes them.
    notes: Mutex<Vec<String>>,
    pub(crate) rolls: AtomicU64,
    pub(crate) retired_slots: AtomicU64,
}

impl LiveIndex {
    /// Creates an empty index in the folder `path`, which must not exist yet.
    ///
    /// The index is built beside the folder, as `.NAME.….making`, and renamed. So a crash
    /// leaves a complete index, or nothing but that draft. No other name beside `path` is
    /// touched, and nothing that appears at `path` meanwhile is replaced.
    ///
    /// # Errors
    /// [`Error::AlreadyAnIndex`], those of [`Params::check`], or those of the file system.
    pub fn create(
        path: &Path,
        keys: Arc<dyn KeySource>,
        params: Params,
        options: &Options,
    ) -> Result<Self, Error> {
        Self::create_with(path, keys, params, options, Arc::new(SystemClock))
    }

    /// [`create`](Self::create) with another clock than the system's.
    ///
    /// # Errors
    /// Those of [`create`](Self::create).
    pub fn create_with(
        path: &Path,
        keys: Arc<dyn KeySource>,
        params: Params,
        options: &Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        if path.exists() {
            return Err(Error::AlreadyAnIndex { path: path.to_owned() });
        }
        params.check()?;
        let draft = DraftFolder::beside(path)?;
        let mut index_id = [0; 16];
        getrandom::fill(&mut index_id).map_err(|error| {
            Error::io("reading random bytes", path)(std::io::Error::other(error.to_string()))
        })?;
        let timing = options.timing.over(&Timing::of(params.nonces));
        let (check_value, created_unix_s) = (keys.check_value(&index_id), clock.now_unix_s());
        let meta = Meta::of(&params, &timing, index_id, check_value, created_unix_s);
        let rows = meta.rows(&params).map_err(|why| Error::unsound("the meta record", why))?;
        let points = params.naming.has_points().then_some(POINTS_FAMILY);
        let store = Store::create(draft.path(), Tuning::new(1 << 20), points)?;
        let mut batch = WriteBatch::default();
        for (key, row) in rows {
            batch.put_cf(&store.family(META_FAMILY)?, key, row);
        }
        store.write_synced(batch)?;
        drop(store);
        // A folder replaces nothing but an empty folder. So a file or another index that
        // appeared here meanwhile stays.
        draft.publish().map_err(|error| match error.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => {
                Error::AlreadyAnIndex { path: path.to_owned() }
            }
            _ => error.into(),
        })?;
        Self::open_with(path, keys, options, clock)
    }

    /// Whether the folder `path` holds an index, as far as the names of its files show.
    pub fn exists(path: &Path) -> bool {
        Store::exists(path)
    }

    /// Opens the index in the folder `path`.
    ///
    /// Costs a read of every state, about 0.2 s a million devices. Incomplete windows that a
    /// crash left are removed.
    ///
    /// # Errors
    /// [`Error::NotAnIndex`], [`Error::InUse`], [`Error::NewerVersion`],
    /// [`Error::ForeignKeys`], [`Error::Corrupted`], or those of the store.
    pub fn open(path: &Path, keys: Arc<dyn KeySource>, options: &Options) -> Result<Self, Error> {
        Self::open_with(path, keys, options, Arc::new(SystemClock))
    }

    /// [`open`](Self::open) with another clock than the system's.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(
        path: &Path,
        keys: Arc<dyn KeySource>,
        options: &Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let clock_s = clock.now_unix_s();
        let (tuning, mut notes) = (Tuning::new(options.memory_bytes), Vec::new());
        let outbox = options.outbox_payloads.map(|_| OUTBOX_FAMILY);
        let store = Store::open(path, tuning, options.durability, outbox, &mut notes)?;
        // The process that created the index may have ended before the folder's name was durable.
        sync_folder_of(path)?;
        let (meta, params, timing) = load_meta(&store, path)?;
        let is_served = keys.serves(params.derivation);
        if !is_served || keys.check_value(&meta.index_id) != meta.check_value {
            return Err(Error::ForeignKeys);
        }
        let fleet = load_fleet(&store)?;
        let declared = load_windows(&store, &fleet, params, &mut notes)?;
        let lean = lean_record_of(&declared);
        let (states, has_late_rows) =
            load_states(&store, &fleet, params, lean.as_ref(), &mut notes)?;
        let settings = load_settings(&store, &fleet, &params, &states)?;
        let settings = Settings { has_late_rows, ..settings }.if_any();
        let retired = states.totals().retired;
        let successors = Successors::default();
        successors.find(&states, &fleet, &[Slot(0)..Slot(fleet.slot_count())]);
        if meta.version.get() < FORMAT_VERSION {
            raise_version(&store, meta)?;
        }
        let bulk = store.path().join(BULK_FOLDER);
        if !Drafts::is_resumable(&bulk) {
            remove_folder(&bulk)?;
        }
        let outbox =
            options.outbox_payloads.map(|room| OutboxLog::open(&store, room)).transpose()?;
        Ok(Self {
            store,
            outbox,
            keys,
            params,
            options: *options,
            timing: options.timing.over(&timing),
            clock,
            clock_moves: Mutex::default(),
            dropped: Mutex::default(),
            index_id: meta.index_id,
            points_clock: PointsClock::new(clock_s),
            created_unix_s: meta.created_unix_s.get(),
            fleet: RwLock::new(Arc::new(fleet)),
            has_ends: AtomicBool::new(states.has_ends()),
            states,
            successors,
            settings: RwLock::new(settings),
            windows: Windows::new(declared),
            maintenance: Mutex::new(()),
            workers: workers()?,
            notes: Mutex::new(notes),
            rolls: AtomicU64::new(0),
            retired_slots: AtomicU64::new(retired),
        })
    }

    /// Whether a write or a sync has failed, so that it is unknown what reached the disk. The
    /// index then refuses everything until it is opened again.
    pub fn is_poisoned(&self) -> bool {
        self.store.check().is_err()
    }

    /// The parameters of the index.
    pub const fn params(&self) -> Params {
        self.params
    }

    /// The number of slots, retired and free ones included.
    pub fn slot_count(&self) -> u32 {
        self.fleet().slot_count()
    }

    /// The key at `slot`; `None` for a free slot.
    pub fn key(&self, slot: Slot) -> Option<KeyId> {
        self.fleet().key(slot)
    }

    /// The nonces that an honest device may use at these times of reception, in seconds since
    /// 1970: the live nonces of a counter, or those that the device's clock offset bounds
    /// allow. Empty for a slot that is retired or out of service.
    pub fn expected_nonces(&self, slot: Slot, times: &RangeInclusive<u64>) -> Range<Nonce> {
        let Some(known) = self.states.get(slot).filter(|known| known.state.is_in_service()) else {
            return 0..0;
        };
        known.expected_nonces(&self.params, &self.timing, times)
    }

    /// The end of the live hints of `slot` in the unit of `nonce`, as far as the slot's packets
    /// move it. Returns `Nonce::MAX` for time steps, whose live hints only the clock moves.
    pub fn live_end(&self, slot: Slot, nonce: Nonce) -> Nonce {
        let known = self.states.get(slot);
        known.map_or(0, |known| known.state.live_end(&self.params, nonce))
    }

    /// The time parameters in use.
    pub const fn timing(&self) -> Timing {
        self.timing
    }

    /// Station time in seconds since 1970: the clock's time. The clock counts even if it shows
    /// a time before the index's creation, which may have happened under a wrong clock. A clock
    /// that was never set ([`FIRST_SET_UNIX_S`]) counts as the time of creation at least.
    pub fn now_s(&self) -> u64 {
        self.station_time_s(self.clock.now_unix_s())
    }

    /// The minute of a point that is accepted now, and the first one whose points are remembered.
    pub(crate) fn points_minutes(&self) -> (u32, u32) {
        self.points_clock.minutes(self.clock.now_unix_s(), self.options.repeat_window_s)
    }

    /// The time at which the index was created, by the clock of that moment.
    pub const fn created_unix_s(&self) -> u64 {
        self.created_unix_s
    }

    /// The station time for a reading of the clock: see [`now_s`](Self::now_s).
    pub(crate) fn station_time_s(&self, unix_s: u64) -> u64 {
        if unix_s < FIRST_SET_UNIX_S { unix_s.max(self.created_unix_s) } else { unix_s }
    }

    /// Whether devices may have keys of several generations.
    pub fn has_generations(&self) -> bool {
        self.fleet().has_generations()
    }

    /// Whether a packet may be the first that a key is retired for: its device has another key
    /// then, or the time of the key has come.
    pub fn may_retire_keys(&self) -> bool {
        self.has_ends.load(Ordering::Relaxed) || self.has_generations()
    }

    /// Whether one of the slots before `end` has got another key after this time, in seconds
    /// since 1970: a snapshot that was built before is of other keys.
    pub fn has_reused_slots(&self, end: Slot, unix_s: u64) -> bool {
        let fleet = self.fleet();
        let is_later =
            |extent: &Extent| extent.first_slot < end && extent.provisioned_unix_s > unix_s;
        fleet.extents().iter().any(is_later)
    }

    /// The snapshot that holds the hints the current window lacks, if the window is lean.
    ///
    /// A caller that opens such an index without this snapshot [rolls](Self::roll), or scans
    /// for the missing hints.
    pub fn lean_snapshot(&self) -> Option<SnapshotId> {
        lean_record_of(&self.windows.declared()).map(|lean| lean.snapshot)
    }

    /// How many nonces of each device the snapshot of a lean window of counters holds; 0 for a
    /// full window.
    pub fn lean_horizon_nonces(&self) -> u32 {
        lean_record_of(&self.windows.declared()).map_or(0, |lean| lean.horizon_nonces)
    }

    /// The ranges of devices with [imported](crate::KeyOrigin::Imported) keys, in the order of
    /// slots.
    pub fn imported_ranges(&self) -> Vec<DeviceRange> {
        self.fleet().imported_ranges().collect()
    }

    /// The random id of the index.
    pub const fn id(&self) -> &[u8; 16] {
        &self.index_id
    }

    /// The slots of every key of `device`, the oldest first.
    pub fn slots(&self, device: DeviceId) -> Vec<Slot> {
        self.fleet().slots(device).to_vec()
    }

    /// Whether the index has a key of `device`, retired or not.
    pub fn has_device(&self, device: DeviceId) -> bool {
        !self.fleet().slots(device).is_empty()
    }

    /// Whether `slot` was retired.
    pub fn is_retired(&self, slot: Slot) -> bool {
        self.states.get(slot).is_some_and(|known| known.state.is_retired())
    }

    /// Whether `slot` is out of service.
    pub fn is_out_of_service(&self, slot: Slot) -> bool {
        self.states.get(slot).is_some_and(|known| known.state.is_out_of_service())
    }

    /// The source of the keys.
    pub fn key_source(&self) -> &Arc<dyn KeySource> {
        &self.keys
    }

    pub(crate) fn fleet(&self) -> Arc<Fleet> {
        self.fleet.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The settings; `None` if admission needs none.
    pub(crate) fn settings(&self) -> Option<Arc<Settings>> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_fleet(&self, fleet: Arc<Fleet>) {
        *self.fleet.write().unwrap_or_else(PoisonError::into_inner) = fleet;
    }

    /// Runs `work` while no other call can change the fleet or the windows.
    ///
    /// `work` runs on a [plain thread](on_plain_thread) and forks on [`workers`](Self::workers)
    /// alone. So it makes progress even if every thread of the caller's pool waits here.
    pub(crate) fn maintain<T: Send, E: From<Error> + Send>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send,
    ) -> Result<T, E> {
        on_plain_thread(|| {
            let _alone = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
            self.store.check()?;
            work()
        })
    }

    /// Adds a message for the operator to those of [`take_notes`](Self::take_notes).
    pub fn note(&self, what: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// The damage that was found since the last call, and its repair, and the errors of the
    /// store's own work: one line each.
    pub fn take_notes(&self) -> Vec<String> {
        let mut notes =
            std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        notes.extend(self.store.take_reports());
        notes
    }

    /// The devices that are out of service, each with the reason: its stored state is not
    /// sound, or its key is missing. Their packets are not accepted until the index is opened
    /// without the fault, or until the devices are [retired](Self::retire).
    pub fn out_of_service(&self) -> Vec<(KeyId, &'static str)> {
        let fleet = self.fleet();
        let slots = self.states.out_of_service().into_iter();
        slots.filter_map(|(slot, why)| Some((fleet.key(slot)?, why))).collect()
    }

    /// Takes a slot whose key is missing out of service.
    pub fn put_out_of_service(&self, slot: Slot, why: &'static str) {
        if let Some(mut shard) = self.states.shard(StateTable::shard_of(slot)) {
            self.states.put_out_of_service(&mut shard, slot, why);
        }
    }

    /// The folder for files to ingest, inside the store's folder.
    pub(crate) fn bulk_folder(&self) -> PathBuf {
        self.store.path().join(BULK_FOLDER)
    }

    pub(crate) fn active_slots(&self) -> u64 {
        u64::from(self.slot_count()).saturating_sub(self.retired_slots.load(Ordering::Relaxed))
    }

    pub(crate) fn count_roll(&self) {
        self.rolls.fetch_add(1, Ordering::Relaxed);
    }
}

/// Stores the present format version, before a row is written that an earlier program would
/// reject or misread.
fn raise_version(store: &Store, meta: Meta) -> Result<(), Error> {
    let meta = Meta { version: FORMAT_VERSION.into(), ..meta };
    let mut batch = WriteBatch::default();
    batch.put_cf(&store.family(META_FAMILY)?, META_KEY, meta.as_bytes());
    store.write_synced(batch)
}

impl fmt::Debug for LiveIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveIndex")
            .field("path", &self.store.path())
            .field("params", &self.params)
            .field("slots", &self.slot_count())
            .finish_non_exhaustive()
    }
}
