//! The windows an index answers from, and what a build in progress must not miss.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use hintdex_wire::{Clock, Hint, Slot, SystemClock};
use rocksdb::WriteBatch;

use crate::Error;
use crate::bucket;
use crate::geometry::{BucketKey, Geometry};
use crate::held::LeftTo;
use crate::records::{WindowRecord, window_family};
use crate::store::{Family, KeptFamily, Store};
use crate::time::{Span, Timing};

/// A declared window: a column family and how hints are cut in it.
pub(crate) struct Window {
    pub(crate) epoch: u32,
    pub(crate) family: String,
    kept: KeptFamily,
    pub(crate) geometry: Geometry,
    /// The station's time it is for, where nonces tell time.
    pub(crate) span: Option<Span>,
    /// Slots there are in it.
    pub(crate) slots: u32,
    /// What it lacks, if a snapshot has it.
    pub(crate) left_to: Option<LeftTo>,
    /// Entries it was declared with.
    pub(crate) built_entries: u64,
    /// Those, and entries added since, stale ones included.
    pub(crate) entries: AtomicU64,
}

impl Window {
    /// The window of this epoch, whose family is there.
    pub(crate) fn new(store: &Store, epoch: u32, record: &WindowRecord) -> Result<Self, Error> {
        let bad = |why: &str| Error::corrupted("a window record", why);
        let family = window_family(epoch);
        Ok(Self {
            epoch,
            kept: store.keep(&family)?,
            family,
            geometry: record.geometry().ok_or_else(|| bad("no window has these bits"))?,
            span: record.span(),
            slots: record.slots.get(),
            left_to: record.left_to(),
            built_entries: record.entries.get(),
            entries: record.entries.get().into(),
        })
    }

    /// What is stored of it.
    pub(crate) fn record(&self) -> WindowRecord {
        let left_to = self.left_to;
        let span = self.span.clone().unwrap_or_default();
        WindowRecord {
            prefix_bits: self.geometry.prefix_bits(),
            suffix_bits: self.geometry.suffix_bits(),
            reserved: [0; 2],
            slots: self.slots.into(),
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

/// What lookups and additions go by; changed in one step at the end of a build.
#[derive(Default)]
pub(crate) struct Windows {
    /// One, or none before the first provisioning; where nonces tell time one for each
    /// span, in no order.
    pub(crate) declared: Vec<Window>,
    /// The window that is being built, if one is.
    pub(crate) building: Option<Building>,
}

/// What a build must not miss.
#[derive(Default)]
pub(crate) struct Building {
    /// What it is for, where nonces tell time.
    pub(crate) span: Option<Span>,
    /// Additions since it began to read the states: it lacks them.
    missed: Mutex<Vec<Added>>,
}

impl Building {
    /// A build that begins now.
    pub(crate) fn of(span: Option<Span>) -> Self {
        Self { span, missed: Mutex::default() }
    }
}

impl Windows {
    /// The window that additions go to at `now_s`: the only one, or the present one.
    pub(crate) fn present(&self, now_s: u64) -> Option<usize> {
        let is_present =
            |window: &Window| window.span.as_ref().is_none_or(|span| span.contains(&now_s));
        self.declared.iter().position(is_present).or((!self.declared.is_empty()).then_some(0))
    }

    /// The windows that a hint received in `times` may be in, the present one first.
    pub(crate) fn asked(
        &self,
        timing: &Timing,
        times: &RangeInclusive<u64>,
    ) -> impl Iterator<Item = &Window> {
        let present = self.present(*times.end()).unwrap_or(0);
        let (others, rest) = self.declared.split_at(present);
        let is_asked = move |window: &&Window| {
            window.span.as_ref().is_none_or(|span| timing.is_asked(span, times))
        };
        rest.iter().chain(others).filter(is_asked)
    }

    /// The epoch after all that are declared.
    pub(crate) fn next_epoch(&self) -> u32 {
        self.declared.iter().map(|window| window.epoch).max().unwrap_or(0) + 1
    }

    /// Remembers additions for the build in progress, if there is one.
    pub(crate) fn remember(&self, added: &[Added]) {
        if let Some(building) = &self.building {
            let mut missed = building.missed.lock().unwrap_or_else(PoisonError::into_inner);
            missed.extend_from_slice(added);
        }
    }

    /// Takes what was remembered.
    pub(crate) fn take_missed(&self) -> Vec<Added> {
        self.building.as_ref().map_or_else(Vec::new, |building| {
            std::mem::take(&mut *building.missed.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }
}

/// Adds hints to a window's family, one merge operand a bucket they fall into.
pub(crate) fn merge_hints(
    batch: &mut WriteBatch,
    family: &Family<'_>,
    geometry: Geometry,
    added: &[Added],
) {
    let placed = added.iter().map(|(hint, slot)| {
        let (key, suffix) = geometry.place(hint);
        (key, bucket::entry(suffix, *slot))
    });
    let mut placed: Vec<(BucketKey, bucket::Entry)> = placed.collect();
    placed.sort_unstable();
    placed.dedup();
    let (mut entries, mut operand) = (Vec::new(), Vec::new());
    for of_bucket in placed.chunk_by(|a, b| a.0 == b.0) {
        let Some((key, _)) = of_bucket.first() else { continue };
        entries.clear();
        entries.extend(of_bucket.iter().map(|(_, entry)| *entry));
        operand.clear();
        bucket::encode_loose(&entries, geometry.suffix_bits().into(), &mut operand);
        batch.merge_cf(family, key, &operand);
    }
}
