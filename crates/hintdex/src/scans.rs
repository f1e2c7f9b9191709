//! Full scans: what they may cost, what waits for them, and what they found not long ago.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hintdex_scan::Match;
use hintdex_wire::Hint;

use crate::Received;
use crate::budget::Budget;
use crate::scanned::{Matches, Scanned};
use crate::waiting::{Ticket, Waited, Waiting};

/// Hints a pass over all devices looks for together: enough that a device's key
/// schedule does not show, few enough that what one of them tells can spare the
/// search for others.
pub(crate) const MAX_HINTS_PER_PASS: usize = 32;

/// How long passes may keep the packets of their batch waiting, under a budget.
pub(crate) const PASS_TIME: Duration = Duration::from_millis(10);

/// Devices that one thread tries before another takes part.
const DEVICES_PER_TASK: usize = 1 << 14;

/// What scans did and cost since the station was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanStats {
    /// Passes over all devices.
    pub passes: u64,
    /// Hints that were scanned for.
    pub hints: u64,
    /// Of them, those that are a device's.
    pub found: u64,
    /// Devices tried, once for each hint of a pass.
    pub tries: u64,
    /// Core time all of this took.
    pub core_time: Duration,
    /// Packets whose hint was not scanned for because it had been before.
    pub remembered: u64,
    /// Times that a hint was not scanned for because the budget was spent.
    pub refused: u64,
    /// Packets that waited in vain: newer ones took their room.
    pub dropped: u64,
    /// Packets that wait now.
    pub waiting: u64,
    /// Packets with more candidates than were tried.
    pub crowded: u64,
}

/// The scans of a station.
#[derive(Debug)]
pub(crate) struct Scans {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    budget: Budget,
    scanned: Scanned,
    waiting: Waiting,
    stats: ScanStats,
    /// How often keys have come or gone.
    generation: u64,
}

impl Scans {
    /// Scans that may take a share of one core; infinite for no bound.
    pub(crate) fn new(core_share: f64) -> Self {
        let inner = Inner {
            budget: Budget::new(core_share, Instant::now()),
            scanned: Scanned::default(),
            waiting: Waiting::default(),
            stats: ScanStats::default(),
            generation: 0,
        };
        Self { inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A count may be lost with a thread that panicked, and nothing else.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which keys there are now: what is found under others is not cached.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// What a scan not long ago found of `hint`, which `packets` packets have; nothing if
    /// there was none.
    pub(crate) fn cached(&self, hint: &Hint, packets: usize) -> Option<Matches> {
        let mut inner = self.lock();
        let cached = inner.scanned.get(hint).cloned();
        inner.stats.remembered += if cached.is_some() { packets as u64 } else { 0 };
        cached
    }

    /// How many hints the next pass over `devices` may look for; 0 when the
    /// budget is spent.
    pub(crate) fn hints_allowed(&self, devices: usize) -> usize {
        let mut inner = self.lock();
        if !inner.budget.may_scan(Instant::now()) {
            return 0;
        }
        if inner.stats.tries == 0 {
            // What a try costs, one hint tells.
            return 1;
        }
        // What a try has cost so far says how many fit into a pass.
        let threads = rayon::current_num_threads() as u128;
        let tries = PASS_TIME.as_nanos() * threads * u128::from(inner.stats.tries)
            / inner.stats.core_time.as_nanos().max(1);
        let hints = tries / (devices as u128).max(1);
        usize::try_from(hints).unwrap_or(usize::MAX).clamp(1, MAX_HINTS_PER_PASS)
    }

    /// Whether scans are bounded, so that a batch may not be kept waiting by them.
    pub(crate) fn is_bounded(&self) -> bool {
        self.lock().budget.is_bounded()
    }

    /// Charges a pass and caches what it found.
    pub(crate) fn passed(&self, pass: &Pass<'_>) {
        let mut inner = self.lock();
        // A small fleet keeps one thread busy, a large one all.
        let tasks = pass.devices.div_ceil(DEVICES_PER_TASK).max(1);
        let threads = rayon::current_num_threads().min(tasks);
        let core_time = pass.took * u32::try_from(threads).unwrap_or(1);
        inner.budget.charge(core_time);
        inner.stats.passes += 1;
        inner.stats.core_time += core_time;
        inner.stats.hints += pass.hints.len() as u64;
        inner.stats.tries += (pass.hints.len() * pass.devices) as u64;
        for (hint, found) in pass.hints.iter().zip(pass.found) {
            inner.stats.found += u64::from(!found.is_empty());
            if pass.is_cached && pass.generation == inner.generation {
                inner.scanned.insert(*hint, found.iter().copied().collect());
            }
        }
    }

    /// Lets a packet wait whose hint the budget did not allow a scan for.
    pub(crate) fn wait(&self, hint: Hint, received: &Received<'_>) -> Ticket {
        let mut inner = self.lock();
        inner.stats.refused += 1;
        let ticket = inner.waiting.issue();
        let (packet, at_unix_s) = (received.packet.to_vec(), received.at_unix_s);
        let dropped = inner.waiting.push(hint, Waited { ticket, packet, at_unix_s });
        inner.stats.dropped += dropped as u64;
        ticket
    }

    /// Lets a packet that was refused once more wait on.
    pub(crate) fn wait_on(&self, hint: Hint, waited: Waited) {
        let mut inner = self.lock();
        let dropped = inner.waiting.push(hint, waited);
        inner.stats.dropped += dropped as u64;
    }

    /// Takes packets that waited: those of the newest hints.
    pub(crate) fn take_waiting(&self, most_hints: usize) -> Vec<Waited> {
        self.lock().waiting.take(most_hints)
    }

    /// Whether the packet with this ticket waits.
    pub(crate) fn is_waiting(&self, ticket: Ticket) -> bool {
        self.lock().waiting.has(ticket)
    }

    pub(crate) fn count_crowded(&self) {
        self.lock().stats.crowded += 1;
    }

    /// Forgets what scans found: it may be otherwise by now.
    pub(crate) fn forget(&self) {
        let mut inner = self.lock();
        inner.generation += 1;
        inner.scanned.clear();
    }

    pub(crate) fn stats(&self) -> ScanStats {
        let inner = self.lock();
        ScanStats { waiting: inner.waiting.len() as u64, ..inner.stats }
    }
}

/// One pass over all devices.
pub(crate) struct Pass<'a> {
    pub(crate) hints: &'a [Hint],
    /// By hint, the slots whose keys made it.
    pub(crate) found: &'a [Vec<Match>],
    /// Whether another scan would find the same, as long as the keys are the same.
    pub(crate) is_cached: bool,
    /// The [generation](Scans::generation) of the keys that were tried.
    pub(crate) generation: u64,
    pub(crate) devices: usize,
    pub(crate) took: Duration,
}
