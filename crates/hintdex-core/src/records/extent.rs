//! The record of a run of slots.

use hintdex_wire::DeviceId;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::layout::{Field, layout};
use crate::fleet::{DeviceRange, Extent, KeyOrigin};

/// A run of slots. Its key is the first slot, big-endian.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct ExtentRecord {
    pub(crate) first_device: U32,
    pub(crate) count: U32,
    pub(crate) generation: U16,
    pub(crate) key_origin: u8,
    pub(crate) reserved: u8,
    pub(crate) provisioned_unix_s: U64,
}

impl ExtentRecord {
    /// The range; `None` if no version writes such a record.
    pub(crate) fn range(&self) -> Option<DeviceRange> {
        let origin = match (self.key_origin, self.reserved) {
            (0, 0) => KeyOrigin::Derived,
            (1, 0) => KeyOrigin::Imported,
            _ => return None,
        };
        Some(DeviceRange {
            first: DeviceId(self.first_device.get()),
            count: self.count.get(),
            generation: self.generation.get(),
            origin,
        })
    }
}

impl From<&Extent> for ExtentRecord {
    fn from(extent: &Extent) -> Self {
        let DeviceRange { first, count, generation, origin } = extent.range;
        Self {
            first_device: first.0.into(),
            count: count.into(),
            generation: generation.into(),
            key_origin: match origin {
                KeyOrigin::Derived => 0,
                KeyOrigin::Imported => 1,
            },
            reserved: 0,
            provisioned_unix_s: extent.provisioned_unix_s.into(),
        }
    }
}

pub(super) fn layout() -> (&'static str, Vec<Field>) {
    layout!("extent", ExtentRecord: first_device, count, generation, key_origin, reserved,
        provisioned_unix_s)
}
