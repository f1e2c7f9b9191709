//! The marks: which numbers are marked, and for each mark the mark before it.
//!
//! A line of 64 bytes has a bit for each of 480 numbers that may be marked, behind the
//! count of marks in the lines before. So one cache line answers whether a number is
//! marked, and which mark it is.
//!
//! ```text
//! lines: marks before (u32), 480 bits │ the mark before each mark, packed
//! ```

use core::ops::Range;

use super::header::ChainHeader;
use super::parts::Parts;
use crate::Damage;
use crate::format::Checked;
use crate::kernel;
use crate::packed;
use crate::padding::Padding;
use crate::section::Section;

/// The length of a line.
const LINE_LEN_BYTES: usize = 64;

/// The length of the count before the bits.
const RANK_LEN_BYTES: usize = 4;

/// The numbers of a line.
const LINE_LEN_NUMBERS: u64 = ((LINE_LEN_BYTES - RANK_LEN_BYTES) * 8) as u64;

/// The most bits of a stored mark.
const MAX_MARK_BITS: u32 = 32;

/// The marks of a file.
#[derive(Debug)]
pub(super) struct Marks {
    every_bits: u32,
    mark_bits: u32,
    lines: Range<usize>,
    before: Range<usize>,
    /// The numbers that may be marked.
    place_count: u64,
    mark_count: u64,
}

impl Marks {
    /// The next parts of a file with `count` numbers.
    pub fn open(header: &ChainHeader, count: u64, parts: &mut Parts) -> Option<Self> {
        let every_bits = u32::from(header.mark_every_bits);
        let mark_bits = u32::from(header.mark_bits);
        if every_bits > 32 || mark_bits > MAX_MARK_BITS || header.mark_count.get() > count {
            return None;
        }
        let lines = parts.take(line_count(count, every_bits) * LINE_LEN_BYTES as u64)?;
        let before = parts.take(packed::len_bytes(header.mark_count.get(), mark_bits))?;
        let (place_count, mark_count) = (count.div_ceil(1 << every_bits), header.mark_count.get());
        Some(Self { every_bits, mark_bits, lines, before, place_count, mark_count })
    }

    /// No marks: for a chain that is not cut yet.
    pub const fn none() -> Self {
        let (every_bits, mark_bits, place_count, mark_count) = (0, 0, 0, 0);
        Self { every_bits, mark_bits, lines: 0..0, before: 0..0, place_count, mark_count }
    }

    /// Whether a number may be marked.
    #[inline(always)]
    pub const fn may_be_marked(&self, index: u64) -> bool {
        index & ((1 << self.every_bits) - 1) == 0
    }

    /// Starts loading the line of a number.
    #[inline(always)]
    pub fn prefetch_line(&self, bytes: &Checked<'_>, index: u64) {
        let line = self.line((index >> self.every_bits) / LINE_LEN_NUMBERS);
        kernel::prefetch_line(bytes.peek_byte(line));
    }

    /// Where line `number` begins.
    #[expect(clippy::cast_possible_truncation, reason = "snapshots need 64-bit addresses")]
    const fn line(&self, number: u64) -> usize {
        self.lines.start + number as usize * LINE_LEN_BYTES
    }

    /// The rank of `index` among the marks, if it is marked. It may be marked.
    #[inline(always)]
    pub fn rank(&self, bytes: &Checked<'_>, index: u64) -> Result<Option<u64>, Damage> {
        let place = index >> self.every_bits;
        let line = self.line(place / LINE_LEN_NUMBERS);
        if line >= self.lines.end {
            return Ok(None);
        }
        let line = bytes.touch(line..line + LINE_LEN_BYTES)?;
        let bit = place % LINE_LEN_NUMBERS + RANK_LEN_BYTES as u64 * 8;
        let (words, _) = line.as_chunks::<8>();
        let (word, bit) = ((bit / 64) as usize, bit % 64);
        let Some(last) = words.get(word).map(|word| u64::from_le_bytes(*word)) else {
            return Ok(None);
        };
        if last >> bit & 1 == 0 {
            return Ok(None);
        }
        // The rank stands before the bits: of the first word, the upper half counts.
        let rank = words.first().map_or(0, |word| u64::from_le_bytes(*word) & RANK_MASK);
        let mut marks = rank + u64::from((last & ((1 << bit) - 1)).count_ones());
        for word in words.iter().take(word) {
            marks += u64::from(u64::from_le_bytes(*word).count_ones());
        }
        Ok(Some(marks - u64::from(rank.count_ones())))
    }

    /// Starts loading the mark before the mark of rank `rank`.
    #[inline(always)]
    pub fn prefetch_before(&self, bytes: &Checked<'_>, rank: u64) {
        packed::prefetch(bytes, &self.before, rank, self.mark_bits);
    }

    /// The mark before the mark of rank `rank` on its cycle.
    #[inline(always)]
    pub fn before(&self, bytes: &Checked<'_>, rank: u64) -> Result<u64, Damage> {
        let before = packed::get(bytes, &self.before, rank, self.mark_bits)?;
        Ok(before << self.every_bits)
    }

    /// Calls `each` with the bits of the last line behind those of numbers, and with those behind
    /// the last mark before.
    pub fn each_padding(&self, each: &mut dyn FnMut(Padding)) {
        if let Some(line) = self.lines.len().checked_sub(LINE_LEN_BYTES) {
            let in_lines_before = (line / LINE_LEN_BYTES) as u64 * LINE_LEN_NUMBERS;
            let used_bits = RANK_LEN_BYTES as u64 * 8 + (self.place_count - in_lines_before);
            let line = self.lines.start + line..self.lines.end;
            each(Padding::behind_bits("marks", &line, used_bits));
        }
        let used_bits = self.mark_count * u64::from(self.mark_bits);
        each(Padding::behind_bits("marks before", &self.before, used_bits));
    }

    pub fn measure(&self, sections: &mut Vec<Section>) {
        Section::add(sections, "marks", self.lines.len());
        Section::add(sections, "marks before", self.before.len());
    }
}

/// The count of a line in its first word.
const RANK_MASK: u64 = (1 << (RANK_LEN_BYTES * 8)) - 1;

/// How many lines `count` numbers take.
const fn line_count(count: u64, every_bits: u32) -> u64 {
    count.div_ceil(1 << every_bits).div_ceil(LINE_LEN_NUMBERS)
}

/// The lengths of the lines and of the marks before, for so many marks among `count` numbers.
pub(super) const fn lens_bytes(marks: u64, count: u64, every_bits: u8) -> [u64; 2] {
    let mark_bits = packed::width(count.saturating_sub(1) >> every_bits);
    let lines = line_count(count, every_bits as u32) * LINE_LEN_BYTES as u64;
    [lines, packed::len_bytes(marks, mark_bits)]
}

/// A mark and the mark before it on its cycle, each divided by the distance of numbers
/// that may be marked.
pub(super) type Mark = (u32, u32);

/// The parts of `marks`, which are sorted, in a file with `count` numbers; and the width of a
/// stored mark.
pub(super) fn write(marks: &[Mark], count: u64, every_bits: u8) -> ([Vec<u8>; 2], u8) {
    let most = count.saturating_sub(1) >> every_bits;
    let mark_bits = packed::width(most);
    let lines = line_count(count, every_bits.into());
    let mut bits = Vec::new();
    let mut left = marks;
    let mut rank = 0_u32;
    for line in 0..lines {
        let end = (line + 1) * LINE_LEN_NUMBERS;
        let (these, rest) = left.split_at(left.partition_point(|&(at, _)| u64::from(at) < end));
        left = rest;
        let mut bytes = [0; LINE_LEN_BYTES];
        let (count, map) = bytes.split_at_mut(RANK_LEN_BYTES);
        count.copy_from_slice(&rank.to_le_bytes());
        for (at, _) in these {
            let bit = u64::from(*at) % LINE_LEN_NUMBERS;
            let byte = usize::try_from(bit / 8).ok().and_then(|byte| map.get_mut(byte));
            byte.into_iter().for_each(|byte| *byte |= 1 << (bit % 8));
        }
        rank += u32::try_from(these.len()).unwrap_or(u32::MAX);
        bits.extend(bytes);
    }
    let mut before = Vec::new();
    packed::pack(marks.iter().map(|&(_, before)| before.into()), mark_bits, &mut before);
    ([bits, before], u8::try_from(mark_bits).unwrap_or(u8::MAX))
}
