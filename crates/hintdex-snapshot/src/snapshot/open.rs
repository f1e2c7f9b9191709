//! Opening: a file is mapped or copied, and everything before and after the data is checked.

use std::io::{self, Read};
use std::num::TryFromIntError;
use std::ops::Range;
use std::path::Path;

use super::Snapshot;
use super::lookup::find_quick_for;
use crate::chain::{Chain, MAX_STEPS_PER_EVALUATION};
use crate::encoding::{ChainShard, Shape, Shards};
use crate::format::{
    Checked, Checks, DATA_OFFSET_BYTES, Header, Manifest, SHARD_RECORD_LEN_BYTES, check_places,
    shard_records,
};
use crate::kernel::Kernel;
use crate::storage::{SnapshotFile, Storage};
use crate::{ManifestKey, OpenError, SnapshotParams};

/// The longest file that [`Snapshot::open_own`] copies: the coming 64 hints of half a million
/// devices at 32 tries.
const MAX_COPIED_LEN_BYTES: u64 = 64 << 20;

impl Snapshot {
    /// Maps the file and checks everything but the data.
    ///
    /// Costs reading the manifest, 0.05 % of the file. The mapping stays valid when another
    /// snapshot is renamed over the file. When a program *writes into* the file, lookups may
    /// return wrong candidates; when it truncates the file, the system ends this process
    /// (SIGBUS) at the next lookup. So use this for files that every writer publishes by
    /// rename, as [`Builder`](crate::Builder) does. For any other file use
    /// [`open_in_memory`](Self::open_in_memory).
    ///
    /// # Errors
    /// [`OpenError`] when the file cannot be read, is no snapshot, is damaged, or belongs to
    /// another fleet than `key`.
    pub fn open(path: impl AsRef<Path>, key: &ManifestKey) -> Result<Self, OpenError> {
        Self::load_mapped(&SnapshotFile::open(path.as_ref())?, key)
    }

    /// Opens a file that this program builds and keeps for itself: copies a file of up to
    /// 64 MiB, and maps a longer file.
    ///
    /// An operator may still copy another file over it. A copied snapshot is safe from that;
    /// [`open`](Self::open) describes the effect on a mapped one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_own(path: impl AsRef<Path>, key: &ManifestKey) -> Result<Self, OpenError> {
        let file = SnapshotFile::open(path.as_ref())?;
        if file.len_bytes <= MAX_COPIED_LEN_BYTES {
            Self::load_copied(&file, Some(key))
        } else {
            Self::load_mapped(&file, key)
        }
    }

    /// Copies the file into private memory, in huge pages if the system has them, and checks
    /// everything but the data. Later changes of the file do not affect lookups.
    ///
    /// Costs reading the file, and its length in memory. Before that, the header is checked:
    /// a file of another fleet or of a wrong length is rejected without further reading and
    /// without memory.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in_memory(path: impl AsRef<Path>, key: &ManifestKey) -> Result<Self, OpenError> {
        Self::load_copied(&SnapshotFile::open(path.as_ref())?, Some(key))
    }

    /// Copies the bytes of a file from memory, and checks everything but the data.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(mut bytes: &[u8], key: &ManifestKey) -> Result<Self, OpenError> {
        Self::load(Storage::copy(bytes.len(), &mut bytes).map_err(OpenError::Io)?, Some(key))
    }

    /// Opens a file without a key, for inspection: as [`open_in_memory`](Self::open_in_memory),
    /// with every check but the HMAC. An attacker who can write the file can forge all of its
    /// content.
    ///
    /// # Errors
    /// As [`open`](Self::open), except for [`OpenError::WrongKey`].
    pub fn open_unauthenticated(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::load_copied(&SnapshotFile::open(path.as_ref())?, None)
    }

    fn load_mapped(file: &SnapshotFile, key: &ManifestKey) -> Result<Self, OpenError> {
        Self::load(Storage::map(file).map_err(OpenError::Io)?, Some(key))
    }

    fn load_copied(file: &SnapshotFile, key: Option<&ManifestKey>) -> Result<Self, OpenError> {
        let head = file.head(DATA_OFFSET_BYTES as u64)?;
        let header = Header::read(&head)?;
        if let Some(key) = key {
            header.authenticate(key)?;
        }
        header.check_len(file.len_bytes)?;
        let too_long = |error: TryFromIntError| OpenError::Io(io::Error::other(error));
        let len_bytes = usize::try_from(file.len_bytes).map_err(too_long)?;
        let storage = Storage::copy(len_bytes, &mut head.as_slice().chain(file.rest()));
        Self::load(storage.map_err(OpenError::Io)?, key)
    }

    fn load(storage: Storage, key: Option<&ManifestKey>) -> Result<Self, OpenError> {
        let header = Header::read(&storage)?;
        if let Some(key) = key {
            header.authenticate(key)?;
        }
        let params = header.params()?;
        let Manifest { directory, crcs } = header.manifest(&storage)?;
        let shape = Shape::new(&params, &header);
        let data = DATA_OFFSET_BYTES..directory.start;
        let damaged = |at: usize| OpenError::Damaged {
            what: "shard directory",
            offset_bytes: (directory.start + at * SHARD_RECORD_LEN_BYTES) as u64,
        };
        let records = shard_records(&storage, &directory).ok_or_else(|| damaged(0))?;
        check_places(records, data.len() as u64).map_err(damaged)?;
        let (shard_records, chains) = records.split_at(1 << shape.shard_bits);
        let mut shards = Shards::open(params.encoding, &shape, shard_records).map_err(damaged)?;
        let checks = Checks::new(header.file_id, data, crcs);
        let chain = match (shards.chain_mut(), chains) {
            (Some(shards), [record]) => {
                let place = record.place().ok_or_else(|| damaged(shard_records.len()))?;
                let bytes = Checked::new(&storage, &checks);
                Some(open_chain(&bytes, place, &params, &shape, ChainShard::number(shards))?)
            }
            (None, []) => None,
            _ => return Err(damaged(shard_records.len())),
        };
        let kernel = Kernel::best();
        let find_quick = find_quick_for(kernel, shape.columns());
        Ok(Self {
            storage,
            checks,
            directory,
            header,
            params,
            shape,
            shards,
            chain,
            kernel,
            find_quick,
        })
    }
}

/// Opens the chains at `place` over `distinct` heads. Reads and checks their header and the
/// records of their tables.
fn open_chain(
    bytes: &Checked<'_>,
    place: Range<usize>,
    params: &SnapshotParams,
    shape: &Shape,
    distinct: u64,
) -> Result<Chain, OpenError> {
    let damaged = |offset_bytes| OpenError::Damaged { what: "chains", offset_bytes };
    let chains_at = place.start as u64;
    let duplicates = shape.hint_count.checked_sub(distinct).ok_or_else(|| damaged(chains_at))?;
    let max_steps = params.evaluations().unwrap_or(1) * MAX_STEPS_PER_EVALUATION;
    let counts = [distinct, duplicates];
    Chain::open(bytes, place, &shape.slots, shape.shard_bits, counts, max_steps)
        .map_err(|damage| damaged(damage.offset_bytes))?
        .ok_or_else(|| damaged(chains_at))
}
