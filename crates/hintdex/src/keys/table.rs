//! The hint keys of a station's devices: derived once, extended as devices come.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use hintdex_core::LiveIndex;
use hintdex_scan::KeyTable;
use hintdex_wire::{HintKey, KeyId, Slot};

use crate::{Error, Station};

impl Station {
    /// Bytes of the key table in memory; 0 before the first packet.
    pub fn table_memory_bytes(&self) -> usize {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.as_ref().map_or(0, |table| table.memory_bytes())
    }

    /// Derives every hint key now rather than with the first packet.
    ///
    /// 0.1 to 0.5 s a million devices on two cores, by whether the processor has
    /// instructions for SHA-256.
    ///
    /// # Errors
    /// What the index says: a key that the source does not have.
    pub fn warm_up(&self) -> Result<(), Error> {
        self.table().map(|_| ())
    }

    /// The hint keys of all slots, derived by whoever is first to ask.
    pub(crate) fn table(&self) -> Result<Arc<KeyTable>, Error> {
        if let Some(table) = &*self.table.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(table.clone());
        }
        let mut place = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = &*place {
            return Ok(table.clone());
        }
        let mut table = KeyTable::new(self.index.params().scheme);
        extend(&mut table, &self.index)?;
        let table = Arc::new(table);
        *place = Some(table.clone());
        Ok(table)
    }

    /// Adds the keys of slots that came since the table was filled, if it was.
    pub(crate) fn extend_table(&self) -> Result<(), Error> {
        match &mut *self.table.write().unwrap_or_else(PoisonError::into_inner) {
            Some(table) => extend(Arc::make_mut(table), &self.index),
            None => Ok(()),
        }
    }
}

/// Adds the keys of all slots that `table` lacks, whoever provisioned them.
fn extend(table: &mut KeyTable, index: &LiveIndex) -> Result<(), Error> {
    let first = u32::try_from(table.len()).unwrap_or(u32::MAX);
    let slots = Slot(first)..Slot(index.slot_count().max(first));
    table.extend(derive_hint_keys(index, slots.clone())?);
    let source = index.key_source();
    // A slot without a key was put in with a key of zeros, and is never found.
    let is_without_key = |slot: &Slot| {
        index.is_out_of_service(*slot)
            && index.key(*slot).is_some_and(|key| source.hint_key(key).is_none())
    };
    let slots = (slots.start.0..slots.end.0).map(Slot);
    slots
        .filter(|slot| index.is_retired(*slot) || is_without_key(slot))
        .for_each(|slot| table.retire(slot));
    Ok(())
}

/// Derives the hint keys of a run of slots.
///
/// On threads of its own: a lock is held meanwhile, and a thread of rayon's could
/// steal a task that waits for it. Each key is put where it stays, so that no vector
/// that grew or was moved from leaves a copy on the heap.
fn derive_hint_keys(index: &LiveIndex, slots: Range<Slot>) -> Result<Vec<HintKey>, Error> {
    let ids = index.keys(slots);
    let source = index.key_source().as_ref();
    let mut keys = vec![HintKey::from_bytes([0; 16]); ids.len()];
    let is_expected = |id: &KeyId| {
        let is_it = |slot: &Slot| index.key(*slot) == Some(*id);
        index
            .slots(id.device)
            .into_iter()
            .find(is_it)
            .is_some_and(|slot| index.is_out_of_service(slot))
    };
    let derive = |places: &mut [HintKey], ids: &[KeyId]| -> Result<(), hintdex_core::Error> {
        for (place, id) in places.iter_mut().zip(ids) {
            match source.hint_key(*id) {
                Some(key) => *place = key,
                None if is_expected(id) => {}
                None => return Err(hintdex_core::Error::NoSuchKey(*id)),
            }
        }
        Ok(())
    };
    let share = ids.len().div_ceil(rayon::current_num_threads()).max(1);
    std::thread::scope(|scope| {
        let shares = keys.chunks_mut(share).zip(ids.chunks(share));
        let threads: Vec<_> =
            shares.map(|(places, ids)| scope.spawn(|| derive(places, ids))).collect();
        for thread in threads {
            match thread.join() {
                Ok(derived) => derived?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<(), Error>(())
    })?;
    Ok(keys)
}
