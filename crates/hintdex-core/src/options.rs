//! The options that a caller chooses each time it opens an index.

use crate::time::TimingOptions;

/// What the state of an accepted packet survives.
///
/// See the example of [`LiveIndex`](crate::LiveIndex).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The machine: every batch is synced before its verdicts are returned.
    #[default]
    Sync,
    /// The process, not the machine.
    ProcessCrash,
}

/// How an index is run; chosen at every opening.
///
/// See the example of [`LiveIndex`](crate::LiveIndex).
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The memory of the row cache, the block cache and the write buffers together, in bytes.
    /// A roll takes as much again. The index also holds 24 bytes for each slot, or 64 with
    /// clocked nonces, and 28 for each run of ids.
    pub memory_bytes: usize,
    /// What the state of an accepted packet survives.
    pub durability: Durability,
    /// The time parameters of clocked nonces. Those given at creation are stored; those given
    /// at an opening replace the stored ones until the index is closed.
    pub timing: TimingOptions,
    /// How long the point of an accepted packet without a nonce is remembered, in seconds: so long
    /// is a repeat of the packet rejected. Costs 20 bytes on disk a packet of that time.
    pub repeat_window_s: u32,
    /// The room of the [`Outbox`](crate::Outbox), in payloads; `None` for no outbox. If so many
    /// payloads are not acknowledged, no further batch is admitted.
    pub outbox_payloads: Option<u64>,
}

impl Options {
    /// The usual repeat window: a day.
    pub const REPEAT_WINDOW_S: u32 = 86_400;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            durability: Durability::Sync,
            timing: TimingOptions::default(),
            repeat_window_s: Self::REPEAT_WINDOW_S,
            outbox_payloads: None,
        }
    }
}
