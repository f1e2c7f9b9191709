//! Encodings: how the hints of a shard are packed.
//!
//! An encoding is a module with a type that implements [`Shard`], and a line in the table
//! of [`Shards`]. The encodings do not depend on the snapshot, on its builder, or on one
//! another. Code above this module reaches them through [`Shards`] only.

mod buckets;
mod chain;
mod dense;
mod duplicates;
mod ribbon;
mod shape;
mod shard;
mod sorted;

use core::ops::Range;

pub(crate) use self::chain::ChainShard;
pub(crate) use self::shape::Shape;
use self::shard::Shard;
pub(crate) use self::shard::{CandidateSet, Entry, View};
use crate::format::{ShardRecord, shard_of};
use crate::kernel::Retrieve;
use crate::padding::Padding;
use crate::section::Section;
use crate::{BuildError, Damage, Encoding};

/// Makes the types that stand for whichever encoding a snapshot has: a variant for each line
/// of the table, and methods that call the encoding's [`Shard`]. Each call is resolved once
/// and compiled into its caller; there is no virtual call in a lookup.
macro_rules! encodings {
    ($($encoding:ident => $shard:ty,)*) => {
        /// The shards of a snapshot.
        #[derive(Debug)]
        pub(crate) enum Shards {
            $($encoding(Box<[$shard]>),)*
        }

        /// Decodes the candidates of a hint that has several ranges of slots.
        #[derive(Clone, Debug)]
        pub(crate) enum Several<'f> {
            $($encoding(<$shard as Shard>::Several<'f>),)*
        }

        impl Iterator for Several<'_> {
            type Item = Range<u32>;

            /// Not inlined, so that a caller with a single range makes no call.
            #[inline(never)]
            fn next(&mut self) -> Option<Range<u32>> {
                match self {
                    $(Self::$encoding(several) => several.next(),)*
                }
            }
        }

        impl Shards {
            /// The shards of a directory.
            ///
            /// # Errors
            /// The number of the first record whose numbers do not fit together.
            pub fn open(
                encoding: Encoding,
                shape: &Shape,
                records: &[ShardRecord],
            ) -> Result<Self, usize> {
                Ok(match encoding {
                    $(Encoding::$encoding => Self::$encoding(open_all(shape, records)?),)*
                })
            }

            /// The candidates of a hint.
            #[inline(always)]
            pub fn find<'f, P: Retrieve>(
                &self,
                view: &View<'f>,
                path: P,
                head: u64,
            ) -> Result<CandidateSet<Several<'f>>, Damage> {
                match self {
                    $(Self::$encoding(shards) => {
                        Ok(find(shards, view, path, head)?.map(Several::$encoding))
                    })*
                }
            }

            /// The group of a hint, where a few instructions find it; `None` leaves the hint
            /// to [`find`](Self::find). `columns` are the shape's.
            #[inline(always)]
            pub fn find_quick<P: Retrieve>(
                &self,
                view: &View<'_>,
                path: P,
                columns: usize,
                head: u64,
            ) -> Option<u32> {
                match self {
                    $(Self::$encoding(shards) => find_quick(shards, view, path, columns, head),)*
                }
            }

            /// Starts loading the bytes that a lookup of this hint reads.
            #[inline(always)]
            pub fn prefetch(&self, view: &View<'_>, head: u64) {
                match self {
                    $(Self::$encoding(shards) => prefetch(shards, view, head),)*
                }
            }

            /// The length of all lists of duplicate hints, in entries.
            pub fn duplicate_count(&self) -> u64 {
                match self {
                    $(Self::$encoding(shards) => shards.iter().map(Shard::duplicate_count).sum(),)*
                }
            }

            /// Calls `each` with the padding of each part of all shards.
            pub fn each_padding(&self, each: &mut dyn FnMut(Padding)) {
                match self {
                    $(Self::$encoding(shards) => {
                        shards.iter().for_each(|shard| shard.each_padding(each));
                    })*
                }
            }

            /// The bytes of all shards by section.
            pub fn sections(&self, shape: &Shape) -> Vec<Section> {
                let mut sections = Vec::new();
                match self {
                    $(Self::$encoding(shards) => {
                        shards.iter().for_each(|shard| shard.measure(shape, &mut sections));
                    })*
                }
                sections
            }
        }

        /// Builds one shard in the encoding of the snapshot.
        pub(crate) fn build_shard(
            encoding: Encoding,
            shape: &Shape,
            shard: usize,
            entries: &[Entry],
            out: &mut Vec<u8>,
        ) -> Result<ShardRecord, BuildError> {
            match encoding {
                $(Encoding::$encoding => <$shard as Shard>::build(shape, shard, entries, out),)*
            }
        }
    };
}

// The table: a variant of `Encoding`, and the type of its shards.
encodings! {
    Ribbon => ribbon::RibbonShard,
    Dense => dense::DenseShard,
    Sorted => sorted::SortedShard,
    Chain => chain::ChainShard,
}

impl Shards {
    /// The shards of a chain.
    pub fn chain(&self) -> Option<&[ChainShard]> {
        if let Self::Chain(shards) = self { Some(shards) } else { None }
    }

    /// The shards of a chain, to be numbered.
    pub fn chain_mut(&mut self) -> Option<&mut [ChainShard]> {
        if let Self::Chain(shards) = self { Some(shards) } else { None }
    }
}

fn open_all<S: Shard>(shape: &Shape, records: &[ShardRecord]) -> Result<Box<[S]>, usize> {
    // Room for exactly so many: a collected `Result` would reserve as it grows.
    let mut shards = Vec::with_capacity(records.len());
    for (number, record) in records.iter().enumerate() {
        shards.push(S::open(shape, number, record).ok_or(number)?);
    }
    Ok(shards.into_boxed_slice())
}

#[inline(always)]
fn find<'f, S: Shard, P: Retrieve>(
    shards: &[S],
    view: &View<'f>,
    path: P,
    head: u64,
) -> Result<CandidateSet<S::Several<'f>>, Damage> {
    match shards.get(shard_of(head, view.shape.shard_bits)) {
        Some(shard) => shard.find(view, path, head),
        None => Ok(CandidateSet::none()),
    }
}

#[inline(always)]
fn find_quick<S: Shard, P: Retrieve>(
    shards: &[S],
    view: &View<'_>,
    path: P,
    columns: usize,
    head: u64,
) -> Option<u32> {
    // Left to the optimizer, the other encodings would lengthen every lookup.
    if !S::HAS_QUICK_FIND {
        return None;
    }
    // The number of shards is a power of two, so this is `shard_of` in one multiplication.
    #[expect(clippy::cast_possible_truncation, reason = "less than `shards.len()`")]
    let number = ((u128::from(head) * shards.len() as u128) >> 64) as usize;
    shards.get(number)?.find_quick(view.bytes.all()?, path, columns, head)
}

#[inline(always)]
fn prefetch<S: Shard>(shards: &[S], view: &View<'_>, head: u64) {
    if let Some(shard) = shards.get(shard_of(head, view.shape.shard_bits)) {
        shard.prefetch(view, head);
    }
}
