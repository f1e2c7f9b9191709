//! Opening a file: mapped or copied, and checked up to the data.

use std::io::{self, Read};
use std::num::TryFromIntError;
use std::path::Path;

use super::Snapshot;
use super::lookup::find_quick_for;
use crate::encoding::{Shape, Shards};
use crate::format::{
    Checks, DATA_OFFSET_BYTES, Header, Manifest, SHARD_RECORD_LEN_BYTES, check_places,
    shard_records,
};
use crate::kernel::Kernel;
use crate::storage::{SnapshotFile, Storage};
use crate::{ManifestKey, OpenError};

/// The longest file that is copied although this program keeps it to itself: the coming
/// 64 hints of half a million devices at 32 tries.
const MOST_COPIED_LEN_BYTES: u64 = 64 << 20;

impl Snapshot {
    /// Maps the file and checks everything but the data.
    ///
    /// Costs the manifest, 0.05 % of the file. The mapping stays good when
    /// another snapshot is renamed over the file. It does not when somebody
    /// *writes into* the file or truncates it: the system then ends the process
    /// (SIGBUS) at the next lookup. So this is for files that nobody but their
    /// maker can write, or that everybody promises to publish by rename, as
    /// [`Builder`](crate::Builder) does. For a file of anybody else's
    /// [`open_in_memory`](Self::open_in_memory) needs no promise.
    ///
    /// # Errors
    /// [`OpenError`] when the file cannot be read, is no snapshot, is damaged,
    /// or is not of the fleet of `key`.
    pub fn open(path: impl AsRef<Path>, key: &ManifestKey) -> Result<Self, OpenError> {
        Self::load_mapped(&SnapshotFile::open(path.as_ref())?, key)
    }

    /// Opens a file that this program made and keeps to itself: copies one of up to
    /// 64 MiB, and maps a longer one.
    ///
    /// Whoever operates the machine may still copy a file over it, so what is small
    /// enough is safe from that; of the others [`open`](Self::open) says what happens.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_own(path: impl AsRef<Path>, key: &ManifestKey) -> Result<Self, OpenError> {
        let file = SnapshotFile::open(path.as_ref())?;
        if file.len_bytes <= MOST_COPIED_LEN_BYTES {
            Self::load_copied(&file, Some(key))
        } else {
            Self::load_mapped(&file, key)
        }
    }

    /// Reads the file into memory of its own, in huge pages where the system
    /// gives them, and checks everything but the data. Whatever happens to the file
    /// then, lookups go on.
    ///
    /// Costs the reading of the file, and its length in memory. Nothing but the header
    /// is read, and no memory taken, of a file that is not `key`'s or not as long as
    /// its header says.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in_memory(path: impl AsRef<Path>, key: &ManifestKey) -> Result<Self, OpenError> {
        Self::load_copied(&SnapshotFile::open(path.as_ref())?, Some(key))
    }

    /// Copies a file that is in memory, and checks everything but the data.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(mut bytes: &[u8], key: &ManifestKey) -> Result<Self, OpenError> {
        Self::load(Storage::copy(bytes.len(), &mut bytes).map_err(OpenError::Io)?, Some(key))
    }

    /// Reads a file for inspection, as [`open_in_memory`](Self::open_in_memory) does,
    /// without knowing whose it is: every check but the HMAC's. Whoever can write the
    /// file can make it say anything.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for [`OpenError::WrongKey`].
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
        let shards = Shards::open(params.encoding, &shape, records).map_err(damaged)?;
        let checks = Checks::new(header.file_id, data, crcs);
        let kernel = Kernel::best();
        let find_quick = find_quick_for(kernel, shape.columns());
        Ok(Self { storage, checks, directory, header, params, shape, shards, kernel, find_quick })
    }
}
