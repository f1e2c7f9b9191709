//! The outbox as its readers use it.

use hintdex_wire::{KeyId, Nonce};
use rocksdb::{Direction, IteratorMode, ReadOptions};
use zerocopy::IntoBytes;

use super::log::OutboxLog;
use crate::Error;
use crate::index::LiveIndex;
use crate::records::{OUTBOX_FAMILY, OutboxKey, OutboxRecord};

/// The outbox of an index that was opened with one ([`Options::outbox_payloads`]).
///
/// ```
/// use hintdex_core::{Arrival, LiveIndex, Options, Outbox, OutboxRow, Params, Request};
/// # use hintdex_core::DeviceRange;
/// # use std::sync::Arc;
/// # use hintdex_wire::{DeviceId, HintScheme, MasterKey, Slot};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("index");
/// # let keys = Arc::new(MasterKey::new(&[7; 32]));
/// # let params = Params::counters(HintScheme::Aes128, 16);
/// let options = Options { outbox_payloads: Some(1_000_000), ..Options::default() };
/// let index = LiveIndex::create(&path, keys.clone(), params, &options)?;
/// index.provision(&[DeviceRange::new(DeviceId(0), 10)], None)?;
/// let outbox: Outbox<'_> = index.outbox().unwrap();
/// outbox.set_readers(&["broker"])?;
///
/// # let key = index.key(Slot(3)).unwrap();
/// let arrival = Arrival { slot: Slot(3), key, nonce: 0, hint_key: None, received_unix_s: 0 };
/// index.admit_with_outbox(&[arrival, arrival], &[Request::Admit; 2], &[b"21.5 C", b"again"])?;
///
/// // The second arrival was a replay.
/// let place = outbox.place("broker")?;
/// let (rows, next): (Vec<OutboxRow>, u64) = outbox.read(place, 100)?;
/// assert_eq!((rows.len(), rows[0].body.as_slice()), (1, &b"21.5 C"[..]));
/// outbox.acknowledge("broker", next)?;
/// assert_eq!(outbox.waiting(), 0);
/// # Ok::<(), hintdex_core::Error>(())
/// ```
///
/// [`Options::outbox_payloads`]: crate::Options::outbox_payloads
#[derive(Clone, Copy, Debug)]
pub struct Outbox<'a> {
    index: &'a LiveIndex,
    log: &'a OutboxLog,
}

/// A payload that waits in the outbox.
///
/// See the example of [`Outbox`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The number of the payload.
    pub number: u64,
    /// The key that opened the packet.
    pub key: KeyId,
    /// The nonce of the packet, or the number that [`Admission::AcceptedAs`](crate::Admission)
    /// returned.
    pub nonce: Nonce,
    /// The bytes that were given with the arrival.
    pub body: Vec<u8>,
}

impl LiveIndex {
    /// The outbox; `None` unless the index was opened with one.
    pub fn outbox(&self) -> Option<Outbox<'_>> {
        self.outbox.as_ref().map(|log| Outbox { index: self, log })
    }
}

impl Outbox<'_> {
    /// The number behind the last payload: that of every payload of a call that has returned is
    /// below.
    pub fn end(&self) -> u64 {
        self.log.end()
    }

    /// Lets the next payloads have numbers from `first` on, unless they have already. Numbers that are left
    /// out do not count as [waiting](Self::waiting). Call this at each opening of the index.
    ///
    /// # Errors
    /// Those of the store.
    pub fn skip_to(&self, first: u64) -> Result<(), Error> {
        self.log.skip_to(&self.index.store, first)
    }

    /// How many payloads wait for a reader, at most: the numbers from the place of the slowest reader
    /// to the end.
    pub fn waiting(&self) -> u64 {
        self.log.waiting()
    }

    /// The readers with their places, by name.
    pub fn readers(&self) -> Vec<(String, u64)> {
        self.log.places()
    }

    /// The place of a reader.
    ///
    /// # Errors
    /// [`Error::NoSuchReader`].
    pub fn place(&self, reader: &str) -> Result<u64, Error> {
        self.log.place(reader)
    }

    /// Sets the readers of the outbox. A new one begins with the oldest payload that a former one
    /// has not acknowledged, so a payload whose reader is renamed or replaced is not lost.
    ///
    /// # Errors
    /// [`Error::NoSuchReader`] for an empty name or one of more than 64 bytes, or those of the store.
    pub fn set_readers(&self, names: &[&str]) -> Result<(), Error> {
        self.log.set_readers(&self.index.store, names)
    }

    /// The payloads from the number `from` on, `most` at most, and the number to read on from. Reads
    /// nothing of a batch that is being admitted. A row that is damaged is left out, with a
    /// [note](LiveIndex::take_notes).
    ///
    /// Costs 1 to 2 µs a payload.
    ///
    /// # Errors
    /// Those of the store.
    pub fn read(&self, from: u64, most: usize) -> Result<(Vec<OutboxRow>, u64), Error> {
        let (store, end) = (&self.index.store, self.end());
        let from = from.max(self.log.oldest());
        if from >= end || most == 0 {
            return Ok((Vec::new(), from));
        }
        let family = store.family(OUTBOX_FAMILY)?;
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(OutboxKey::of(end).as_bytes());
        let key = OutboxKey::of(from);
        let first = IteratorMode::From(key.as_bytes(), Direction::Forward);
        let mut rows = Vec::new();
        for entry in store.db().iterator_cf_opt(&family, options, first) {
            let (key, row) = entry.map_err(Error::store("reading the database"))?;
            let Some(number) = OutboxKey::number(&key) else { continue };
            match OutboxRecord::read(&row) {
                Some((key, nonce, body)) => {
                    rows.push(OutboxRow { number, key, nonce, body: body.to_vec() });
                }
                None => {
                    self.index
                        .note(format!("payload {number} of the outbox is damaged; it is left out"));
                }
            }
            if rows.len() == most {
                return Ok((rows, number.saturating_add(1)));
            }
        }
        Ok((rows, end))
    }

    /// Notes that a reader has acknowledged every payload whose number is below `below`. A number
    /// past the [end](Self::end) counts as the end, one before the reader's place changes nothing.
    ///
    /// Survives a crash of the process at once, and one of the machine with the next batch that is
    /// synced. Costs 2 µs.
    ///
    /// # Errors
    /// [`Error::NoSuchReader`], or those of the store.
    pub fn acknowledge(&self, reader: &str, below: u64) -> Result<(), Error> {
        self.log.acknowledge(&self.index.store, reader, below)
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::sync::Arc;

    use hintdex_wire::{DeviceId, HintScheme, MasterKey, Slot};
    use rocksdb::properties::TOTAL_SST_FILES_SIZE;
    use rocksdb::{IteratorMode, WaitForCompactOptions};

    use super::*;
    use crate::{Arrival, DeviceRange, Options, Params};

    /// An outbox of a device whose payloads are acknowledged as they come takes bounded room, without a
    /// compaction that anybody asks for.
    #[test]
    fn acknowledged_payloads_leave_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = Arc::new(MasterKey::new(&[7; 32]));
        let options = Options { outbox_payloads: Some(u64::MAX), ..Options::default() };
        let path = folder.path().join("index");
        let params = Params::counters(HintScheme::Aes128, 4);
        let index = LiveIndex::create(&path, keys, params, &options).expect("a new folder");
        index.provision(&[DeviceRange::new(DeviceId(0), 1)], None).expect("ids are free");
        let (slot, key) = (Slot(0), KeyId::first(DeviceId(0)));
        let outbox = index.outbox().expect("it has one");
        outbox.set_readers(&["a"]).expect("a name");
        let family = index.store.family(OUTBOX_FAMILY).expect("it is there");
        let (body, rounds, packets) = ([7; 1000], 40, 200);
        for round in 0..rounds {
            let nonces = round * packets..(round + 1) * packets;
            let arrivals: Vec<Arrival<'_>> = nonces
                .map(|nonce| Arrival { slot, key, nonce, hint_key: None, received_unix_s: 0 })
                .collect();
            let bodies = vec![&body[..]; arrivals.len()];
            index.admit_with_outbox(&arrivals, &[], &bodies).expect("it admits");
            outbox.acknowledge("a", outbox.end()).expect("a reader");
            index.store.db().flush_cf(&family).expect("it flushes");
        }
        index.store.db().wait_for_compact(&WaitForCompactOptions::default()).expect("it compacts");
        let files = index.store.db().property_int_value_cf(&family, TOTAL_SST_FILES_SIZE);
        let bytes = files.expect("a property").expect("a property");
        let round_bytes = packets * body.len() as u64;
        assert!(bytes < 8 * round_bytes, "{bytes} bytes of {}", rounds * round_bytes);
    }

    /// A compaction deletes what every reader has acknowledged, and nothing else.
    #[test]
    fn a_compaction_deletes_acknowledged_payloads_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = Arc::new(MasterKey::new(&[7; 32]));
        let options = Options { outbox_payloads: Some(100), ..Options::default() };
        let path = folder.path().join("index");
        let params = Params::counters(HintScheme::Aes128, 4);
        let index = LiveIndex::create(&path, keys.clone(), params, &options).expect("a new folder");
        index.provision(&[DeviceRange::new(DeviceId(0), 1)], None).expect("ids are free");
        let (slot, key) = (Slot(0), KeyId::first(DeviceId(0)));
        for nonce in 0..10 {
            let arrival = Arrival { slot, key, nonce, hint_key: None, received_unix_s: 0 };
            index.admit_with_outbox(&[arrival], &[], &[b"21.5 C"]).expect("it admits");
        }
        let rows = |index: &LiveIndex| {
            let family = index.store.family(OUTBOX_FAMILY).expect("it is there");
            let all = index.store.db().iterator_cf(&family, IteratorMode::Start);
            all.map(|row| OutboxKey::number(&row.expect("it reads").0)).collect::<Vec<_>>()
        };
        let stored = |index: &LiveIndex| {
            index.store.compact(OUTBOX_FAMILY).expect("it compacts");
            rows(index)
        };
        let from = |first: u64| (first..10).map(Some).collect::<Vec<_>>();
        assert_eq!(stored(&index), from(0));
        let outbox = index.outbox().expect("it has one");
        outbox.set_readers(&["a", "b"]).expect("names");
        outbox.acknowledge("a", 8).expect("a reader");
        assert_eq!(stored(&index), from(0));
        outbox.acknowledge("b", 3).expect("a reader");
        assert_eq!(stored(&index), from(3));
        drop(index);
        let index = LiveIndex::open(&path, keys.clone(), &options).expect("it opens");
        assert_eq!(stored(&index), from(3));
        index.outbox().expect("it has one").acknowledge("b", 9).expect("a reader");
        assert_eq!(rows(&index), from(3));
        drop(index);
        // An opening rids the disk of them.
        let index = LiveIndex::open(&path, keys.clone(), &options).expect("it opens");
        assert_eq!(rows(&index), from(8));
        drop(index);
        // Without an outbox, nothing is deleted, and the numbers go on behind.
        let index = LiveIndex::open(&path, keys.clone(), &Options::default()).expect("it opens");
        assert!(index.outbox().is_none());
        assert_eq!(stored(&index), from(8));
        drop(index);
        let index = LiveIndex::open(&path, keys, &options).expect("it opens");
        let outbox = index.outbox().expect("it has one");
        assert_eq!((outbox.end(), outbox.waiting()), (10, 2));
    }
}
