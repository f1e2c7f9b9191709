//! The chains of a fleet whose keys move on with their nonces: in memory, and in a file.
//!
//! A chain is held from the first epoch on of which the station may still accept a packet, and
//! what lies before is wiped: in memory at once, in the file with the next
//! [`store`](ChainStore::store). A chain of the file that lags is walked forward. So the file must
//! never be ahead of a state, and states are made durable before it is written.
//!
//! A derived chain that is still at its beginning has no entry. Of derived chains the file is a
//! cache: it spares the walk from the first epoch, and a damaged record costs that walk again.

mod file;
mod import;
mod record;
mod table;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use hintdex_wire::{Chain, KeyId, MasterKey};
use rayon::prelude::*;

use crate::Error;
use file::ChainFile;
pub(super) use import::AppendedChains;
use record::{ChainSealer, Owner, Record};
use table::{ChainTable, Entry, Filed, Place};

/// The bytes of the file, for the test that compares the document with them.
#[doc(hidden)]
pub use record::format;

/// Chains that may have moved without being stored.
const MAX_MOVED: usize = 4096;

/// Packets that may be accepted while a chain that has moved is not stored.
const MAX_PACKETS: u64 = 16_384;

/// How long a chain that has moved is not stored while packets come.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The chains of a fleet.
pub(crate) struct ChainStore {
    path: PathBuf,
    sealer: ChainSealer,
    inner: RwLock<Inner>,
    /// Held while the file is written.
    storing: Mutex<()>,
}

#[derive(Default)]
struct Inner {
    table: ChainTable,
    /// Given keys whose chain is missing or damaged. No other chain is derived in their place.
    lost: HashSet<KeyId>,
    /// `None` before the first chain is stored.
    file: Option<ChainFile>,
    /// Records of the file, free and damaged ones included.
    records: u32,
    /// Records without a chain.
    free_records: Vec<u32>,
    /// Records with a second chain, and the cell that holds the older one.
    left: Vec<(u32, usize)>,
    /// Records that hold no sound chain, and the owners that they name.
    damaged: Vec<(u32, Owner)>,
    /// Whether records are being appended by an import.
    is_importing: bool,
    moved: Vec<Place>,
    first_moved: Option<Instant>,
    packets: u64,
}

impl ChainStore {
    /// Reads the file at `path`, if it exists. Unseals every chain, about 1 µs each.
    pub(super) fn open(path: &Path, master: &MasterKey) -> Result<Self, Error> {
        let sealer = ChainSealer::new(master);
        let mut inner = Inner::default();
        if let Some((file, records)) = ChainFile::open(path, master)? {
            let chains: Vec<_> = records.par_iter().map(|record| newest(&sealer, record)).collect();
            inner.records = u32::try_from(records.len()).unwrap_or(u32::MAX);
            for ((number, record), newest) in (0..).zip(&records).zip(chains) {
                inner.take_record(number, record, newest);
            }
            inner.file = Some(file);
        }
        let (inner, storing) = (RwLock::new(inner), Mutex::new(()));
        Ok(Self { path: path.to_owned(), sealer, inner, storing })
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The chain of `key` in `epoch`, walked forward from the one that is held: `None` if the
    /// chain is derived and not held, or held in a later epoch; `Some(None)` if it was given and
    /// nothing leads to that epoch any longer.
    pub(super) fn chain(&self, key: KeyId, epoch: u32) -> Option<Option<Chain>> {
        let (mut chain, is_given) = {
            let inner = self.read();
            let Some(place) = inner.table.place(key) else {
                return inner.lost.contains(&key).then_some(None);
            };
            (inner.table.chain(place)?, inner.table.entry(place)?.is_given)
        };
        match chain.advance_to(epoch) {
            true => Some(Some(chain)),
            false => is_given.then_some(None),
        }
    }

    /// The epoch in which the chain of `key` is held.
    pub(super) fn epoch(&self, key: KeyId) -> Option<u32> {
        let inner = self.read();
        Some(inner.table.entry(inner.table.place(key)?)?.epoch)
    }

    /// Whether the chain of `key` was given, and is there or lost.
    pub(super) fn is_given(&self, key: KeyId) -> bool {
        let inner = self.read();
        let entry = inner.table.place(key).and_then(|place| inner.table.entry(place));
        entry.is_some_and(|entry| entry.is_given) || inner.lost.contains(&key)
    }

    /// Whether the chain of `key` is held.
    pub(super) fn has(&self, key: KeyId) -> bool {
        self.read().table.place(key).is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        let inner = self.read();
        inner.table.len() == 0 && inner.damaged.is_empty()
    }

    /// The keys whose chains are held, and whether they were given.
    pub(super) fn keys(&self) -> Vec<(KeyId, bool)> {
        self.read().table.iter().map(|(_, entry)| (entry.key, entry.is_given)).collect()
    }

    /// Marks given keys as lost.
    pub(super) fn lose(&self, keys: impl IntoIterator<Item = KeyId>) {
        self.write().lost.extend(keys);
    }

    /// The bytes of the chain keys in memory, and whether their pages are locked.
    pub(super) fn memory(&self) -> (usize, bool) {
        let inner = self.read();
        (inner.table.memory_bytes(), inner.table.is_locked())
    }

    /// Moves the chain of `key` on to `chain`, and wipes the one before. Nothing changes if the
    /// chain that is held is of the same or a later epoch.
    pub(super) fn move_to(&self, key: KeyId, chain: &Chain) {
        let mut inner = self.write();
        let held = inner.table.place(key).and_then(|place| inner.table.entry(place)).copied();
        let is_lost = held.is_none() && inner.lost.contains(&key);
        if is_lost || held.is_some_and(|held| held.epoch >= chain.epoch()) {
            return;
        }
        let new = Entry { key, is_given: false, epoch: 0, filed: None, has_moved: false };
        let entry = held.unwrap_or(new);
        let place = inner.table.put(Entry { has_moved: true, ..entry }, chain);
        if !entry.has_moved {
            inner.moved.push(place);
            inner.first_moved.get_or_insert_with(Instant::now);
        }
    }

    /// Counts accepted packets. Whether chains that have moved must be stored now.
    pub(super) fn is_due(&self, packets: usize) -> bool {
        let mut inner = self.write();
        if inner.moved.is_empty() {
            return false;
        }
        inner.packets += packets as u64;
        inner.moved.len() >= MAX_MOVED
            || inner.packets >= MAX_PACKETS
            || inner.first_moved.is_some_and(|first| first.elapsed() >= MAX_AGE)
    }

    /// Stores the chains that have moved, and overwrites those that they have left. The states
    /// that moved them must be durable.
    ///
    /// Two syncs of the file, and about 5 µs a chain.
    ///
    /// # Errors
    /// [`Error::File`]. The chains are stored with the next call then.
    pub(super) fn store(&self, master: &MasterKey) -> Result<(), Error> {
        let _alone = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        self.clear_left()?;
        let places = {
            let mut inner = self.write();
            if inner.moved.is_empty() {
                return Ok(());
            }
            if inner.file.is_none() {
                inner.file = Some(ChainFile::create(&self.path, master)?);
            }
            (inner.packets, inner.first_moved) = (0, None);
            std::mem::take(&mut inner.moved)
        };
        let stored = self.store_places(&places);
        if stored.is_err() {
            let mut inner = self.write();
            inner.moved.extend(places);
            inner.first_moved.get_or_insert_with(Instant::now);
        }
        stored
    }

    fn store_places(&self, places: &[Place]) -> Result<(), Error> {
        let (left, filed) = self.write_new(places)?;
        {
            let inner = self.read();
            let Some(file) = &inner.file else { return Ok(()) };
            file.sync()?;
            for (record, cell) in &left {
                file.write_cell(*record, *cell, None)?;
            }
            file.sync()?;
        }
        let mut inner = self.write();
        for (place, now, epoch) in filed {
            // The chain may have moved again meanwhile: then it stays among those that have moved.
            let Some(entry) = inner.table.entry_mut(place) else { continue };
            entry.filed = Some(now);
            entry.has_moved = entry.epoch != epoch;
            if entry.has_moved {
                inner.moved.push(place);
                inner.first_moved.get_or_insert_with(Instant::now);
            }
        }
        Ok(())
    }

    /// Runs `work` while no chain is stored or overwritten.
    pub(super) fn while_stored<T>(&self, work: impl FnOnce() -> T) -> T {
        let _alone = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    /// Overwrites the older chains that an interrupted call has left.
    fn clear_left(&self) -> Result<(), Error> {
        let mut inner = self.write();
        if let Some(file) = inner.file.as_ref().filter(|_| !inner.left.is_empty()) {
            for (record, cell) in &inner.left {
                file.write_cell(*record, *cell, None)?;
            }
            file.sync()?;
        }
        inner.left.clear();
        Ok(())
    }

    /// Writes the chains at these places to cells that hold none. Returns the records and cells
    /// that hold an older chain, and where each chain is now, with its epoch.
    #[expect(clippy::type_complexity, reason = "two lists of one loop")]
    fn write_new(
        &self,
        places: &[Place],
    ) -> Result<(Vec<(u32, usize)>, Vec<(Place, Filed, u32)>), Error> {
        let (mut left, mut filed) = (Vec::new(), Vec::new());
        for place in places {
            let mut inner = self.write();
            let Some(entry) = inner.table.entry(*place).copied() else { continue };
            let Some(chain) = inner.table.chain(*place) else { continue };
            let owner = Owner { key: entry.key, is_given: entry.is_given };
            let cell = self.sealer.seal(owner, &chain);
            let cell = cell.ok_or_else(|| file::bad(&self.path, "a chain cannot be sealed"))?;
            let now = match entry.filed {
                Some(Filed { record, cell }) => {
                    left.push((record, cell));
                    Filed { record, cell: 1 - cell }
                }
                None => {
                    // Records are added behind those of an import once the import has ended.
                    let Some(record) = inner.new_record() else {
                        inner.moved.push(*place);
                        continue;
                    };
                    Filed { record, cell: 0 }
                }
            };
            let Some(file) = &inner.file else { continue };
            if entry.filed.is_some() {
                file.write_cell(now.record, now.cell, Some(&cell))?;
            } else {
                let [_, empty] = Record::of(owner).cells;
                let record = Record { cells: [cell, empty], ..Record::of(owner) };
                file.write_records(now.record, &[record])?;
            }
            filed.push((*place, now, chain.epoch()));
        }
        Ok((left, filed))
    }

    /// The number of records that hold no sound chain.
    pub(super) fn damaged_count(&self) -> usize {
        self.read().damaged.len()
    }

    /// Overwrites damaged records whose keys are derived, as `is_derived` tells, with zeros.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(super) fn drop_damaged(&self, is_derived: impl Fn(KeyId) -> bool) -> Result<(), Error> {
        let mut inner = self.write();
        let damaged = std::mem::take(&mut inner.damaged);
        let (dropped, kept): (Vec<_>, Vec<_>) =
            damaged.into_iter().partition(|(_, owner)| is_derived(owner.key));
        inner.damaged = kept;
        let Some(file) = inner.file.as_ref().filter(|_| !dropped.is_empty()) else {
            return Ok(());
        };
        for (record, _) in &dropped {
            file.write_records(*record, &[Record::none()])?;
        }
        file.sync()?;
        inner.free_records.extend(dropped.iter().map(|(record, _)| *record));
        Ok(())
    }

    /// Forgets the chains of `keys`, and overwrites their records with zeros.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(super) fn forget(&self, keys: &[KeyId]) -> Result<(), Error> {
        let _alone = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inner = self.write();
        let mut records = Vec::new();
        for key in keys {
            let Some(place) = inner.table.place(*key) else { continue };
            inner.moved.retain(|moved| *moved != place);
            let entry = inner.table.remove(place);
            records.extend(entry.and_then(|entry| entry.filed).map(|filed| filed.record));
        }
        let Some(file) = inner.file.as_ref().filter(|_| !records.is_empty()) else {
            return Ok(());
        };
        for record in &records {
            file.write_records(*record, &[Record::none()])?;
        }
        file.sync()?;
        inner.left.retain(|(record, _)| !records.contains(record));
        inner.free_records.extend(records);
        Ok(())
    }

    /// Reads every record again. Returns the number of sound ones.
    ///
    /// # Errors
    /// [`Error::DeviceKeys`] for a record that holds no sound chain, or not that of its key.
    pub(super) fn verify(&self) -> Result<u64, Error> {
        let inner = self.read();
        let bad = |why| Err(file::bad(&self.path, why));
        if !inner.damaged.is_empty() {
            return bad(
                "a record holds no sound chain; its device is out of service if its chain was given",
            );
        }
        let Some(file) = &inner.file else { return Ok(0) };
        let mut count = 0;
        for (_, entry) in inner.table.iter() {
            let Some(filed) = entry.filed else { continue };
            let record = file.read(filed.record)?;
            let cell = record.cells.get(filed.cell);
            let chain = cell.and_then(|cell| self.sealer.unseal(&record, cell));
            let is_sound = chain.is_some_and(|chain| chain.epoch() <= entry.epoch);
            if !is_sound || record.owner().key != entry.key {
                return bad("a record holds no sound chain; open the fleet again");
            }
            count += 1;
        }
        Ok(count)
    }
}

impl Inner {
    /// Takes in a record that was read: `newest` is its newest sound chain, with the cell.
    fn take_record(&mut self, number: u32, record: &Record, newest: Option<(usize, Chain)>) {
        let owner = record.owner();
        let Some((cell, chain)) = newest else {
            match record.is_none() {
                true => self.free_records.push(number),
                false => self.damaged.push((number, owner)),
            }
            return;
        };
        let filed = Some(Filed { record: number, cell });
        let Owner { key, is_given } = owner;
        let entry = Entry { key, is_given, epoch: chain.epoch(), filed, has_moved: false };
        self.table.put(entry, &chain);
        if record.cells.get(1 - cell).is_some_and(|other| !other.is_empty()) {
            self.left.push((number, 1 - cell));
        }
    }

    /// A record without a chain, at the end of the file if none is free; `None` during an import.
    fn new_record(&mut self) -> Option<u32> {
        if let Some(record) = self.free_records.pop() {
            return Some(record);
        }
        if self.is_importing {
            return None;
        }
        let record = self.records;
        self.records = record.checked_add(1)?;
        Some(record)
    }
}

/// The newest sound chain of a record, and the cell that holds it.
fn newest(sealer: &ChainSealer, record: &Record) -> Option<(usize, Chain)> {
    let chains = record.cells.iter().enumerate();
    let chains = chains.filter_map(|(at, cell)| Some((at, sealer.unseal(record, cell)?)));
    chains.max_by_key(|(_, chain)| chain.epoch())
}

#[cfg(test)]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests;
