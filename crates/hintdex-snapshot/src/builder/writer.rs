//! Writing the file: the data, then the manifest, the header last.

use std::path::Path;

use hintdex_host::Draft;
use zerocopy::IntoBytes;

use crate::format::{
    BLOCK_CRC_LEN_BYTES, BLOCK_LEN_BYTES, DATA_OFFSET_BYTES, Header, SHARD_ALIGN_BYTES,
    ShardRecord, block_crcs,
};
use crate::{BuildError, ManifestKey};

/// A draft of the file, and the manifest of the data written so far.
pub(super) struct FileWriter {
    draft: Draft,
    records: Vec<ShardRecord>,
    /// The CRCs of the blocks written so far.
    crcs: Vec<u8>,
    /// The beginning of a block that is not full yet.
    tail: Vec<u8>,
    len_bytes: u64,
    hint_count: u64,
    file_id: [u8; 16],
    /// The file so far, if it is kept: zeros up to the data, then the data.
    image: Option<Vec<u8>>,
}

impl FileWriter {
    /// Creates a draft of the file at `path`, with room for the records of its shards.
    pub fn create(path: &Path, file_id: [u8; 16], shard_count: usize) -> Result<Self, BuildError> {
        let mut draft = Draft::beside(path)?;
        draft.seek(DATA_OFFSET_BYTES as u64)?;
        Ok(Self {
            draft,
            records: Vec::with_capacity(shard_count),
            crcs: Vec::new(),
            tail: Vec::new(),
            len_bytes: 0,
            hint_count: 0,
            file_id,
            image: None,
        })
    }

    /// Keeps the data that are appended from now on in memory, too.
    pub fn keep_image(&mut self) {
        self.image = Some(vec![0; DATA_OFFSET_BYTES]);
    }

    /// The file so far, from the first byte; empty if it is not kept.
    pub fn take_image(&mut self) -> Vec<u8> {
        self.image.take().unwrap_or_default()
    }

    /// The records of the shards appended so far.
    pub fn records(&self) -> &[ShardRecord] {
        &self.records
    }

    /// The hints of the shards appended so far.
    pub const fn hint_count(&self) -> u64 {
        self.hint_count
    }

    /// Appends the next shard.
    pub fn append(&mut self, mut record: ShardRecord, bytes: &[u8]) -> Result<(), BuildError> {
        record.offset_bytes = self.len_bytes.into();
        self.hint_count += u64::from(record.hint_count.get());
        self.records.push(record);
        let padded = bytes.len().next_multiple_of(SHARD_ALIGN_BYTES);
        self.len_bytes += padded as u64;
        if let Some(image) = &mut self.image {
            image.extend_from_slice(bytes);
            image.resize(image.len() + padded - bytes.len(), 0);
        }
        self.tail.extend_from_slice(bytes);
        self.tail.resize(self.tail.len() + padded - bytes.len(), 0);
        self.flush(self.tail.len() / BLOCK_LEN_BYTES * BLOCK_LEN_BYTES)
    }

    /// Writes the first `len_bytes` of the tail, which begins with a block.
    fn flush(&mut self, len_bytes: usize) -> Result<(), BuildError> {
        let rest = self.tail.split_off(len_bytes);
        let first_block = (self.crcs.len() / BLOCK_CRC_LEN_BYTES) as u64;
        self.crcs.extend(block_crcs(&self.file_id, first_block, &self.tail).flatten());
        self.draft.write(&self.tail)?;
        self.tail = rest;
        Ok(())
    }

    /// Writes the manifest and the header, publishes the file and returns its length in bytes.
    pub fn publish(mut self, header: &mut Header, key: &ManifestKey) -> Result<u64, BuildError> {
        self.flush(self.tail.len())?;
        let manifest = [self.records.as_bytes(), &self.crcs].concat();
        header.seal(self.len_bytes, &manifest, key);
        self.draft.write(&manifest)?;
        self.draft.seek(0)?;
        self.draft.write(header.as_bytes())?;
        self.draft.publish()?;
        Ok(DATA_OFFSET_BYTES as u64 + self.len_bytes + manifest.len() as u64)
    }
}
