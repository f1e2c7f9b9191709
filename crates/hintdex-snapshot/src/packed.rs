//! Parts of a file in whole words, and numbers of equal width packed into them.

use core::ops::Range;

use crate::Damage;
use crate::bits::BitWriter;
use crate::format::Checked;
use crate::kernel;

/// The length of a word. The parts of a chain, and of its shards, begin on words.
pub(crate) const WORD_LEN_BYTES: usize = 8;

/// The length of `count` numbers of `width` bits, in whole words.
pub(crate) const fn len_bytes(count: u64, width: u32) -> u64 {
    (count * width as u64).div_ceil(64) * 8
}

/// The number of bits that `most` needs; 0 for 0.
pub(crate) const fn width(most: u64) -> u32 {
    u64::BITS - most.leading_zeros()
}

/// Fills `out` up with zeros to a whole word.
pub(crate) fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(WORD_LEN_BYTES), 0);
}

/// Appends numbers of `width` bits, filled up with zeros to a whole word.
pub(crate) fn pack(numbers: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let mut bits = BitWriter::default();
    numbers.for_each(|number| bits.put(number, width));
    out.extend(bits.finish());
    pad(out);
}

/// Number `index` of those of `width` bits that are packed in `part` of the file; 0 past
/// the end.
#[inline(always)]
pub(crate) fn get(
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

/// Starts loading the word in which number `index` of those of `width` bits begins.
#[inline(always)]
pub(crate) fn prefetch(bytes: &Checked<'_>, part: &Range<usize>, index: u64, width: u32) {
    let at = part.start.saturating_add((index * u64::from(width) / 8) as usize);
    kernel::prefetch_line(bytes.peek_byte(at));
}

/// The word at the offset `at` of the file; 0 if the word is not in `part`.
#[inline(always)]
pub(crate) fn word(bytes: &Checked<'_>, part: &Range<usize>, at: usize) -> Result<u64, Damage> {
    if at + WORD_LEN_BYTES > part.end {
        return Ok(0);
    }
    let word = bytes.touch(at..at + WORD_LEN_BYTES)?;
    Ok(word.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}
