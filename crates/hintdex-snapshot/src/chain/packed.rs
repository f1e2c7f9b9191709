//! Numbers of equal width, packed into words.

use core::ops::Range;

use crate::Damage;
use crate::format::Checked;

/// The length of a word: every part begins on one.
pub(super) const WORD_LEN_BYTES: usize = 8;

/// The length of `count` numbers of `width` bits, in whole words.
pub(super) const fn len_bytes(count: u64, width: u32) -> u64 {
    (count * width as u64).div_ceil(64) * 8
}

/// The number of bits that `most` needs; 0 for 0.
pub(super) const fn width(most: u64) -> u32 {
    u64::BITS - most.leading_zeros()
}

/// Appends numbers below 2 to the power of `width`, filled up to a whole word.
pub(super) fn pack(numbers: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let (mut pending, mut pending_bits) = (0_u128, 0);
    for number in numbers {
        pending |= u128::from(number) << pending_bits;
        pending_bits += width;
        while pending_bits >= 64 {
            #[expect(clippy::cast_possible_truncation, reason = "the lower word")]
            out.extend((pending as u64).to_le_bytes());
            pending >>= 64;
            pending_bits -= 64;
        }
    }
    if pending_bits != 0 {
        #[expect(clippy::cast_possible_truncation, reason = "the last word")]
        out.extend((pending as u64).to_le_bytes());
    }
}

/// Number `index` of those of `width` bits that are packed in `part` of the file; 0 past
/// the end.
#[inline(always)]
pub(super) fn get(
    bytes: &Checked<'_>,
    part: &Range<usize>,
    index: u64,
    width: u32,
) -> Result<u64, Damage> {
    // No builder writes wider numbers; a file whose checks somebody repaired may name any.
    let width = width.min(u64::BITS);
    let bit = index * u64::from(width);
    let at = part.start + (bit / 64) as usize * WORD_LEN_BYTES;
    let shift = bit % 64;
    let low = word(bytes, part, at)?;
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    if shift + u64::from(width) <= 64 {
        return Ok(low >> shift & mask);
    }
    let high = word(bytes, part, at + WORD_LEN_BYTES)?;
    Ok((low >> shift | high << (64 - shift)) & mask)
}

/// The word at `at`; 0 if it is not in `part`.
#[inline(always)]
fn word(bytes: &Checked<'_>, part: &Range<usize>, at: usize) -> Result<u64, Damage> {
    if at + WORD_LEN_BYTES > part.end {
        return Ok(0);
    }
    let word = bytes.touch(at..at + WORD_LEN_BYTES)?;
    Ok(word.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}
