//! An index as a whole: made, opened, asked about its slots.

use std::fmt;
use std::io::ErrorKind;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hintdex_host::{
    Clock, DraftFolder, FIRST_SET_UNIX_S, SystemClock, remove_folder, sync_folder_of,
};
use hintdex_wire::{DeviceId, KeyId, KeySource, Nonce, Slot};
use rayon::ThreadPool;
use rocksdb::WriteBatch;
use zerocopy::IntoBytes;

use crate::bulk::Drafts;
use crate::fleet::Fleet;
use crate::held::SnapshotId;
use crate::load::{left_to_of, load_fleet, load_meta, load_states, load_windows};
use crate::params::Params;
use crate::records::{FORMAT_VERSION, MAGIC, META_FAMILY, META_KEY, Meta, TimingRecord};
use crate::states::StateTable;
use crate::store::{Store, Tuning};
use crate::threads::{on_plain_thread, workers};
use crate::time::{Span, Timing, TimingOptions};
use crate::window::Windows;
use crate::{ClockMove, DeviceRange, Error};

/// The folder, inside an index, where files to ingest are made.
const BULK_FOLDER: &str = "bulk";

/// When an accepted packet is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// It survives the machine: every batch is synced before its verdicts are given.
    #[default]
    Sync,
    /// It survives the process, not the machine.
    ProcessCrash,
}

/// How an index is run; chosen at every opening.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What rows in memory, the block cache and the write buffers may take together, in
    /// bytes; a roll takes as much again. Beside it an index holds 24 bytes a slot, 64 where
    /// nonces tell time, and 28 for each run of ids.
    pub memory_bytes: usize,
    /// When an accepted packet is safe.
    pub durability: Durability,
    /// How an index of nonces that tell time goes with it: kept when it is made, and what
    /// is chosen at an opening goes over that until it is closed.
    pub timing: TimingOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            durability: Durability::Sync,
            timing: TimingOptions::default(),
        }
    }
}

/// The live index of a fleet. Shared between threads as it is.
///
/// See the [crate documentation](crate) for an example. Locks of lookups and admission are
/// held only in leaf tasks, never across a fork of rayon's, so that a thread that steals work
/// while it waits cannot meet a lock it holds itself; provisioning, rolling, retiring and
/// verifying [run on a plain thread](on_plain_thread).
pub struct LiveIndex {
    pub(crate) store: Store,
    pub(crate) keys: Arc<dyn KeySource>,
    pub(crate) params: Params,
    pub(crate) options: Options,
    timing: Timing,
    clock: Arc<dyn Clock>,
    pub(crate) clock_moves: Mutex<Vec<ClockMove>>,
    pub(crate) index_id: [u8; 16],
    pub(crate) created_unix_s: u64,
    fleet: RwLock<Arc<Fleet>>,
    pub(crate) states: StateTable,
    pub(crate) windows: Windows,
    /// Held by whoever changes the fleet or the windows. Never taken on a thread of rayon's:
    /// see [`maintain`](Self::maintain).
    maintenance: Mutex<()>,
    /// The threads that whoever holds that forks on, and nobody else.
    pub(crate) workers: ThreadPool,
    /// What the owner of the index should know, until somebody takes it.
    notes: Mutex<Vec<String>>,
    pub(crate) rolls: AtomicU64,
    pub(crate) retired_slots: AtomicU64,
}

impl LiveIndex {
    /// Makes an empty index in the folder `path`, which does not exist yet.
    ///
    /// The index is built beside the folder, as `.NAME.….making`, and renamed, so a crash
    /// leaves all of the index or nothing but that draft. No other name beside `path` is
    /// touched, and nothing that appears at `path` meanwhile is replaced.
    ///
    /// # Errors
    /// [`Error::AlreadyAnIndex`], those of [`Params::check`], or what the file system says.
    pub fn create(
        path: &Path,
        keys: Arc<dyn KeySource>,
        params: Params,
        options: &Options,
    ) -> Result<Self, Error> {
        Self::create_with(path, keys, params, options, Arc::new(SystemClock))
    }

    /// [`create`](Self::create) by another clock than the system's.
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
        let meta = Meta {
            magic: MAGIC,
            version: FORMAT_VERSION.into(),
            hint_scheme: params.scheme.number(),
            nonce_kind: params.nonces.number(),
            lookahead: params.lookahead.into(),
            index_id,
            check_value: keys.check_value(&index_id),
            created_unix_s: clock.now_unix_s().into(),
            nonce_unit_s: params.nonces.unit_s().into(),
            timing: TimingRecord::of(params.nonces, &timing),
            reserved: [0; 4],
        };
        meta.parse().map_err(|why| Error::unsound("the meta record", why))?;
        let store = Store::create(draft.path(), Tuning::new(1 << 20))?;
        let mut batch = WriteBatch::default();
        batch.put_cf(&store.family(META_FAMILY)?, META_KEY, meta.as_bytes());
        store.write_synced(batch)?;
        drop(store);
        // A folder takes the place of nothing but an empty folder: a file, or another index,
        // that came here meanwhile is left alone.
        draft.publish().map_err(|error| match error.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => {
                Error::AlreadyAnIndex { path: path.to_owned() }
            }
            _ => error.into(),
        })?;
        Self::open_with(path, keys, options, clock)
    }

    /// Whether there is an index in the folder `path`, as far as can be told without opening
    /// the folder's files.
    pub fn exists(path: &Path) -> bool {
        Store::exists(path)
    }

    /// Opens the index in the folder `path`.
    ///
    /// Costs a read of every state, about 0.2 s a million devices. Windows that a
    /// crash left half-made are removed.
    ///
    /// # Errors
    /// [`Error::NotAnIndex`], [`Error::InUse`], [`Error::NewerVersion`],
    /// [`Error::ForeignKeys`], [`Error::Corrupted`], or what the store says.
    pub fn open(path: &Path, keys: Arc<dyn KeySource>, options: &Options) -> Result<Self, Error> {
        Self::open_with(path, keys, options, Arc::new(SystemClock))
    }

    /// [`open`](Self::open) by another clock than the system's.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(
        path: &Path,
        keys: Arc<dyn KeySource>,
        options: &Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let (tuning, mut notes) = (Tuning::new(options.memory_bytes), Vec::new());
        let store = Store::open(path, tuning, options.durability, &mut notes)?;
        // Whoever made the index may have been stopped before its name was durable.
        sync_folder_of(path)?;
        let (meta, params, timing) = load_meta(&store, path)?;
        if keys.check_value(&meta.index_id) != meta.check_value {
            return Err(Error::ForeignKeys);
        }
        let fleet = load_fleet(&store)?;
        let declared = load_windows(&store, &fleet, params, &mut notes)?;
        let left_to = left_to_of(&declared);
        let states = load_states(&store, &fleet, params, left_to.as_ref(), &mut notes)?;
        let retired = states.totals().retired;
        let bulk = store.path().join(BULK_FOLDER);
        if !Drafts::may_go_on(&bulk) {
            remove_folder(&bulk)?;
        }
        Ok(Self {
            store,
            keys,
            params,
            options: *options,
            timing: options.timing.over(&timing),
            clock,
            clock_moves: Mutex::default(),
            index_id: meta.index_id,
            created_unix_s: meta.created_unix_s.get(),
            fleet: RwLock::new(Arc::new(fleet)),
            states,
            windows: Windows::new(declared),
            maintenance: Mutex::new(()),
            workers: workers()?,
            notes: Mutex::new(notes),
            rolls: AtomicU64::new(0),
            retired_slots: AtomicU64::new(retired),
        })
    }

    /// Whether a write or a sync has failed, so that nobody knows what reached the disk. The
    /// index refuses everything from then on; an index that is opened again says what it has.
    pub fn is_poisoned(&self) -> bool {
        self.store.check().is_err()
    }

    /// What the index is for.
    pub const fn params(&self) -> Params {
        self.params
    }

    /// How many slots there are, retired ones included.
    pub fn slot_count(&self) -> u32 {
        self.fleet().slot_count()
    }

    /// The key at `slot`.
    pub fn key(&self, slot: Slot) -> Option<KeyId> {
        self.fleet().key(slot)
    }

    /// The keys at `slots`, as far as there are any, in order.
    pub fn keys(&self, slots: Range<Slot>) -> Vec<KeyId> {
        self.fleet().keys(slots.start.0..slots.end.0).map(|(_, key)| key).collect()
    }

    /// The nonces that an honest device may use, by what is known of its counter, or of its
    /// clock and at these times, in seconds since 1970. Empty for a retired slot.
    pub fn expected_nonces(&self, slot: Slot, times: &RangeInclusive<u64>) -> Range<Nonce> {
        let Some(known) = self.states.get(slot).filter(|known| known.state.is_in_service()) else {
            return 0..0;
        };
        self.params.expected(&known, &self.timing, times)
    }

    /// The end of the hints of `slot` that are live beside the one of `nonce`, and that
    /// its packets move on; the last nonce there is where the clock alone moves them.
    pub fn live_end(&self, slot: Slot, nonce: Nonce) -> Nonce {
        let known = self.states.get(slot);
        known.map_or(0, |known| self.params.live_end(&known.state, nonce))
    }

    /// The coming nonces of every slot that is not retired, in the order of slots: what
    /// a snapshot is made from. The next `horizon_nonces` of a counter; where nonces
    /// tell time what a window of `span` holds, which may be several runs a slot.
    pub fn coming_nonces(
        &self,
        horizon_nonces: u64,
        span: Option<&Span>,
    ) -> Vec<(Slot, Range<Nonce>)> {
        let last = self.params.max_nonce().saturating_add(1);
        let timing = self.timing();
        let states = self.states.copy(0..self.slot_count());
        let mut coming = Vec::with_capacity(states.len());
        for (known, slot) in states.iter().zip((0..).map(Slot)) {
            if !known.state.is_in_service() {
                continue;
            }
            if let Some(span) = span {
                let mut push = |nonces| coming.push((slot, nonces));
                self.params.each_live(known, Some((span, &timing)), &mut push);
            } else {
                let next = known.state.next_nonce();
                let end = next.saturating_add(horizon_nonces).min(last).max(next);
                coming.push((slot, next..end));
            }
        }
        coming
    }

    /// How this index goes with time.
    pub const fn timing(&self) -> Timing {
        self.timing
    }

    /// The station's time, in seconds since 1970: what its clock shows, also before the
    /// index was made, whose time may have been the wrong one. While the clock shows that
    /// it was never set ([`FIRST_SET_UNIX_S`]) it is not before the index was made.
    pub fn now_s(&self) -> u64 {
        self.believed_s(self.clock.now_unix_s())
    }

    /// When the index was made, by the clock of that moment.
    pub const fn created_unix_s(&self) -> u64 {
        self.created_unix_s
    }

    /// What a clock's reading is taken for: see [`now_s`](Self::now_s).
    pub(crate) fn believed_s(&self, unix_s: u64) -> u64 {
        if unix_s < FIRST_SET_UNIX_S { unix_s.max(self.created_unix_s) } else { unix_s }
    }

    /// Whether a slot from `first` on holds another key than a device's first one.
    pub fn has_new_keys_since(&self, first: Slot) -> bool {
        self.fleet().keys(first.0..u32::MAX).any(|(_, key)| key.generation > 0)
    }

    /// The snapshot that holds what the current window lacks, if one does.
    ///
    /// Whoever opens an index that says so and has not this snapshot
    /// [rolls](Self::roll), or scans for what is missing.
    pub fn left_to(&self) -> Option<SnapshotId> {
        left_to_of(&self.windows.declared()).map(|left_to| left_to.snapshot)
    }

    /// The ranges of devices whose keys were [given](KeyOrigin::Given), in the order of slots.
    pub fn given(&self) -> Vec<DeviceRange> {
        self.fleet().given().collect()
    }

    /// The index's own random id.
    pub const fn id(&self) -> &[u8; 16] {
        &self.index_id
    }

    /// The slots of every key of `device`, the oldest first.
    pub fn slots(&self, device: DeviceId) -> Vec<Slot> {
        self.fleet().slots(device)
    }

    /// Whether `slot` was retired.
    pub fn is_retired(&self, slot: Slot) -> bool {
        self.states.get(slot).is_some_and(|known| known.state.is_retired())
    }

    /// Whether `slot` is out of service.
    pub fn is_out_of_service(&self, slot: Slot) -> bool {
        self.states.get(slot).is_some_and(|known| known.state.is_out_of_service())
    }

    /// Where the keys come from.
    pub fn key_source(&self) -> &Arc<dyn KeySource> {
        &self.keys
    }

    pub(crate) fn fleet(&self) -> Arc<Fleet> {
        self.fleet.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_fleet(&self, fleet: Arc<Fleet>) {
        *self.fleet.write().unwrap_or_else(PoisonError::into_inner) = fleet;
    }

    /// Keeps every other change of fleet or windows out while `work` runs.
    ///
    /// `work` runs on a [plain thread](on_plain_thread) and forks on
    /// [`workers`](Self::workers) alone: a pool of which every thread waits here holds nobody
    /// up.
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

    /// Notes what the owner of the index should know.
    pub(crate) fn note(&self, what: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What was found damaged, and what was done about it, since this was asked last: one
    /// line each.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The devices that are out of service, each with the reason: their stored state is not
    /// sound, or their key is missing. Nothing they send is accepted until the index is
    /// opened again without the fault, or they are [retired](Self::retire).
    pub fn out_of_service(&self) -> Vec<(KeyId, &'static str)> {
        let fleet = self.fleet();
        let slots = self.states.out_of_service().into_iter();
        slots.filter_map(|(slot, why)| Some((fleet.key(slot)?, why))).collect()
    }

    /// Takes a slot whose key cannot be had out of service.
    pub fn put_out_of_service(&self, slot: Slot, why: &'static str) {
        if let Some(mut shard) = self.states.shard(StateTable::shard_of(slot)) {
            self.states.put_out_of_service(&mut shard, slot, why);
        }
    }

    /// The folder for files to ingest, beside the files of the store.
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

impl fmt::Debug for LiveIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveIndex")
            .field("path", &self.store.path())
            .field("params", &self.params)
            .field("slots", &self.slot_count())
            .finish_non_exhaustive()
    }
}
