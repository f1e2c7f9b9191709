//! Secrets sealed for storage: AES-SIV (RFC 5297) under a key that is derived from a master key.
//!
//! Sealing is deterministic, so sealing a secret twice reveals no more than sealing it once. A
//! secret is bound to its owner, and does not unseal for another one.

use aes_siv::aead::inout::InOutBuf;
use aes_siv::siv::Aes128Siv;
use aes_siv::{KeyInit, Tag};
use hintdex_wire::MasterKey;
use zeroize::Zeroizing;

/// The length in bytes of the tag, which is also the nonce.
const SIV_LEN_BYTES: usize = 16;

/// Seals and unseals secrets.
pub(crate) struct Sealer(Zeroizing<[u8; 32]>);

impl Sealer {
    pub(crate) fn new(master: &MasterKey) -> Self {
        Self(master.sealing_key())
    }

    /// The cipher, for many secrets: its key schedules take as long as sealing a short one.
    pub(crate) fn cipher(&self) -> SealingCipher {
        SealingCipher(Aes128Siv::new(&(*self.0).into()))
    }

    /// [`SealingCipher::seal`] of one secret.
    pub(crate) fn seal(&self, owner: &[&[u8]], secret: &mut [u8]) -> Option<[u8; SIV_LEN_BYTES]> {
        self.cipher().seal(owner, secret)
    }

    /// [`SealingCipher::unseal`] of one secret.
    pub(crate) fn unseal(
        &self,
        owner: &[&[u8]],
        sealed: &mut [u8],
        siv: &[u8; SIV_LEN_BYTES],
    ) -> Option<()> {
        self.cipher().unseal(owner, sealed, siv)
    }
}

/// The cipher of a [`Sealer`], ready for use.
pub(crate) struct SealingCipher(Aes128Siv);

impl SealingCipher {
    /// Seals a secret in place for the parts of its owner, and returns the tag. `None` if the cipher
    /// rejects a length, which does not occur.
    pub(crate) fn seal(
        &mut self,
        owner: &[&[u8]],
        secret: &mut [u8],
    ) -> Option<[u8; SIV_LEN_BYTES]> {
        let siv = self.0.encrypt_inout_detached(owner, InOutBuf::from(secret)).ok()?;
        Some(siv.into())
    }

    /// Unseals a secret in place; `None` if the secret is damaged, of another owner or under another
    /// key.
    pub(crate) fn unseal(
        &mut self,
        owner: &[&[u8]],
        sealed: &mut [u8],
        siv: &[u8; SIV_LEN_BYTES],
    ) -> Option<()> {
        let (sealed, tag) = (InOutBuf::from(sealed), Tag::from(*siv));
        self.0.decrypt_inout_detached(owner, sealed, &tag).ok()
    }
}
