//! Chains: which slot and which nonce made a hint, in half a byte a hint.
//!
//! The *points* of a snapshot are its pairs of slot and nonce, numbered 0 to *N* − 1.
//! Whoever looks a hint up has the hint keys in memory, so the hint of any point can be
//! computed, and none is stored. A minimal perfect hash function F numbers the hints 0 to
//! *N* − 1, too. So `point → F(hint of the point)` is a permutation, and every point lies on
//! exactly one cycle.
//!
//! A lookup of hint y starts at the number p = F(y). The point before p on the cycle of p
//! is the only point that can have made y. Walking the whole cycle would take too long,
//! so some points are *marked*, and each mark stores the mark before it. The lookup walks
//! from p to the next mark, jumps to the mark before it, and walks on: either a point's
//! hint is y, or the walk comes back to p, and then **no point of the snapshot made y**.
//!
//! ```text
//!       stored: the mark before
//!    ┌──────────────────────────────┐
//!    ▼                              │
//!  mark ──▶ ● ──▶ x ──▶ p ──▶ ● ──▶ mark ──▶ …        p = F(y); x made y, if any point did
//!           2nd part    1st part
//! ```
//!
//! It is the cycle shortcut of Munro, Raman, Raman and Rao ("Succinct representations of
//! permutations and functions", 2012) for the time–memory trade-off of Hellman (1980).
//! That a minimal perfect hash function turns the derivation of hints into a permutation
//! is, as far as we know, not published.
//!
//! The hints of a retired slot cannot be computed any more. A walk that meets a point of such a
//! slot leaves its cycle and is given up after the longest walk of the file: no answer, and no
//! proof.

mod cut;
mod dial;
mod find;
mod header;
mod marks;
mod parts;
mod points;
mod tables;
mod twins;
mod walks;

#[cfg(test)]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests;

/// The records of the format, for the test that holds its page against them.
#[cfg(test)]
pub(crate) mod records {
    pub(crate) use super::header::{CHAIN_HEADER_FIELDS, CHAIN_HEADER_LEN_BYTES};
    pub(crate) use super::points::{
        BLOCK_RECORD_FIELDS, BLOCK_RECORD_LEN_BYTES, TABLE_RECORD_FIELDS, TABLE_RECORD_LEN_BYTES,
    };
}

use core::ops::Range;

use hintdex_wire::{Hint, Nonce, Slot};
use zerocopy::{FromBytes, IntoBytes};

pub(crate) use self::cut::{Input, build, check, image_len_bytes};
pub(crate) use self::dial::MAX_STEPS_PER_EVALUATION;
use self::dial::Spacing;
use self::header::{CHAIN_HEADER_LEN_BYTES, ChainHeader};
use self::marks::Marks;
use self::parts::Parts;
use self::points::Points;
use self::twins::Twins;
use crate::Damage;
use crate::encoding::ChainShard;
use crate::format::{Checked, shard_of};
use crate::packed::pad;
use crate::padding::Padding;
use crate::section::Section;

/// Computes the hints of points. The owner of the hint keys implements this trait.
///
/// A lookup or a build asks for some tens of hints at a time, from several threads.
///
/// See the example of [`Snapshot::points`](crate::Snapshot::points).
pub trait PointHints: Sync {
    /// Starts loading the hint key of `slot`. Changes no result.
    fn prefetch(&self, slot: Slot);

    /// Writes the hint of each of `points` to its place in `hints`, which is as long as
    /// `points`. The hint of a slot without a key may be anything, for instance zeros.
    fn hints(&self, points: &[(Slot, Nonce)], hints: &mut [Hint]);

    /// Writes the hints of `slot` for the nonces from `first` on to `hints`: the same that
    /// [`hints`](Self::hints) computes.
    ///
    /// Each pass of a build asks for the hints of long runs in this way. An owner who computes a
    /// run under one key schedule implements this method; by default, it calls `hints`.
    fn hints_of_run(&self, slot: Slot, first: Nonce, hints: &mut [Hint]) {
        let points: Vec<_> = (first..).map(|nonce| (slot, nonce)).take(hints.len()).collect();
        self.hints(&points, hints);
    }
}

/// The parts of a chain that all shards share: their places in the file, and their numbers.
#[derive(Debug)]
pub(crate) struct Chain {
    points: Points,
    marks: Marks,
    twins: Twins,
    /// A walk of more steps than this has no answer.
    max_steps: u32,
    shard_bits: u8,
    /// The bytes between the parts, all zero.
    gaps: Box<[Range<usize>]>,
}

/// The input of a lookup: the checked bytes, the shards, and the parts that the shards share.
#[derive(Clone, Copy)]
pub(crate) struct ChainView<'f> {
    pub bytes: Checked<'f>,
    pub shards: &'f [ChainShard],
    pub chain: &'f Chain,
}

impl Chain {
    /// The chains at `place` of the file; `None` if their numbers do not fit together, or do not
    /// fit the shards, which have `distinct` heads and `duplicates` more hints.
    ///
    /// # Errors
    /// [`Damage`] of a block of the header or of the tables' records.
    pub fn open(
        bytes: &Checked<'_>,
        place: Range<usize>,
        slots: &Range<u32>,
        shard_bits: u8,
        [distinct, duplicates]: [u64; 2],
        max_steps: u32,
    ) -> Result<Option<Self>, Damage> {
        let tables_at = place.start + CHAIN_HEADER_LEN_BYTES;
        if tables_at > place.end {
            return Ok(None);
        }
        let header = bytes.touch(place.start..tables_at)?;
        let Ok(header) = ChainHeader::read_from_bytes(header) else { return Ok(None) };
        let mut parts = Parts::new(tables_at..place.end);
        let Some(tables) = Points::records(&header, &mut parts) else { return Ok(None) };
        let records = bytes.touch(tables)?;
        let open =
            || Self::with(&header, records, parts, slots, shard_bits, [distinct, duplicates]);
        Ok(open().filter(|chain| chain.max_steps <= max_steps))
    }

    /// The chains of a header and the records of the tables; `parts` are those behind.
    fn with(
        header: &ChainHeader,
        records: &[u8],
        mut parts: Parts,
        slots: &Range<u32>,
        shard_bits: u8,
        [distinct, duplicates]: [u64; 2],
    ) -> Option<Self> {
        let points = Points::open(header, records, slots, &mut parts)?;
        let marks = Marks::open(header, distinct, &mut parts)?;
        let twins = Twins::open(header, duplicates, distinct, &mut parts)?;
        let fits = points.count() == distinct.checked_add(duplicates)?
            && header.reserved_is_zero()
            && parts.at == parts.end;
        fits.then_some(Self {
            points,
            marks,
            twins,
            max_steps: header.longest_walk.get(),
            shard_bits,
            gaps: parts.gaps.into_boxed_slice(),
        })
    }

    /// The bytes of the parts by name.
    pub fn measure(&self, sections: &mut Vec<Section>) {
        Section::add(sections, "chain header", CHAIN_HEADER_LEN_BYTES);
        self.points.measure(sections);
        self.marks.measure(sections);
        self.twins.measure(sections);
    }

    /// Calls `each` with the padding of the parts.
    pub fn each_padding(&self, bytes: &Checked<'_>, each: &mut dyn FnMut(Padding)) {
        self.gaps.iter().for_each(|gap| each(Padding::of_bytes("chains", gap.clone())));
        self.points.each_padding(bytes, each);
        self.marks.each_padding(each);
    }
}

/// Adds an estimate of the chains over `count` points to `sections`. All runs are alike.
pub(crate) fn estimate(evaluations: u32, count: u64, sections: &mut Vec<Section>) {
    let spacing = Spacing::new(evaluations, count);
    let [lines, before] =
        marks::lens_bytes(spacing.mark_count(count), count, spacing.mark_every_bits);
    let bytes = |len: u64| usize::try_from(len).unwrap_or(usize::MAX);
    Section::add(sections, "chain header", CHAIN_HEADER_LEN_BYTES);
    Section::add(sections, "runs", points::TABLE_RECORD_LEN_BYTES);
    Section::add(sections, "marks", bytes(lines));
    Section::add(sections, "marks before", bytes(before));
}

impl<'f> ChainView<'f> {
    fn shard(&self, head: u64) -> Option<&'f ChainShard> {
        self.shards.get(shard_of(head, self.chain.shard_bits))
    }

    /// The index of the hint with this head: F. Some index, if the snapshot has no such hint.
    #[inline(always)]
    fn index(&self, head: u64) -> Result<u64, Damage> {
        match self.shard(head) {
            Some(shard) => shard.index(&self.bytes, head),
            None => Ok(0),
        }
    }

    /// Whether a point is of `slot`.
    pub fn has_slot(&self, slot: Slot) -> Result<bool, Damage> {
        self.chain.points.has_slot(&self.bytes, slot)
    }

    /// The point with this index.
    #[inline(always)]
    fn point(&self, index: u64) -> Result<(Slot, Nonce), Damage> {
        let number = self.chain.twins.number(&self.bytes, index)?;
        self.chain.points.point(&self.bytes, number)
    }
}

/// Appends `header` and the parts behind it.
fn write(header: &ChainHeader, parts: &[&[u8]], out: &mut Vec<u8>) {
    out.extend(header.as_bytes());
    for part in parts {
        out.extend_from_slice(part);
        pad(out);
    }
}
