//! The numbers of the payloads, and the places of the readers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rocksdb::{Direction, IteratorMode, WriteBatch};
use zerocopy::{FromBytes, IntoBytes};

use crate::Error;
use crate::load::each_row_from;
use crate::records::{META_FAMILY, OUTBOX_FAMILY, OutboxKey, READER_KEY_PREFIX, ReaderRecord};
use crate::store::Store;

/// The longest name of a reader, in bytes.
const MAX_READER_LEN_BYTES: usize = 64;

/// The numbers of the payloads of an index, and the places of the readers.
#[derive(Debug)]
pub(crate) struct OutboxLog {
    room: u64,
    numbers: Mutex<Numbers>,
    readers: Mutex<Readers>,
}

#[derive(Debug)]
struct Numbers {
    /// The number of the next payload.
    next: u64,
    /// Numbers that no payload has: see [`OutboxLog::skip_to`].
    skipped: Range<u64>,
    /// The first number of each batch that is being admitted.
    writing: BTreeSet<u64>,
}

impl Numbers {
    /// How many numbers from `oldest` on, and below `end`, a payload may have.
    fn between(&self, oldest: u64, end: u64) -> u64 {
        let skipped = self.skipped.end.min(end).saturating_sub(self.skipped.start.max(oldest));
        end.saturating_sub(oldest).saturating_sub(skipped)
    }
}

/// The places of the readers, as the store has them.
#[derive(Clone, Debug, Default)]
struct Readers {
    /// No reader needs a payload before this number, whoever reads.
    floor: u64,
    places: BTreeMap<String, u64>,
}

impl Readers {
    /// The first number that a reader has not acknowledged.
    fn oldest(&self) -> u64 {
        self.places.values().min().map_or(self.floor, |least| self.floor.max(*least))
    }

    /// The reader that is furthest behind.
    fn slowest(&self) -> Option<&String> {
        self.places.iter().min_by_key(|(_, place)| **place).map(|(name, _)| name)
    }
}

/// The numbers of a batch that is being admitted. Readers get no payload of the batch, nor of a
/// later one, before this is dropped.
pub(crate) struct Reserved<'a> {
    log: &'a OutboxLog,
    first: u64,
}

impl Reserved<'_> {
    /// The number of the arrival at this position of the batch.
    pub(crate) const fn number(&self, position: usize) -> u64 {
        self.first + position as u64
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.log.numbers().writing.remove(&self.first);
    }
}

impl OutboxLog {
    /// Reads the places and the last number, and rids the disk of what was acknowledged: 10 ms for a hundred
    /// thousand payloads.
    pub(crate) fn open(store: &Store, room: u64) -> Result<Self, Error> {
        let (mut readers, mut next) = (Readers::default(), 0);
        each_row_from(store, META_FAMILY, READER_KEY_PREFIX, |key, value| {
            let Some(name) = key.strip_prefix(READER_KEY_PREFIX) else { return Ok(false) };
            let bad = |why| Error::corrupted("the place of a reader of the outbox", why);
            let place =
                ReaderRecord::read_from_bytes(value).map_err(|_| bad("its length is wrong"));
            let place = place?.place();
            let name = str::from_utf8(name).map_err(|_| bad("its name is not UTF-8"))?;
            match name {
                "" => readers.floor = place,
                name => drop(readers.places.insert(name.to_owned(), place)),
            }
            next = next.max(place);
            Ok(true)
        })?;
        let family = store.family(OUTBOX_FAMILY)?;
        let last = store.db().iterator_cf(&family, IteratorMode::End).next().transpose();
        if let Some((key, _)) = last.map_err(Error::store("reading the database"))? {
            let bad = || Error::corrupted("a row of the outbox", "its key is not 8 bytes long");
            next = next.max(OutboxKey::number(&key).ok_or_else(bad)?.saturating_add(1));
        }
        store.forget_payloads_before(readers.oldest());
        let first = store.db().iterator_cf(&family, IteratorMode::Start).next().transpose();
        let first = first.map_err(Error::store("reading the database"))?;
        let first = first.and_then(|(key, _)| OutboxKey::number(&key));
        if first.is_some_and(|first| first < readers.oldest()) {
            // A process that runs for long compacts by itself, one that was closed soon has not.
            store.compact(OUTBOX_FAMILY)?;
        }
        let numbers = Mutex::new(Numbers { next, skipped: 0..0, writing: BTreeSet::new() });
        Ok(Self { room, numbers, readers: Mutex::new(readers) })
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        // A thread that panicked has changed the numbers as a whole or not at all.
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        // The places change as a whole, after they are stored.
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves numbers for a batch.
    ///
    /// # Errors
    /// [`Error::OutboxFull`].
    pub(crate) fn reserve(&self, count: usize) -> Result<Reserved<'_>, Error> {
        let (oldest, reader) = {
            let readers = self.readers();
            (readers.oldest(), readers.slowest().cloned())
        };
        let mut numbers = self.numbers();
        let (first, waiting) = (numbers.next, numbers.between(oldest, numbers.next));
        if waiting >= self.room {
            return Err(Error::OutboxFull { waiting, room: self.room, reader });
        }
        // A batch without arrivals takes a number, too: the first numbers of batches differ.
        numbers.next = first.saturating_add(count.max(1) as u64);
        numbers.writing.insert(first);
        Ok(Reserved { log: self, first })
    }

    /// Lets the next payload have the number `first` at least. The numbers between the payloads before it
    /// and `first` do not count as waiting.
    pub(super) fn skip_to(&self, store: &Store, first: u64) -> Result<(), Error> {
        let family = store.family(OUTBOX_FAMILY)?;
        let key = OutboxKey::of(first);
        let before = IteratorMode::From(key.as_bytes(), Direction::Reverse);
        let rows = store.db().iterator_cf(&family, before).map(|row| {
            let (key, _) = row.map_err(Error::store("reading the database"))?;
            Ok(OutboxKey::number(&key).filter(|number| *number < first))
        });
        // The first row may have the very number.
        let last = rows.take(2).collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().next();
        let readers = self.readers();
        let places = readers.places.values().copied().chain([readers.floor]);
        let place = places.filter(|place| *place < first).max();
        let mut numbers = self.numbers();
        numbers.skipped = place.max(last.map(|last| last + 1)).unwrap_or(0)..first;
        numbers.next = numbers.next.max(first);
        Ok(())
    }

    /// How many payloads wait for a reader, at most.
    pub(super) fn waiting(&self) -> u64 {
        let (oldest, end) = (self.oldest(), self.end());
        self.numbers().between(oldest, end)
    }

    /// The number behind the last payload that readers may get.
    pub(super) fn end(&self) -> u64 {
        let numbers = self.numbers();
        numbers.writing.first().copied().unwrap_or(numbers.next)
    }

    /// The first number that a reader has not acknowledged.
    pub(super) fn oldest(&self) -> u64 {
        self.readers().oldest()
    }

    /// The readers with their places, by name.
    pub(super) fn places(&self) -> Vec<(String, u64)> {
        self.readers().places.iter().map(|(name, place)| (name.clone(), *place)).collect()
    }

    /// The place of a reader.
    pub(super) fn place(&self, reader: &str) -> Result<u64, Error> {
        self.readers().places.get(reader).copied().ok_or_else(|| no_such(reader))
    }

    /// Sets the readers. A new one begins with the oldest payload that a former one has not
    /// acknowledged.
    pub(super) fn set_readers(&self, store: &Store, names: &[&str]) -> Result<(), Error> {
        let is_name = |name: &&str| (1..=MAX_READER_LEN_BYTES).contains(&name.len());
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            return Err(no_such(name));
        }
        let mut readers = self.readers();
        let floor = readers.oldest();
        let place = |name: &&str| readers.places.get(*name).copied().unwrap_or(floor);
        let places = names.iter().map(|name| ((*name).to_owned(), place(name))).collect();
        let next = Readers { floor, places };
        let (mut batch, meta) = (WriteBatch::default(), store.family(META_FAMILY)?);
        for name in readers.places.keys().filter(|name| !next.places.contains_key(*name)) {
            batch.delete_cf(&meta, reader_key(name));
        }
        for (name, place) in next.places.iter().map(|(name, place)| (name.as_str(), *place)) {
            batch.put_cf(&meta, reader_key(name), ReaderRecord::new(place).as_bytes());
        }
        batch.put_cf(&meta, reader_key(""), ReaderRecord::new(floor).as_bytes());
        store.write(batch)?;
        *readers = next;
        Ok(())
    }

    /// Moves the place of a reader to `below`, unless the place is further already.
    pub(super) fn acknowledge(&self, store: &Store, reader: &str, below: u64) -> Result<(), Error> {
        let below = below.min(self.end());
        let mut readers = self.readers();
        let place = readers.places.get_mut(reader).ok_or_else(|| no_such(reader))?;
        if below <= *place {
            return Ok(());
        }
        let (mut batch, meta) = (WriteBatch::default(), store.family(META_FAMILY)?);
        batch.put_cf(&meta, reader_key(reader), ReaderRecord::new(below).as_bytes());
        store.write(batch)?;
        *place = below;
        store.forget_payloads_before(readers.oldest());
        Ok(())
    }
}

fn reader_key(name: &str) -> Vec<u8> {
    [READER_KEY_PREFIX, name.as_bytes()].concat()
}

fn no_such(name: &str) -> Error {
    Error::NoSuchReader { name: name.to_owned() }
}
