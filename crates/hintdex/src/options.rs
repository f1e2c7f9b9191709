//! How a station runs.

use hintdex_core::{Durability, Options, TimingOptions};

/// How a station runs.
#[derive(Clone, Copy, Debug)]
pub struct StationOptions {
    /// What the index's rows in memory, block cache and write buffers may take together, in
    /// bytes; a roll takes as much again. Beside it a station holds 40 bytes a device, 80
    /// where nonces tell time, 12 more of each that brings its keys, and 28 for each run of ids.
    pub memory_bytes: usize,
    /// When an accepted packet is safe.
    pub durability: Durability,
    /// Whether a thread of the station rolls the index on when half of it is stale.
    pub roll_in_background: bool,
    /// Whether that thread then builds a snapshot, too, and the station asks it
    /// first; one that is there is attached at opening.
    pub snapshot_at_roll: bool,
    /// Whether the index leaves to that snapshot what it holds, from the next roll
    /// on: a third fewer bytes in all, and nothing to add for most packets.
    pub lean: bool,
    /// Whether an index that was left lean and whose snapshot is gone fills itself
    /// again at opening, at the cost of a roll. Else what the snapshot held is
    /// scanned for.
    pub refill: bool,
    /// The share of one core that scans of all devices may take, so that a flood
    /// of garbage cannot starve packets that are known. When it is spent, packets
    /// that nobody knows are told `unknown` for now and wait for
    /// [`scan_waiting`](Station::scan_waiting). Infinite for no bound.
    pub scan_core_share: f64,
    /// How windows go with time, where nonces tell it.
    pub timing: TimingOptions,
}

impl Default for StationOptions {
    fn default() -> Self {
        let Options { memory_bytes, durability, timing } = Options::default();
        Self {
            memory_bytes,
            durability,
            roll_in_background: true,
            snapshot_at_roll: true,
            lean: false,
            refill: true,
            scan_core_share: 0.1,
            timing,
        }
    }
}

impl StationOptions {
    pub(crate) const fn of_index(&self) -> Options {
        Options {
            memory_bytes: self.memory_bytes,
            durability: self.durability,
            timing: self.timing,
        }
    }
}
