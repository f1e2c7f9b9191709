//! RocksDB as this index uses it: families, tuning, and one rule for failures.
//!
//! After a failed write or sync it is unknown what reached the disk. A second fsync may report
//! success for pages that the first one dropped (Rebello et al., "Can Applications Recover
//! from fsync Failures?", ATC 2020), and RocksDB accepts writes again once space returns. So
//! the store keeps its own flag: the first failure poisons the store, which then refuses
//! everything until it is reopened.

mod damage_mark;
mod database;
mod logs;
mod opening;
mod reports;
mod tuning;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rocksdb::{
    DBPinnableSlice, ErrorKind, IngestExternalFileOptions, ReadOptions, WriteBatch, WriteOptions,
};

use crate::Error;
use crate::options::Durability;
use crate::row_cache::RowBudget;

use database::family;
pub(crate) use database::{Db, Family, OwnedFamily};
pub(crate) use tuning::Tuning;

/// An open database, and whether it is poisoned.
pub(crate) struct Store {
    db: Arc<Db>,
    path: PathBuf,
    tuning: Tuning,
    read: ReadOptions,
    read_uncached: ReadOptions,
    durability: Durability,
    /// The number of batches in the log, and how many of them a sync covers.
    written: AtomicU64,
    synced: AtomicU64,
    poison: OnceLock<String>,
}

impl Store {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    /// Returns an error once a write has failed.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.poison.get() {
            None => Ok(()),
            Some(cause) => Err(Error::Poisoned { cause: cause.clone() }),
        }
    }

    /// Returns `result`; an error poisons the store.
    fn poison_on_error<T>(
        &self,
        doing: &'static str,
        result: Result<T, rocksdb::Error>,
    ) -> Result<T, Error> {
        result.map_err(|source| {
            if source.kind() == ErrorKind::Corruption {
                // A compaction met an unreadable table, and RocksDB takes no more writes.
                // Without the mark, the next opening would end in the same way.
                let _ = damage_mark::write(&self.path, source.as_ref());
            }
            let error = Error::Store { doing, source };
            // If another thread set the cause first, that cause stays.
            let _ = self.poison.set(error.to_string());
            error
        })
    }

    /// Poisons the store after an error that left memory ahead of it.
    pub(crate) fn poison(&self, error: Error) -> Error {
        // If another thread set the cause first, that cause stays.
        let _ = self.poison.set(error.to_string());
        error
    }

    pub(crate) fn family(&self, name: &str) -> Result<Family<'_>, Error> {
        family(&self.db, name)
    }

    /// Merges the files of a family, so that rows which were deleted or replaced leave the disk.
    /// Costs a read and a write of the family.
    pub(crate) fn compact(&self, name: &str) -> Result<(), Error> {
        self.db.compact_range_cf(&self.family(name)?, None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    /// A family's handle that is kept for many lookups.
    pub(crate) fn own_family(&self, name: &str) -> Result<OwnedFamily, Error> {
        OwnedFamily::try_new(self.db.clone(), |db| family(db, name))
    }

    /// The families on disk. No family may be created or dropped meanwhile.
    pub(crate) fn family_names(&self) -> Result<Vec<String>, Error> {
        database::family_names(&self.path)
    }

    /// A row of a family, pinned in the block cache if it is whole in one block.
    pub(crate) fn get(
        &self,
        family: &Family<'_>,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, Error> {
        self.db
            .get_pinned_cf_opt(family, key, &self.read)
            .map_err(Error::store("reading the database"))
    }

    /// A row of a family that the caller caches: the block cache is not filled.
    pub(crate) fn get_uncached(
        &self,
        family: &Family<'_>,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, Error> {
        self.db
            .get_cf_opt(family, key, &self.read_uncached)
            .map_err(Error::store("reading the database"))
    }

    /// Several rows of a family, whose keys must be sorted; each is a row or its error.
    pub(crate) fn get_sorted<'a, K: AsRef<[u8]> + 'a>(
        &self,
        family: &Family<'_>,
        keys: impl IntoIterator<Item = &'a K>,
    ) -> Vec<Result<Option<DBPinnableSlice<'_>>, Error>> {
        let rows = self.db.batched_multi_get_cf_opt(family, keys, true, &self.read);
        rows.into_iter().map(|row| row.map_err(Error::store("reading the database"))).collect()
    }

    /// Writes a batch to the log and the memtables: it survives the process.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<(), Error> {
        self.check()?;
        self.poison_on_error("writing to the log", self.db.write(batch))?;
        // Counted after the write, so that a sync that covers the count covers the batch.
        self.written.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Writes and syncs a batch, whatever the durability: it survives the machine.
    pub(crate) fn write_synced(&self, batch: WriteBatch) -> Result<(), Error> {
        self.check()?;
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.poison_on_error("writing to the log", self.db.write_opt(batch, &options))
    }

    /// Makes every batch written so far as durable as the options ask.
    ///
    /// This includes the batches of other threads: no verdict that depends on another thread's
    /// write is returned before that write is durable.
    pub(crate) fn sync_log(&self) -> Result<(), Error> {
        self.check()?;
        let written = self.written.load(Ordering::Acquire);
        if self.durability == Durability::Sync && self.synced.load(Ordering::Acquire) < written {
            self.poison_on_error("syncing the log", self.db.flush_wal(true))?;
            self.synced.fetch_max(written, Ordering::AcqRel);
        }
        self.check()
    }

    /// Makes every written batch durable, whatever the durability of batches is.
    pub(crate) fn sync_all(&self) -> Result<(), Error> {
        self.check()?;
        let written = self.written.load(Ordering::Acquire);
        if self.synced.load(Ordering::Acquire) < written {
            self.poison_on_error("syncing the log", self.db.flush_wal(true))?;
            self.synced.fetch_max(written, Ordering::AcqRel);
        }
        self.check()
    }

    /// From now on, compactions delete payloads of the outbox before the number `first`.
    pub(crate) fn forget_payloads_before(&self, first: u64) {
        self.tuning.forget_payloads_before(first);
    }

    /// From now on, compactions delete points of minutes before `first`.
    pub(crate) fn forget_points_before(&self, first: u32) {
        self.tuning.forget_points_before(first);
    }

    pub(crate) fn create_window(&self, name: &str) -> Result<(), Error> {
        self.check()?;
        self.poison_on_error(
            "creating a column family",
            self.db.create_cf(name, &self.tuning.window()),
        )
    }

    pub(crate) fn drop_window(&self, name: &str) -> Result<(), Error> {
        self.check()?;
        self.poison_on_error("dropping a column family", self.db.drop_cf(name))
    }

    /// Ingests finished files with disjoint key ranges into a family.
    pub(crate) fn ingest(&self, name: &str, files: Vec<PathBuf>) -> Result<(), Error> {
        self.check()?;
        if files.is_empty() {
            return Ok(());
        }
        let family = self.family(name)?;
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        self.poison_on_error(
            "ingesting files",
            self.db.ingest_external_file_cf_opts(&family, &options, files),
        )
    }

    /// Whether windows were dropped for damage, and no window was declared since.
    pub(crate) fn has_damage_mark(&self) -> bool {
        damage_mark::exists(&self.path)
    }

    /// Writes the damage mark before windows are dropped for damage.
    pub(crate) fn set_damage_mark(&self, why: &str) -> Result<(), Error> {
        damage_mark::write(&self.path, why)
    }

    /// Removes the damage mark after a window was declared.
    pub(crate) fn remove_damage_mark(&self) -> Result<(), Error> {
        damage_mark::remove(&self.path)
    }

    /// The errors that RocksDB has reported outside of any call since the last call.
    pub(crate) fn take_reports(&self) -> Vec<String> {
        self.tuning.reports().take()
    }

    /// Memory of cached rows and of the block cache, write buffers included.
    pub(crate) fn cache_usage_bytes(&self) -> usize {
        self.tuning.used_bytes()
    }

    /// The memory budget of the row caches.
    pub(crate) const fn row_budget(&self) -> &Arc<RowBudget> {
        self.tuning.rows()
    }
}
