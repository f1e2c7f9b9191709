//! The points of a chain as a source of hints.

use std::ops::Range;

use hintdex_wire::{Hint, Nonce, Slot};

use super::HintSource;
use crate::PointHints;

/// How many hints a build asks for at a time.
const BATCH_LEN_POINTS: usize = 64;

/// A run of this length is asked for by itself: one key schedule for all of its hints. Hints of
/// shorter runs are computed together, a key schedule each, many keys side by side.
const LONG_RUN_LEN_POINTS: u64 = 8;

/// The points of a snapshot, and the source of their hints.
pub(super) struct Points<'p> {
    /// Slots and nonces in a row, in the order of slots.
    pub runs: &'p [(Slot, Range<Nonce>)],
    pub hints: &'p dyn PointHints,
}

impl HintSource for Points<'_> {
    fn hint_count(&self) -> u64 {
        // Saturates: the builder refuses so many, and a wrapped sum would look small.
        let lens = self.runs.iter().map(|(_, run)| run.end.saturating_sub(run.start));
        lens.fold(0, u64::saturating_add)
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        let first = self.runs.partition_point(|(slot, _)| slot.0 < slots.start);
        let runs = self.runs.get(first..).unwrap_or_default().iter();
        let mut batch = Vec::with_capacity(BATCH_LEN_POINTS);
        for (slot, run) in runs.take_while(|(slot, _)| slot.0 < slots.end) {
            let len = run.end.saturating_sub(run.start);
            if len >= LONG_RUN_LEN_POINTS {
                self.ask_run(*slot, run, each);
                continue;
            }
            if batch.len() as u64 + len > BATCH_LEN_POINTS as u64 {
                self.ask(&mut batch, each);
            }
            batch.extend(run.clone().map(|nonce| (*slot, nonce)));
        }
        self.ask(&mut batch, each);
    }
}

impl Points<'_> {
    /// Computes the hints of a run.
    fn ask_run(&self, slot: Slot, run: &Range<Nonce>, each: &mut dyn FnMut(u64, Slot)) {
        let mut made = [Hint::ZERO; BATCH_LEN_POINTS];
        for first in run.clone().step_by(BATCH_LEN_POINTS) {
            let len = usize::try_from(run.end - first).unwrap_or(BATCH_LEN_POINTS);
            let made = made.split_at_mut(len.min(BATCH_LEN_POINTS)).0;
            self.hints.hints_of_run(slot, first, made);
            made.iter().for_each(|made| each(made.head(), slot));
        }
    }

    /// Computes the hints of `batch` and empties it.
    fn ask(&self, batch: &mut Vec<(Slot, Nonce)>, each: &mut dyn FnMut(u64, Slot)) {
        let mut made = [Hint::ZERO; BATCH_LEN_POINTS];
        let made = made.split_at_mut(batch.len().min(BATCH_LEN_POINTS)).0;
        self.hints.hints(batch, made);
        batch.iter().zip(made).for_each(|((slot, _), made)| each(made.head(), *slot));
        batch.clear();
    }
}
