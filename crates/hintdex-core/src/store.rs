//! RocksDB as this index uses it: families, tuning, and one rule for failures.
//!
//! After a failed write or sync nobody knows what reached the disk: a second
//! fsync may report success for pages the first one dropped (Rebello et al.,
//! "Can Applications Recover from fsync Failures?", ATC 2020), and RocksDB takes
//! writes again by itself once space returns. So the store keeps its own flag:
//! the first failure poisons it, and everything is refused until it is reopened.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DBCompressionType,
    DBPinnableSlice, DBRecoveryMode, DBWithThreadMode, DataBlockIndexType,
    IngestExternalFileOptions, LogLevel, MemtableFactory, MergeOperands, MultiThreaded,
    Options as RocksOptions, ReadOptions, WriteBatch, WriteBufferManager, WriteOptions,
};

use crate::geometry::Geometry;
use crate::records::{META_FAMILY, SLOTS_FAMILY, STATES_FAMILY, WINDOW_FAMILY_PREFIX};
use crate::rows::RowBudget;
use crate::{Durability, Error, bucket, manifest};

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

/// A block of the store holds about 25 buckets: large enough that its place in
/// the index of blocks and in the cache costs under 1 %.
const BLOCK_LEN_BYTES: usize = 16 << 10;

/// A write buffer grows by so much. By default it is an eighth of the buffer: pieces
/// of a megabyte, whose gaps the allocator fills badly once they are freed.
const ARENA_BLOCK_LEN_BYTES: usize = 64 << 10;

/// The memory of one index: rows, cache and write buffers, and the options that follow.
pub(crate) struct Tuning {
    rows: Arc<RowBudget>,
    cache: Cache,
    cache_len_bytes: usize,
    buffers: WriteBufferManager,
    buffer_len_bytes: usize,
}

impl Tuning {
    /// Shares `memory_bytes` between rows in memory, the block cache, and the write
    /// buffers, which are charged to that. Some stays for what the store takes beside
    /// them: buffers of compactions, and what the allocator cannot give back.
    pub(crate) fn new(memory_bytes: usize) -> Self {
        let rows = Arc::new(RowBudget::new(memory_bytes / 4));
        let cache_len_bytes = memory_bytes / 8 * 3;
        let cache = Cache::new_hyper_clock_cache(cache_len_bytes, 0);
        let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(
            cache_len_bytes,
            false,
            cache.clone(),
        );
        let buffer_len_bytes = (memory_bytes / 8).clamp(1 << 20, 64 << 20);
        Self { rows, cache, cache_len_bytes, buffers, buffer_len_bytes }
    }

    /// What rows in memory and the block cache will hold of a window of so many bytes.
    pub(crate) fn held_bytes(&self, geometry: Geometry, bytes: u64) -> u64 {
        let (in_rows, rest) = self.rows.foretell(geometry, bytes);
        in_rows + rest.min(self.cache_len_bytes as u64)
    }

    fn database(&self, create: bool) -> RocksOptions {
        let mut options = RocksOptions::default();
        options.create_if_missing(create);
        options.set_error_if_exists(create);
        // The default mode opens short after damage in the middle of the log,
        // and a forgotten state is an accepted replay.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_track_and_verify_wals_in_manifest(true);
        options.set_write_buffer_manager(&self.buffers);
        options.set_max_total_wal_size(4 * self.buffer_len_bytes as u64);
        options.set_max_background_jobs(2);
        // One lane's rows at a time: they come in order, and each is then found from
        // the one before. (The states' vector takes no other way.)
        options.set_allow_concurrent_memtable_write(false);
        options.set_keep_log_file_num(2);
        // What it does every day is not worth a line, nor a thread that counts it.
        options.set_log_level(LogLevel::Warn);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options.set_max_log_file_size(1 << 20);
        options
    }

    fn family(&self, restart_interval: i32) -> RocksOptions {
        self.family_of(&mut BlockBasedOptions::default(), restart_interval)
    }

    fn family_of(&self, blocks: &mut BlockBasedOptions, restart_interval: i32) -> RocksOptions {
        blocks.set_block_cache(&self.cache);
        blocks.set_block_size(BLOCK_LEN_BYTES);
        blocks.set_block_restart_interval(restart_interval);
        blocks.set_format_version(6);
        let mut options = RocksOptions::default();
        options.set_block_based_table_factory(blocks);
        options.set_write_buffer_size(self.buffer_len_bytes);
        options.set_arena_block_size(ARENA_BLOCK_LEN_BYTES);
        options.set_compression_type(DBCompressionType::None);
        options
    }

    /// Options of a window's family, also for the files ingested into it.
    pub(crate) fn window(&self) -> RocksOptions {
        // Buckets share no prefix worth coding, so every key stands whole. Its place in a
        // block is found by a small table of hashes: halving would touch a line of memory
        // for each of its five steps.
        let mut blocks = BlockBasedOptions::default();
        blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        let mut options = self.family_of(&mut blocks, 1);
        options.set_merge_operator_associative("hintdex.bucket-union", merge_buckets);
        options
    }

    fn states(&self) -> RocksOptions {
        let mut options = self.family(16);
        options.set_compression_type(DBCompressionType::Lz4);
        // Rows of states are a log: nobody reads them back before the index is opened
        // again, so they are sorted when they are flushed and not before.
        options.set_memtable_factory(MemtableFactory::Vector);
        options
    }

    fn meta(&self) -> RocksOptions {
        let mut options = self.family(16);
        options.set_merge_operator_associative("hintdex.add", merge_counters);
        options
    }

    fn by_name(&self, family: &str) -> RocksOptions {
        match family {
            META_FAMILY => self.meta(),
            STATES_FAMILY => self.states(),
            name if name.starts_with(WINDOW_FAMILY_PREFIX) => self.window(),
            _ => self.family(16),
        }
    }
}

fn merge_buckets(_: &[u8], base: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    bucket::union(base.into_iter().chain(operands))
}

fn merge_counters(_: &[u8], base: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let sum = base.into_iter().chain(operands).try_fold(0u64, |sum, bytes| {
        Some(sum.wrapping_add(u64::from_le_bytes(bytes.try_into().ok()?)))
    });
    sum.map(|sum| sum.to_le_bytes().to_vec())
}

fn family<'a>(db: &'a Db, name: &str) -> Result<Family<'a>, Error> {
    db.cf_handle(name)
        .ok_or_else(|| Error::corrupted("column families", format!("{name} is missing")))
}

/// Removes the drafts of options that a crash left in the folder of a database that is
/// open: RocksDB makes one whenever a family comes or goes, and never looks for old ones.
fn sweep(path: &Path) -> Result<(), Error> {
    let listing = || Error::io("listing a folder", path);
    for entry in fs::read_dir(path).map_err(listing())? {
        let draft = entry.map_err(listing())?.path();
        let name = draft.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("OPTIONS-") && name.ends_with(".dbtmp") {
            fs::remove_file(&draft).map_err(Error::io("removing a leftover file", &draft))?;
        }
    }
    Ok(())
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
    /// Makes a database with the families that are always there.
    pub(crate) fn create(path: &Path, tuning: Tuning) -> Result<Self, Error> {
        let families = [META_FAMILY, SLOTS_FAMILY, STATES_FAMILY].map(String::from);
        let mut options = tuning.database(true);
        options.create_missing_column_families(true);
        Self::with(path, tuning, &options, &families, Durability::Sync)
    }

    /// Whether there is a database in the folder `path`.
    pub(crate) fn exists(path: &Path) -> bool {
        path.join("CURRENT").is_file()
    }

    /// Opens a database with every family it has.
    pub(crate) fn open(path: &Path, tuning: Tuning, durability: Durability) -> Result<Self, Error> {
        if !Self::exists(path) {
            return Err(Error::NotAnIndex { path: path.to_owned() });
        }
        manifest::check(path)?;
        let options = tuning.database(false);
        let families =
            Db::list_cf(&options, path).map_err(Error::store("listing the column families"))?;
        Self::with(path, tuning, &options, &families, durability)
    }

    fn with(
        path: &Path,
        tuning: Tuning,
        options: &RocksOptions,
        families: &[String],
        durability: Durability,
    ) -> Result<Self, Error> {
        let families =
            families.iter().map(|name| ColumnFamilyDescriptor::new(name, tuning.by_name(name)));
        let db = Db::open_cf_descriptors(options, path, families).map_err(|source| {
            let said = source.to_string();
            if said.contains("LOCK")
                && (said.contains("lock ") || said.contains("Resource temporarily"))
            {
                Error::InUse { path: path.to_owned() }
            } else {
                Error::Store { doing: "opening the database", source }
            }
        })?;
        sweep(path)?;
        let mut read_to_keep = ReadOptions::default();
        read_to_keep.fill_cache(false);
        Ok(Self {
            db: Arc::new(db),
            path: path.to_owned(),
            tuning,
            read: ReadOptions::default(),
            read_to_keep,
            durability,
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            poison: OnceLock::new(),
        })
    }

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
            let error = Error::Store { doing, source };
            // Another thread may have been first: either cause is one.
            let _ = self.poison.set(error.to_string());
            error
        })
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
        Db::list_cf(&RocksOptions::default(), &self.path)
            .map_err(Error::store("listing the column families"))
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

    /// Several rows of a family whose keys are sorted.
    pub(crate) fn get_sorted<'a, K: AsRef<[u8]> + 'a>(
        &self,
        family: &Family<'_>,
        keys: impl IntoIterator<Item = &'a K>,
    ) -> Result<Vec<Option<DBPinnableSlice<'_>>>, Error> {
        self.db
            .batched_multi_get_cf_opt(family, keys, true, &self.read)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(Error::store("reading the database"))
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
        let ingested =
            self.db.ingest_external_file_cf_opts(&family, &options, files.iter().collect());
        if ingested.is_err() {
            // If that fails, too, the next opening says which file is missing.
            let _ = manifest::keep_ingested(&self.path, &files);
        }
        self.guard("ingesting files", ingested)
    }

    /// Bytes of rows in memory and of the block cache now, write buffers included.
    pub(crate) fn cache_usage_bytes(&self) -> usize {
        self.tuning.rows.used_bytes() + self.tuning.cache.get_usage()
    }

    /// What rows in memory may take.
    pub(crate) const fn row_budget(&self) -> &Arc<RowBudget> {
        &self.tuning.rows
    }
}
