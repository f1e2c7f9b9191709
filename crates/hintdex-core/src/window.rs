//! The windows an index answers from, and what a roll in progress must not miss.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use hintdex_wire::{Hint, Slot};
use rocksdb::WriteBatch;

use crate::Error;
use crate::bucket;
use crate::geometry::{BucketKey, Geometry};
use crate::held::LeftTo;
use crate::records::window_family;
use crate::store::{Family, KeptFamily, Store};

/// A declared window: a column family and how hints are cut in it.
pub(crate) struct Window {
    pub(crate) epoch: u32,
    pub(crate) family: String,
    kept: KeptFamily,
    pub(crate) geometry: Geometry,
    /// Slots there were when it was built.
    pub(crate) slots: u32,
    /// What it lacks, if a snapshot has it.
    pub(crate) left_to: Option<LeftTo>,
    /// Entries built in bulk and added since, stale ones included.
    pub(crate) entries: AtomicU64,
}

impl Window {
    /// A window of the family of this epoch, which is there.
    pub(crate) fn new(
        store: &Store,
        epoch: u32,
        geometry: Geometry,
        slots: u32,
        left_to: Option<LeftTo>,
        entries: u64,
    ) -> Result<Self, Error> {
        let family = window_family(epoch);
        let kept = store.keep(&family)?;
        let entries = AtomicU64::new(entries);
        Ok(Self { epoch, family, kept, geometry, slots, left_to, entries })
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

/// What lookups and additions go by; replaced in one step at the end of a roll.
#[derive(Default)]
pub(crate) struct Windows {
    /// The window of the current epoch; none before the first provisioning.
    pub(crate) current: Option<Window>,
    /// Additions since a roll began to read the states: its window lacks them.
    pub(crate) missed: Option<Mutex<Vec<Added>>>,
}

impl Windows {
    /// Remembers additions for the roll in progress, if there is one.
    pub(crate) fn remember(&self, added: &[Added]) {
        if let Some(missed) = &self.missed {
            missed.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(added);
        }
    }

    /// Takes what was remembered.
    pub(crate) fn take_missed(&self) -> Vec<Added> {
        let missed = self.missed.as_ref();
        missed.map_or_else(Vec::new, |missed| {
            std::mem::take(&mut *missed.lock().unwrap_or_else(PoisonError::into_inner))
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
