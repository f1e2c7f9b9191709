//! The suites of an AEAD with one nonce and one piece of associated data: ChaCha20-Poly1305,
//! XChaCha20-Poly1305 and AES-CCM. The type of the AEAD fixes the lengths of nonce and tag.

use ccm::KeyInit;
use ccm::aead::{AeadInOut, Key, Nonce, Tag};

use super::binding::{Binding, Rejected};
use crate::{AssociatedData, MAX_HINT_LEN_BYTES};

/// Encrypts `text` in place and writes its tag.
pub(super) fn seal<A: AeadInOut + KeyInit>(
    key: &Key<A>,
    binding: Binding<'_>,
    text: &mut [u8],
    tag: &mut [u8],
) -> Result<(), Rejected> {
    let (nonce, covered) = (nonce::<A>(binding)?, Covered::new(binding)?);
    let made = A::new(key).encrypt_inout_detached(&nonce, covered.bytes()?, text.into());
    let to: &mut Tag<A> = tag.try_into().map_err(|_| Rejected)?;
    *to = made.map_err(|_| Rejected)?;
    Ok(())
}

/// Verifies `tag` and decrypts `text` in place.
pub(super) fn open<A: AeadInOut + KeyInit>(
    key: &Key<A>,
    binding: Binding<'_>,
    text: &mut [u8],
    tag: &[u8],
) -> Result<(), Rejected> {
    let (nonce, covered) = (nonce::<A>(binding)?, Covered::new(binding)?);
    let tag: &Tag<A> = tag.try_into().map_err(|_| Rejected)?;
    let opened = A::new(key).decrypt_inout_detached(&nonce, covered.bytes()?, text.into(), tag);
    opened.map_err(|_| Rejected)
}

/// The nonce in eight big-endian bytes, behind zeros.
fn nonce<A: AeadInOut>(binding: Binding<'_>) -> Result<Nonce<A>, Rejected> {
    let mut nonce = Nonce::<A>::default();
    *nonce.last_chunk_mut().ok_or(Rejected)? = binding.nonce.to_be_bytes();
    Ok(nonce)
}

/// Hint and associated data in one piece.
struct Covered {
    bytes: [u8; MAX_HINT_LEN_BYTES + AssociatedData::MAX_LEN_BYTES],
    len_bytes: usize,
}

impl Covered {
    fn new(binding: Binding<'_>) -> Result<Self, Rejected> {
        let mut bytes = [0; MAX_HINT_LEN_BYTES + AssociatedData::MAX_LEN_BYTES];
        let (hint, data) = (binding.hint, binding.associated_data.bytes());
        let (head, rest) = bytes.split_at_mut_checked(hint.len()).ok_or(Rejected)?;
        head.copy_from_slice(hint);
        rest.get_mut(..data.len()).ok_or(Rejected)?.copy_from_slice(data);
        Ok(Self { bytes, len_bytes: hint.len() + data.len() })
    }

    fn bytes(&self) -> Result<&[u8], Rejected> {
        self.bytes.get(..self.len_bytes).ok_or(Rejected)
    }
}
