//! The declared windows of an index, and the additions that a build in progress must include.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::{ArcSwap, Guard};
use hintdex_host::{Clock, SystemClock};
use hintdex_wire::{Hint, Slot};
use rocksdb::WriteBatch;

use crate::Error;
use crate::bucket;
use crate::coverage::LeanRecord;
use crate::geometry::{BucketKey, Geometry};
use crate::records::{WindowRecord, window_family};
use crate::row_cache::RowCache;
use crate::store::{Family, OwnedFamily, Store};
use crate::time::{Span, Timing};

/// A declared window: a column family and the geometry of its hints.
pub(crate) struct Window {
    pub(crate) epoch: u32,
    pub(crate) family: String,
    family_handle: OwnedFamily,
    pub(crate) geometry: Geometry,
    pub(crate) row_cache: RowCache,
    /// The station time that the window covers; `None` for counters.
    pub(crate) span: Option<Span>,
    /// The number of slots that the window covers.
    pub(crate) slots: AtomicU32,
    /// The hints that the window lacks, if the window is lean.
    pub(crate) lean: Option<LeanRecord>,
    /// The entries the window was built with.
    pub(crate) built_entries: u64,
    /// The entries it was built with and those added since, stale ones included.
    pub(crate) entries: AtomicU64,
    /// The first damage that a lookup found in the window.
    damage: OnceLock<String>,
}

impl Window {
    /// Opens the window of this epoch, whose family must exist.
    pub(crate) fn new(store: &Store, epoch: u32, record: &WindowRecord) -> Result<Self, Error> {
        let family = window_family(epoch);
        let no_bits = || Error::unsound("a window record", "no window has these bits");
        let geometry = record.geometry().ok_or_else(no_bits)?;
        Ok(Self {
            epoch,
            family_handle: store.own_family(&family)?,
            family,
            geometry,
            row_cache: RowCache::new(geometry, store.row_budget()),
            span: record.span(),
            slots: record.slots.get().into(),
            lean: record.lean(),
            built_entries: record.entries.get(),
            entries: record.entries.get().into(),
            damage: OnceLock::new(),
        })
    }

    /// Records that a part of the window cannot be read; returns whether this is the first
    /// damage. The hints of that part are scanned for until the window is rebuilt.
    pub(crate) fn note_damage(&self, why: impl FnOnce() -> String) -> bool {
        let mut is_first = false;
        self.damage.get_or_init(|| {
            is_first = true;
            why()
        });
        is_first
    }

    /// Whether a part of the window cannot be read.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damage.get().is_some()
    }

    /// The window's record in the meta table.
    pub(crate) fn record(&self) -> WindowRecord {
        let lean = self.lean;
        let span = self.span.clone().unwrap_or_default();
        WindowRecord {
            prefix_bits: self.geometry.prefix_bits(),
            suffix_bits: self.geometry.suffix_bits(),
            reserved: [0; 2],
            slots: self.slots.load(Ordering::Relaxed).into(),
            entries: self.built_entries.into(),
            built_unix_s: SystemClock.now_unix_s().into(),
            snapshot: lean.map_or([0; 16], |lean| lean.snapshot),
            snapshot_slots: lean.map_or(0, |lean| lean.slots).into(),
            horizon_nonces: lean.map_or(0, |lean| lean.horizon_nonces).into(),
            from_unix_s: span.start.into(),
            to_unix_s: span.end.into(),
        }
    }

    /// The handle of the window's family.
    pub(crate) fn family_handle(&self) -> &Family<'_> {
        self.family_handle.borrow_dependent()
    }

    pub(crate) fn entry_count(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }
}

/// A hint that was added to a window.
pub(crate) type Added = (Hint, Slot);

/// The declared windows. An index of counters has one, or none before the first provisioning.
/// An index of clocked nonces has one for each span, unordered. A list is never changed, only
/// replaced.
pub(crate) type Declared = Vec<Arc<Window>>;

/// The windows of an index.
///
/// A lookup takes the current list and no lock, so no lookup waits while a window is built or
/// dropped. A family exists as long as any list names it. Admission holds the read guard
/// while it adds hints, so every addition reaches every window. The list is replaced only
/// under the write guard.
pub(crate) struct Windows {
    declared: ArcSwap<Declared>,
    building: RwLock<Option<Building>>,
}

/// The build in progress.
#[derive(Default)]
pub(crate) struct Building {
    /// The span of the new window; `None` for counters.
    pub(crate) span: Option<Span>,
    /// Additions since the build began to read states. The new window lacks them.
    recorded: Mutex<Vec<Added>>,
}

/// The windows while additions are allowed and the list cannot change.
pub(crate) struct WindowsReadGuard<'a> {
    pub(crate) declared: Arc<Declared>,
    building: RwLockReadGuard<'a, Option<Building>>,
}

/// The windows while no additions are allowed and the list may change.
pub(crate) struct WindowsWriteGuard<'a> {
    declared: &'a ArcSwap<Declared>,
    building: RwLockWriteGuard<'a, Option<Building>>,
}

impl Windows {
    pub(crate) fn new(declared: Declared) -> Self {
        Self { declared: ArcSwap::from_pointee(declared), building: RwLock::default() }
    }

    /// The current list of windows, for a lookup.
    pub(crate) fn declared(&self) -> Guard<Arc<Declared>> {
        self.declared.load()
    }

    /// Locks the windows for a leaf task that adds hints to them.
    pub(crate) fn read(&self) -> WindowsReadGuard<'_> {
        let building = self.building.read().unwrap_or_else(PoisonError::into_inner);
        WindowsReadGuard { declared: self.declared.load_full(), building }
    }

    /// Locks the windows for the two moments at which a build begins and ends.
    pub(crate) fn write(&self) -> WindowsWriteGuard<'_> {
        let building = self.building.write().unwrap_or_else(PoisonError::into_inner);
        WindowsWriteGuard { declared: &self.declared, building }
    }
}

impl WindowsReadGuard<'_> {
    /// The span of the window that is being built; `None` for counters or without a build.
    pub(crate) fn building_span(&self) -> Option<&Span> {
        self.building.as_ref()?.span.as_ref()
    }

    /// Records additions for the build in progress, if there is one.
    pub(crate) fn record_additions(&self, added: &[Added]) {
        if let Some(building) = &*self.building {
            let mut recorded = building.recorded.lock().unwrap_or_else(PoisonError::into_inner);
            recorded.extend_from_slice(added);
        }
    }

    /// Takes the recorded additions.
    pub(crate) fn take_recorded(&self) -> Vec<Added> {
        take_recorded(self.building.as_ref())
    }
}

impl WindowsWriteGuard<'_> {
    /// Starts a build of the window of `span`: additions are recorded from here on.
    pub(crate) fn begin_build(&mut self, span: Option<Span>) {
        *self.building = Some(Building { span, recorded: Mutex::default() });
    }

    /// Ends the build.
    pub(crate) fn end_build(&mut self) {
        *self.building = None;
    }

    /// Takes the recorded additions.
    pub(crate) fn take_recorded(&self) -> Vec<Added> {
        take_recorded(self.building.as_ref())
    }

    /// Removes the windows of these epochs from the list and adds `new`; returns the removed
    /// windows.
    pub(crate) fn replace(&self, epochs: &[u32], new: Option<Window>) -> Declared {
        let is_replaced = |window: &Arc<Window>| epochs.contains(&window.epoch);
        let (gone, mut declared): (Declared, Declared) =
            self.declared.load().iter().cloned().partition(is_replaced);
        declared.extend(new.map(Arc::new));
        self.declared.store(Arc::new(declared));
        gone
    }
}

fn take_recorded(building: Option<&Building>) -> Vec<Added> {
    building.map_or_else(Vec::new, |building| {
        std::mem::take(&mut *building.recorded.lock().unwrap_or_else(PoisonError::into_inner))
    })
}

/// The index of the present window at `now_s`. Counters have only one window.
pub(crate) fn present_window(declared: &[Arc<Window>], now_s: u64) -> Option<usize> {
    let is_present =
        |window: &Arc<Window>| window.span.as_ref().is_none_or(|span| span.contains(&now_s));
    declared.iter().position(is_present).or((!declared.is_empty()).then_some(0))
}

/// The windows that may hold a hint received in `times`, the present one first.
pub(crate) fn windows_for<'a>(
    declared: &'a [Arc<Window>],
    timing: &Timing,
    times: &RangeInclusive<u64>,
) -> impl Iterator<Item = &'a Arc<Window>> {
    let (others, rest) = declared.split_at(present_window(declared, *times.end()).unwrap_or(0));
    let may_hold = move |window: &&Arc<Window>| {
        window.span.as_ref().is_none_or(|span| timing.may_hold(span, times))
    };
    rest.iter().chain(others).filter(may_hold)
}

/// The epoch that follows all declared ones.
pub(crate) fn next_epoch(declared: &[Arc<Window>]) -> u32 {
    declared.iter().map(|window| window.epoch).max().unwrap_or(0) + 1
}

/// Hints to add to a window, grouped by bucket.
pub(crate) struct Additions {
    /// Each bucket's key, and the end of its merge operand.
    ends: Vec<(BucketKey, usize)>,
    operands: Vec<u8>,
    count: u64,
}

impl Additions {
    pub(crate) fn new(geometry: Geometry, added: &[Added]) -> Self {
        let placed = added.iter().map(|(hint, slot)| {
            let (key, suffix) = geometry.place(hint);
            (key, bucket::entry(suffix, *slot))
        });
        let mut placed: Vec<(BucketKey, bucket::Entry)> = placed.collect();
        placed.sort_unstable();
        placed.dedup();
        let (mut ends, mut operands, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for of_bucket in placed.chunk_by(|a, b| a.0 == b.0) {
            let Some((key, _)) = of_bucket.first() else { continue };
            entries.clear();
            entries.extend(of_bucket.iter().map(|(_, entry)| *entry));
            bucket::encode_loose(&entries, geometry.suffix_bits().into(), &mut operands);
            ends.push((*key, operands.len()));
        }
        Self { ends, operands, count: added.len() as u64 }
    }

    fn each(&self, mut each: impl FnMut(BucketKey, &[u8])) {
        let mut start = 0;
        for (key, end) in &self.ends {
            each(*key, self.operands.get(start..*end).unwrap_or_default());
            start = *end;
        }
    }

    /// Appends the merge operands to a batch.
    pub(crate) fn merge_into_batch(&self, batch: &mut WriteBatch, window: &Window) {
        self.each(|key, operand| batch.merge_cf(window.family_handle(), key, operand));
    }

    /// Merges the operands into the window's cached rows. Their batch must have been written.
    pub(crate) fn merge_into_cache(&self, window: &Window) {
        self.each(|key, operand| window.row_cache.merge(key, operand));
        window.entries.fetch_add(self.count, Ordering::Relaxed);
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }
}
