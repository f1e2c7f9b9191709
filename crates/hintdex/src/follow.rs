//! Following devices through a batch.
//!
//! Packets of a batch are looked up together, before any of them is admitted. A
//! device that sends more of them than the index looks ahead would have moved its
//! hints on with each, had they come one by one. So every packet that was found
//! is followed: the hints that its admission will add are made now, and looked
//! for among those that nobody knew.

use std::cmp::Reverse;
use std::collections::HashMap;

use hintdex_scan::KeyTable;
use hintdex_wire::{Hint, HintCipher, Nonce, Slot};

use crate::{Found, Resolved, Source, Station};

/// The hints of a batch that nobody knew, and how far each device was followed.
pub(crate) struct Follower<'a> {
    station: &'a Station,
    table: &'a KeyTable,
    /// The places in the batch that wait for a hint.
    unknown: HashMap<Hint, Vec<usize>>,
    /// The end of each followed device's hints, of each day, as its packets will have
    /// moved it.
    ends: HashMap<(Slot, u64), Nonce>,
}

impl<'a> Follower<'a> {
    /// A follower of the devices in a batch of which some hints were `resolved`.
    pub(crate) fn new(
        station: &'a Station,
        table: &'a KeyTable,
        hints: &[Hint],
        resolved: &[Found],
    ) -> Self {
        let mut unknown: HashMap<Hint, Vec<usize>> = HashMap::new();
        let open =
            hints.iter().zip(resolved).enumerate().filter(|(_, (_, found))| found.is_empty());
        open.for_each(|(at, (hint, _))| unknown.entry(*hint).or_default().push(at));
        Self { station, table, unknown, ends: HashMap::new() }
    }

    /// Resolves the hints that the packets in `found`, and those they lead to,
    /// will make live.
    ///
    /// Costs one hint and one probe a packet, and nothing if no hint is unknown.
    pub(crate) fn follow(&mut self, found: &[Resolved], resolved: &mut [Found]) {
        if self.unknown.is_empty() {
            return;
        }
        // Each device from its lowest nonce on: its hints move on with every packet,
        // and those below the highest one would be passed over.
        let mut ahead = found.to_vec();
        ahead.sort_unstable_by_key(|found| Reverse(found.nonce));
        while let Some(found) = ahead.pop() {
            for (nonce, places) in self.coming(&found) {
                let next = Resolved { nonce, source: Source::Index, ..found };
                for at in places {
                    if let Some(place) = resolved.get_mut(at) {
                        place.push(next);
                    }
                }
                ahead.push(next);
            }
        }
    }

    /// The hints that admitting `found` will add and that somebody waits for: the
    /// nonce of each, and the places that wait.
    fn coming(&mut self, found: &Resolved) -> Vec<(Nonce, Vec<usize>)> {
        let Resolved { slot, nonce, .. } = *found;
        let params = self.station.params();
        let index = &self.station.index;
        let of_unit = (slot, params.nonces.unit_of(nonce));
        let end = self.ends.entry(of_unit).or_insert_with(|| index.live_end(slot, nonce));
        let new_end = nonce.saturating_add(1).saturating_add(params.lookahead.into());
        let mut waited_for = Vec::new();
        if let Some(key) = self.table.key(slot).filter(|_| new_end > *end) {
            let mut at = nonce.saturating_add(1).max(*end);
            HintCipher::new(params.scheme, &key).each_hint(at..new_end, |hint| {
                if let Some(places) = self.unknown.remove(&hint) {
                    waited_for.push((at, places));
                }
                at += 1;
            });
            *end = new_end;
        }
        waited_for
    }
}
