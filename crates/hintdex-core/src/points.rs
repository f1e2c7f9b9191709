//! The ephemeral points of packets without a nonce, by which a repeat is recognized.
//!
//! A packet of [`EphemeralSuite::X25519`](hintdex_wire::EphemeralSuite::X25519) has no nonce, so
//! no state shows that the packet comes a second time. Its ephemeral point is random and its
//! tag covers the point, so two authentic packets with one point are one packet. The index stores
//! the head of each accepted point in a family of its own, with the number that the packet got,
//! and forgets it after the repeat window.
//!
//! A row is deleted when a compaction comes across it. A lookup takes an older row for a missing
//! one, so the time of a compaction has no influence on a verdict.

use std::collections::HashMap;

use hintdex_wire::{Nonce, Slot};
use rocksdb::WriteBatch;
use zerocopy::{FromBytes, IntoBytes};

use crate::Error;
use crate::index::LiveIndex;
use crate::records::{POINTS_FAMILY, PointHead, PointKey, PointRecord};
use crate::store::Family;

/// The points of the packets that one lane admits, and those that the store holds.
pub(crate) struct LanePoints<'a> {
    index: &'a LiveIndex,
    family: Family<'a>,
    /// The present minute, and the first one whose points are remembered.
    minute: u32,
    first_minute: u32,
    /// The accepted points of the lane, which are not in the store yet.
    added: HashMap<PointKey, PointRecord>,
}

impl<'a> LanePoints<'a> {
    /// # Errors
    /// Those of the store; [`Error::Corrupted`] if it lacks the family.
    pub(crate) fn new(index: &'a LiveIndex) -> Result<Self, Error> {
        let (minute, first_minute) = index.points_minutes();
        // A compaction deletes no point that this lane or a later one takes for remembered.
        index.store.forget_points_before(first_minute);
        let family = index.store.family(POINTS_FAMILY)?;
        Ok(Self { index, family, minute, first_minute, added: HashMap::new() })
    }

    /// The number of the packet of `slot` that was accepted with this point within the repeat
    /// window; `None` if there was none.
    pub(crate) fn number_of(&self, slot: Slot, head: PointHead) -> Result<Option<Nonce>, Error> {
        let key = PointKey::of(slot, head);
        let stored =
            match self.added.get(&key) {
                Some(record) => Some(*record),
                None => match self.index.store.get(&self.family, key.as_bytes())? {
                    None => None,
                    Some(row) => Some(PointRecord::read_from_bytes(&row).map_err(|_| {
                        Error::corrupted("the row of a point", "its length is wrong")
                    })?),
                },
            };
        let remembered = stored.filter(|record| record.minute() >= self.first_minute);
        Ok(remembered.map(|record| record.number()))
    }

    /// Notes that the packet of `slot` with this point was accepted under a number.
    pub(crate) fn add(&mut self, slot: Slot, head: PointHead, number: Nonce) {
        let record = PointRecord::new(number, self.minute);
        self.added.insert(PointKey::of(slot, head), record);
    }

    /// Adds the accepted points to the batch of the states that they belong to.
    pub(crate) fn put(&self, batch: &mut WriteBatch) {
        for (key, record) in &self.added {
            batch.put_cf(&self.family, key.as_bytes(), record.as_bytes());
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::sync::Arc;

    use hintdex_host::ManualClock;
    use hintdex_wire::{DeviceId, EphemeralSuite, KeyId, MasterKey, StationPoint};

    use super::*;
    use crate::{Admission, Arrival, DeviceRange, Options, Params, Request};

    /// A compaction takes the rows that lookups have forgotten, and no other row.
    #[test]
    fn a_compaction_deletes_forgotten_points_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (keys, now_s) = (Arc::new(MasterKey::new(&[7; 32])), 1_764_000_000);
        let clock = Arc::new(ManualClock::new(now_s));
        let params = Params::ephemeral(EphemeralSuite::X25519, StationPoint([9; 32]));
        let options = Options { repeat_window_s: 3_600, ..Options::default() };
        let path = folder.path().join("index");
        let index = LiveIndex::create_with(&path, keys.clone(), params, &options, clock.clone());
        let index = index.expect("a new folder");
        index.provision(&[DeviceRange::new(DeviceId(0), 4)], None).expect("ids are free");
        let admit = |index: &LiveIndex, head: u8| {
            let (slot, key) = (Slot(1), KeyId::first(DeviceId(1)));
            let arrival = Arrival { slot, key, nonce: 0, hint_key: None, received_unix_s: now_s };
            let done = index.admit_requests(&[arrival], &[Request::AdmitPoint([head; 8])]);
            done.expect("it admits").pop()
        };
        let is_stored = |index: &LiveIndex, head: u8| {
            let family = index.store.family(POINTS_FAMILY).expect("it is there");
            let key = PointKey::of(Slot(1), [head; 8]);
            index.store.get(&family, key.as_bytes()).expect("it reads").is_some()
        };
        let compact = |index: &LiveIndex| index.store.compact(POINTS_FAMILY).expect("it compacts");
        assert_eq!(admit(&index, 1), Some(Admission::AcceptedAs(0)));
        compact(&index);
        clock.set(now_s + 3_000);
        assert_eq!(admit(&index, 2), Some(Admission::AcceptedAs(1)));
        compact(&index);
        assert!(is_stored(&index, 1) && is_stored(&index, 2));
        // A clock that jumps ahead while the index is open takes no point away.
        clock.set(now_s + 3_600 + 120);
        assert_eq!(admit(&index, 1), Some(Admission::ReplayOf(0)));
        compact(&index);
        assert!(is_stored(&index, 1));
        drop(index);
        let index = LiveIndex::open_with(&path, keys, &options, clock.clone()).expect("it opens");
        assert_eq!(admit(&index, 2), Some(Admission::ReplayOf(1)));
        assert_eq!(admit(&index, 3), Some(Admission::AcceptedAs(2)));
        compact(&index);
        assert!(!is_stored(&index, 1) && is_stored(&index, 2) && is_stored(&index, 3));
        // Nor does a clock that is not set; what is accepted then is never forgotten.
        clock.set(60);
        assert_eq!(admit(&index, 2), Some(Admission::ReplayOf(1)));
        assert_eq!(admit(&index, 4), Some(Admission::AcceptedAs(3)));
        clock.set(now_s + 100_000);
        assert_eq!(admit(&index, 4), Some(Admission::ReplayOf(3)));
    }
}
