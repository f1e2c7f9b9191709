//! Padding: the zero bits between the parts of a file.

use core::ops::Range;

/// Bits that fill a part of the file up, all zero.
#[derive(Debug)]
pub(crate) struct Padding {
    /// What the bits follow.
    pub behind: &'static str,
    /// The first of them and the end, counted from the beginning of the file.
    pub bits: Range<u64>,
}

impl Padding {
    /// Whole bytes of the file.
    pub fn of_bytes(behind: &'static str, bytes: Range<usize>) -> Self {
        Self { behind, bits: bytes.start as u64 * 8..bytes.end as u64 * 8 }
    }

    /// Where in `file` the first byte is that has a bit of this which is not zero.
    pub fn not_zero(&self, file: &[u8]) -> Option<u64> {
        let first = self.bits.start / 8;
        let bytes =
            usize::try_from(first).ok()?..usize::try_from(self.bits.end.div_ceil(8)).ok()?;
        let mut bytes = (first..).zip(file.get(bytes)?);
        // Of the first byte, the lower bits may belong to the part before.
        let is_padding = |at: u64, byte: u8| {
            if at == first { byte >> (self.bits.start % 8) } else { byte }
        };
        bytes.find(|&(at, &byte)| is_padding(at, byte) != 0).map(|(at, _)| at)
    }
}
