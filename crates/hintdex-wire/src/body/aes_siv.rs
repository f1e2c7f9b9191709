//! `aes-siv`: AES-SIV with the components associated data, hint and nonce.

use aes_siv::siv::Aes128Siv;
use aes_siv::{KeyInit, Tag};

use super::binding::{Binding, Rejected};
use crate::PacketKey;

/// Encrypts `text` in place and writes its synthetic nonce, which is the tag.
pub(super) fn seal(
    key: &PacketKey,
    binding: Binding<'_>,
    text: &mut [u8],
    tag: &mut [u8],
) -> Result<(), Rejected> {
    let nonce = binding.nonce.to_be_bytes();
    let made = Aes128Siv::new(key.expose().into())
        .encrypt_inout_detached(components(binding, &nonce), text.into());
    let to: &mut Tag = tag.try_into().map_err(|_| Rejected)?;
    *to = made.map_err(|_| Rejected)?;
    Ok(())
}

/// Decrypts `text` in place and verifies `tag`.
pub(super) fn open(
    key: &PacketKey,
    binding: Binding<'_>,
    text: &mut [u8],
    tag: &[u8],
) -> Result<(), Rejected> {
    let nonce = binding.nonce.to_be_bytes();
    let tag: &Tag = tag.try_into().map_err(|_| Rejected)?;
    Aes128Siv::new(key.expose().into())
        .decrypt_inout_detached(components(binding, &nonce), text.into(), tag)
        .map_err(|_| Rejected)
}

/// The components in front of the payload. RFC 5297 distinguishes an empty component from
/// none; the scheme leaves empty associated data out.
fn components<'a>(binding: Binding<'a>, nonce: &'a [u8; 8]) -> impl Iterator<Item = &'a [u8]> {
    let data = Some(binding.associated_data.bytes()).filter(|data| !data.is_empty());
    data.into_iter().chain([binding.hint, nonce])
}
