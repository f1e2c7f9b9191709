//! RocksDB as this index uses it: families, tuning, and one rule for failures.
//!
//! After a failed write or sync nobody knows what reached the disk: a second
//! fsync may report success for pages the first one dropped (Rebello et al.,
//! "Can Applications Recover from fsync Failures?", ATC 2020), and RocksDB takes
//! writes again by itself once space returns. So the store keeps its own flag:
//! the first failure poisons it, and everything is refused until it is reopened.

mod logs;
mod opening;
mod tuning;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rocksdb::{
    BoundColumnFamily, DBPinnableSlice, DBWithThreadMode, ErrorKind, IngestExternalFileOptions,
    MultiThreaded, ReadOptions, WriteBatch, WriteOptions,
};

use crate::rows::RowBudget;
use crate::{Durability, Error};

pub(crate) use tuning::Tuning;

/// RocksDB with families that can be made and dropped while it is shared.
pub(crate) type Db = DBWithThreadMode<MultiThreaded>;
/// A family's handle.
pub(crate) type Family<'a> = Arc<BoundColumnFamily<'a>>;

self_cell::self_cell!(
    /// A family's handle with the database it is of: looking it up by name costs a
    /// lock, a search and four atomic counts, a fortieth of a lookup.
    pub(crate) struct KeptFamily {
        owner: Arc<Db>,
        #[covariant]
        dependent: Family,
    }
);

fn family<'a>(db: &'a Db, name: &str) -> Result<Family<'a>, Error> {
    db.cf_handle(name)
        .ok_or_else(|| Error::corrupted("the store", format!("its family {name} is missing")))
}

/// An open database and whether it can still be trusted.
pub(crate) struct Store {
    db: Arc<Db>,
    path: PathBuf,
    tuning: Tuning,
    read: ReadOptions,
    read_to_keep: ReadOptions,
    durability: Durability,
    /// Batches handed to the log so far, and how many of them a sync covered.
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

    /// Refuses once a write has failed.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.poison.get() {
            None => Ok(()),
            Some(cause) => Err(Error::Poisoned { cause: cause.clone() }),
        }
    }

    /// Passes a result on; a failure poisons the store.
    fn guard<T>(&self, doing: &'static str, result: Result<T, rocksdb::Error>) -> Result<T, Error> {
        result.map_err(|source| {
            if source.kind() == ErrorKind::Corruption {
                // A compaction met a table that cannot be read, and the store takes no
                // writes any longer. Without the mark the next opening may end like this one.
                let _ = opening::mark_damaged(&self.path, source.as_ref());
            }
            let error = Error::Store { doing, source };
            // Another thread may have been first: either cause is one.
            let _ = self.poison.set(error.to_string());
            error
        })
    }

    /// Refuses everything from now on, for an error that left memory ahead of the store.
    pub(crate) fn poison(&self, error: Error) -> Error {
        // Another thread may have been first: either cause is one.
        let _ = self.poison.set(error.to_string());
        error
    }

    pub(crate) fn family(&self, name: &str) -> Result<Family<'_>, Error> {
        family(&self.db, name)
    }

    /// A family's handle, to be kept while lookups come.
    pub(crate) fn keep(&self, name: &str) -> Result<KeptFamily, Error> {
        KeptFamily::try_new(self.db.clone(), |db| family(db, name))
    }

    /// The families on disk. Only sure while nobody makes or drops one.
    pub(crate) fn family_names(&self) -> Result<Vec<String>, Error> {
        opening::family_names(&self.path)
    }

    /// One row of a family, pinned in the cache where it lies there whole.
    pub(crate) fn get(
        &self,
        family: &Family<'_>,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, Error> {
        self.db
            .get_pinned_cf_opt(family, key, &self.read)
            .map_err(Error::store("reading the database"))
    }

    /// One row of a family, for somebody who keeps it: the cache stays as it is.
    pub(crate) fn get_to_keep(
        &self,
        family: &Family<'_>,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, Error> {
        self.db
            .get_cf_opt(family, key, &self.read_to_keep)
            .map_err(Error::store("reading the database"))
    }

    /// Several rows of a family whose keys are sorted, each or why it cannot be read.
    pub(crate) fn get_sorted<'a, K: AsRef<[u8]> + 'a>(
        &self,
        family: &Family<'_>,
        keys: impl IntoIterator<Item = &'a K>,
    ) -> Vec<Result<Option<DBPinnableSlice<'_>>, Error>> {
        let rows = self.db.batched_multi_get_cf_opt(family, keys, true, &self.read);
        rows.into_iter().map(|row| row.map_err(Error::store("reading the database"))).collect()
    }

    /// Hands a batch to the log and the memtables: it survives the process.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<(), Error> {
        self.check()?;
        self.guard("writing to the log", self.db.write(batch))?;
        // Counted once it is in the log: a sync that begins before covers it or not.
        self.written.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Writes a batch so that it survives the machine, whatever the durability.
    pub(crate) fn write_synced(&self, batch: WriteBatch) -> Result<(), Error> {
        self.check()?;
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.guard("writing to the log", self.db.write_opt(batch, &options))
    }

    /// Makes every batch written so far as durable as the user asked for.
    ///
    /// Batches of other threads are included, so that a verdict that rests on
    /// another thread's write is not given out before that write is safe.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        self.check()?;
        let written = self.written.load(Ordering::Acquire);
        if self.durability == Durability::Sync && self.synced.load(Ordering::Acquire) < written {
            self.guard("syncing the log", self.db.flush_wal(true))?;
            self.synced.fetch_max(written, Ordering::AcqRel);
        }
        self.check()
    }

    pub(crate) fn create_window(&self, name: &str) -> Result<(), Error> {
        self.check()?;
        self.guard("making a column family", self.db.create_cf(name, &self.tuning.window()))
    }

    pub(crate) fn drop_window(&self, name: &str) -> Result<(), Error> {
        self.check()?;
        self.guard("dropping a column family", self.db.drop_cf(name))
    }

    /// Takes finished, disjoint files into a family.
    pub(crate) fn ingest(&self, name: &str, files: Vec<PathBuf>) -> Result<(), Error> {
        self.check()?;
        if files.is_empty() {
            return Ok(());
        }
        let family = self.family(name)?;
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        self.guard(
            "ingesting files",
            self.db.ingest_external_file_cf_opts(&family, &options, files),
        )
    }

    /// Bytes of rows in memory and of the block cache now, write buffers included.
    pub(crate) fn cache_usage_bytes(&self) -> usize {
        self.tuning.used_bytes()
    }

    /// What rows in memory may take.
    pub(crate) const fn row_budget(&self) -> &Arc<RowBudget> {
        self.tuning.rows()
    }
}
