//! Chains that are given with their devices: appended to the file, and taken back unless kept.

use std::sync::Arc;

use hintdex_wire::{Chain, KeyId, MasterKey};

use super::ChainStore;
use super::file::{self, ChainFile};
use super::record::{Owner, Record};
use super::table::{Entry, Filed};
use crate::Error;

/// Records that are written at a time.
const BUFFER_RECORDS: usize = 8 << 10;

/// Chains that are being appended. They are cut off again unless they are [kept](Self::keep).
pub(crate) struct AppendedChains {
    store: Arc<ChainStore>,
    new: Vec<KeyId>,
    buffer: Vec<Record>,
    is_finished: bool,
    is_kept: bool,
}

impl AppendedChains {
    /// Begins to append records after the last one. Creates a missing file.
    pub(in crate::keys) fn begin(
        store: &Arc<ChainStore>,
        master: &MasterKey,
    ) -> Result<Self, Error> {
        let mut inner = store.write();
        if inner.file.is_none() {
            inner.file = Some(ChainFile::create(&store.path, master)?);
        }
        inner.is_importing = true;
        drop(inner);
        let (new, buffer) = (Vec::new(), Vec::new());
        Ok(Self { store: store.clone(), new, buffer, is_finished: false, is_kept: false })
    }

    /// Appends the chain of a key.
    pub(in crate::keys) fn add(&mut self, key: KeyId, chain: &Chain) -> Result<(), Error> {
        let owner = Owner { key, is_given: true };
        let bad = |why| file::bad(&self.store.path, why);
        let cell = self.store.sealer.seal(owner, chain);
        let cell = cell.ok_or_else(|| bad("a chain cannot be sealed"))?;
        let [_, empty] = Record::of(owner).cells;
        self.buffer.push(Record { cells: [cell, empty], ..Record::of(owner) });
        self.new.push(key);
        if self.buffer.len() >= BUFFER_RECORDS { self.flush() } else { Ok(()) }
    }

    /// The keys that were added, in order.
    pub(in crate::keys) fn keys(&self) -> &[KeyId] {
        &self.new
    }

    fn flush(&mut self) -> Result<(), Error> {
        let inner = self.store.read();
        let written = self.new.len() - self.buffer.len();
        let place = u32::try_from(written).ok().and_then(|new| inner.records.checked_add(new));
        let full = || file::bad(&self.store.path, "it is full; create another fleet");
        let place = place.ok_or_else(full)?;
        if let Some(file) = &inner.file {
            file.write_records(place, &self.buffer)?;
        }
        self.buffer.clear();
        Ok(())
    }

    /// Makes the added records durable, and holds their chains.
    pub(in crate::keys) fn finish(&mut self) -> Result<(), Error> {
        self.flush()?;
        let mut inner = self.store.write();
        let Some(file) = &inner.file else { return Ok(()) };
        file.sync()?;
        let first = inner.records;
        let mut chains = Vec::with_capacity(self.new.len());
        for record in (first..).take(self.new.len()) {
            chains.push((record, file.read(record)?));
        }
        for (number, record) in chains {
            let (key, [cell, _]) = (record.owner().key, &record.cells);
            let chain = self.store.sealer.unseal(&record, cell);
            let chain =
                chain.ok_or_else(|| file::bad(&self.store.path, "a chain was not written"))?;
            let filed = Some(Filed { record: number, cell: 0 });
            let epoch = chain.epoch();
            let entry = Entry { key, is_given: true, epoch, filed, has_moved: false };
            inner.lost.remove(&key);
            inner.table.put(entry, &chain);
        }
        inner.records = first.saturating_add(u32::try_from(self.new.len()).unwrap_or(u32::MAX));
        self.is_finished = true;
        Ok(())
    }

    /// Keeps the records in the file from now on.
    pub(in crate::keys) const fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Cuts the records off after all.
    pub(in crate::keys) fn take_back(mut self) {
        self.is_kept = false;
    }
}

impl Drop for AppendedChains {
    fn drop(&mut self) {
        let mut inner = self.store.write();
        inner.is_importing = false;
        if self.is_kept {
            return;
        }
        if self.is_finished {
            let new = u32::try_from(self.new.len()).unwrap_or(u32::MAX);
            inner.records = inner.records.saturating_sub(new);
        }
        for key in &self.new {
            if let Some(place) = inner.table.place(*key) {
                inner.table.remove(place);
            }
        }
        // If this fails, the records belong to no device, and the next opening wipes them.
        let _ = inner.file.as_ref().map(|file| file.cut(inner.records));
    }
}
