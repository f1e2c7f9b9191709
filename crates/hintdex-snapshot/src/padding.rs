//! Padding: the zero bits between the parts of a file.

use core::ops::Range;

/// The bits between a part of the file and the next part; a sound file has zeros there.
#[derive(Debug)]
pub(crate) struct Padding {
    /// The name of the part before the bits.
    pub behind: &'static str,
    /// The range of the bits, counted from the beginning of the file.
    pub bits: Range<u64>,
}

impl Padding {
    /// Padding of whole bytes.
    pub fn of_bytes(behind: &'static str, bytes: Range<usize>) -> Self {
        Self { behind, bits: bytes.start as u64 * 8..bytes.end as u64 * 8 }
    }

    /// The bits behind the first `used_bits` of a part.
    pub fn behind_bits(behind: &'static str, part: &Range<usize>, used_bits: u64) -> Self {
        let start = (part.start as u64 * 8).saturating_add(used_bits);
        Self { behind, bits: start..part.end as u64 * 8 }
    }

    /// The offset in `file` of the first byte with a padding bit that is not zero.
    pub fn not_zero(&self, file: &[u8]) -> Option<u64> {
        let first = self.bits.start / 8;
        let bytes =
            usize::try_from(first).ok()?..usize::try_from(self.bits.end.div_ceil(8)).ok()?;
        let mut bytes = (first..).zip(file.get(bytes)?);
        // The lower bits of the first byte may belong to the part before.
        let is_padding = |at: u64, byte: u8| {
            if at == first { byte >> (self.bits.start % 8) } else { byte }
        };
        bytes.find(|&(at, &byte)| is_padding(at, byte) != 0).map(|(at, _)| at)
    }
}
