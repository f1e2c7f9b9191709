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
    let hand_over = |shard: &Mutex<Vec<Entry>>, staged: &mut Vec<Entry>| {
        // A thread that panicked is a source that panicked: the build ends anyway.
        let mut shard = shard.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        shard.append(staged);
    };
    let slot_count = slots.end - slots.start;
    let chunk_len = CHUNK_LEN_SLOTS.max(slot_count / ENOUGH_CHUNKS);
    let chunk_count = slot_count.div_ceil(chunk_len);
    (0..chunk_count).into_par_iter().for_each_init(
        || Staging {
            shards: &shards,
            staged: vec![Vec::new(); wanted.len()],
            hand_over: &hand_over,
        },
        |staging, chunk| {
            let start = slots.start + chunk * chunk_len;
            let end = slots.end.min(start.saturating_add(chunk_len));
            let mut hints = 0;
            source.hints(start..end, &mut |head: u64, Slot(slot)| {
                hints += 1;
                let shard = shard_of(head, shard_bits);
                if let Some(at) = shard.checked_sub(wanted.start) {
                    staging.push(at, Entry::new(head, slot));
                }
            });
            seen.fetch_add(hints, Ordering::Relaxed);
        },
    );
    shards
        .into_iter()
        .map(|shard| shard.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
        .collect()
}

/// Hints of one thread on their way to the shards.
struct Staging<'s, F: Fn(&Mutex<Vec<Entry>>, &mut Vec<Entry>)> {
    shards: &'s [Mutex<Vec<Entry>>],
    staged: Vec<Vec<Entry>>,
    hand_over: &'s F,
}

impl<F: Fn(&Mutex<Vec<Entry>>, &mut Vec<Entry>)> Staging<'_, F> {
    fn push(&mut self, at: usize, entry: Entry) {
        let (Some(staged), Some(shard)) = (self.staged.get_mut(at), self.shards.get(at)) else {
            return;
        };
        staged.push(entry);
        if staged.len() >= STAGED_LEN_HINTS {
            (self.hand_over)(shard, staged);
        }
    }
}

impl<F: Fn(&Mutex<Vec<Entry>>, &mut Vec<Entry>)> Drop for Staging<'_, F> {
    fn drop(&mut self) {
        for (staged, shard) in self.staged.iter_mut().zip(self.shards) {
            (self.hand_over)(shard, staged);
        }
    }
}
