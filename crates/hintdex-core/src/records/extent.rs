//! The record of a run of slots.

use hintdex_wire::{DeviceId, Slot};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::layout::{Field, layout};
use crate::device_range::{DeviceRange, KeyOrigin};
use crate::fleet::{Extent, FreeRun};

/// A run of slots: of keys, or of no keys. Its key is the first slot, big-endian.
///
/// A record of format version 1 ends before `grace_s`, which was always 0.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct ExtentRecord {
    pub(crate) first_device: U32,
    pub(crate) count: U32,
    pub(crate) generation: U16,
    pub(crate) key_origin: u8,
    pub(crate) reserved: u8,
    pub(crate) provisioned_unix_s: U64,
    pub(crate) grace_s: U32,
}

/// The origins of a run's keys.
const DERIVED: u8 = 0;
const IMPORTED: u8 = 1;
/// The run has no keys: its slots are free.
const FREE: u8 = 2;

/// The slots of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotRun {
    Keys(Extent),
    Free(FreeRun),
}

impl SlotRun {
    /// The number of slots.
    pub(crate) const fn len_slots(&self) -> u32 {
        match self {
            Self::Keys(extent) => extent.range.count,
            Self::Free(run) => run.count,
        }
    }
}

impl ExtentRecord {
    /// Reads the record of the run from `first_slot` on; `None` if no version writes such a
    /// record.
    pub(crate) fn read(first_slot: Slot, bytes: &[u8]) -> Option<SlotRun> {
        let mut padded = [0; size_of::<Self>()];
        let has_grace = bytes.len() == size_of::<Self>();
        if !has_grace && bytes.len() != size_of::<Self>() - size_of::<U32>() {
            return None;
        }
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Self::read_from_bytes(&padded).ok()?.run(first_slot)
    }

    fn run(&self, first_slot: Slot) -> Option<SlotRun> {
        let origin = match (self.key_origin, self.reserved) {
            (DERIVED, 0) => KeyOrigin::Derived,
            (IMPORTED, 0) => KeyOrigin::Imported,
            (FREE, 0) => {
                let run = FreeRun { first_slot, count: self.count.get() };
                return (Self::from(&SlotRun::Free(run)).as_bytes() == self.as_bytes())
                    .then_some(SlotRun::Free(run));
            }
            _ => return None,
        };
        let range = DeviceRange {
            first: DeviceId(self.first_device.get()),
            count: self.count.get(),
            generation: self.generation.get(),
            origin,
        };
        Some(SlotRun::Keys(Extent {
            first_slot,
            range,
            provisioned_unix_s: self.provisioned_unix_s.get(),
            grace_s: self.grace_s.get(),
        }))
    }
}

impl From<&SlotRun> for ExtentRecord {
    fn from(run: &SlotRun) -> Self {
        let mut record = Self::new_zeroed();
        match run {
            SlotRun::Free(run) => (record.count, record.key_origin) = (run.count.into(), FREE),
            SlotRun::Keys(Extent { range, provisioned_unix_s, grace_s, .. }) => {
                let DeviceRange { first, count, generation, origin } = *range;
                record.first_device = first.0.into();
                record.count = count.into();
                record.generation = generation.into();
                record.key_origin = match origin {
                    KeyOrigin::Derived => DERIVED,
                    KeyOrigin::Imported => IMPORTED,
                };
                record.provisioned_unix_s = (*provisioned_unix_s).into();
                record.grace_s = (*grace_s).into();
            }
        }
        record
    }
}

pub(super) fn layout() -> (&'static str, Vec<Field>) {
    layout!("extent", ExtentRecord: first_device, count, generation, key_origin, reserved,
        provisioned_unix_s, grace_s)
}
