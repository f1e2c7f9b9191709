//! The hint keys of a station's slots: derived once, extended when devices are added.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use hintdex_core::{FleetView, LiveIndex};
use hintdex_scan::KeyTable;
use hintdex_wire::{HintKey, KeyId, Slot};

use super::fleet_keys::FleetKeys;
use crate::Error;
use crate::chain_search::SlotChains;
use crate::slot_keys::SlotKeys;
use crate::snapshots::Snapshots;

/// The table of the hint keys of all slots, shared by lookups and maintenance.
pub(crate) struct HintKeys {
    index: Arc<LiveIndex>,
    /// The keys of the fleet, with the chains of a fleet whose keys move on.
    keys: Arc<FleetKeys>,
    /// A chain among them needs the keys of slots that were retired after its build.
    snapshots: Arc<Snapshots>,
    /// `None` until the keys are first needed.
    table: RwLock<Option<Arc<KeyTable>>>,
    /// Calls of [`retire`](Self::retire) and [`extend`](Self::extend) that have begun.
    retirements: AtomicU64,
    /// The chains that are being built: any of them may need the key of any slot.
    builds: AtomicU32,
    /// Whether it was reported that the table is not locked.
    is_reported: AtomicBool,
}

/// Keeps the keys of slots that are retired meanwhile, until the value is dropped.
pub(crate) struct KeysHeld<'k>(&'k HintKeys);

impl HintKeys {
    pub(crate) fn new(
        index: Arc<LiveIndex>,
        keys: Arc<FleetKeys>,
        snapshots: Arc<Snapshots>,
    ) -> Self {
        let (retirements, builds) = (AtomicU64::new(0), AtomicU32::new(0));
        let is_reported = AtomicBool::new(false);
        Self { index, keys, snapshots, table: RwLock::default(), retirements, builds, is_reported }
    }

    /// The hint keys as searches need them. The first call derives a table.
    pub(crate) fn slot_keys(&self) -> Result<SlotKeys<'_>, Error> {
        Ok(match self.index.params().ratchet {
            None => SlotKeys::Table(self.table()?),
            Some(bits) => SlotKeys::Chains(SlotChains { index: &self.index, bits }),
        })
    }

    /// Stores the chains that have moved, if the fleet has chains.
    pub(crate) fn store_chains(&self) -> Result<(), Error> {
        match self.index.params().ratchet {
            Some(_) if !self.index.is_poisoned() => self.keys.store_chains(&self.index),
            _ => Ok(()),
        }
    }

    /// The bytes of the table, or of chains, in memory; 0 before the keys are derived.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.derived().map_or(self.keys.chain_memory().0, |table| table.memory_bytes())
    }

    /// Whether the table, or the chains, are locked in memory; `None` before the keys are derived.
    pub(crate) fn are_locked(&self) -> Option<bool> {
        match self.index.params().ratchet {
            None => self.derived().map(|table| table.is_locked()),
            Some(_) => Some(self.keys.chain_memory().1),
        }
    }

    /// The note that the table is not locked in memory, once.
    pub(crate) fn take_note(&self) -> Option<String> {
        if self.are_locked()? || self.is_reported.swap(true, Ordering::Relaxed) {
            return None;
        }
        Some(format!(
            "the key table of {} bytes is not locked in memory and may reach swap space: allow \
             this process to lock more (ulimit -l, LimitMEMLOCK=), or encrypt the swap space",
            self.memory_bytes()
        ))
    }

    /// The hint keys of all slots. The first call derives them.
    ///
    /// Derivation forks, so the lock is not held meanwhile: two calls at the same time both
    /// derive the keys, and one of the two tables stays.
    pub(crate) fn table(&self) -> Result<Arc<KeyTable>, Error> {
        if let Some(table) = self.derived() {
            return Ok(table);
        }
        loop {
            let retirements = self.retirements.load(Ordering::SeqCst);
            let mut table = KeyTable::new(self.index.params().scheme);
            self.add_missing(&mut table, &self.index.fleet_view())?;
            let mut place = self.lock();
            if let Some(table) = &*place {
                return Ok(table.clone());
            }
            // A call that added or retired devices meanwhile has found no table to change.
            let is_whole = table.len() >= self.index.slot_count() as usize;
            if is_whole && self.retirements.load(Ordering::SeqCst) == retirements {
                let table = Arc::new(table);
                *place = Some(table.clone());
                return Ok(table);
            }
        }
    }

    /// The hint keys of the slots of `view`, and of no others that are missing in the table.
    /// The slots of a provisioning in progress are in no table that others use.
    pub(crate) fn table_of(&self, view: &FleetView<'_>) -> Result<Arc<KeyTable>, Error> {
        self.table_with(view, view.new_slots())
    }

    /// The hint keys of the slots of `view`, of which `new` may have other keys in the table.
    fn table_with(
        &self,
        view: &FleetView<'_>,
        new: &[Range<Slot>],
    ) -> Result<Arc<KeyTable>, Error> {
        let table = self.table()?;
        let known = u32::try_from(table.len()).unwrap_or(u32::MAX);
        let reused = new.iter().map(|slots| slots.start..slots.end.min(Slot(known)));
        let reused: Vec<_> = reused.filter(|slots| !slots.is_empty()).collect();
        if reused.is_empty() && known >= view.slot_count() {
            return Ok(table);
        }
        let mut table = KeyTable::clone(&table);
        for slots in reused {
            let (keys, without_key) = derive_hint_keys(view, slots.clone())?;
            let slots = (slots.start.0..slots.end.0).map(Slot);
            slots.clone().zip(&keys).for_each(|(slot, key)| table.assign(slot, key));
            // A key may have been retired since it was added.
            let retired =
                slots.filter(|slot| self.index.is_retired(*slot) && view.new_slots().is_empty());
            retired.for_each(|slot| self.retire_in(&mut table, slot));
            without_key.into_iter().for_each(|slot| table.retire(slot));
        }
        self.add_missing(&mut table, view)?;
        Ok(Arc::new(table))
    }

    /// Adds the keys of the slots that the table lacks, and those of `new`, if the keys were
    /// derived.
    pub(crate) fn extend(&self, new: &[Range<Slot>]) -> Result<(), Error> {
        // A derivation in progress may have read other keys of these slots.
        self.retirements.fetch_add(1, Ordering::SeqCst);
        loop {
            let Some(before) = self.derived() else { return Ok(()) };
            let after = self.table_with(&self.index.fleet_view(), new)?;
            if Arc::ptr_eq(&before, &after) {
                return Ok(());
            }
            let mut place = self.lock();
            // If another call has retired a device or extended the table, start again.
            if place.as_ref().is_some_and(|now| Arc::ptr_eq(now, &before)) {
                *place = Some(after);
                return Ok(());
            }
        }
    }

    /// Removes `slots` from every later search. A key that a chain needs stays as a tombstone.
    pub(crate) fn retire(&self, slots: &[Slot]) {
        self.retirements.fetch_add(1, Ordering::SeqCst);
        if let Some(table) = &mut *self.lock() {
            slots.iter().for_each(|slot| self.retire_in(Arc::make_mut(table), *slot));
        }
        if self.index.params().ratchet.is_some() {
            let keys: Vec<KeyId> = slots.iter().filter_map(|slot| self.index.key(*slot)).collect();
            // What stays in the file if this fails, the next opening wipes.
            let _ = self.keys.forget_chains(&keys);
        }
    }

    /// Announces the build of a chain, which ends when the chain is attached.
    pub(crate) fn hold(&self) -> KeysHeld<'_> {
        self.builds.fetch_add(1, Ordering::SeqCst);
        KeysHeld(self)
    }

    /// Whether a chain needs the key of `slot`.
    pub(crate) fn is_needed(&self, slot: Slot) -> bool {
        self.builds.load(Ordering::SeqCst) > 0 || self.snapshots.need_key_of(slot)
    }

    fn retire_in(&self, table: &mut KeyTable, slot: Slot) {
        if self.is_needed(slot) { table.entomb(slot) } else { table.retire(slot) }
    }

    /// Zeroizes the keys of the tombstones that no chain needs any longer.
    fn wipe_tombstones(&self) {
        let is_left = |slot: &Slot| !self.is_needed(*slot);
        let has_left = |table: Arc<KeyTable>| table.tombstones().iter().any(is_left);
        if !self.derived().is_some_and(has_left) {
            return;
        }
        if let Some(table) = &mut *self.lock() {
            Arc::make_mut(table).wipe_retired(|slot| self.is_needed(slot));
        }
    }

    /// Adds the keys of all slots of `view` that `table` lacks.
    fn add_missing(&self, table: &mut KeyTable, view: &FleetView<'_>) -> Result<(), Error> {
        let first = u32::try_from(table.len()).unwrap_or(u32::MAX);
        let slots = Slot(first)..Slot(view.slot_count().max(first));
        let (keys, without_key) = derive_hint_keys(view, slots.clone())?;
        table.extend(keys);
        let slots = (slots.start.0..slots.end.0).map(Slot);
        let retired = slots.filter(|slot| view.index().is_retired(*slot));
        retired.for_each(|slot| self.retire_in(table, slot));
        // A slot without a key was added with a key of zeros. It is retired in the table, so no
        // search finds it.
        without_key.into_iter().for_each(|slot| table.retire(slot));
        Ok(())
    }

    fn derived(&self) -> Option<Arc<KeyTable>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> RwLockWriteGuard<'_, Option<Arc<KeyTable>>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KeysHeld<'_> {
    fn drop(&mut self) {
        self.0.builds.fetch_sub(1, Ordering::SeqCst);
        self.0.wipe_tombstones();
    }
}

/// Derives the hint keys of a run of slots. A free slot, and a slot that is out of service and
/// has no key, gets a key of zeros, and its number is returned.
///
/// Each key is written once, to its final place, so no vector that grows leaves a copy on
/// the heap.
fn derive_hint_keys(
    view: &FleetView<'_>,
    slots: Range<Slot>,
) -> Result<(Vec<HintKey>, Vec<Slot>), Error> {
    let (ids, first) = (view.keys(slots.clone()), slots.start.0);
    let index = view.index();
    let source = index.key_source().as_ref();
    let mut keys = vec![HintKey::from_bytes([0; 16]); ids.len()];
    let derive = |(place, (slot, id)): (&mut HintKey, (Slot, &Option<KeyId>))| {
        let Some(id) = *id else { return Ok(Some(slot)) };
        match source.hint_key(id) {
            Some(key) => *place = key,
            None if index.is_out_of_service(slot) || index.is_retired(slot) => {
                return Ok(Some(slot));
            }
            None => return Err(hintdex_core::Error::NoSuchKey(id)),
        }
        Ok(None)
    };
    let share = ids.len().div_ceil(rayon::current_num_threads()).max(1);
    let mut without_key = Vec::new();
    std::thread::scope(|scope| {
        let starts = (first..).step_by(share);
        let shares = keys.chunks_mut(share).zip(ids.chunks(share)).zip(starts);
        let threads: Vec<_> = shares
            .map(|((places, ids), start)| {
                let of_share = (start..).map(Slot).zip(ids);
                scope.spawn(move || {
                    let derived = places.iter_mut().zip(of_share).map(derive);
                    derived.collect::<Result<Vec<_>, _>>()
                })
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(derived) => without_key.extend(derived?.into_iter().flatten()),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<(), Error>(())
    })?;
    Ok((keys, without_key))
}
