//! The options of RocksDB, and the division of the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rocksdb::compaction_filter::Decision;
use rocksdb::{
    BlockBasedOptions, Cache, DBCompactionStyle, DBCompressionType, DBRecoveryMode,
    DataBlockIndexType, MemtableFactory, MergeOperands, Options as RocksOptions,
    WriteBufferManager,
};

use zerocopy::FromBytes;

use super::reports::Reports;
use crate::bucket;
use crate::geometry::Geometry;
use crate::records::{
    META_FAMILY, OUTBOX_FAMILY, OutboxKey, POINTS_FAMILY, PointRecord, STATES_FAMILY,
    WINDOW_FAMILY_PREFIX,
};
use crate::row_cache::RowBudget;

/// The length of a block, about 25 buckets: its entries in the index of blocks and in the cache
/// cost under 1 %.
const BLOCK_LEN_BYTES: usize = 16 << 10;

/// The step by which a write buffer grows. The default is an eighth of the buffer: pieces of a
/// megabyte, whose gaps the allocator fills badly once they are freed.
const ARENA_BLOCK_LEN_BYTES: usize = 64 << 10;

/// The length from which a manifest may be written anew: every roll appends to the manifest.
/// RocksDB also waits until a manifest is six times as long as it has to be.
const MIN_MANIFEST_LEN_BYTES: usize = 64 << 10;

/// The longest write buffer of the outbox: some of these are on disk before their payloads are deleted.
const MAX_OUTBOX_BUFFER_LEN_BYTES: usize = 16 << 20;

/// The oldest that a file of the outbox becomes before a compaction rids it of acknowledged payloads.
const OUTBOX_COMPACTION_S: u64 = 3_600;

/// The memory of one index (row caches, block cache, write buffers), and RocksDB's options.
pub(crate) struct Tuning {
    rows: Arc<RowBudget>,
    cache: Cache,
    cache_len_bytes: usize,
    buffers: WriteBufferManager,
    buffer_len_bytes: usize,
    reports: Reports,
    /// Compactions delete points of minutes before this one.
    first_minute: Arc<AtomicU32>,
    /// Compactions delete payloads of the outbox before this number.
    first_payload: Arc<AtomicU64>,
}

impl Tuning {
    /// Divides `memory_bytes` between the row caches and the block cache, to which the write
    /// buffers are charged. The rest is for the store's other memory: buffers of compactions,
    /// and memory that the allocator cannot return.
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
        let reports = Reports::default();
        Self {
            rows,
            cache,
            cache_len_bytes,
            buffers,
            buffer_len_bytes,
            reports,
            first_minute: Arc::default(),
            first_payload: Arc::default(),
        }
    }

    /// The bytes that the row cache and the block cache will hold of a window of this length.
    pub(crate) fn cached_bytes(&self, geometry: Geometry, bytes: u64) -> u64 {
        let (in_rows, rest) = self.rows.estimate(geometry, bytes);
        in_rows + rest.min(self.cache_len_bytes as u64)
    }

    /// The errors that RocksDB reports outside of any call.
    pub(super) const fn reports(&self) -> &Reports {
        &self.reports
    }

    /// The memory budget of the row caches.
    pub(super) const fn rows(&self) -> &Arc<RowBudget> {
        &self.rows
    }

    /// Memory of cached rows and of the block cache, write buffers included.
    pub(super) fn used_bytes(&self) -> usize {
        self.rows.used_bytes() + self.cache.get_usage()
    }

    /// Options of the database.
    pub(super) fn database(&self, create: bool) -> RocksOptions {
        let mut options = RocksOptions::default();
        options.create_if_missing(create);
        options.set_error_if_exists(create);
        // RocksDB's default mode ignores the log behind damage in its middle, and a lost state
        // is an accepted replay.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_track_and_verify_wals_in_manifest(true);
        options.set_write_buffer_manager(&self.buffers);
        options.set_max_total_wal_size(4 * self.buffer_len_bytes as u64);
        options.set_max_background_jobs(2);
        // One lane's rows at a time: they are sorted, so each is found from the one before.
        // (The vector memtable of states allows nothing else.)
        options.set_allow_concurrent_memtable_write(false);
        options.set_info_logger(self.reports.logger());
        // No thread that counts events.
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options.set_max_manifest_file_size(MIN_MANIFEST_LEN_BYTES);
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
        // Bucket keys share too few bits to code prefixes, so every key is stored whole. A
        // small hash table finds a key in a block; a binary search would read five cache
        // lines.
        let mut blocks = BlockBasedOptions::default();
        blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        let mut options = self.family_of(&mut blocks, 1);
        options.set_merge_operator_associative("hintdex.bucket-union", merge_buckets);
        options
    }

    fn states(&self) -> RocksOptions {
        let mut options = self.family(16);
        options.set_compression_type(DBCompressionType::Lz4);
        // Rows of states are a log: they are not read before the index is opened again. So
        // they are sorted when they are flushed, not before.
        options.set_memtable_factory(MemtableFactory::Vector);
        options
    }

    fn meta(&self) -> RocksOptions {
        let mut options = self.family(16);
        options.set_merge_operator_associative("hintdex.add", merge_counters);
        options
    }

    /// Options of the outbox, which a compaction rids of acknowledged payloads.
    fn outbox(&self) -> RocksOptions {
        let mut options = self.family(16);
        // Payloads come in the order of their keys, so no two files overlap. A compaction by levels
        // would move such files as they are, and the filter would never see a row.
        options.set_compaction_style(DBCompactionStyle::Universal);
        options.set_write_buffer_size(self.buffer_len_bytes.min(MAX_OUTBOX_BUFFER_LEN_BYTES));
        // A long file of a backlog that has left since is merged with no short one.
        options.set_periodic_compaction_seconds(OUTBOX_COMPACTION_S);
        let first_payload = self.first_payload.clone();
        options.set_compaction_filter("hintdex.outbox", move |_, key, _| {
            match OutboxKey::number(key) {
                Some(number) if number < first_payload.load(Ordering::Relaxed) => Decision::Remove,
                _ => Decision::Keep,
            }
        });
        options
    }

    /// From now on, compactions delete payloads of the outbox before the number `first`.
    pub(super) fn forget_payloads_before(&self, first: u64) {
        self.first_payload.fetch_max(first, Ordering::Relaxed);
    }

    /// Options of the family of points, which a compaction rids of forgotten ones.
    fn points(&self) -> RocksOptions {
        let mut options = self.family(16);
        let first_minute = self.first_minute.clone();
        options.set_compaction_filter("hintdex.points", move |_, _, row| {
            match PointRecord::read_from_bytes(row) {
                Ok(record) if record.minute() < first_minute.load(Ordering::Relaxed) => {
                    Decision::Remove
                }
                // A row of another length is damage, which its reader reports.
                _ => Decision::Keep,
            }
        });
        options
    }

    /// From now on, compactions delete points of minutes before `first`.
    pub(super) fn forget_points_before(&self, first: u32) {
        self.first_minute.store(first, Ordering::Relaxed);
    }

    /// Options of the family with this name.
    pub(super) fn by_name(&self, family: &str) -> RocksOptions {
        match family {
            META_FAMILY => self.meta(),
            STATES_FAMILY => self.states(),
            POINTS_FAMILY => self.points(),
            OUTBOX_FAMILY => self.outbox(),
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
