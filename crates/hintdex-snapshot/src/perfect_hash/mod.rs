//! A minimal perfect hash function: *n* distinct heads of hints to the numbers 0 to
//! *n* − 1, each number once, in 1.95 bits a head.
//!
//! After PHast (Beling, Sanders, "PHast – Perfect Hashing made fast", ALENEX 2026): heads
//! are hashed to *buckets* of 4.5 on average, and each bucket stores one *seed* of eight
//! bits. Bucket and seed decide the *places* of the bucket's heads. A bucket's places lie
//! in a short *slice* of the table, and slices advance with the buckets, so the builder
//! works within a cache. Of the seeds whose places are all free, the builder chooses the
//! one with the lowest places: later buckets cannot reach those any more.
//!
//! Where the paper hashes a head anew for each seed, here a seed is one of 32 *patterns* and
//! one of eight *shifts*. A pattern puts each head anywhere in its slice, and a shift moves
//! the heads of a bucket together. So one byte answers which of eight seeds put a head on a
//! used place, and a bucket of five heads is settled in some 300 ns. The bits are those of 256
//! independent seeds, within 0.02.
//!
//! Some 2 % of the heads fit nowhere and are *bumped* to the next, much smaller level. As
//! many places stay free, and a sorted list of them turns a number of the next level into
//! one of these places. What the last level bumps is listed, head by head.
//!
//! ```text
//! level 0: seeds │ level 1: seeds │ level 2: seeds │ listed heads │ free places of levels 0, 1, 2
//! ```
//!
//! Any head may be asked for. A head that the function was not built from gets some number
//! below *n*, and so does every head if seeds are damaged.

mod build;
mod free_places;
mod level;
mod used_places;

#[cfg(test)]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests;

use core::ops::Range;

use crate::Damage;
use crate::format::Checked;
use crate::packed::WORD_LEN_BYTES;
use crate::padding::Padding;

pub(crate) use build::build;
use free_places::FreePlaces;
use level::{Asked, Level};

/// The number of levels. The last level bumps some ten heads of a million.
const LEVELS: usize = 3;

/// The length of a listed head.
const LISTED_LEN_BYTES: usize = 8;

/// How many heads each level has, and how many are listed: what a reader needs to find
/// the parts of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Heads of each level; those of level 0 are all.
    pub levels: [u32; LEVELS],
    /// Heads that the last level bumps.
    pub listed: u32,
}

/// A function in a file: where its parts lie.
#[derive(Clone, Debug)]
pub(crate) struct PerfectHash {
    first: Level,
    /// Apart, so that a function takes little room where the first level answers.
    rest: Box<Rest>,
}

/// What answers for the heads that the first level bumps.
#[derive(Clone, Debug)]
struct Rest {
    levels: [Level; LEVELS - 1],
    listed: Range<usize>,
    free: [FreePlaces; LEVELS],
}

/// A number that is being read, with waits for memory between the steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    head: u64,
    step: Step,
}

/// What the next step reads.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The seed of the first level, which answers for nearly all heads.
    FirstSeed(Asked),
    /// The seed of the second level. Those of the third are few.
    SecondSeed(Asked),
    /// The free place of this rank of the first level.
    FreePlace { rank: u32 },
}

impl Reading {
    /// Starts loading what the first step reads.
    #[inline(always)]
    pub fn prefetch(&self, bytes: &Checked<'_>) {
        if let Step::FirstSeed(asked) = &self.step {
            asked.prefetch(bytes);
        }
    }
}

impl PerfectHash {
    /// The function of `counts` whose parts lie in `bytes` of the file; `None` if the
    /// counts do not fit together or the parts are not as long as `bytes`.
    ///
    /// `seed` is the seed that the function was built with.
    pub fn open(counts: &Counts, seed: u64, bytes: Range<usize>) -> Option<Self> {
        let [all, second, third] = counts.levels;
        // Each level bumps some of its heads.
        if second > all || third > second || counts.listed > third {
            return None;
        }
        let mut at = bytes.start;
        let mut take = |len_bytes: usize| {
            let start = at;
            at = start.checked_add(len_bytes.next_multiple_of(WORD_LEN_BYTES))?;
            (at <= bytes.end).then_some(start)
        };
        let mut level = |number: usize, heads| {
            let seeds_at = take(Level::seeds_len_bytes(number, heads))?;
            Some(Level::new(seed, number, heads, seeds_at))
        };
        let (first, levels) = (level(0, all)?, [level(1, second)?, level(2, third)?]);
        let listed_len_bytes = counts.listed as usize * LISTED_LEN_BYTES;
        let listed = take(listed_len_bytes)?;
        let listed = listed..listed + listed_len_bytes;
        let mut free = |heads, bumped| {
            FreePlaces::open(heads, bumped, take(FreePlaces::len_bytes(heads, bumped))?)
        };
        let free = [free(all, second)?, free(second, third)?, free(third, counts.listed)?];
        let rest = Box::new(Rest { levels, listed, free });
        (at == bytes.end).then_some(Self { first, rest })
    }

    /// The number of `head`, below the number of heads; 0 if there is no head.
    #[inline(always)]
    pub fn index(&self, bytes: &Checked<'_>, head: u64) -> Result<u32, Damage> {
        let mut reading = self.begin(head);
        loop {
            if let Some(index) = self.read(bytes, &mut reading)? {
                return Ok(index);
            }
        }
    }

    /// Begins to read the number of `head`.
    #[inline(always)]
    pub const fn begin(&self, head: u64) -> Reading {
        Reading { head, step: Step::FirstSeed(self.first.ask(head)) }
    }

    /// Takes a reading a step further. Returns the number, or starts loading what the next step
    /// reads.
    #[inline(always)]
    pub fn read(&self, bytes: &Checked<'_>, reading: &mut Reading) -> Result<Option<u32>, Damage> {
        if let Step::FirstSeed(asked) = &reading.step
            && let Some(place) = self.first.answer(bytes, asked)?
        {
            return Ok(Some(place));
        }
        self.read_on(bytes, reading)
    }

    /// A step of a reading that the first level does not answer.
    #[cold]
    #[inline(never)]
    fn read_on(&self, bytes: &Checked<'_>, reading: &mut Reading) -> Result<Option<u32>, Damage> {
        let Rest { levels: [second, _], free: [free, ..], .. } = &*self.rest;
        match reading.step {
            Step::FirstSeed(_) => {
                let asked = second.ask(reading.head);
                asked.prefetch(bytes);
                reading.step = Step::SecondSeed(asked);
            }
            Step::SecondSeed(asked) => {
                let rank = match second.answer(bytes, &asked)? {
                    Some(place) => place,
                    None => self.rank(bytes, reading.head)?,
                };
                free.prefetch(bytes, rank);
                reading.step = Step::FreePlace { rank };
            }
            Step::FreePlace { rank } => return free.place(bytes, rank).map(Some),
        }
        Ok(None)
    }

    /// The rank of the free place of a head that the first two levels bump.
    fn rank(&self, bytes: &Checked<'_>, head: u64) -> Result<u32, Damage> {
        let Rest { levels: [_, third], listed, free: [_, second_free, third_free] } = &*self.rest;
        let place = match third.place(bytes, head)? {
            Some(place) => place,
            None => third_free.place(bytes, listed_rank(bytes, listed, head)?)?,
        };
        second_free.place(bytes, place)
    }

    /// Calls `each` with the padding of the seeds and of the free places.
    pub fn each_padding(&self, each: &mut dyn FnMut(Padding)) {
        [&self.first].into_iter().chain(&self.rest.levels).for_each(|level| {
            each(Padding::of_bytes("seeds", level.padding()));
        });
        self.rest.free.iter().for_each(|free| free.each_padding(each));
    }

    /// The bytes of the seeds, and those of all else.
    pub fn section_lens_bytes(&self) -> [usize; 2] {
        let Rest { levels, listed, free } = &*self.rest;
        let seeds = [&self.first].into_iter().chain(levels);
        let free: usize = free.iter().map(FreePlaces::padded_len_bytes).sum();
        [seeds.map(Level::padded_len_bytes).sum(), free + listed.len()]
    }
}

/// The rank of `head` among the listed heads; some rank if it is not listed.
fn listed_rank(bytes: &Checked<'_>, listed: &Range<usize>, head: u64) -> Result<u32, Damage> {
    let (heads, _) = bytes.touch(listed.clone())?.as_chunks::<LISTED_LEN_BYTES>();
    let rank = heads.partition_point(|listed| u64::from_le_bytes(*listed) < head);
    Ok(u32::try_from(rank).unwrap_or(u32::MAX))
}
