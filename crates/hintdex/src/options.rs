//! The options of a station.

use hintdex_core::{Durability, Options, TimingOptions};

/// How a station runs.
///
/// See the [example of the crate](crate).
#[derive(Clone, Copy, Debug)]
pub struct StationOptions {
    /// The memory for rows, block cache and write buffers of the index together, in bytes. A
    /// roll takes as much again. Beside it a station holds 40 bytes a device (80 with clocked
    /// nonces), 12 more for each device with imported keys, and 28 for each run of ids.
    pub memory_bytes: usize,
    /// Which crashes an accepted packet survives.
    pub durability: Durability,
    /// Whether a thread of the station rolls the index when half of it is stale.
    pub roll_in_background: bool,
    /// Whether a roll to a full window builds a snapshot as well, which the station asks first.
    /// An existing snapshot is attached at opening. A lean station does both in any case.
    pub snapshot_at_roll: bool,
    /// Whether windows are lean from the next roll on: they lack the hints that the station's
    /// own snapshot holds. This takes a fraction of the bytes, and most packets add nothing to
    /// the index.
    pub lean: bool,
    /// The evaluations of a lookup in the station's own snapshot, a chain, from the next roll
    /// on: more evaluations take fewer bytes and more time. `None` for those of the present
    /// snapshot, or 9 without one.
    pub evaluations: Option<u32>,
    /// Whether a lean index whose snapshot is missing is rolled at opening, in the background
    /// if `roll_in_background` is set. Until then, or without this option, the hints that the
    /// snapshot held are scanned for.
    pub refill: bool,
    /// The share of one core that scans of all devices may take, so that a flood of garbage
    /// cannot starve packets that the index resolves. When the share is spent, packets with
    /// unknown hints are `unknown` for now and wait for
    /// [`scan_waiting`](crate::Station::scan_waiting). Infinite for no bound.
    pub scan_core_share: f64,
    /// The lengths and tolerances of windows of time, with clocked nonces.
    pub timing: TimingOptions,
    /// How long a packet without a nonce is remembered, so that its repeat is rejected, in seconds.
    /// Costs 20 bytes on disk a packet of that time. Packets with nonces need no such time.
    pub repeat_window_s: u32,
    /// The room of the [outbox](crate::Outbox), in payloads; `None` for no outbox. If so many payloads
    /// are not acknowledged, decoding is refused until a reader has caught up. A payload takes 66
    /// bytes on disk, its own and its context's, until it is acknowledged.
    pub outbox_payloads: Option<u64>,
}

impl Default for StationOptions {
    fn default() -> Self {
        let Options { memory_bytes, durability, timing, repeat_window_s, outbox_payloads } =
            Options::default();
        Self {
            memory_bytes,
            durability,
            roll_in_background: true,
            snapshot_at_roll: true,
            lean: true,
            evaluations: None,
            refill: true,
            scan_core_share: 0.1,
            timing,
            repeat_window_s,
            outbox_payloads,
        }
    }
}

impl StationOptions {
    /// How many lookaheads the station's own snapshot reaches ahead. A hint costs an eighth as
    /// much there as in the live index, and few devices run past four lookaheads before a roll.
    pub const SNAPSHOT_LOOKAHEADS: u32 = 4;

    /// The evaluations of a lookup in the station's own snapshot, unless the options or the
    /// present snapshot set them (docs/decisions/0011-chains-are-the-usual-form.md).
    pub const DEFAULT_EVALUATIONS: u32 = 9;

    /// The usual time for which a packet without a nonce is remembered: a day.
    pub const REPEAT_WINDOW_S: u32 = Options::REPEAT_WINDOW_S;

    pub(crate) const fn of_index(&self) -> Options {
        Options {
            memory_bytes: self.memory_bytes,
            durability: self.durability,
            timing: self.timing,
            repeat_window_s: self.repeat_window_s,
            outbox_payloads: self.outbox_payloads,
        }
    }
}
