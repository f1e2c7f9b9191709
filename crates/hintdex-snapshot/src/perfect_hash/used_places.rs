//! The places of a level that have a head, while the level is built.

use super::level::{MAX_SLICE_LEN_PLACES, SHIFTS};

/// The places from a start on, as many as the longest slice has.
pub(super) type Slice = [u8; MAX_SLICE_LEN_PLACES as usize];

/// Which places are used: for each place a byte, which tells of the place and of the seven
/// behind it. So one byte answers for all shifts of a head.
pub(super) struct UsedPlaces {
    /// Bit *s* of byte `SHIFTS - 1 + p` is set if place *p* + *s* is used.
    bytes: Vec<u8>,
}

/// The bits of one place in the bytes of the seven places before it and in its own, in this
/// order.
const ONE_PLACE: u64 = 0x0102_0408_1020_4080;

/// Where the byte of place 0 is.
const FIRST: usize = SHIFTS as usize - 1;

impl UsedPlaces {
    /// `count` places, none of them used.
    pub fn new(count: u32) -> Self {
        // A slice can be read at every place.
        Self { bytes: vec![0; FIRST + count as usize + size_of::<Slice>()] }
    }

    /// The bytes of the places from `start` on.
    #[inline(always)]
    pub fn slice(&self, start: u32) -> Option<&Slice> {
        self.bytes.get(FIRST + start as usize..)?.first_chunk()
    }

    /// Uses a place.
    #[inline(always)]
    pub fn insert(&mut self, place: u32) {
        let bytes = self.bytes.get_mut(place as usize..).and_then(<[u8]>::first_chunk_mut);
        if let Some(bytes) = bytes {
            *bytes = (u64::from_le_bytes(*bytes) | ONE_PLACE).to_le_bytes();
        }
    }

    /// The places below `count` that are free.
    pub fn free(&self, count: u32) -> impl Iterator<Item = u32> {
        let places = (0..count).zip(self.bytes.iter().skip(FIRST));
        places.filter(|(_, byte)| *byte & 1 == 0).map(|(place, _)| place)
    }
}
