//! The hint keys of a station's slots, as searches need them: one table, or chains.

use std::ops::Range;
use std::sync::Arc;

use hintdex_scan::{KeyTable, Match, Search};
use hintdex_wire::{Hint, HintCipher, HintKey, KeySource, Nonce, PacketKey, Slot};

use crate::chain_search::{ChainSearch, SlotChains};
use crate::resolved::Resolved;

/// The keys by which candidates are confirmed.
pub(crate) enum SlotKeys<'a> {
    /// One key for all nonces of a slot.
    Table(Arc<KeyTable>),
    /// A key for each epoch.
    Chains(SlotChains<'a>),
}

/// A search through the keys.
pub(crate) enum SlotSearch<'a, E> {
    Table(Search<'a, E>),
    Chains(ChainSearch<'a, E>),
}

impl SlotKeys<'_> {
    /// The number of slots.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Table(table) => table.len(),
            Self::Chains(chains) => chains.index.slot_count() as usize,
        }
    }

    /// A search for the slots that made a hint. `expected` returns the nonces of a slot that are
    /// expected: they bound the search for hints that cannot be reversed, and the epochs whose keys
    /// are tried.
    pub(crate) fn within<E>(&self, expected: E) -> SlotSearch<'_, E>
    where
        E: Fn(Slot) -> Range<Nonce> + Sync,
    {
        match self {
            Self::Table(table) => SlotSearch::Table(table.within(expected)),
            Self::Chains(chains) => SlotSearch::Chains(chains.within(expected)),
        }
    }

    /// The hint key of `slot`, where one key serves all nonces. Where keys move on, an admission asks
    /// the key source, and no copy is left of a key that is soon a past one.
    pub(crate) fn key(&self, slot: Slot) -> Option<HintKey> {
        match self {
            Self::Table(table) => table.key(slot),
            Self::Chains(_) => None,
        }
    }

    /// Whether `slot` has a hint key that can confirm a hint.
    pub(crate) fn has_key(&self, slot: Slot) -> bool {
        match self {
            Self::Table(table) => table.has_key(slot),
            Self::Chains(chains) => chains.index.epochs(slot, 0).is_some(),
        }
    }

    /// Calls `made` with the hints that `sender` makes from `nonces`, in order; with none if the
    /// key is missing.
    pub(crate) fn each_hint(
        &self,
        keys: &dyn KeySource,
        sender: &Resolved,
        nonces: Range<Nonce>,
        made: impl FnMut(Hint),
    ) {
        match self {
            Self::Table(table) => {
                if let Some(key) = table.key(sender.slot) {
                    HintCipher::new(table.scheme(), &key).each_hint(nonces, made);
                }
            }
            Self::Chains(chains) => {
                chains.index.params().each_hint(keys, sender.key, nonces, made);
            }
        }
    }

    /// Whether the epoch of a candidate lies behind those of which packets may still be accepted:
    /// its keys are missing because they were wiped.
    pub(crate) fn has_left(&self, candidate: &Resolved) -> bool {
        let Self::Chains(chains) = self else { return false };
        let epochs = chains.index.epochs(candidate.slot, 0);
        epochs.is_some_and(|epochs| chains.bits.epoch_of(candidate.nonce) < epochs.present)
    }

    /// The packet key of a candidate; `None` if this key is missing, or the hint key.
    pub(crate) fn packet_key(
        &self,
        keys: &dyn KeySource,
        candidate: &Resolved,
    ) -> Option<PacketKey> {
        match self {
            Self::Table(table) => {
                table.has_key(candidate.slot).then(|| keys.packet_key(candidate.key)).flatten()
            }
            Self::Chains(chains) => {
                let chain = keys.chain(candidate.key, chains.bits.epoch_of(candidate.nonce))?;
                Some(chain.packet_key())
            }
        }
    }
}

impl<E> SlotSearch<'_, E>
where
    E: Fn(Slot) -> Range<Nonce> + Sync,
{
    /// [`Search::confirm_each`].
    pub(crate) fn confirm_each(&self, pairs: &[(Slot, Hint)], found: impl FnMut(usize, Match)) {
        match self {
            Self::Table(search) => search.confirm_each(pairs, found),
            Self::Chains(search) => search.confirm_each(pairs, found),
        }
    }

    /// [`Search::confirm_all_until_found`].
    pub(crate) fn confirm_all_until_found(&self, hints: &[Hint]) -> Vec<Vec<Match>> {
        match self {
            Self::Table(search) => search.confirm_all_until_found(hints),
            Self::Chains(search) => search.confirm_all_until_found(hints),
        }
    }

    /// [`Search::confirm_all`].
    pub(crate) fn confirm_all(&self, hints: &[Hint]) -> Vec<Vec<Match>> {
        match self {
            Self::Table(search) => search.confirm_all(hints),
            Self::Chains(search) => search.confirm_all_until_found(hints),
        }
    }
}
