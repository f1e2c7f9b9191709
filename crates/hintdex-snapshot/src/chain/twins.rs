//! Points whose hints have the same head: short hints collide.
//!
//! F numbers distinct heads, so of the points with one head only the first is on a cycle.
//! The others, its *twins*, are listed by head, and a lookup tries them one by one.
//!
//! The numbers on the cycles are then fewer than the points. A number below their count
//! that belongs to a twin would have no point, so the points with the numbers past the
//! count are *moved*: a sorted list gives each such number a point.
//!
//! ```text
//! twins: head and point (two u64) │ moved numbers (u64) │ their points (u64)
//! ```

use core::ops::Range;

use super::header::ChainHeader;
use super::parts::Parts;
use crate::Damage;
use crate::format::Checked;
use crate::section::Section;

/// The length of a number in the lists.
const NUMBER_LEN_BYTES: usize = 8;

/// The length of a twin: its head and its point.
const TWIN_LEN_BYTES: usize = 16;

/// The most twins of one head that a lookup tries. Among 2³² points with hints of four
/// bytes, hardly any head has more than a dozen.
pub(super) const MAX_TWINS: usize = 64;

/// The lists of a file.
#[derive(Debug)]
pub(super) struct Twins {
    twins: Range<usize>,
    moved: Range<usize>,
    points: Range<usize>,
}

impl Twins {
    /// The next parts of a file with `distinct` heads and `duplicates` more points.
    pub fn open(
        header: &ChainHeader,
        duplicates: u64,
        distinct: u64,
        parts: &mut Parts,
    ) -> Option<Self> {
        let (twins, moved) = (header.twin_count.get(), header.moved_count.get());
        if twins != duplicates || moved > twins || moved > distinct {
            return None;
        }
        let len = |count: u64, len: usize| count.checked_mul(len as u64);
        Some(Self {
            twins: parts.take(len(twins, TWIN_LEN_BYTES)?)?,
            moved: parts.take(len(moved, NUMBER_LEN_BYTES)?)?,
            points: parts.take(len(moved, NUMBER_LEN_BYTES)?)?,
        })
    }

    /// No twins: for a chain whose twins are not listed yet.
    pub const fn none() -> Self {
        Self { twins: 0..0, moved: 0..0, points: 0..0 }
    }

    /// Whether no head has several points.
    pub const fn is_empty(&self) -> bool {
        self.twins.start == self.twins.end
    }

    /// The point with the number `index` on the cycles.
    #[inline(always)]
    pub fn number(&self, bytes: &Checked<'_>, index: u64) -> Result<u64, Damage> {
        if self.moved.start == self.moved.end { Ok(index) } else { self.moved(bytes, index) }
    }

    #[inline(never)]
    fn moved(&self, bytes: &Checked<'_>, index: u64) -> Result<u64, Damage> {
        let count = self.moved.len() / NUMBER_LEN_BYTES;
        let moved = |at| number(bytes, &self.moved, at, NUMBER_LEN_BYTES);
        let at = first_at_least(count, index, moved)?;
        if at == count || moved(at)? != index {
            return Ok(index);
        }
        number(bytes, &self.points, at, NUMBER_LEN_BYTES)
    }

    /// Calls `each` with the points of the twins of `head`.
    pub fn each(
        &self,
        bytes: &Checked<'_>,
        head: u64,
        mut each: impl FnMut(u64),
    ) -> Result<(), Damage> {
        let count = self.twins.len() / TWIN_LEN_BYTES;
        let head_of = |at| number(bytes, &self.twins, at, TWIN_LEN_BYTES);
        let first = first_at_least(count, head, head_of)?;
        for at in (first..count).take(MAX_TWINS) {
            if head_of(at)? != head {
                break;
            }
            let point = self.twins.start + at * TWIN_LEN_BYTES + NUMBER_LEN_BYTES;
            each(number(bytes, &(point..self.twins.end), 0, NUMBER_LEN_BYTES)?);
        }
        Ok(())
    }

    pub fn measure(&self, sections: &mut Vec<Section>) {
        let len = self.twins.len() + self.moved.len() + self.points.len();
        Section::add(sections, "duplicates", len);
    }
}

/// The first of `count` ascending numbers that is `wanted` or greater.
fn first_at_least(
    count: usize,
    wanted: u64,
    number: impl Fn(usize) -> Result<u64, Damage>,
) -> Result<usize, Damage> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if number(middle)? < wanted { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// The number at the begin of entry `at` of a list with entries of `len_bytes`.
fn number(
    bytes: &Checked<'_>,
    list: &Range<usize>,
    at: usize,
    len_bytes: usize,
) -> Result<u64, Damage> {
    let at = list.start + at * len_bytes;
    let number = bytes.touch(at..at + NUMBER_LEN_BYTES)?;
    Ok(number.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}

/// The lists of a file while it is built.
#[derive(Debug, Default)]
pub(super) struct TwinLists {
    /// Head and point, sorted.
    pub twins: Vec<(u64, u64)>,
    /// Number and point, sorted.
    pub moved: Vec<(u64, u64)>,
}

impl TwinLists {
    /// The lists for `points` with heads that other points have: each head's points but
    /// the first are twins. `distinct` heads are on the cycles.
    pub fn new(mut points: Vec<(u64, u64)>, distinct: u64) -> Self {
        points.sort_unstable();
        let same = points.chunk_by(|one, other| one.0 == other.0);
        let twins: Vec<_> = same.flat_map(|same| same.iter().skip(1).copied()).collect();
        let mut free: Vec<u64> = twins.iter().map(|&(_, point)| point).collect();
        free.sort_unstable();
        let (below, above) = free.split_at(free.partition_point(|&point| point < distinct));
        let all = distinct + twins.len() as u64;
        let mut above = above.iter().peekable();
        let past = (distinct..all).filter(|point| above.next_if_eq(&point).is_none());
        let moved = below.iter().copied().zip(past).collect();
        Self { twins, moved }
    }

    /// The three parts.
    pub fn bytes(&self) -> [Vec<u8>; 3] {
        let twins = self.twins.iter().flat_map(|&(head, point)| [head, point]);
        let numbers = self.moved.iter().map(|&(number, _)| number);
        let points = self.moved.iter().map(|&(_, point)| point);
        [bytes_of(twins), bytes_of(numbers), bytes_of(points)]
    }
}

fn bytes_of(numbers: impl Iterator<Item = u64>) -> Vec<u8> {
    numbers.flat_map(u64::to_le_bytes).collect()
}
