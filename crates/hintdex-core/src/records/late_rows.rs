//! The rows of the late window of a counter: a head, and one row for each block of 64 nonces.

use hintdex_wire::{Nonce, Slot};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::layout::{Field, layout};

/// The head of the late window of a slot. Its key is the slot and the place 0, so it follows
/// the row of the slot's state.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct LateHeadRecord {
    first_nonce: U64,
    late_nonces: U32,
    reserved: U32,
}

/// A block of 64 nonces. Its key is the slot, and the block's place in the ring plus one.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct LateBlockRecord {
    block: U64,
    accepted: U64,
}

impl LateHeadRecord {
    pub(crate) fn new(first_nonce: Nonce, late_nonces: u32) -> Self {
        let (first_nonce, late_nonces) = (first_nonce.into(), late_nonces.into());
        Self { first_nonce, late_nonces, reserved: 0.into() }
    }

    /// The first nonce and the length of the late window; `None` if reserved bytes are set.
    pub(crate) fn parts(&self) -> Option<(Nonce, u32)> {
        let parts = (self.first_nonce.get(), self.late_nonces.get());
        (self.reserved.get() == 0).then_some(parts)
    }
}

impl LateBlockRecord {
    pub(crate) fn new(block: u64, accepted: u64) -> Self {
        Self { block: block.into(), accepted: accepted.into() }
    }

    /// The number of the block, and the bits of its accepted nonces.
    pub(crate) const fn parts(&self) -> (u64, u64) {
        (self.block.get(), self.accepted.get())
    }
}

/// The key of the row at `place` of a slot's late window; the head has the place 0.
pub(crate) const fn late_key(slot: Slot, place: u16) -> [u8; 6] {
    let ([a, b, c, d], [e, f]) = (slot.0.to_be_bytes(), place.to_be_bytes());
    [a, b, c, d, e, f]
}

/// The slot and the place of a row's key; `None` if the key is of no late window.
pub(crate) fn late_place_of_key(key: &[u8]) -> Option<(Slot, u16)> {
    let [a, b, c, d, e, f]: [u8; 6] = key.try_into().ok()?;
    Some((Slot(u32::from_be_bytes([a, b, c, d])), u16::from_be_bytes([e, f])))
}

pub(super) fn layouts() -> Vec<(&'static str, Vec<Field>)> {
    vec![
        layout!("late head", LateHeadRecord: first_nonce, late_nonces, reserved),
        layout!("late block", LateBlockRecord: block, accepted),
    ]
}
