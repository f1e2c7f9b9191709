//! The search for a device that the queue does not expect: one that was never heard, or that is
//! silent.
//!
//! The nonces are tried in two rings. The first ring holds the likeliest nonce of each device,
//! so a device whose first packet arrives costs one try of each other device.

use hintdex_wire::{KeyId, Nonce, Slot};

use super::devices::{Opener, Parts, Tries};
use super::placing::{Standing, Step};
use super::queue::DueQueue;

/// How many nonces from the next one on are tried: that many packets may be lost before the first
/// one is heard.
const NEXT_NONCES: u64 = 8;

/// How many nonces to either side of the first due one are tried. A clock that was set by hours
/// shows as this many packets.
const NEAR_NONCES: u64 = 8;

/// Devices that one thread tries, at least.
const DEVICES_PER_THREAD: usize = 1 << 11;

/// The device that sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoundDevice {
    pub(super) slot: Slot,
    pub(super) key: KeyId,
    pub(super) nonce: Nonce,
}

/// The outcome of a search.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) found: Option<FoundDevice>,
    pub(super) payload: Vec<u8>,
    pub(super) tags: u64,
    pub(super) has_confirmed: bool,
    /// Devices and nonces that were tried.
    pub(super) tries: usize,
}

/// A device that is searched for.
type Target = (Slot, KeyId, Nonce, Option<Nonce>);

/// Searches for the device of a packet among those that the queue does not expect, on several
/// threads.
pub(super) fn search(queue: &DueQueue, opener: &Opener<'_>, parts: &Parts<'_>) -> Search {
    let target = |(slot, standing, due): (Slot, &Standing, Option<Step>)| {
        (slot, standing.key, standing.next, due.map(|due| due.nonce))
    };
    let targets: Vec<Target> = queue.silent().map(target).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = targets.len().div_ceil(threads).max(DEVICES_PER_THREAD);
    let mut all = Search::default();
    for ring in [likeliest, others] {
        if targets.len() <= share {
            all.take(search_ring(&targets, opener, parts, ring));
        } else {
            // No rayon here: the caller holds the lock of the queue.
            std::thread::scope(|scope| {
                let search =
                    |targets| scope.spawn(move || search_ring(targets, opener, parts, ring));
                let shares: Vec<_> = targets.chunks(share).map(search).collect();
                for share in shares {
                    // A thread that panicked has found nothing.
                    all.take(share.join().unwrap_or_default());
                }
            });
        }
        if all.found.is_some() {
            break;
        }
    }
    all
}

/// The likeliest nonces of a device.
fn likeliest((_, _, next, due): &Target) -> Vec<Nonce> {
    vec![due.unwrap_or(*next)]
}

/// The other nonces of a device that are tried.
fn others(target: &Target) -> Vec<Nonce> {
    let (_, _, next, due) = *target;
    let near = due.map_or(0..0, |due| {
        let first = due.saturating_sub(NEAR_NONCES).max(next);
        first..due.saturating_add(NEAR_NONCES + 1)
    });
    let tried = likeliest(target);
    let from_next = (next..next.saturating_add(NEXT_NONCES)).filter(|nonce| !near.contains(nonce));
    near.clone().chain(from_next).filter(|nonce| !tried.contains(nonce)).collect()
}

fn search_ring(
    targets: &[Target],
    opener: &Opener<'_>,
    parts: &Parts<'_>,
    ring: fn(&Target) -> Vec<Nonce>,
) -> Search {
    let (mut tries, mut search) = (Tries::default(), Search::default());
    for target in targets {
        let (slot, key, ..) = *target;
        let nonces = ring(target);
        search.tries += nonces.len();
        if let Some(nonce) = opener.opens(parts, (slot, key), nonces, &mut tries) {
            search.found = Some(FoundDevice { slot, key, nonce });
            break;
        }
    }
    Search {
        payload: tries.payload,
        tags: tries.tags,
        has_confirmed: tries.has_confirmed,
        ..search
    }
}

impl Search {
    /// Adds the outcome of a part.
    fn take(&mut self, part: Self) {
        self.tags += part.tags;
        self.tries += part.tries;
        self.has_confirmed |= part.has_confirmed;
        if part.found.is_some() && self.found.is_none() {
            (self.found, self.payload) = (part.found, part.payload);
        }
    }
}
