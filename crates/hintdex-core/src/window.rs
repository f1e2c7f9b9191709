//! The windows an index answers from, and what a build in progress must not miss.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::{ArcSwap, Guard};
use hintdex_host::{Clock, SystemClock};
use hintdex_wire::{Hint, Slot};
use rocksdb::WriteBatch;

use crate::Error;
use crate::bucket;
use crate::geometry::{BucketKey, Geometry};
use crate::held::LeftTo;
use crate::records::{WindowRecord, window_family};
use crate::rows::Rows;
use crate::store::{Family, KeptFamily, Store};
use crate::time::{Span, Timing};

/// A declared window: a column family and how hints are cut in it.
pub(crate) struct Window {
    pub(crate) epoch: u32,
    pub(crate) family: String,
    kept: KeptFamily,
    pub(crate) geometry: Geometry,
    pub(crate) rows: Rows,
    /// The station's time it is for, where nonces tell time.
    pub(crate) span: Option<Span>,
    /// Slots there are in it.
    pub(crate) slots: AtomicU32,
    /// What it lacks, if a snapshot has it.
    pub(crate) left_to: Option<LeftTo>,
    /// Entries it was declared with.
    pub(crate) built_entries: u64,
    /// Those, and entries added since, stale ones included.
    pub(crate) entries: AtomicU64,
    /// The first damage that a lookup met in it.
    damage: OnceLock<String>,
}

impl Window {
    /// The window of this epoch, whose family is there.
    pub(crate) fn new(store: &Store, epoch: u32, record: &WindowRecord) -> Result<Self, Error> {
        let family = window_family(epoch);
        let no_bits = || Error::unsound("a window record", "no window has these bits");
        let geometry = record.geometry().ok_or_else(no_bits)?;
        Ok(Self {
            epoch,
            kept: store.keep(&family)?,
            family,
            geometry,
            rows: Rows::new(geometry, store.row_budget()),
            span: record.span(),
            slots: record.slots.get().into(),
            left_to: record.left_to(),
            built_entries: record.entries.get(),
            entries: record.entries.get().into(),
            damage: OnceLock::new(),
        })
    }

    /// Notes that a part of the window cannot be read; whether that is news. What the part
    /// held is scanned for until the window is built again.
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

    /// What is stored of it.
    pub(crate) fn record(&self) -> WindowRecord {
        let left_to = self.left_to;
        let span = self.span.clone().unwrap_or_default();
        WindowRecord {
            prefix_bits: self.geometry.prefix_bits(),
            suffix_bits: self.geometry.suffix_bits(),
            reserved: [0; 2],
            slots: self.slots.load(Ordering::Relaxed).into(),
            entries: self.built_entries.into(),
            built_unix_s: SystemClock.now_unix_s().into(),
            snapshot: left_to.map_or([0; 16], |left_to| left_to.snapshot),
            snapshot_slots: left_to.map_or(0, |left_to| left_to.slots).into(),
            horizon_nonces: left_to.map_or(0, |left_to| left_to.horizon_nonces).into(),
            from_unix_s: span.start.into(),
            to_unix_s: span.end.into(),
        }
    }

    /// The handle of its family.
    pub(crate) fn hints(&self) -> &Family<'_> {
        self.kept.borrow_dependent()
    }

    pub(crate) fn entry_count(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }
}

/// A hint that was added to a window.
pub(crate) type Added = (Hint, Slot);

/// The declared windows: one, or none before the first provisioning; where nonces tell
/// time one for each span, in no order. Never changed, only replaced by another list.
pub(crate) type Declared = Vec<Arc<Window>>;

/// The windows of an index.
///
/// Lookups take the list of the moment and no lock, so none of them waits for a window
/// that comes or goes: a family lives on as long as a list that somebody holds names it.
/// Whoever adds holds the windows, so that none misses an addition; the list changes
/// while nobody does.
pub(crate) struct Windows {
    declared: ArcSwap<Declared>,
    building: RwLock<Option<Building>>,
}

/// What a build must not miss.
#[derive(Default)]
pub(crate) struct Building {
    /// What it is for, where nonces tell time.
    pub(crate) span: Option<Span>,
    /// Additions since it began to read the states: it lacks them.
    missed: Mutex<Vec<Added>>,
}

/// The windows as they stay while somebody adds to them.
pub(crate) struct Adding<'a> {
    pub(crate) declared: Arc<Declared>,
    building: RwLockReadGuard<'a, Option<Building>>,
}

/// The windows while nobody adds to them.
pub(crate) struct Alone<'a> {
    declared: &'a ArcSwap<Declared>,
    building: RwLockWriteGuard<'a, Option<Building>>,
}

impl Windows {
    pub(crate) fn new(declared: Declared) -> Self {
        Self { declared: ArcSwap::from_pointee(declared), building: RwLock::default() }
    }

    /// The windows of this moment, for a lookup.
    pub(crate) fn declared(&self) -> Guard<Arc<Declared>> {
        self.declared.load()
    }

    /// Holds the windows as they are, for a leaf task that adds to them.
    pub(crate) fn adding(&self) -> Adding<'_> {
        let building = self.building.read().unwrap_or_else(PoisonError::into_inner);
        Adding { declared: self.declared.load_full(), building }
    }

    /// Waits until nobody adds, for the moments a build begins and ends.
    pub(crate) fn alone(&self) -> Alone<'_> {
        let building = self.building.write().unwrap_or_else(PoisonError::into_inner);
        Alone { declared: &self.declared, building }
    }
}

impl Adding<'_> {
    /// What the window that is being built is for, if one is and nonces tell time.
    pub(crate) fn building_span(&self) -> Option<&Span> {
        self.building.as_ref()?.span.as_ref()
    }

    /// Remembers additions for the build in progress, if there is one.
    pub(crate) fn remember(&self, added: &[Added]) {
        if let Some(building) = &*self.building {
            let mut missed = building.missed.lock().unwrap_or_else(PoisonError::into_inner);
            missed.extend_from_slice(added);
        }
    }

    /// Takes what was remembered.
    pub(crate) fn take_missed(&self) -> Vec<Added> {
        take_missed(self.building.as_ref())
    }
}

impl Alone<'_> {
    /// From here on what is added is remembered for a window of `span`.
    pub(crate) fn begin(&mut self, span: Option<Span>) {
        *self.building = Some(Building { span, missed: Mutex::default() });
    }

    /// Nothing is being built any longer.
    pub(crate) fn end(&mut self) {
        *self.building = None;
    }

    /// Takes what was remembered.
    pub(crate) fn take_missed(&self) -> Vec<Added> {
        take_missed(self.building.as_ref())
    }

    /// Takes the windows of these epochs out of the list, and puts `new` in; gives those
    /// that went.
    pub(crate) fn replace(&self, epochs: &[u32], new: Option<Window>) -> Declared {
        let is_replaced = |window: &Arc<Window>| epochs.contains(&window.epoch);
        let (gone, mut declared): (Declared, Declared) =
            self.declared.load().iter().cloned().partition(is_replaced);
        declared.extend(new.map(Arc::new));
        self.declared.store(Arc::new(declared));
        gone
    }
}

fn take_missed(building: Option<&Building>) -> Vec<Added> {
    building.map_or_else(Vec::new, |building| {
        std::mem::take(&mut *building.missed.lock().unwrap_or_else(PoisonError::into_inner))
    })
}

/// The window that additions go to at `now_s`: the only one, or the present one.
pub(crate) fn present(declared: &[Arc<Window>], now_s: u64) -> Option<usize> {
    let is_present =
        |window: &Arc<Window>| window.span.as_ref().is_none_or(|span| span.contains(&now_s));
    declared.iter().position(is_present).or((!declared.is_empty()).then_some(0))
}

/// The windows that a hint received in `times` may be in, the present one first.
pub(crate) fn asked<'a>(
    declared: &'a [Arc<Window>],
    timing: &Timing,
    times: &RangeInclusive<u64>,
) -> impl Iterator<Item = &'a Arc<Window>> {
    let (others, rest) = declared.split_at(present(declared, *times.end()).unwrap_or(0));
    let is_asked = move |window: &&Arc<Window>| {
        window.span.as_ref().is_none_or(|span| timing.is_asked(span, times))
    };
    rest.iter().chain(others).filter(is_asked)
}

/// The epoch after all that are declared.
pub(crate) fn next_epoch(declared: &[Arc<Window>]) -> u32 {
    declared.iter().map(|window| window.epoch).max().unwrap_or(0) + 1
}

/// Hints that are added to a window, by the buckets they fall into.
pub(crate) struct Additions {
    /// Each bucket with the end of its merge operand.
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

    /// Puts them into a batch.
    pub(crate) fn merge(&self, batch: &mut WriteBatch, window: &Window) {
        self.each(|key, operand| batch.merge_cf(window.hints(), key, operand));
    }

    /// Takes them into the window's rows in memory, once their batch was written.
    pub(crate) fn take_in(&self, window: &Window) {
        self.each(|key, operand| window.rows.add(key, operand));
        window.entries.fetch_add(self.count, Ordering::Relaxed);
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }
}
