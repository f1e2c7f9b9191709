//! Structures that name candidates, and the keys that decide.
//!
//! They store nothing of a hint, or a part of it, so they are asked twice: for
//! what they name alone, and until the key table has confirmed a device.

use std::ops::Range;
use std::sync::Arc;

use hintdex_scan::KeyTable;
use hintdex_wire::{Hint, Slot};

use super::{HINTS_PER_BATCH, NOT_FOUND, Peer, Way};
use crate::Outcome;
use crate::workload::Site;

/// Slots from which on a range is confirmed as a run of keys, as a station does.
const LEAST_GROUP_LEN_SLOTS: usize = 8;

/// A structure that names ranges of slots for a hint.
pub trait Names {
    fn name(&self, hint: &Hint, named: &mut impl FnMut(Range<u32>)) -> Outcome<()>;

    /// Names those of each hint, with the hint's index.
    fn name_batch(
        &mut self,
        hints: &[Hint],
        named: &mut impl FnMut(usize, Range<u32>),
    ) -> Outcome<()>;

    /// The size of what it stores, where no file tells.
    fn stored_bytes(&self) -> Option<u64> {
        None
    }
}

/// A structure, and the keys.
pub struct Named<N> {
    names: N,
    table: Arc<KeyTable>,
    scratch: Scratch,
}

/// What a batch has to confirm, by the index of the hint it is for.
#[derive(Default)]
struct Scratch {
    single_owners: Vec<usize>,
    singles: Vec<(Slot, Hint)>,
    group_owners: Vec<usize>,
    groups: Vec<(Range<Slot>, Hint)>,
}

impl Scratch {
    fn clear(&mut self) {
        self.single_owners.clear();
        self.singles.clear();
        self.group_owners.clear();
        self.groups.clear();
    }

    fn add(&mut self, owner: usize, range: Range<u32>, hint: &Hint) {
        if range.len() < LEAST_GROUP_LEN_SLOTS {
            for slot in range {
                self.single_owners.push(owner);
                self.singles.push((Slot(slot), *hint));
            }
        } else {
            self.group_owners.push(owner);
            self.groups.push((Slot(range.start)..Slot(range.end), *hint));
        }
    }

    fn confirm(&self, table: &KeyTable, devices: &mut [u32]) {
        table.confirm_each(&self.singles, |index, found| {
            devices[self.single_owners[index]] = found.slot.0;
        });
        table.confirm_ranges(&self.groups, |index, found| {
            devices[self.group_owners[index]] = found.slot.0;
        });
    }
}

/// In the place of a device that was not found.
const NOBODY: u32 = u32::MAX;

impl<N: Names> Named<N> {
    pub fn new(names: N, site: &Site) -> Self {
        Self { names, table: Arc::clone(&site.table), scratch: Scratch::default() }
    }

    fn confirm_one(&mut self, hint: &Hint) -> Outcome<u32> {
        let mut first = 0..0;
        self.scratch.clear();
        self.names.name(hint, &mut |range| {
            if first.is_empty() {
                first = range;
            } else {
                self.scratch.add(0, range, hint);
            }
        })?;
        if self.scratch.singles.is_empty() && self.scratch.groups.is_empty() {
            let found = if first.len() == 1 {
                self.table.confirm_slot(Slot(first.start), hint)
            } else {
                self.table.confirm(Slot(first.start)..Slot(first.end), hint).first().copied()
            };
            return Ok(found.ok_or(NOT_FOUND)?.slot.0);
        }
        self.scratch.add(0, first, hint);
        let mut device = [NOBODY];
        self.scratch.confirm(&self.table, &mut device);
        let [device] = device;
        if device == NOBODY { Err(NOT_FOUND.into()) } else { Ok(device) }
    }

    fn confirm_batch(&mut self, hints: &[Hint], devices: &mut [u32]) -> Outcome<()> {
        let Self { names, table, scratch } = self;
        scratch.clear();
        names.name_batch(hints, &mut |owner, range| scratch.add(owner, range, &hints[owner]))?;
        scratch.confirm(table, devices);
        if devices.contains(&NOBODY) { Err(NOT_FOUND.into()) } else { Ok(()) }
    }

    fn name_one(&self, hint: &Hint) -> Outcome<u32> {
        let mut first = NOBODY;
        self.names.name(hint, &mut |range| first = first.min(range.start))?;
        Ok(first)
    }
}

impl<N: Names> Peer for Named<N> {
    fn look_up(&mut self, way: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        if !way.batch {
            for hint in hints {
                let device =
                    if way.confirmed { self.confirm_one(hint)? } else { self.name_one(hint)? };
                devices.push(device);
            }
            return Ok(());
        }
        for batch in hints.chunks(HINTS_PER_BATCH) {
            let first = devices.len();
            devices.resize(first + batch.len(), NOBODY);
            let devices = &mut devices[first..];
            if way.confirmed {
                self.confirm_batch(batch, devices)?;
            } else {
                self.names.name_batch(batch, &mut |owner, range| {
                    devices[owner] = devices[owner].min(range.start);
                })?;
            }
        }
        Ok(())
    }

    fn stored_bytes(&mut self) -> Outcome<Option<u64>> {
        Ok(self.names.stored_bytes())
    }
}
