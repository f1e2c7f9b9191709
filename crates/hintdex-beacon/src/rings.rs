//! The order of a search: rings around the clock that is expected of a beacon.
//!
//! The first ring holds the clocks that are within an hour of the expected clock, on either
//! side, and the clocks that read less than an hour. The second ring reaches to two hours, the
//! third to four, and so on up to the reach of the search. Small errors of a clock are the
//! most frequent, so most beacons are found in the first rings.

use std::ops::Range;

/// The reach of the first ring in seconds.
const FIRST_RING_S: u64 = 3600;

/// The position of a search: the next call continues there.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchCursor {
    pub ring: u32,
    pub slot: u32,
    /// Steps of this beacon in this ring that were tried.
    pub done: u64,
}

impl SearchCursor {
    /// The next beacon of the ring, or the first beacon of the next ring; after the last ring,
    /// the first ring.
    pub const fn next(self, beacons: u32, rings: u32) -> Self {
        let Self { ring, slot, .. } = self;
        if slot + 1 < beacons {
            return Self { ring, slot: slot + 1, done: 0 };
        }
        Self { ring: if ring + 1 < rings { ring + 1 } else { 0 }, slot: 0, done: 0 }
    }
}

/// The number of rings up to the reach, at least 1.
pub fn ring_count(reach_s: u64) -> u32 {
    let is_within = |ring: &u32| *ring == 0 || !ring_of(*ring, reach_s).is_empty();
    (0..64).take_while(is_within).map(|ring| ring + 1).last().unwrap_or(1)
}

/// The distances of a ring from the expected clock, in seconds.
pub fn ring_of(ring: u32, reach_s: u64) -> Range<u64> {
    let end = |ring: u32| FIRST_RING_S.checked_shl(ring).unwrap_or(u64::MAX).min(reach_s);
    ring.checked_sub(1).map_or(0, end)..end(ring)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_follow_one_another_up_to_the_reach() {
        for reach_s in [0, 1, 3599, 3600, 3601, 7 * 86_400, 366 * 86_400] {
            let rings: Vec<_> =
                (0..ring_count(reach_s)).map(|ring| ring_of(ring, reach_s)).collect();
            assert_eq!(rings.first().map(|ring| ring.start), Some(0));
            assert_eq!(rings.last().map(|ring| ring.end), Some(reach_s));
            assert!(rings.is_sorted_by(|a, b| a.end == b.start), "{rings:?}");
        }
    }
}
