//! `aes-ctr-hmac`: AES-128-CTR with the first half of the key, HMAC-SHA256 with the second.

use aes::Aes128;
use aes::cipher::KeyIvInit;
use ctr::Ctr64BE;
use ctr::cipher::StreamCipher;

use super::binding::{Binding, Rejected};
use crate::tag::Tag;
use crate::{Nonce, PacketKey};

/// Encrypts `text` in place and writes its tag.
pub(super) fn seal(
    key: &PacketKey,
    binding: Binding<'_>,
    text: &mut [u8],
    tag: &mut [u8],
) -> Result<(), Rejected> {
    if !binding.associated_data.is_empty() {
        return Err(Rejected);
    }
    apply_keystream(key, binding.nonce, text);
    Tag::of(key.second_half(), &[binding.hint, text]).write(tag.as_mut_array().ok_or(Rejected)?);
    Ok(())
}

/// Verifies `tag`, then decrypts `text` in place.
pub(super) fn open(
    key: &PacketKey,
    binding: Binding<'_>,
    text: &mut [u8],
    tag: &[u8],
) -> Result<(), Rejected> {
    if !binding.associated_data.is_empty() {
        return Err(Rejected);
    }
    if !Tag::of(key.second_half(), &[binding.hint, text]).is(tag.as_array().ok_or(Rejected)?) {
        return Err(Rejected);
    }
    apply_keystream(key, binding.nonce, text);
    Ok(())
}

/// Encrypts or decrypts in place: AES-128-CTR, counter block `nonce_be8 ‖ block_be8`.
pub(crate) fn apply_keystream(key: &PacketKey, nonce: Nonce, data: &mut [u8]) {
    let counter_block = (u128::from(nonce) << 64).to_be_bytes();
    Ctr64BE::<Aes128>::new(key.first_half().into(), &counter_block.into()).apply_keystream(data);
}
