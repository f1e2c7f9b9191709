//! The row of an accepted ephemeral point.

use hintdex_wire::{Nonce, Slot};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian};

use super::layout::{Field, layout};

/// The head of an ephemeral point: of one device, two of these heads are equal by chance once in
/// 2^64.
///
/// See the example of [`Request::AdmitPoint`](crate::Request::AdmitPoint).
pub type PointHead = [u8; 8];

/// The key of a point's row: the rows of a slot lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct PointKey {
    slot: big_endian::U32,
    head: PointHead,
}

impl PointKey {
    pub(crate) fn of(slot: Slot, head: PointHead) -> Self {
        Self { slot: slot.0.into(), head }
    }
}

/// The packet that was accepted with a point.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct PointRecord {
    number: U32,
    minute: U32,
}

impl PointRecord {
    pub(crate) fn new(number: Nonce, minute: u32) -> Self {
        // Numbers are below the last nonce, 2³² − 1.
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        Self { number: number.into(), minute: minute.into() }
    }

    /// The minute in which the packet was accepted, counted from the beginning of 2020.
    pub(crate) const fn minute(&self) -> u32 {
        self.minute.get()
    }

    /// The number of the packet among those of its slot.
    pub(crate) fn number(&self) -> Nonce {
        self.number.get().into()
    }
}

pub(super) fn layout() -> (&'static str, Vec<Field>) {
    layout!("point", PointRecord: number, minute)
}
