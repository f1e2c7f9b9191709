//! RocksDB, a row a hint.

use hintdex_wire::Hint;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType,
    DEFAULT_COLUMN_FAMILY_NAME, DataBlockIndexType, IngestExternalFileOptions, Options,
    ReadOptions, SstFileWriter,
};

use super::{CACHE_BYTES, Entry, HINTS_PER_BATCH, Home, Kind, NOT_FOUND, Peer, Way};
use crate::Outcome;
use crate::workload::{Row, Site};

const NAME: &str = "rocksdb";
/// Of the hash index in a block, RocksDB's own default.
const HASH_UTILIZATION: f64 = 0.75;

struct Rows {
    db: DB,
    read: ReadOptions,
}

pub fn entry() -> Entry {
    Entry {
        has_batch: true,
        note: "hint → device, sorted, one SST file ingested, LZ4, hash index in the blocks, no \
               filter (every hint is there); get_pinned and batched MultiGet; cache of 1 GiB",
        ..Entry::new(NAME, "RocksDB, a row a hint", Kind::Persistent, Home::Files { load, open })
    }
}

fn options() -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_hyper_clock_cache(CACHE_BYTES, 0));
    blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    blocks.set_data_block_hash_ratio(HASH_UTILIZATION);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_block_based_table_factory(&blocks);
    options
}

fn open_rows(site: &Site) -> Outcome<Rows> {
    let options = options();
    let family = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone());
    let db = DB::open_cf_descriptors(&options, site.path(NAME), [family])?;
    Ok(Rows { db, read: ReadOptions::default() })
}

fn load(site: &Site, rows: Vec<Row>) -> Outcome<()> {
    let Rows { db, .. } = open_rows(site)?;
    let file = site.path(NAME).join("rows.sst");
    let options = options();
    let mut writer = SstFileWriter::create(&options);
    writer.open(&file)?;
    for (hint, device) in rows {
        writer.put(hint, device.to_le_bytes())?;
    }
    writer.finish()?;
    let mut ingest = IngestExternalFileOptions::default();
    ingest.set_move_files(true);
    Ok(db.ingest_external_file_opts(&ingest, vec![file])?)
}

fn open(site: &Site) -> Outcome<Box<dyn Peer>> {
    Ok(Box::new(open_rows(site)?))
}

impl Rows {
    fn get_batch(&self, batch: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        let family = self.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).ok_or("no family")?;
        let mut order: Vec<_> = batch.iter().map(Hint::as_bytes).zip(devices.len()..).collect();
        order.sort_unstable();
        let keys: Vec<_> = order.iter().map(|(hint, _)| hint).collect();
        let found = self.db.batched_multi_get_cf_opt(&family, keys, true, &self.read);
        devices.resize(devices.len() + batch.len(), u32::MAX);
        for ((_, place), row) in order.iter().zip(found) {
            devices[*place] = u32::from_le_bytes(row?.ok_or(NOT_FOUND)?.as_ref().try_into()?);
        }
        Ok(())
    }
}

impl Peer for Rows {
    fn look_up(&mut self, way: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        if way.batch {
            return hints.chunks(HINTS_PER_BATCH).try_for_each(|b| self.get_batch(b, devices));
        }
        for hint in hints {
            let row = self.db.get_pinned_opt(hint.as_bytes(), &self.read)?.ok_or(NOT_FOUND)?;
            devices.push(u32::from_le_bytes(row.as_ref().try_into()?));
        }
        Ok(())
    }
}
