//! The file of sealed keys: records, one behind the other, in the order they were given.
//!
//! Records are only ever appended, and never for a device that the index has. Whose they are
//! is kept in memory, 12 bytes a device; a key itself is read and unsealed whenever it is
//! asked for, in about a microsecond, so that it lies nowhere in the clear. Of two records of
//! one device the later sound one counts: what came before was left by an import that was cut
//! off. What that left behind the last whole record is overwritten by the next one.

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

use super::sealed::{FORMAT_VERSION, Header, KEYS_LEN_BYTES, KeySealer, MAGIC, Record};
use crate::Error;

const HEADER_LEN_BYTES: u64 = size_of::<Header>() as u64;
const RECORD_LEN_BYTES: u64 = size_of::<Record>() as u64;

/// The keys that were given to a fleet.
#[derive(Clone)]
pub(super) struct Given {
    path: PathBuf,
    /// `None` before the first import.
    file: Option<Arc<File>>,
    sealer: Arc<KeySealer>,
    /// Whose record stands at which place of the file, in the order of keys.
    places: Vec<Place>,
    /// Keys that were given and are in no record, in order: their owners' bytes are damaged.
    /// Nobody derives another key in their place.
    lost: Vec<KeyId>,
    /// Records of the file, those that count and others.
    records: u32,
}

/// A key and the number of its record.
pub(super) type Place = (KeyId, u32);

impl Given {
    /// Reads whose keys are in the file at `path`, if there is one.
    pub(super) fn open(path: &Path, master: &MasterKey) -> Result<Self, Error> {
        let sealer = Arc::new(KeySealer::new(master));
        let mut given = Self {
            path: path.to_owned(),
            file: None,
            sealer,
            places: Vec::new(),
            lost: Vec::new(),
            records: 0,
        };
        if !path.exists() {
            return Ok(given);
        }
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(Error::io("opening the device keys", path))?;
        let mut input = BufReader::with_capacity(1 << 20, &file);
        let mut header = Header::new_zeroed();
        let failed = || Error::io("reading the device keys", path);
        input.read_exact(header.as_mut_bytes()).map_err(failed())?;
        given.check(&header, master)?;
        let len_bytes = file.metadata().map_err(failed())?.len();
        let records = len_bytes.saturating_sub(HEADER_LEN_BYTES) / RECORD_LEN_BYTES;
        given.records = u32::try_from(records).map_err(|_| given.bad("it is too long"))?;
        let mut places = Vec::with_capacity(given.records as usize);
        let mut bytes = [0; size_of::<Record>()];
        for place in 0..given.records {
            input.read_exact(&mut bytes).map_err(failed())?;
            if let Ok((record, _)) = Record::ref_from_prefix(&bytes) {
                places.push((record.owner.key(), place));
            }
        }
        given.file = Some(Arc::new(file));
        given.with(places);
        Ok(given)
    }

    fn check(&self, header: &Header, master: &MasterKey) -> Result<(), Error> {
        let expected = Header::of(master);
        if header.magic != MAGIC {
            return Err(self.bad("it is no file of device keys"));
        }
        if header.version.get() > FORMAT_VERSION {
            return Err(self.bad("a newer version wrote it; use that one"));
        }
        if header.check_value != expected.check_value {
            return Err(self.bad("it is sealed under another master key"));
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

    /// Adds places; of two of one key the later counts, if its record is sound. A file
    /// system may end a file that was cut off with zeros.
    fn with(&mut self, places: Vec<Place>) {
        self.places.extend(places);
        self.places.sort_unstable_by_key(|(key, place)| (*key, Reverse(*place)));
        let counts = |of_key: &[Place]| match of_key {
            [] | [_] => of_key.first().copied(),
            several => {
                let sound = several.iter().find(|(key, place)| self.read(*key, *place).is_some());
                sound.or(several.first()).copied()
            }
        };
        self.places = self.places.chunk_by(|a, b| a.0 == b.0).filter_map(counts).collect();
    }

    /// These keys without those of devices that are in none of `ranges`.
    pub(super) fn only(&self, ranges: &[DeviceRange]) -> Self {
        let mut ranges = ranges.to_vec();
        ranges.sort_unstable_by_key(|range| (range.generation, range.first));
        let is_in = |(key, _): &Place| {
            let behind = ranges.partition_point(|range| {
                (range.generation, range.first) <= (key.generation, key.device)
            });
            let range = behind.checked_sub(1).and_then(|at| ranges.get(at));
            range.is_some_and(|range| {
                range.generation == key.generation && key.device <= range.last()
            })
        };
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

    /// How many records the file has, sound or not.
    pub(super) fn record_count(&self) -> u64 {
        self.records.into()
    }

    /// The keys that should be there and are not, or cannot be unsealed.
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

    /// Whether there is a key of every device of `range`.
    pub(super) fn has_all(&self, range: &DeviceRange) -> bool {
        let DeviceRange { first, count, generation, .. } = *range;
        let key = |device| KeyId { device, generation };
        // Sorted by device first: other generations stand between.
        let from = self.places.partition_point(|(known, _)| *known < key(first));
        let of_range =
            self.places.iter().skip(from).take_while(|(known, _)| known.device <= range.last());
        let found = of_range.filter(|(known, _)| known.generation == generation).count();
        found == count as usize
    }

    /// The keys of `key`: nothing if they were not given, and nothing in it if they cannot
    /// be read.
    pub(super) fn unseal(&self, key: KeyId) -> Option<Option<(HintKey, PacketKey)>> {
        match self.place_of(key) {
            Some(place) => Some(self.read(key, place)),
            None => self.lost.binary_search(&key).is_ok().then_some(None),
        }
    }

    fn place_of(&self, key: KeyId) -> Option<u32> {
        let at = self.places.binary_search_by_key(&key, |(known, _)| *known).ok()?;
        self.places.get(at).map(|(_, place)| *place)
    }

    fn read(&self, key: KeyId, place: u32) -> Option<(HintKey, PacketKey)> {
        self.sealer.unseal(&self.record(key, place)?)
    }

    /// The hint key and the 32 bytes of the packet key at a place; `None` if they are damaged.
    pub(super) fn read_bytes(&self, place: Place) -> Option<Zeroizing<[u8; KEYS_LEN_BYTES]>> {
        self.sealer.unseal_bytes(&self.record(place.0, place.1)?)
    }

    /// Whose record stands where, in the order of keys.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    fn record(&self, key: KeyId, place: u32) -> Option<Record> {
        let mut record = Record::new_zeroed();
        let offset = HEADER_LEN_BYTES + u64::from(place) * RECORD_LEN_BYTES;
        self.file.as_ref()?.read_exact_at(record.as_mut_bytes(), offset).ok()?;
        // A file that changed behind our back has other owners than it had.
        (record.owner.key() == key).then_some(record)
    }

    /// Unseals every key, and returns how many there are.
    pub(super) fn verify(&self) -> Result<u64, Error> {
        match self.unusable().first() {
            Some(KeyId { device, .. }) => {
                Err(Error::KeysMissing { path: self.path.clone(), first: *device, last: *device })
            }
            None => Ok(self.places.len() as u64),
        }
    }

    /// The file to append to, behind its last whole record; made if it is not there.
    pub(super) fn append(&self, master: &MasterKey) -> Result<Appended, Error> {
        let file = match &self.file {
            Some(file) => file.clone(),
            // An import that was refused made it.
            None => match Self::open(&self.path, master)?.file {
                Some(file) => file,
                None => Arc::new(self.create(master)?),
            },
        };
        let appended = Appended {
            given: self.clone(),
            file,
            new: Vec::new(),
            buffer: Vec::new(),
            is_kept: false,
        };
        appended.cut().map_err(Error::io("writing the device keys", &self.path))?;
        Ok(appended)
    }

    /// Makes a file without records, whole or not at all. Its name is durable once an import
    /// is [finished](Appended::finish).
    fn create(&self, master: &MasterKey) -> Result<File, Error> {
        let mut draft = Draft::beside(&self.path)?;
        draft.write(Header::of(master).as_bytes())?;
        Ok(draft.publish_new()?)
    }
}

/// Records on their way into the file; they are taken back unless they are kept.
pub(super) struct Appended {
    given: Given,
    file: Arc<File>,
    new: Vec<Place>,
    buffer: Vec<u8>,
    is_kept: bool,
}

/// Bytes that are written at a time.
const BUFFER_LEN_BYTES: usize = 1 << 20;

impl Appended {
    /// Appends the keys of a device.
    pub(super) fn add(&mut self, key: KeyId, keys: (&HintKey, &[u8; 32])) -> Result<(), Error> {
        let place = u32::try_from(self.new.len()).ok();
        let place = place.and_then(|new| self.given.records.checked_add(new));
        let place = place.ok_or_else(|| self.given.bad("it is full; make another fleet"))?;
        let record = self.given.sealer.seal(key, keys.0, keys.1);
        let record = record.ok_or_else(|| self.given.bad("a key cannot be sealed"))?;
        self.new.push((key, place));
        self.buffer.extend_from_slice(record.as_bytes());
        if self.buffer.len() >= BUFFER_LEN_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes out what is in the buffer, which ends with the last record added.
    fn flush(&mut self) -> Result<(), Error> {
        let records = u64::from(self.given.records) + self.new.len() as u64;
        let end = HEADER_LEN_BYTES + records * RECORD_LEN_BYTES;
        self.file
            .write_all_at(&self.buffer, end - self.buffer.len() as u64)
            .map_err(Error::io("writing the device keys", &self.given.path))?;
        self.buffer.clear();
        Ok(())
    }

    /// The devices whose keys were added, in order, each once.
    pub(super) fn keys(&self) -> Result<Vec<KeyId>, Error> {
        let mut keys: Vec<KeyId> = self.new.iter().map(|(key, _)| *key).collect();
        keys.par_sort_unstable();
        let twice = keys.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(a.device),
            _ => None,
        });
        twice.map_or(Ok(keys), |device| Err(Error::DeviceTwice { device }))
    }

    /// Makes what was added durable, and gives the keys with it.
    pub(super) fn finish(&mut self) -> Result<Given, Error> {
        self.flush()?;
        let failed = |doing| Error::io(doing, &self.given.path);
        self.file.sync_all().map_err(failed("syncing the device keys"))?;
        // Whoever made the file may have been stopped before its name was durable.
        sync_folder_of(&self.given.path)?;
        let mut given = self.given.clone();
        let new = u32::try_from(self.new.len()).unwrap_or(u32::MAX);
        given.records = given.records.saturating_add(new);
        given.file = Some(self.file.clone());
        given.with(std::mem::take(&mut self.new));
        Ok(given)
    }

    /// The number of the first record that was added.
    pub(super) fn first_new(&self) -> u32 {
        self.given.records
    }

    /// From now on the records stay in the file.
    pub(super) const fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Takes the records back after all.
    pub(super) fn take_back(mut self) {
        self.is_kept = false;
    }

    /// Cuts the file to what was there before.
    fn cut(&self) -> std::io::Result<()> {
        let records = u64::from(self.given.records);
        self.file.set_len(HEADER_LEN_BYTES + records * RECORD_LEN_BYTES)
    }
}

impl Drop for Appended {
    fn drop(&mut self) {
        if !self.is_kept {
            // What stays is of no device, and the next import goes over it.
            let _ = self.cut();
        }
    }
}
