//! The hints of points, by the station's key table.

use hintdex_scan::KeyTable;
use hintdex_snapshot::PointHints;
use hintdex_wire::{Hint, Nonce, Slot};

/// Computes the hints of points for a chain
/// ([`Encoding::Chain`](hintdex_snapshot::Encoding::Chain)).
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
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
