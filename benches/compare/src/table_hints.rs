//! The hints of points, by a key table: what a chain asks for.

use hintdex_scan::KeyTable;
use hintdex_snapshot::PointHints;
use hintdex_wire::{Hint, Nonce, Slot};

/// Computes the hints of points for a chain, as a station does.
#[derive(Clone, Copy)]
pub struct TableHints<'t>(pub &'t KeyTable);

impl PointHints for TableHints<'_> {
    #[inline]
    fn prefetch(&self, slot: Slot) {
        self.0.prefetch(slot);
    }

    #[inline]
    fn hints(&self, points: &[(Slot, Nonce)], hints: &mut [Hint]) {
        self.0.hints(points, hints);
    }

    fn hints_of_run(&self, slot: Slot, first: Nonce, hints: &mut [Hint]) {
        self.0.hints_of_run(slot, first, hints);
    }
}
