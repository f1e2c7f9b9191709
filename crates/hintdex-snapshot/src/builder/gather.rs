//! Passes over the fleet: the hints of some shards at a time.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hintdex_wire::Slot;
use rayon::prelude::*;

use super::source::HintSource;
use crate::encoding::Entry;
use crate::format::shard_of;

/// How many slots a thread asks for at a time, unless that makes too many chunks.
const CHUNK_LEN_SLOTS: u32 = 4096;

/// How many chunks are enough to keep all threads busy to the end.
const ENOUGH_CHUNKS: u32 = 4096;

/// How many hints a thread keeps for a shard before it hands them over.
const STAGED_LEN_HINTS: usize = 256;

/// What a pass over the fleet asks for.
pub(super) struct Pass {
    /// The slots that the snapshot covers.
    pub slots: Range<u32>,
    /// The bits of a hint that choose its shard.
    pub shard_bits: u8,
    /// The shards whose hints are kept.
    pub wanted: Range<usize>,
    /// How many hints each of them has room for before it grows.
    pub room_hints: usize,
}

/// What a pass over the fleet found.
pub(super) struct Gathered {
    /// The hints of each wanted shard, in no particular order.
    pub shards: Vec<Vec<Entry>>,
    /// The hints of all shards.
    pub seen_hints: u64,
}

/// Why a pass failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A hint belongs to a slot that the snapshot does not cover.
    Slot(u32),
    /// The system refused so many bytes.
    Memory {
        /// What was asked for.
        asked_bytes: u64,
    },
}

impl Pass {
    /// Asks `source` for every hint and keeps those of the wanted shards.
    pub fn gather(&self, source: &dyn HintSource) -> Result<Gathered, Refusal> {
        let Self { slots, shard_bits, wanted, .. } = self;
        let shards = self.empty_shards()?;
        let (seen, refusals) = (AtomicU64::new(0), Refusals::none());
        let slot_count = slots.end - slots.start;
        let chunk_len = CHUNK_LEN_SLOTS.max(slot_count / ENOUGH_CHUNKS);
        let chunk_count = slot_count.div_ceil(chunk_len);
        (0..chunk_count).into_par_iter().for_each_init(
            || Staging::new(&shards, &refusals),
            |staging, chunk| {
                let start = slots.start + chunk * chunk_len;
                let end = slots.end.min(start.saturating_add(chunk_len));
                let mut hints = 0;
                source.hints(start..end, &mut |head: u64, Slot(slot)| {
                    hints += 1;
                    if !slots.contains(&slot) {
                        refusals.add_slot(slot);
                    }
                    // Hints of a shard before the first wanted one are past the last.
                    let at = shard_of(head, *shard_bits).wrapping_sub(wanted.start);
                    staging.push(at, Entry::new(head, slot));
                });
                seen.fetch_add(hints, Ordering::Relaxed);
            },
        );
        refusals.into_result()?;
        let shards = shards
            .into_iter()
            .map(|shard| shard.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
            .collect();
        Ok(Gathered { shards, seen_hints: seen.into_inner() })
    }

    /// The wanted shards, with room for their hints.
    fn empty_shards(&self) -> Result<Vec<Mutex<Vec<Entry>>>, Refusal> {
        let room_len_bytes = self.room_hints.saturating_mul(size_of::<Entry>());
        let asked_bytes = room_len_bytes.saturating_mul(self.wanted.len());
        let refusal = || Refusal::Memory { asked_bytes: asked_bytes as u64 };
        // A system that lends memory it does not have lends any part of it, and ends
        // the process later. It refuses a sum that it could never give.
        Vec::<u8>::new().try_reserve_exact(asked_bytes).map_err(|_| refusal())?;
        let empty = |_| {
            let mut shard = Vec::new();
            shard.try_reserve_exact(self.room_hints).map_err(|_| refusal())?;
            Ok(Mutex::new(shard))
        };
        self.wanted.clone().map(empty).collect()
    }
}

/// What the threads of a pass were refused; the same whichever of them is first.
struct Refusals {
    /// The least slot that the snapshot does not cover, or a number above all slots.
    least_slot: AtomicU64,
    /// The most bytes that the system refused for a shard that grows, or 0.
    asked_bytes: AtomicU64,
}

impl Refusals {
    const fn none() -> Self {
        Self { least_slot: AtomicU64::new(u64::MAX), asked_bytes: AtomicU64::new(0) }
    }

    #[cold]
    fn add_slot(&self, slot: u32) {
        self.least_slot.fetch_min(slot.into(), Ordering::Relaxed);
    }

    #[cold]
    fn add_memory(&self, len_hints: usize) {
        let asked_bytes = len_hints.saturating_mul(size_of::<Entry>()) as u64;
        self.asked_bytes.fetch_max(asked_bytes, Ordering::Relaxed);
    }

    fn into_result(self) -> Result<(), Refusal> {
        let asked_bytes = self.asked_bytes.into_inner();
        match u32::try_from(self.least_slot.into_inner()) {
            Ok(slot) => Err(Refusal::Slot(slot)),
            Err(_) if asked_bytes != 0 => Err(Refusal::Memory { asked_bytes }),
            Err(_) => Ok(()),
        }
    }
}

/// Hints of one thread on their way to the shards: a row of places for each.
struct Staging<'s> {
    shards: &'s [Mutex<Vec<Entry>>],
    refusals: &'s Refusals,
    staged: Vec<Entry>,
    /// How many places of each row are taken.
    lens: Vec<usize>,
}

impl<'s> Staging<'s> {
    fn new(shards: &'s [Mutex<Vec<Entry>>], refusals: &'s Refusals) -> Self {
        let staged = vec![Entry::new(0, 0); shards.len() * STAGED_LEN_HINTS];
        Self { shards, refusals, staged, lens: vec![0; shards.len()] }
    }

    /// Adds a hint of the shard `at`, or none where there is no such shard: in a
    /// build of many passes that is most of them, so it is one comparison.
    #[inline]
    fn push(&mut self, at: usize, entry: Entry) {
        let Some(len) = self.lens.get_mut(at) else { return };
        if let Some(place) = self.staged.get_mut(at * STAGED_LEN_HINTS + *len) {
            *place = entry;
        }
        *len += 1;
        if *len == STAGED_LEN_HINTS {
            self.hand_over(at);
        }
    }

    #[inline(never)]
    fn hand_over(&mut self, at: usize) {
        let first = at * STAGED_LEN_HINTS;
        let len = self.lens.get_mut(at).map(core::mem::take).unwrap_or_default();
        let staged = self.staged.get(first..first + len).unwrap_or_default();
        if let Some(shard) = self.shards.get(at) {
            // A thread that panicked is a source that panicked: the build ends anyway.
            let mut shard = shard.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            // Hints that are not uniform may crowd a shard beyond its room.
            match shard.try_reserve(staged.len()) {
                Ok(()) => shard.extend_from_slice(staged),
                Err(_) => self.refusals.add_memory(shard.len() + staged.len()),
            }
        }
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        (0..self.shards.len()).for_each(|at| self.hand_over(at));
    }
}
