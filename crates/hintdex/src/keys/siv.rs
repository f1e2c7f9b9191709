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

    fn cipher(&self) -> Aes128Siv {
        Aes128Siv::new(&(*self.0).into())
    }

    /// Seals a secret in place for the parts of its owner, and returns the tag. `None` if the cipher
    /// rejects a length, which does not occur.
    pub(crate) fn seal(&self, owner: &[&[u8]], secret: &mut [u8]) -> Option<[u8; SIV_LEN_BYTES]> {
        let siv = self.cipher().encrypt_inout_detached(owner, InOutBuf::from(secret)).ok()?;
        Some(siv.into())
    }

    /// Unseals a secret in place; `None` if the secret is damaged, of another owner or under another
    /// key.
    pub(crate) fn unseal(
        &self,
        owner: &[&[u8]],
        sealed: &mut [u8],
        siv: &[u8; SIV_LEN_BYTES],
    ) -> Option<()> {
        let (sealed, tag) = (InOutBuf::from(sealed), Tag::from(*siv));
        self.cipher().decrypt_inout_detached(owner, sealed, &tag).ok()
    }
}
