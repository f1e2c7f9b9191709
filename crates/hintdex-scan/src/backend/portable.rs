//! Every processor: one key after another by the `aes` crate.
//!
//! Keys are stored as they are. The crate chooses its own instructions, and
//! without any for AES it works in constant time (bit slicing).

use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, MAX_HINT_LEN_BYTES, Nonce};

use super::{Batch, Block, Window};

/// See [`Kernel::sieve`](super::Kernel::sieve). Exact.
pub(super) fn sieve(
    scheme: HintScheme,
    keys: &[Block],
    windows: &[Window],
    hints: &[Hint],
    maybe: &mut dyn FnMut(usize, usize),
) {
    for (index, key) in keys.iter().enumerate() {
        let cipher = HintCipher::new(scheme, &HintKey::from_bytes(*key));
        if scheme.is_reversible() {
            cipher.each_nonce(hints, |hint, _| maybe(index, hint));
        } else if let Some(window) = windows.get(index) {
            let mut fits = vec![false; hints.len()];
            cipher.each_hint(window.nonces(), |made| {
                for (fits, hint) in fits.iter_mut().zip(hints) {
                    *fits |= *hint == made;
                }
            });
            let fits = fits.iter().enumerate().filter(|(_, fits)| **fits);
            fits.for_each(|(hint, _)| maybe(index, hint));
        }
    }
}

/// See [`Kernel::decide`](super::Kernel::decide).
pub(super) fn decide(scheme: HintScheme, batch: &Batch, found: &mut dyn FnMut(usize, Nonce)) {
    let pairs = batch.keys.iter().zip(&batch.hints).zip(&batch.windows).take(batch.len());
    for (index, ((key, hint), window)) in pairs.enumerate() {
        let cipher = HintCipher::new(scheme, &HintKey::from_bytes(*key));
        if let Some(hint) = Hint::read(scheme, hint.get(..MAX_HINT_LEN_BYTES).unwrap_or_default()) {
            cipher.nonces_within(&hint, window.nonces(), |nonce| found(index, nonce));
        }
    }
}
