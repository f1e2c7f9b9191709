//! The hints that a snapshot is built from.

use std::ops::Range;
use std::sync::Arc;

use hintdex_core::{FleetView, Params, Span};
use hintdex_snapshot::HintSource;
use hintdex_wire::{Hint, KeyId, KeySource, Nonce, Slot};

/// The coming nonces of every device at one moment. Frozen, because a build iterates over
/// the hints several times while packets go on.
pub(crate) struct ComingHints {
    keys: Arc<dyn KeySource>,
    pub(super) params: Params,
    /// The span of station time that the nonces belong to, if they are clocked.
    pub(super) span: Option<Span>,
    slot_count: u32,
    ids: Vec<Option<KeyId>>,
    /// In the order of slots: none of a retired or free slot, several where a span has several days.
    runs: Vec<(Slot, Range<Nonce>)>,
}

impl ComingHints {
    /// With counter nonces, the next `horizon_nonces` nonces of each device. With clocked
    /// nonces, those of `span`, or of the present span without it.
    pub(crate) fn of(view: &FleetView<'_>, horizon_nonces: u64, span: Option<Span>) -> Self {
        let index = view.index();
        let params = index.params();
        let span = match (params.nonces.is_clocked(), span) {
            (false, _) => None,
            (true, Some(span)) => Some(span),
            (true, None) => Some(index.timing().span_at(index.now_s())),
        };
        let slot_count = view.slot_count();
        let ids = view.keys(Slot(0)..Slot(slot_count));
        let runs = view.coming_nonces(horizon_nonces, span.as_ref());
        Self { keys: index.key_source().clone(), params, span, slot_count, ids, runs }
    }

    /// By slot, its first coming nonce; `None` for a retired slot.
    pub(crate) fn first_nonces(&self) -> Vec<Option<Nonce>> {
        let mut first = vec![None; self.ids.len()];
        for (slot, nonces) in &self.runs {
            first.get_mut(slot.index()).into_iter().for_each(|place| *place = Some(nonces.start));
        }
        first
    }

    /// The number of slots, those without coming nonces included.
    pub(crate) const fn slot_count(&self) -> u32 {
        self.slot_count
    }

    /// Slots and nonces in a row, in the order of slots.
    pub(super) fn runs(&self) -> &[(Slot, Range<Nonce>)] {
        &self.runs
    }

    /// The length of the longest run of nonces.
    pub(super) fn longest_nonces(&self) -> u64 {
        self.runs.iter().map(|(_, nonces)| nonces.end - nonces.start).max().unwrap_or(0)
    }

    /// A keyed digest of all runs, which distinguishes this set of hints from every other.
    pub(super) fn digest(&self) -> [u8; 16] {
        let runs = self.runs.iter().flat_map(|(slot, nonces)| {
            [u64::from(slot.0), nonces.start, nonces.end].map(u64::to_le_bytes)
        });
        let context: Vec<u8> = b"coming:".iter().copied().chain(runs.flatten()).collect();
        self.keys.check_value(&context)
    }
}

impl HintSource for ComingHints {
    fn hint_count(&self) -> u64 {
        // Saturates: the builder rejects so many hints, and a wrapped sum would look small.
        let lens = self.runs.iter().map(|(_, nonces)| nonces.end - nonces.start);
        lens.fold(0, u64::saturating_add)
    }

    fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
        let first = self.runs.partition_point(|(slot, _)| slot.0 < slots.start);
        let runs = self.runs.get(first..).unwrap_or_default().iter();
        for (slot, nonces) in runs.take_while(|(slot, _)| slot.0 < slots.end) {
            let id = self.ids.get(slot.index()).copied().flatten();
            let made = |hint: Hint| each(hint.head(), *slot);
            if let Some(id) = id {
                // The hints of a key that is missing are left out.
                self.params.each_hint(self.keys.as_ref(), id, nonces.clone(), made);
            }
        }
    }
}
