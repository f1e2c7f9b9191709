//! An index as a whole: made, opened, asked about its slots.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fmt, fs};

use hintdex_wire::{DeviceId, HintScheme, KeyId, KeySource, Nonce, Slot};
use rocksdb::{IteratorMode, WriteBatch};
use zerocopy::{FromBytes, IntoBytes};

use crate::Error;
use crate::fleet::{Extent, Fleet};
use crate::held::{LeftTo, SnapshotId};
use crate::records::{
    ADDED_KEY_PREFIX, ExtentRecord, FORMAT_VERSION, MAGIC, META_FAMILY, META_KEY, Meta,
    NONCE_KIND_COUNTER, SLOTS_FAMILY, STATES_FAMILY, StateRecord, WINDOW_KEY_PREFIX, WindowRecord,
    epoch_key, epoch_of_family, slot_of_key,
};
use crate::states::StateTable;
use crate::store::{Store, Tuning};
use crate::window::{Window, Windows};

/// The largest lookahead: hints a device, all of them written when it leaps.
pub const MAX_LOOKAHEAD: u32 = 1 << 16;

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

/// What an index is for; fixed when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// How hints are computed.
    pub scheme: HintScheme,
    /// How many coming nonces of a device have their hints in the index.
    pub lookahead: u32,
}

/// How an index is run; chosen at every opening.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the block cache and the write buffers may take together, in bytes.
    /// Beside it an index holds 24 bytes a slot.
    pub memory_bytes: usize,
    /// When an accepted packet is safe.
    pub durability: Durability,
}

impl Default for Options {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20, durability: Durability::Sync }
    }
}

/// The live index of a fleet. Shared between threads as it is.
///
/// See the [crate documentation](crate) for an example. Locks are held only in
/// leaf tasks, never across a fork of rayon's, so that a thread that steals work
/// while it waits cannot meet a lock it holds itself.
pub struct LiveIndex {
    pub(crate) store: Store,
    pub(crate) keys: Arc<dyn KeySource>,
    pub(crate) params: Params,
    pub(crate) options: Options,
    pub(crate) index_id: [u8; 16],
    pub(crate) created_unix_s: u64,
    fleet: RwLock<Arc<Fleet>>,
    pub(crate) states: StateTable,
    windows: RwLock<Windows>,
    /// Held by whoever changes the fleet or the windows.
    maintenance: Mutex<()>,
    pub(crate) rolls: AtomicU64,
    pub(crate) retired_slots: AtomicU64,
}

impl LiveIndex {
    /// Makes an empty index in the folder `path`, which does not exist yet.
    ///
    /// It is built beside the folder and renamed, so a crash leaves all of it or
    /// nothing.
    ///
    /// # Errors
    /// [`Error::AlreadyAnIndex`], [`Error::LookaheadOutOfRange`], or what the
    /// file system says.
    pub fn create(
        path: &Path,
        keys: Arc<dyn KeySource>,
        params: Params,
        options: &Options,
    ) -> Result<Self, Error> {
        if path.exists() {
            return Err(Error::AlreadyAnIndex { path: path.to_owned() });
        }
        if params.lookahead == 0 || params.lookahead > MAX_LOOKAHEAD {
            return Err(Error::LookaheadOutOfRange { lookahead: params.lookahead });
        }
        let unfinished = path.with_extension("new");
        remove_folder(&unfinished)?;
        let mut index_id = [0; 16];
        getrandom::fill(&mut index_id).map_err(|error| {
            Error::io("reading random bytes", path)(std::io::Error::other(error.to_string()))
        })?;
        let meta = Meta {
            magic: MAGIC,
            version: FORMAT_VERSION.into(),
            hint_scheme: params.scheme.number(),
            nonce_kind: NONCE_KIND_COUNTER,
            lookahead: params.lookahead.into(),
            index_id,
            check_value: keys.check_value(&index_id),
            created_unix_s: unix_now_s().into(),
            reserved: [0; 8],
        };
        let store = Store::create(&unfinished, Tuning::new(1 << 20))?;
        let mut batch = WriteBatch::default();
        batch.put_cf(&store.family(META_FAMILY)?, META_KEY, meta.as_bytes());
        store.write_synced(batch)?;
        drop(store);
        fs::rename(&unfinished, path)
            .map_err(Error::io("moving the new index into place", path))?;
        sync_parent(path)?;
        Self::open(path, keys, options)
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
        let store = Store::open(path, Tuning::new(options.memory_bytes), options.durability)?;
        let (meta, params) = load_meta(&store, path)?;
        if keys.check_value(&meta.index_id) != meta.check_value {
            return Err(Error::ForeignKeys);
        }
        let fleet = load_fleet(&store)?;
        let current = load_windows(&store, &fleet)?;
        let left_to = current.as_ref().and_then(|window| window.left_to);
        let states = load_states(&store, &fleet, params, left_to.as_ref())?;
        let retired = states.totals().retired;
        remove_folder(&store.path().join(BULK_FOLDER))?;
        Ok(Self {
            store,
            keys,
            params,
            options: *options,
            index_id: meta.index_id,
            created_unix_s: meta.created_unix_s.get(),
            fleet: RwLock::new(Arc::new(fleet)),
            states,
            windows: RwLock::new(Windows { current, missed: None }),
            maintenance: Mutex::new(()),
            rolls: AtomicU64::new(0),
            retired_slots: AtomicU64::new(retired),
        })
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

    /// The nonces of `slot` whose hints are live: those an honest device may use next.
    /// Empty for a retired slot.
    pub fn live_nonces(&self, slot: Slot) -> Range<Nonce> {
        let state = self.states.get(slot).filter(|state| !state.is_retired());
        state.map_or(0..0, |state| state.live_nonces())
    }

    /// The next nonce of every slot, `None` for a retired one: what a snapshot is made from.
    pub fn next_nonces(&self) -> Vec<Option<Nonce>> {
        let states = self.states.copy(0..self.slot_count());
        states.iter().map(|state| (!state.is_retired()).then(|| state.next_nonce.get())).collect()
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
        self.windows().current.as_ref()?.left_to.map(|left_to| left_to.snapshot)
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
        self.states.get(slot).is_some_and(|state| state.is_retired())
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

    /// The windows, for a leaf task that looks up or adds.
    pub(crate) fn windows(&self) -> RwLockReadGuard<'_, Windows> {
        self.windows.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The windows, for the moment a roll begins or ends.
    pub(crate) fn windows_mut(&self) -> RwLockWriteGuard<'_, Windows> {
        self.windows.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps every other change of fleet or windows out while `work` runs.
    pub(crate) fn maintain<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let _alone = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.check()?;
        work()
    }

    /// An empty folder for files to ingest, beside the files of the store.
    pub(crate) fn bulk_folder(&self) -> Result<std::path::PathBuf, Error> {
        let folder = self.store.path().join(BULK_FOLDER);
        remove_folder(&folder)?;
        fs::create_dir(&folder).map_err(Error::io("making a folder", &folder))?;
        Ok(folder)
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

/// Seconds since 1970, or 0 on a clock before that.
pub(crate) fn unix_now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(crate) fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("removing a leftover folder", path)(error))
        }
        _ => Ok(()),
    }
}

fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::File::open(parent).map_err(Error::io("opening a folder", parent))?;
    folder.sync_all().map_err(Error::io("syncing a folder", parent))
}

fn load_meta(store: &Store, path: &Path) -> Result<(Meta, Params), Error> {
    let bytes = store.get(&store.family(META_FAMILY)?, META_KEY)?;
    let Some(bytes) = bytes.filter(|bytes| bytes.starts_with(&MAGIC)) else {
        return Err(Error::NotAnIndex { path: path.to_owned() });
    };
    let version =
        bytes.get(8..10).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes);
    if version > FORMAT_VERSION {
        return Err(Error::NewerVersion { found: version, supported: FORMAT_VERSION });
    }
    let bad = |why: &str| Error::corrupted("the meta record", why);
    let meta = Meta::read_from_bytes(&bytes).map_err(|_| bad("its length is wrong"))?;
    if version != FORMAT_VERSION || meta.nonce_kind != NONCE_KIND_COUNTER || meta.reserved != [0; 8]
    {
        return Err(bad("it has a version, nonce kind or reserved bytes that no version wrote"));
    }
    let scheme =
        HintScheme::from_number(meta.hint_scheme).ok_or_else(|| bad("unknown hint scheme"))?;
    let lookahead = meta.lookahead.get();
    if lookahead == 0 || lookahead > MAX_LOOKAHEAD {
        return Err(bad("its lookahead is out of range"));
    }
    Ok((meta, Params { scheme, lookahead }))
}

/// Calls `row` with every row of a family, in order.
pub(crate) fn each_row(
    store: &Store,
    family: &str,
    mut row: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    for entry in store.db().iterator_cf(&store.family(family)?, IteratorMode::Start) {
        let (key, value) = entry.map_err(Error::store("reading the database"))?;
        row(&key, &value)?;
    }
    Ok(())
}

fn load_fleet(store: &Store) -> Result<Fleet, Error> {
    let mut fleet = Fleet::default();
    each_row(store, SLOTS_FAMILY, |key, value| {
        let bad = |why: String| Error::corrupted("a run of slots", why);
        let record = ExtentRecord::read_from_bytes(value)
            .ok()
            .filter(|record| record.reserved == [0; 2])
            .ok_or_else(|| bad("its bytes are none".into()))?;
        let expected = Slot(fleet.slot_count());
        let Extent { first_slot, .. } =
            fleet.add(record.range()).map_err(|error| bad(error.to_string()))?;
        if slot_of_key(key) != Some(expected) || first_slot != expected {
            return Err(bad(format!("slot {} does not follow the one before", expected.0)));
        }
        Ok(())
    })?;
    Ok(fleet)
}

fn load_states(
    store: &Store,
    fleet: &Fleet,
    params: Params,
    left_to: Option<&LeftTo>,
) -> Result<StateTable, Error> {
    let states = StateTable::new();
    if let Some(left_to) = left_to {
        states.grow(left_to.slots, StateRecord::fresh(left_to.horizon_nonces));
    }
    states.grow(fleet.slot_count(), StateRecord::fresh(params.lookahead));
    each_row(store, STATES_FAMILY, |key, value| {
        let state =
            StateRecord::read_from_bytes(value).ok().filter(|state| state.is_sound(params.scheme));
        let state = state.map(|mut state| {
            state.cut(params.lookahead, left_to);
            state
        });
        let set = slot_of_key(key)
            .zip(state)
            .and_then(|(slot, new)| states.update(slot, |state| *state = new));
        set.ok_or_else(|| Error::corrupted("a device state", format!("row {key:02x?}")))
    })?;
    Ok(states)
}

/// The declared window; families that were never declared are dropped.
fn load_windows(store: &Store, fleet: &Fleet) -> Result<Option<Window>, Error> {
    let mut current: Option<Window> = None;
    each_row(store, META_FAMILY, |key, value| {
        let Some(epoch) = key.strip_prefix(WINDOW_KEY_PREFIX) else { return Ok(()) };
        let bad = |why: &str| Error::corrupted("a window record", why);
        let epoch =
            epoch.try_into().map(u32::from_be_bytes).map_err(|_| bad("its key has no epoch"))?;
        let record =
            WindowRecord::read_from_bytes(value).map_err(|_| bad("its length is wrong"))?;
        let geometry = record.geometry().filter(|_| record.reserved == [0; 2]);
        let geometry = geometry.ok_or_else(|| bad("no window has these bits"))?;
        let left_to = record.left_to();
        let slots = record.slots.get().max(record.snapshot_slots.get());
        if slots > fleet.slot_count() || current.is_some() {
            return Err(bad("there are two, or it has slots that the fleet has not"));
        }
        let entries = record.entries.get();
        let window = Window::new(store, epoch, geometry, record.slots.get(), left_to, entries)?;
        let added = store.get(&store.family(META_FAMILY)?, &epoch_key(ADDED_KEY_PREFIX, epoch))?;
        let added =
            added.map(|bytes| bytes.as_ref().try_into().map(u64::from_le_bytes)).transpose();
        let added = added.map_err(|_| bad("its counter is not a number"))?;
        window.entries.fetch_add(added.unwrap_or(0), Ordering::Relaxed);
        current = Some(window);
        Ok(())
    })?;
    let declared = current.as_ref().map(|window| window.family.as_str());
    for name in store.family_names()? {
        if epoch_of_family(&name).is_some() && Some(name.as_str()) != declared {
            store.drop_window(&name)?;
        }
    }
    if current.is_none() && fleet.slot_count() > 0 {
        return Err(Error::corrupted("the windows", "there are devices but no window"));
    }
    Ok(current)
}
