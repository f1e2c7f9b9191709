//! The rows of the tables.

use crate::driver::Measured;
use crate::gauge::Spread;
use crate::peers::{Entry, Way};
use crate::worker;
use crate::workload::Size;

/// Bytes of a hint key, of which a confirmed lookup needs one a device.
const KEY_LEN_BYTES: f64 = 16.0;

/// How a contestant is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One hint a call.
    One,
    /// Many hints a call.
    Batch,
    /// Many where there is a call for it, one elsewhere.
    Best,
}

/// One contestant, asked until confirmed or not.
pub struct Line<'a> {
    pub entry: &'a Entry,
    pub confirmed: bool,
    /// A hint.
    pub stored_bytes: f64,
    /// A hint.
    pub resident_bytes: f64,
    /// By the wall.
    pub loaded_per_s: f64,
    /// A hint.
    pub load_cpu_ns: f64,
    measured: &'a Measured,
}

/// A line for each contestant, or two.
pub fn lines(size: Size, measured: &[Measured]) -> Vec<Line<'_>> {
    let hints = size.hint_count() as f64;
    let keys = KEY_LEN_BYTES / f64::from(size.horizon);
    let of = |measured: &'_ Measured, confirmed: bool| {
        let needs_keys = confirmed && measured.entry.names_candidates;
        let resident = measured.ready.resident_bytes as f64 / hints;
        (measured.ready.stored_bytes as f64 / hints, resident + if needs_keys { keys } else { 0.0 })
    };
    let mut lines = Vec::new();
    for measured in measured {
        let ways = [true, false].into_iter().take(1 + usize::from(measured.entry.names_candidates));
        for confirmed in ways {
            let (stored_bytes, resident_bytes) = of(measured, confirmed);
            lines.push(Line {
                entry: &measured.entry,
                confirmed,
                stored_bytes,
                resident_bytes,
                loaded_per_s: hints / measured.load.wall_ns * 1e9,
                load_cpu_ns: measured.load.cpu_ns / hints,
                measured,
            });
        }
    }
    lines
}

impl Line<'_> {
    pub fn title(&self) -> String {
        match (self.entry.names_candidates, self.confirmed) {
            (true, true) => format!("{}, confirmed", self.entry.title),
            (true, false) => format!("{}, retrieval alone", self.entry.title),
            _ => self.entry.title.to_owned(),
        }
    }

    /// Nanoseconds a lookup, a figure a round.
    fn rounds(&self, pace: Pace) -> &[f64] {
        let batch = match pace {
            Pace::One => false,
            Pace::Batch => true,
            Pace::Best => self.entry.has_batch,
        };
        &self.measured.rounds[worker::number(Way { batch, confirmed: self.confirmed })]
    }

    pub fn spread(&self, pace: Pace) -> Option<Spread> {
        Spread::of(self.rounds(pace).iter().copied())
    }

    /// This line's time to that of `ours`, round by round.
    pub fn ratio(&self, ours: &Self, pace: Pace) -> Option<Spread> {
        let rounds = self.rounds(pace).iter().zip(ours.rounds(pace));
        Spread::of(rounds.map(|(theirs, ours)| theirs / ours.max(1e-9)))
    }
}
