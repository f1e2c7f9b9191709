//! The hints of a slot's nonces, each under the key of its nonce.

use std::ops::Range;

use hintdex_wire::{Hint, HintCipher, KeyId, KeySource, Nonce, REPLAY_WINDOW_NONCES, Slot};

use crate::Error;
use crate::index::LiveIndex;
use crate::params::Params;

impl Params {
    /// Calls `made` with the hint of each of `nonces` under `key`, in order. Where keys move on
    /// with the nonces, the run is cut at the ends of key epochs. Returns false, and may have
    /// called `made`, if the source lacks a key.
    ///
    /// Costs a key derivation for each epoch, and 1 to 2 ns a hint; nothing for no nonces.
    pub fn each_hint(
        &self,
        keys: &dyn KeySource,
        key: KeyId,
        nonces: Range<Nonce>,
        mut made: impl FnMut(Hint),
    ) -> bool {
        if nonces.is_empty() {
            return true;
        }
        let Some(bits) = self.ratchet else {
            let Some(hint_key) = keys.hint_key(key) else { return false };
            HintCipher::new(self.scheme, &hint_key).each_hint(nonces, made);
            return true;
        };
        let Some(mut chain) = keys.chain(key, bits.epoch_of(nonces.start)) else { return false };
        for (epoch, nonces) in bits.cut(nonces) {
            chain.advance_to(epoch);
            HintCipher::new(self.scheme, &chain.hint_key()).each_hint(nonces, &mut made);
        }
        true
    }
}

impl LiveIndex {
    /// The oldest nonce of the slot of `key` whose packet may still be accepted: the first of the
    /// replay window, or of a longer late window. `next` is the slot's next nonce.
    pub(crate) fn oldest_nonce(&self, key: KeyId, next: Nonce) -> Nonce {
        let settings = self.settings();
        let late = settings.map_or(0, |settings| settings.policy(key.device).late_nonces);
        next.saturating_sub(REPLAY_WINDOW_NONCES.max(late.into()))
    }

    /// Makes every state that was admitted durable, whatever the durability of batches is: before
    /// a station moves chains on behind these states.
    ///
    /// # Errors
    /// Those of the store, which is poisoned then.
    pub fn sync_states(&self) -> Result<(), Error> {
        self.store.sync_all()
    }

    /// The key epochs of `slot` in which a search looks for packets: from that of the oldest nonce
    /// that may still be accepted to that of the last nonce within `ahead_nonces` of the next one,
    /// and to that of the last live hint at least. `None` without key epochs, and for a slot that
    /// is retired or out of service.
    pub fn epochs(&self, slot: Slot, ahead_nonces: u64) -> Option<SlotEpochs> {
        let (bits, key) = (self.params.ratchet?, self.key(slot)?);
        let known = self.states.get(slot).filter(|known| known.state.is_in_service())?;
        let live = known.state.live_nonces();
        let end =
            live.end.max(live.start.saturating_add(ahead_nonces)).min(self.params.max_nonce() + 1);
        Some(SlotEpochs {
            key,
            first: bits.epoch_of(self.oldest_nonce(key, live.start)),
            present: bits.epoch_of(live.start),
            last: bits.epoch_of(end.saturating_sub(1).max(live.start)),
        })
    }
}

/// The key epochs in which a slot may send.
///
/// ```
/// use hintdex_core::{DeviceRange, LiveIndex, Options, Params, SlotEpochs};
/// # use hintdex_wire::{DeviceId, HintScheme, KeyId, MasterKey, RatchetBits, Slot};
/// # use std::sync::Arc;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("index");
/// # let keys = Arc::new(MasterKey::new(&[7; 32]));
/// // Epochs of 16 nonces, and 40 coming hints of each device.
/// let ratchet = RatchetBits::new(4);
/// let params = Params { ratchet, ..Params::counters(HintScheme::Aes128, 40) };
/// let index = LiveIndex::create(&path, keys, params, &Options::default())?;
/// index.provision(&[DeviceRange::new(DeviceId(0), 10)], None)?;
/// let SlotEpochs { first, present, last, .. } = index.epochs(Slot(3), 0).unwrap();
/// assert_eq!((first, present, last), (0, 0, 2));
/// # Ok::<(), hintdex_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotEpochs {
    /// The key of the slot.
    pub key: KeyId,
    /// The first epoch of which a packet may still be accepted.
    pub first: u32,
    /// The epoch of the next nonce.
    pub present: u32,
    /// The last epoch of the search.
    pub last: u32,
}
