//! Full scans: their budget, the packets that wait for them, and the cache of their results.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hintdex_scan::Match;
use hintdex_wire::{AssociatedData, AssociatedDataBuf, Hint};

use crate::Received;
use crate::scan_cache::{Matches, ScanCache};
use crate::scan_queue::{QueuedPacket, ScanQueue, Ticket};
use crate::token_bucket::TokenBucket;

/// Hints that one pass over all devices searches for together. With this many, the cost of
/// a device's key schedule hardly shows; with more, fewer searches are saved by following
/// the devices that a pass finds.
pub(crate) const MAX_HINTS_PER_PASS: usize = 32;

/// [`MAX_HINTS_PER_PASS`] where each key is derived for the pass: the derivation costs as much as
/// some hundred tries.
pub(crate) const MAX_HINTS_PER_CHAIN_PASS: usize = 512;

/// How long passes may delay the packets of their batch under a budget.
pub(crate) const PASS_TIME: Duration = Duration::from_millis(10);

/// Devices that one thread tries before a further thread takes part.
const DEVICES_PER_TASK: usize = 1 << 14;

/// What scans did and cost since the station was opened.
///
/// See the example of [`Station`](crate::Station).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanStats {
    /// Passes over all devices.
    pub passes: u64,
    /// Hints that were scanned for.
    pub hints: u64,
    /// Of these hints, those that a device made.
    pub found: u64,
    /// Devices tried, counted once for each hint of a pass.
    pub tries: u64,
    /// Core time of all passes.
    pub core_time: Duration,
    /// Packets whose hint was in the scan cache, so that no scan was needed.
    pub cache_hits: u64,
    /// Times that a hint was not scanned for because the budget was spent.
    pub refused: u64,
    /// Packets that were dropped from the queue, because newer packets took their room.
    pub dropped: u64,
    /// Packets that wait for a scan now.
    pub waiting: u64,
    /// Packets with more candidates than were tried.
    pub crowded: u64,
    /// Packets without a hint for which a key was agreed on: a scalar multiplication each.
    pub agreements: u64,
}

/// The scans of a station.
#[derive(Debug)]
pub(crate) struct Scans {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    budget: TokenBucket,
    cache: ScanCache,
    queue: ScanQueue,
    stats: ScanStats,
    /// How often keys were added or removed.
    key_generation: u64,
    /// The next stage of the scans for hints whose first stages found no device.
    stages: HashMap<Hint, usize>,
}

/// Hints whose next stage is stored. More are those of packets that were dropped from the queue.
const MAX_STAGES: usize = 16 << 10;

impl Scans {
    /// Scans that may take a share of one core; an infinite share removes the bound.
    pub(crate) fn new(core_share: f64) -> Self {
        let inner = Inner {
            budget: TokenBucket::new(core_share, Instant::now()),
            cache: ScanCache::default(),
            queue: ScanQueue::default(),
            stats: ScanStats::default(),
            key_generation: 0,
            stages: HashMap::new(),
        };
        Self { inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked can have lost a count and nothing else.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation of the present keys. A result under an older generation is not cached.
    pub(crate) fn key_generation(&self) -> u64 {
        self.lock().key_generation
    }

    /// The cached result for `hint`, which `packets` packets carry; `None` without an entry.
    pub(crate) fn cached(&self, hint: &Hint, packets: usize) -> Option<Matches> {
        let mut inner = self.lock();
        let cached = inner.cache.get(hint).cloned();
        inner.stats.cache_hits += if cached.is_some() { packets as u64 } else { 0 };
        cached
    }

    /// How many hints the next pass over `devices` may search for; 0 when the budget is
    /// spent.
    pub(crate) fn hints_allowed(&self, devices: usize) -> usize {
        let mut inner = self.lock();
        if !inner.budget.has_credit(Instant::now()) {
            return 0;
        }
        if inner.stats.tries == 0 {
            // One hint is enough to measure the cost of a try.
            return 1;
        }
        // The measured cost of a try bounds how many hints fit into a pass.
        let threads = rayon::current_num_threads() as u128;
        let tries = PASS_TIME.as_nanos() * threads * u128::from(inner.stats.tries)
            / inner.stats.core_time.as_nanos().max(1);
        let hints = tries / (devices as u128).max(1);
        usize::try_from(hints).unwrap_or(usize::MAX).clamp(1, MAX_HINTS_PER_PASS)
    }

    /// For how many packets without a hint a key may be agreed on at once; 0 when the budget is
    /// spent.
    pub(crate) fn agreements_allowed(&self) -> usize {
        let mut inner = self.lock();
        if !inner.budget.has_credit(Instant::now()) {
            return 0;
        }
        let threads = rayon::current_num_threads();
        if inner.stats.agreements == 0 {
            // As many as are enough to measure the cost of one.
            return threads;
        }
        let cost_ns = inner.stats.core_time.as_nanos() / u128::from(inner.stats.agreements);
        let agreements = PASS_TIME.as_nanos() * threads as u128 / cost_ns.max(1);
        usize::try_from(agreements).unwrap_or(usize::MAX).max(1)
    }

    /// Charges the agreement on the keys of so many packets to the budget.
    pub(crate) fn record_agreements(&self, packets: usize, took: Duration) {
        let mut inner = self.lock();
        let threads = rayon::current_num_threads().min(packets);
        let core_time = took * u32::try_from(threads).unwrap_or(1);
        inner.budget.charge(core_time);
        inner.stats.core_time += core_time;
        inner.stats.agreements += packets as u64;
    }

    /// The stage that comes next in the scan for `hint`.
    pub(crate) fn stage(&self, hint: &Hint) -> usize {
        self.lock().stages.get(hint).copied().unwrap_or(0)
    }

    /// Sets the stage that comes next in the scan for `hint`.
    pub(crate) fn set_stage(&self, hint: &Hint, stage: usize) {
        let mut inner = self.lock();
        if stage == 0 {
            inner.stages.remove(hint);
            return;
        }
        if inner.stages.len() >= MAX_STAGES {
            // The scans for these hints begin again.
            inner.stages.clear();
        }
        inner.stages.insert(*hint, stage);
    }

    /// Whether scans are bounded, so that they may not delay a batch.
    pub(crate) fn is_bounded(&self) -> bool {
        self.lock().budget.is_bounded()
    }

    /// Charges a pass to the budget and caches its results.
    pub(crate) fn record(&self, pass: &Pass<'_>) {
        let mut inner = self.lock();
        // A small fleet occupies one thread, a large fleet all threads.
        let tasks = pass.keys.div_ceil(DEVICES_PER_TASK).max(1);
        let threads = rayon::current_num_threads().min(tasks);
        let core_time = pass.took * u32::try_from(threads).unwrap_or(1);
        inner.budget.charge(core_time);
        inner.stats.passes += 1;
        inner.stats.core_time += core_time;
        inner.stats.hints += pass.hints.len() as u64;
        inner.stats.tries += (pass.hints.len() * pass.keys) as u64;
        for (hint, found) in pass.hints.iter().zip(pass.found) {
            inner.stats.found += u64::from(!found.is_empty());
            let is_cached = match pass.cached {
                Cached::All => true,
                Cached::Found => !found.is_empty(),
                Cached::Nothing => false,
            };
            if is_cached && pass.key_generation == inner.key_generation {
                inner.cache.insert(*hint, found.iter().copied().collect());
            }
        }
    }

    /// Queues a packet for whose hint the budget allowed no scan.
    pub(crate) fn enqueue(&self, hint: Hint, received: &Received<'_>) -> Ticket {
        let mut inner = self.lock();
        inner.stats.refused += 1;
        let ticket = inner.queue.issue_ticket();
        let packet = received.packet.to_vec();
        let (at_unix_s, at_ms) = (received.at_unix_s, received.at_ms);
        let kept = |data: AssociatedData<'_>| AssociatedDataBuf::new(data.bytes()).map(Box::new);
        let associated_data = received.associated_data.and_then(kept);
        let queued = QueuedPacket { ticket, packet, at_unix_s, at_ms, associated_data };
        let dropped = inner.queue.push(hint, queued);
        inner.stats.dropped += dropped as u64;
        ticket
    }

    /// Returns a packet to the queue that was refused once more.
    pub(crate) fn requeue(&self, hint: Hint, queued: QueuedPacket) {
        let mut inner = self.lock();
        let dropped = inner.queue.push(hint, queued);
        inner.stats.dropped += dropped as u64;
    }

    /// Removes the packets of the newest hints from the queue, of at most `max_hints` hints.
    pub(crate) fn take_queued(&self, max_hints: usize) -> Vec<QueuedPacket> {
        self.lock().queue.take(max_hints)
    }

    /// Whether the packet with this ticket waits.
    pub(crate) fn is_waiting(&self, ticket: Ticket) -> bool {
        self.lock().queue.contains(ticket)
    }

    /// Counts a packet with more candidates than were tried.
    pub(crate) fn count_crowded(&self) {
        self.lock().stats.crowded += 1;
    }

    /// Empties the scan cache: keys were added or removed.
    pub(crate) fn invalidate_cache(&self) {
        let mut inner = self.lock();
        inner.key_generation += 1;
        inner.cache.clear();
    }

    pub(crate) fn stats(&self) -> ScanStats {
        let inner = self.lock();
        ScanStats { waiting: inner.queue.len() as u64, ..inner.stats }
    }
}

/// The results of a pass that a further scan under the same keys would return again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cached {
    All,
    /// Those of hints whose device was found.
    Found,
    Nothing,
}

/// One pass over all devices, and its results.
pub(crate) struct Pass<'a> {
    pub(crate) hints: &'a [Hint],
    /// For each hint, the slots whose keys made it.
    pub(crate) found: &'a [Vec<Match>],
    pub(crate) cached: Cached,
    /// The [generation](Scans::key_generation) of the keys that were tried.
    pub(crate) key_generation: u64,
    /// The number of keys that each hint was tried under.
    pub(crate) keys: usize,
    pub(crate) took: Duration,
}
