//! The numbers at the head of the chains.

use core::mem::size_of;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The length of the header in bytes.
pub(crate) const CHAIN_HEADER_LEN_BYTES: usize = 64;

/// The header of the chains as it stands in the file.
#[derive(Clone, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct ChainHeader {
    /// All points, twins included.
    pub point_count: U64,
    /// Points that are marked.
    pub mark_count: U64,
    /// Points with the head of an earlier point.
    pub twin_count: U64,
    /// Numbers on the cycles whose point has another number.
    pub moved_count: U64,
    /// The most steps that a walk of this file takes.
    pub longest_walk: U32,
    /// Numbers that are multiples of 2 to the power of this may be marked.
    pub mark_every_bits: u8,
    /// The width of a stored mark in bits.
    pub mark_bits: u8,
    /// Tables of runs.
    pub table_count: U16,
    /// Zero.
    pub reserved: [u8; 24],
}

const _: () = assert!(size_of::<ChainHeader>() == CHAIN_HEADER_LEN_BYTES, "no padding, no drift");

impl ChainHeader {
    pub fn reserved_is_zero(&self) -> bool {
        self.reserved == [0; 24]
    }
}

/// Every field of the header: what the format's table is held against.
#[cfg(test)]
pub(crate) const CHAIN_HEADER_FIELDS: &[(&str, usize)] = crate::format::fields!(
    ChainHeader: point_count, mark_count, twin_count, moved_count, longest_walk,
    mark_every_bits, mark_bits, table_count, reserved
);
