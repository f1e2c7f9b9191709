//! Passes over the fleet: the hints of some shards at a time.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hintdex_wire::Slot;
use rayon::prelude::*;

use super::HintSource;
use crate::encoding::Entry;
use crate::format::shard_of;

/// How many slots a thread asks for at a time, unless that makes too many chunks.
const CHUNK_LEN_SLOTS: u32 = 4096;

/// How many chunks are enough to keep all threads busy to the end.
const ENOUGH_CHUNKS: u32 = 4096;

/// How many hints a thread keeps for a shard before it hands them over.
const STAGED_LEN_HINTS: usize = 256;

/// The hints of the shards `wanted`, in no particular order.
pub(super) fn gather(
    source: &dyn HintSource,
    slots: Range<u32>,
    shard_bits: u8,
    wanted: Range<usize>,
    hints_a_shard: usize,
    seen: &AtomicU64,
) -> Vec<Vec<Entry>> {
    let shards: Vec<Mutex<Vec<Entry>>> =
        wanted.clone().map(|_| Mutex::new(Vec::with_capacity(hints_a_shard))).collect();
    let slot_count = slots.end - slots.start;
    let chunk_len = CHUNK_LEN_SLOTS.max(slot_count / ENOUGH_CHUNKS);
    let chunk_count = slot_count.div_ceil(chunk_len);
    (0..chunk_count).into_par_iter().for_each_init(
        || Staging::new(&shards),
        |staging, chunk| {
            let start = slots.start + chunk * chunk_len;
            let end = slots.end.min(start.saturating_add(chunk_len));
            let mut hints = 0;
            source.hints(start..end, &mut |head: u64, Slot(slot)| {
                hints += 1;
                // Hints of a shard before the first wanted one are past the last.
                let at = shard_of(head, shard_bits).wrapping_sub(wanted.start);
                staging.push(at, Entry::new(head, slot));
            });
            seen.fetch_add(hints, Ordering::Relaxed);
        },
    );
    shards
        .into_iter()
        .map(|shard| shard.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
        .collect()
}

/// Hints of one thread on their way to the shards: a row of places for each.
struct Staging<'s> {
    shards: &'s [Mutex<Vec<Entry>>],
    staged: Vec<Entry>,
    /// How many places of each row are taken.
    lens: Vec<usize>,
}

impl<'s> Staging<'s> {
    fn new(shards: &'s [Mutex<Vec<Entry>>]) -> Self {
        let staged = vec![Entry::new(0, 0); shards.len() * STAGED_LEN_HINTS];
        Self { shards, staged, lens: vec![0; shards.len()] }
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
            shard.extend_from_slice(staged);
        }
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        (0..self.shards.len()).for_each(|at| self.hand_over(at));
    }
}
