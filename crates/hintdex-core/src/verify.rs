//! The verification of a whole index.
//!
//! The index is a pure function of keys and states, so verification computes it again and
//! compares: every live hint must be in its bucket. Other entries are stale, which costs space
//! and never correctness.

use hintdex_wire::Slot;
use rocksdb::{DBRawIteratorWithThreadMode, IteratorMode, ReadOptions};

use crate::Error;
use crate::bucket::{self, Bucket, Entry};
use crate::bulk::SortedPartition;
use crate::fleet::Fleet;
use crate::fleet_states::FleetStates;
use crate::geometry::{BucketKey, Geometry};
use crate::index::LiveIndex;
use crate::progress::{Progress, Report};
use crate::records::epoch_of_family;
use crate::store::Db;
use crate::window::Window;

/// The numbers of checked items.
///
/// See the example of [`LiveIndex`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Slots with a sound state.
    pub slots: u64,
    /// Live hints, each found in its bucket.
    pub hints: u64,
    /// Buckets, each sound.
    pub buckets: u64,
    /// Entries of all buckets.
    pub entries: u64,
    /// Rows of all families, each read with its checksum.
    pub rows: u64,
}

impl LiveIndex {
    /// Checks the whole index: every checksum, every record, every bucket, and that every live
    /// hint of every device is in its bucket. In a [lean](Self::lean_snapshot) index it is
    /// unknown which hints the window must hold, so no hints are checked or counted.
    ///
    /// Call it while nothing else writes to the index. Costs about as much as a roll; `report`
    /// counts slots.
    ///
    /// # Errors
    /// The first fault found: [`Error::Corrupted`], [`Error::WindowDamaged`] or
    /// [`Error::OutOfService`]; else those of the store.
    pub fn verify(&self, report: Option<Report<'_>>) -> Result<Verified, Error> {
        self.maintain(|| {
            let fleet = self.fleet();
            let mut verified = Verified { rows: self.read_everything()?, ..Verified::default() };
            verified.slots = fleet.slot_count().into();
            if self.lacks_window() {
                return Err(Error::window_damaged("it is missing"));
            }
            // No window can be replaced while this runs.
            for window in self.windows.declared().iter() {
                let Verified { hints, buckets, entries, .. } =
                    self.verify_window(window, &fleet, report)?;
                verified.hints += hints;
                verified.buckets += buckets;
                verified.entries += entries;
            }
            match self.out_of_service().as_slice() {
                [] => Ok(verified),
                [(key, why), others @ ..] => {
                    Err(Error::OutOfService { device: key.device, why, others: others.len() })
                }
            }
        })
    }

    /// Checks every bucket of a window, and that the window holds every live hint.
    fn verify_window(
        &self,
        window: &Window,
        fleet: &Fleet,
        report: Option<Report<'_>>,
    ) -> Result<Verified, Error> {
        let geometry = window.geometry;
        let family = self.store.family(&window.family)?;
        let mut rows = self.store.db().raw_iterator_cf_opt(&family, reading_disk());
        rows.seek_to_first();
        let slots = fleet.slot_count();
        let mut buckets = BucketWalk { rows, geometry, slots, seen: Verified::default() };
        let progress = Progress::new(report);
        let mut found = 0;
        let mut compare = |sorted: &SortedPartition| {
            sorted.each_bucket(geometry, |key, wanted| {
                let stored = buckets.advance_to(key)?;
                let is_missing = |entry: &&Entry| stored.binary_search(entry).is_err();
                if let Some(entry) = wanted.iter().find(is_missing) {
                    let Slot(slot) = bucket::slot_of(*entry);
                    let why = format!("a hint of slot {slot} is missing");
                    return Err(Error::window_damaged(why));
                }
                found += wanted.len() as u64;
                Ok(())
            })
        };
        // Only the rest of a span is checked: the bounds that past hints followed from may
        // have changed.
        let now_s = self.now_s();
        let rest = window.span.as_ref().map(|span| span.start.max(now_s.min(span.end))..span.end);
        if window.lean.is_none() && rest.as_ref().is_none_or(|rest| !rest.is_empty()) {
            let live = self.live_in(fleet, window.span.clone());
            let live = FleetStates { rest, ..live };
            let hints = live.count_hints();
            self.bulk(geometry, &progress).for_each_partition(&live, hints, &mut compare)?;
        }
        buckets.finish()?;
        Ok(Verified { hints: found, ..buckets.seen })
    }

    /// Reads every row of every family from disk, and so checks every checksum.
    fn read_everything(&self) -> Result<u64, Error> {
        let mut count = 0;
        for name in self.store.family_names()? {
            let family = self.store.family(&name)?;
            let is_window = epoch_of_family(&name).is_some();
            let failed = |source: rocksdb::Error| match is_window {
                true => Error::window_damaged(source.to_string()),
                false => Error::store("reading the database")(source),
            };
            for row in self.store.db().iterator_cf_opt(&family, reading_disk(), IteratorMode::Start)
            {
                row.map_err(failed)?;
                count += 1;
            }
        }
        Ok(count)
    }
}

/// Options of a read that checks checksums and does not fill the cache.
fn reading_disk() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.fill_cache(false);
    options
}

/// A walk over the buckets of a window that checks each of them.
struct BucketWalk<'a> {
    rows: DBRawIteratorWithThreadMode<'a, Db>,
    geometry: Geometry,
    slots: u32,
    seen: Verified,
}

impl BucketWalk<'_> {
    /// Checks every bucket up to `key`; returns the entries of the bucket at `key`.
    fn advance_to(&mut self, key: BucketKey) -> Result<Vec<Entry>, Error> {
        while let Some((at, entries)) = self.next()? {
            if at == key {
                return Ok(entries);
            }
            if at > key {
                break;
            }
        }
        Err(Error::window_damaged(format!("bucket {key:02x?} is missing")))
    }

    /// Checks the remaining buckets.
    fn finish(&mut self) -> Result<(), Error> {
        while self.next()?.is_some() {}
        Ok(())
    }

    fn next(&mut self) -> Result<Option<(BucketKey, Vec<Entry>)>, Error> {
        let Some((key, value)) = self.rows.item() else {
            self.rows.status().map_err(Error::store("reading the database"))?;
            return Ok(None);
        };
        let bad = |why: &str| Error::window_damaged(format!("bucket {key:02x?}: {why}"));
        let name = key.try_into().map_err(|_| bad("its key is not 4 bytes long"))?;
        if u64::from(u32::from_be_bytes(name)) >> self.geometry.prefix_bits() != 0 {
            return Err(bad("its prefix is wider than the window's"));
        }
        let bucket = Bucket::parse(value)
            .filter(|bucket| bucket.suffix_bits() == self.geometry.suffix_bits().into());
        let entries = bucket
            .and_then(|bucket| bucket.entries())
            .ok_or_else(|| bad("its parts contradict one another"))?;
        if entries.iter().any(|entry| bucket::slot_of(*entry).0 >= self.slots) {
            return Err(bad("it names a slot that is not in the fleet"));
        }
        self.seen.buckets += 1;
        self.seen.entries += entries.len() as u64;
        self.rows.next();
        Ok(Some((name, entries)))
    }
}
