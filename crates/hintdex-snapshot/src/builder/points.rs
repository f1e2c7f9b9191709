//! The points of a chain as a source of hints.

use std::ops::Range;

use hintdex_wire::{Hint, Nonce, Slot};

use super::HintSource;
use crate::PointHints;

/// How many hints a build asks for at a time.
const BATCH_LEN_POINTS: usize = 64;

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
        let runs = runs.take_while(|(slot, _)| slot.0 < slots.end);
        let mut points = runs.flat_map(|(slot, run)| run.clone().map(|nonce| (*slot, nonce)));
        let mut batch = Vec::with_capacity(BATCH_LEN_POINTS);
        let mut made = [Hint::ZERO; BATCH_LEN_POINTS];
        loop {
            batch.clear();
            batch.extend(points.by_ref().take(BATCH_LEN_POINTS));
            if batch.is_empty() {
                return;
            }
            let made = made.split_at_mut(batch.len()).0;
            self.hints.hints(&batch, made);
            batch.iter().zip(made).for_each(|((slot, _), made)| each(made.head(), *slot));
        }
    }
}
