//! Passes: each asks for all hints of the fleet and keeps those of some shards.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hintdex_wire::Slot;
use rayon::prelude::*;

use super::source::HintSource;
use crate::encoding::Entry;
use crate::format::shard_of;

/// The least number of slots that a thread asks for at a time.
const CHUNK_LEN_SLOTS: u32 = 4096;

/// The most chunks of slots: enough to keep all threads busy to the end.
const MAX_CHUNKS: u32 = 4096;

/// The hints that a thread collects for a shard before it locks the shard.
const STAGED_LEN_HINTS: usize = 256;

/// The parameters of a pass over the fleet.
pub(super) struct Pass {
    /// The slots that the snapshot covers.
    pub slots: Range<u32>,
    /// The number of bits of a hint that select its shard.
    pub shard_bits: u8,
    /// The shards whose hints are kept.
    pub wanted: Range<usize>,
    /// The hints that are reserved for each of them.
    pub room_hints: usize,
}

/// The result of a pass over the fleet.
pub(super) struct Gathered {
    /// The hints of each wanted shard, in no particular order.
    pub shards: Vec<Vec<Entry>>,
    /// The number of hints of all shards, wanted or not.
    pub seen_hints: u64,
}

/// Why a pass failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A hint belongs to a slot that the snapshot does not cover.
    Slot(u32),
    /// The system refused memory.
    Memory {
        /// The size of the refused request.
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
        let chunk_len = CHUNK_LEN_SLOTS.max(slot_count / MAX_CHUNKS);
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
                    // A shard before the first wanted shard wraps to a number past the last.
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

    /// The wanted shards, empty, with memory reserved for their hints.
    fn empty_shards(&self) -> Result<Vec<Mutex<Vec<Entry>>>, Refusal> {
        let room_len_bytes = self.room_hints.saturating_mul(size_of::<Entry>());
        let asked_bytes = room_len_bytes.saturating_mul(self.wanted.len());
        let refusal = || Refusal::Memory { asked_bytes: asked_bytes as u64 };
        // A system that overcommits grants each part and ends the process later. It refuses
        // the sum if it could never provide it.
        Vec::<u8>::new().try_reserve_exact(asked_bytes).map_err(|_| refusal())?;
        let empty = |_| {
            let mut shard = Vec::new();
            shard.try_reserve_exact(self.room_hints).map_err(|_| refusal())?;
            Ok(Mutex::new(shard))
        };
        self.wanted.clone().map(empty).collect()
    }
}

/// The refusals of all threads of a pass, merged so that their order does not matter.
struct Refusals {
    /// The lowest slot that the snapshot does not cover, or `u64::MAX`.
    least_slot: AtomicU64,
    /// The largest request for a growing shard that the system refused, or 0.
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

/// The hints that one thread has not handed over yet: a row of places for each shard.
struct Staging<'s> {
    shards: &'s [Mutex<Vec<Entry>>],
    refusals: &'s Refusals,
    staged: Vec<Entry>,
    /// The number of hints in each row.
    lens: Vec<usize>,
}

impl<'s> Staging<'s> {
    fn new(shards: &'s [Mutex<Vec<Entry>>], refusals: &'s Refusals) -> Self {
        let staged = vec![Entry::new(0, 0); shards.len() * STAGED_LEN_HINTS];
        Self { shards, refusals, staged, lens: vec![0; shards.len()] }
    }

    /// Adds a hint of the wanted shard `at`, and ignores a hint of any other shard. In a build
    /// of many passes most hints are ignored, so that is one comparison.
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
            // Only a panic of the source poisons the lock, and then the build ends anyway.
            let mut shard = shard.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            // Hints that are not uniform may exceed the reserved room.
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
