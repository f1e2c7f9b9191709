//! The file of sealed keys: a header and then records, in the order of their import.
//!
//! Records are only appended, and never for a key that the index has. The owner of each
//! record is held in memory, 12 bytes a device. A key itself is read and unsealed each time
//! it is needed, in about 1 µs, so no key stays in memory in the clear. If a device has two
//! records, the later sound one is valid: the earlier was left by an interrupted import. The
//! next import overwrites an incomplete record at the end of the file.

use std::cmp::Reverse;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hintdex_core::DeviceRange;
use hintdex_host::{Draft, sync_folder_of};
use hintdex_wire::{DeviceId, HintKey, KeyId, MasterKey, PacketKey};
use rayon::prelude::*;
use zerocopy::{FromBytes, FromZeros, IntoBytes};
use zeroize::Zeroizing;

use super::key_ranges::KeyRanges;
use super::sealed::{FORMAT_VERSION, Header, KEYS_LEN_BYTES, KeySealer, MAGIC, Record};
use crate::Error;

const HEADER_LEN_BYTES: u64 = size_of::<Header>() as u64;
const RECORD_LEN_BYTES: u64 = size_of::<Record>() as u64;

/// The keys that were imported into a fleet.
#[derive(Clone)]
pub(super) struct ImportedKeys {
    path: PathBuf,
    /// `None` before the first import.
    file: Option<Arc<File>>,
    sealer: Arc<KeySealer>,
    /// The owner and the number of each valid record, in the order of owners.
    places: Vec<Place>,
    /// Imported keys without a record, in order: the owner's bytes of their records are
    /// damaged. No other key is derived in their place.
    lost: Vec<KeyId>,
    /// Records of the file, valid or not.
    records: u32,
}

/// The owner of a record, and the number of the record.
pub(super) type Place = (KeyId, u32);

impl ImportedKeys {
    /// Reads the owners of the records in the file at `path`, if it exists.
    pub(super) fn open(path: &Path, master: &MasterKey) -> Result<Self, Error> {
        let sealer = Arc::new(KeySealer::new(master));
        let mut imported = Self {
            path: path.to_owned(),
            file: None,
            sealer,
            places: Vec::new(),
            lost: Vec::new(),
            records: 0,
        };
        if !path.exists() {
            return Ok(imported);
        }
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(Error::io("opening the device keys", path))?;
        let mut input = BufReader::with_capacity(1 << 20, &file);
        let mut header = Header::new_zeroed();
        let failed = || Error::io("reading the device keys", path);
        input.read_exact(header.as_mut_bytes()).map_err(failed())?;
        imported.check(&header, master)?;
        let len_bytes = file.metadata().map_err(failed())?.len();
        let records = len_bytes.saturating_sub(HEADER_LEN_BYTES) / RECORD_LEN_BYTES;
        imported.records = u32::try_from(records).map_err(|_| imported.bad("it is too long"))?;
        let mut places = Vec::with_capacity(imported.records as usize);
        let mut bytes = [0; size_of::<Record>()];
        for place in 0..imported.records {
            input.read_exact(&mut bytes).map_err(failed())?;
            if let Ok((record, _)) = Record::ref_from_prefix(&bytes) {
                places.push((record.owner.key(), place));
            }
        }
        imported.file = Some(Arc::new(file));
        imported.add_places(places);
        Ok(imported)
    }

    fn check(&self, header: &Header, master: &MasterKey) -> Result<(), Error> {
        let expected = Header::of(master);
        if header.magic != MAGIC {
            return Err(self.bad("it is not a file of device keys; restore it from a backup"));
        }
        if header.version.get() > FORMAT_VERSION {
            return Err(self.bad("a newer version wrote it; use that version"));
        }
        if header.check_value != expected.check_value {
            return Err(self.bad(
                "it is sealed under another master key; restore master.key and this file together",
            ));
        }
        if header.as_bytes() != expected.as_bytes() {
            return Err(self.bad("it is damaged; restore it from a backup"));
        }
        Ok(())
    }

    fn bad(&self, why: &'static str) -> Error {
        Error::DeviceKeys { path: self.path.clone(), why }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Adds places. If a key has several records, the latest sound one is valid: after a
    /// crash, a file system may have filled the end of the file with zeros.
    fn add_places(&mut self, places: Vec<Place>) {
        self.places.extend(places);
        self.places.sort_unstable_by_key(|(key, place)| (*key, Reverse(*place)));
        let valid = |of_key: &[Place]| match of_key {
            [] | [_] => of_key.first().copied(),
            several => {
                let sound = several.iter().find(|(key, place)| self.read(*key, *place).is_some());
                sound.or(several.first()).copied()
            }
        };
        self.places = self.places.chunk_by(|a, b| a.0 == b.0).filter_map(valid).collect();
    }

    /// The keys of the devices in `ranges`, without all other keys.
    pub(super) fn only(&self, ranges: &[DeviceRange]) -> Self {
        let ranges = KeyRanges::of(ranges);
        let is_in = |(key, _): &Place| ranges.contains(*key);
        let places = self.places.iter().filter(|place| is_in(place)).copied().collect();
        let kept = Self { places, ..self.without_places() };
        let all = ranges.iter().filter(|range| !kept.has_all(range)).flat_map(|range| {
            let key = |device| KeyId { device: DeviceId(device), generation: range.generation };
            (range.first.0..=range.last().0).map(key)
        });
        let mut lost: Vec<KeyId> = all.filter(|key| kept.place_of(*key).is_none()).collect();
        lost.sort_unstable();
        Self { lost, ..kept }
    }

    /// How many records the file has, valid or not.
    pub(super) fn record_count(&self) -> u64 {
        self.records.into()
    }

    /// The keys that are missing or cannot be unsealed.
    pub(super) fn unusable(&self) -> Vec<KeyId> {
        let damaged = |(key, place): &Place| self.read(*key, *place).is_none().then_some(*key);
        let mut unusable: Vec<KeyId> = self.places.par_iter().filter_map(damaged).collect();
        unusable.extend(&self.lost);
        unusable
    }

    fn without_places(&self) -> Self {
        let Self { path, file, sealer, records, .. } = self;
        let (path, file, sealer) = (path.clone(), file.clone(), sealer.clone());
        let (places, lost) = (Vec::new(), Vec::new());
        Self { path, file, sealer, places, lost, records: *records }
    }

    /// Whether every device of `range` has a key.
    pub(super) fn has_all(&self, range: &DeviceRange) -> bool {
        let DeviceRange { first, count, generation, .. } = *range;
        let key = |device| KeyId { device, generation };
        // Places are sorted by device first, so other generations lie between.
        let from = self.places.partition_point(|(known, _)| *known < key(first));
        let of_range =
            self.places.iter().skip(from).take_while(|(known, _)| known.device <= range.last());
        let found = of_range.filter(|(known, _)| known.generation == generation).count();
        found == count as usize
    }

    /// The hint key and the packet key of `key`: `None` if they were not imported,
    /// `Some(None)` if they were and cannot be unsealed.
    pub(super) fn unseal(&self, key: KeyId) -> Option<Option<(HintKey, PacketKey)>> {
        match self.place_of(key) {
            Some(place) => Some(self.read(key, place)),
            None => self.lost.binary_search(&key).is_ok().then_some(None),
        }
    }

    /// The hint key and the 32 bytes of the packet key of `key`: `None` if they were not
    /// imported, `Some(None)` if they were and cannot be unsealed.
    pub(super) fn read_key(&self, key: KeyId) -> Option<Option<Zeroizing<[u8; KEYS_LEN_BYTES]>>> {
        match self.place_of(key) {
            Some(place) => Some(self.read_bytes((key, place))),
            None => self.lost.binary_search(&key).is_ok().then_some(None),
        }
    }

    /// Whether the key was imported, be it lost since.
    pub(super) fn has(&self, key: KeyId) -> bool {
        self.place_of(key).is_some() || self.lost.binary_search(&key).is_ok()
    }

    fn place_of(&self, key: KeyId) -> Option<u32> {
        let at = self.places.binary_search_by_key(&key, |(known, _)| *known).ok()?;
        self.places.get(at).map(|(_, place)| *place)
    }

    fn read(&self, key: KeyId, place: u32) -> Option<(HintKey, PacketKey)> {
        self.sealer.unseal(&self.record(key, place)?)
    }

    /// The hint key and the 32 bytes of the packet key of a record; `None` if it is damaged.
    pub(super) fn read_bytes(&self, place: Place) -> Option<Zeroizing<[u8; KEYS_LEN_BYTES]>> {
        self.sealer.unseal_bytes(&self.record(place.0, place.1)?)
    }

    /// The owner and the number of each valid record, in the order of owners.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    fn record(&self, key: KeyId, place: u32) -> Option<Record> {
        let mut record = Record::new_zeroed();
        let offset = HEADER_LEN_BYTES + u64::from(place) * RECORD_LEN_BYTES;
        self.file.as_ref()?.read_exact_at(record.as_mut_bytes(), offset).ok()?;
        // The owner differs if another process has changed the file since it was read.
        (record.owner.key() == key).then_some(record)
    }

    /// Unseals every key. Returns the number of keys.
    pub(super) fn verify(&self) -> Result<u64, Error> {
        match self.unusable().first() {
            Some(KeyId { device, .. }) => {
                Err(Error::KeysMissing { path: self.path.clone(), first: *device, last: *device })
            }
            None => Ok(self.places.len() as u64),
        }
    }

    /// Begins to append records after the last whole record. Creates a missing file.
    pub(super) fn append(&self, master: &MasterKey) -> Result<AppendedKeys, Error> {
        let file = match &self.file {
            Some(file) => file.clone(),
            // An import that was rejected may have created the file.
            None => match Self::open(&self.path, master)?.file {
                Some(file) => file,
                None => Arc::new(self.create(master)?),
            },
        };
        let appended = AppendedKeys {
            imported: self.clone(),
            file,
            new: Vec::new(),
            buffer: Vec::new(),
            is_kept: false,
        };
        appended.cut().map_err(Error::io("writing the device keys", &self.path))?;
        Ok(appended)
    }

    /// Creates a file without records, whole or not at all. Its name is durable once an import
    /// is [finished](AppendedKeys::finish).
    fn create(&self, master: &MasterKey) -> Result<File, Error> {
        let mut draft = Draft::beside(&self.path)?;
        draft.write(Header::of(master).as_bytes())?;
        Ok(draft.publish_new()?)
    }
}

/// Records that are being appended. They are cut off again unless they are
/// [kept](Self::keep).
pub(super) struct AppendedKeys {
    imported: ImportedKeys,
    file: Arc<File>,
    new: Vec<Place>,
    buffer: Vec<u8>,
    is_kept: bool,
}

/// Bytes that are written at a time.
const BUFFER_LEN_BYTES: usize = 1 << 20;

impl AppendedKeys {
    /// Appends the keys of a device.
    pub(super) fn add(&mut self, key: KeyId, keys: (&HintKey, &[u8; 32])) -> Result<(), Error> {
        let place = u32::try_from(self.new.len()).ok();
        let place = place.and_then(|new| self.imported.records.checked_add(new));
        let place = place.ok_or_else(|| self.imported.bad("it is full; create another fleet"))?;
        let record = self.imported.sealer.seal(key, keys.0, keys.1);
        let record = record.ok_or_else(|| self.imported.bad("a key cannot be sealed"))?;
        self.new.push((key, place));
        self.buffer.extend_from_slice(record.as_bytes());
        if self.buffer.len() >= BUFFER_LEN_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the buffer, which ends with the last record added.
    fn flush(&mut self) -> Result<(), Error> {
        let records = u64::from(self.imported.records) + self.new.len() as u64;
        let end = HEADER_LEN_BYTES + records * RECORD_LEN_BYTES;
        self.file
            .write_all_at(&self.buffer, end - self.buffer.len() as u64)
            .map_err(Error::io("writing the device keys", &self.imported.path))?;
        self.buffer.clear();
        Ok(())
    }

    /// The owners of the records that were added, in order.
    ///
    /// # Errors
    /// [`Error::DeviceTwice`] if a device was added twice.
    pub(super) fn keys(&self) -> Result<Vec<KeyId>, Error> {
        let mut keys: Vec<KeyId> = self.new.iter().map(|(key, _)| *key).collect();
        keys.par_sort_unstable();
        let twice = keys.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(a.device),
            _ => None,
        });
        twice.map_or(Ok(keys), |device| Err(Error::DeviceTwice { device }))
    }

    /// Makes the added records durable, and returns all keys including them.
    pub(super) fn finish(&mut self) -> Result<ImportedKeys, Error> {
        self.flush()?;
        let failed = |doing| Error::io(doing, &self.imported.path);
        self.file.sync_all().map_err(failed("syncing the device keys"))?;
        // The process that created the file may have ended before its name was durable.
        sync_folder_of(&self.imported.path)?;
        let mut imported = self.imported.clone();
        let new = u32::try_from(self.new.len()).unwrap_or(u32::MAX);
        imported.records = imported.records.saturating_add(new);
        imported.file = Some(self.file.clone());
        imported.add_places(std::mem::take(&mut self.new));
        Ok(imported)
    }

    /// The number of the first record that was added.
    pub(super) fn first_new(&self) -> u32 {
        self.imported.records
    }

    /// Keeps the records in the file from now on.
    pub(super) const fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Cuts the records off after all.
    pub(super) fn take_back(mut self) {
        self.is_kept = false;
    }

    /// Truncates the file to the records before this import.
    fn cut(&self) -> std::io::Result<()> {
        let records = u64::from(self.imported.records);
        self.file.set_len(HEADER_LEN_BYTES + records * RECORD_LEN_BYTES)
    }
}

impl Drop for AppendedKeys {
    fn drop(&mut self) {
        if !self.is_kept {
            // If this fails, the records belong to no device and the next import overwrites them.
            let _ = self.cut();
        }
    }
}
