//! The body of a packet, behind its hint: sealed and opened under each suite.
//!
//! A body is rejected without a reason and in constant time: each suite compares its tag by one
//! function that takes the same time for every tag.

mod aead;
mod aes_ctr_hmac;
mod aes_siv;
mod binding;

use aes::Aes128;
use ccm::Ccm;
use ccm::consts::{U8, U13};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};

pub(crate) use aes_ctr_hmac::apply_keystream;
pub(crate) use binding::Binding;
use binding::Rejected;

use crate::{PacketKey, Suite};

/// AES-128-CCM with tags of 8 bytes and nonces of 13.
type AesCcm8 = Ccm<Aes128, U8, U13>;

/// Writes the body around `payload` to `body`, which has the length of the payload and the tag.
///
/// Fails if the lengths do not fit, if the payload is longer than the suite allows, or if the
/// suite takes no associated data and some is given.
#[inline(always)]
pub(crate) fn seal(
    suite: Suite,
    key: &PacketKey,
    binding: Binding<'_>,
    payload: &[u8],
    body: &mut [u8],
) -> Result<(), Rejected> {
    let tag_len_bytes = suite.tag_len_bytes();
    let (text, tag) = if suite.tag_is_first() {
        let (tag, text) = body.split_at_mut_checked(tag_len_bytes).ok_or(Rejected)?;
        (text, tag)
    } else {
        body.split_at_mut_checked(payload.len()).ok_or(Rejected)?
    };
    if (text.len(), tag.len()) != (payload.len(), tag_len_bytes) {
        return Err(Rejected);
    }
    text.copy_from_slice(payload);
    match suite {
        Suite::AesCtrHmac => aes_ctr_hmac::seal(key, binding, text, tag),
        Suite::AesSiv => aes_siv::seal(key, binding, text, tag),
        Suite::ChaCha20Poly1305 => {
            aead::seal::<ChaCha20Poly1305>(key.expose().into(), binding, text, tag)
        }
        Suite::XChaCha20Poly1305 => {
            aead::seal::<XChaCha20Poly1305>(key.expose().into(), binding, text, tag)
        }
        Suite::AesCcm8 => aead::seal::<AesCcm8>(key.first_half().into(), binding, text, tag),
    }
}

/// Decrypts the payload of `body` into `payload`, which has the length of the body without its
/// tag. If the body is not authentic, `payload` is zeros.
pub(crate) fn open(
    suite: Suite,
    key: &PacketKey,
    binding: Binding<'_>,
    body: &[u8],
    payload: &mut [u8],
) -> Result<(), Rejected> {
    let (text, tag) = split(suite, body).ok_or(Rejected)?;
    if text.len() != payload.len() {
        return Err(Rejected);
    }
    payload.copy_from_slice(text);
    let opened = match suite {
        Suite::AesCtrHmac => aes_ctr_hmac::open(key, binding, payload, tag),
        Suite::AesSiv => aes_siv::open(key, binding, payload, tag),
        Suite::ChaCha20Poly1305 => {
            aead::open::<ChaCha20Poly1305>(key.expose().into(), binding, payload, tag)
        }
        Suite::XChaCha20Poly1305 => {
            aead::open::<XChaCha20Poly1305>(key.expose().into(), binding, payload, tag)
        }
        Suite::AesCcm8 => aead::open::<AesCcm8>(key.first_half().into(), binding, payload, tag),
    };
    if opened.is_err() {
        payload.fill(0);
    }
    opened
}

/// Ciphertext and tag of a body; `None` if it is shorter than a tag.
fn split(suite: Suite, body: &[u8]) -> Option<(&[u8], &[u8])> {
    let tag_len_bytes = suite.tag_len_bytes();
    let text_len_bytes = body.len().checked_sub(tag_len_bytes)?;
    if suite.tag_is_first() {
        body.split_at_checked(tag_len_bytes).map(|(tag, text)| (text, tag))
    } else {
        body.split_at_checked(text_len_bytes)
    }
}

#[cfg(test)]
mod tests {
    /// Tags are compared in `tag.rs` and in the crates of the AEADs, both in constant time.
    /// Timing cannot be tested reliably, so the sources of this folder are: they compare
    /// lengths only.
    #[test]
    fn no_tag_is_compared_here() {
        let sources = [
            include_str!("mod.rs"),
            include_str!("aead.rs"),
            include_str!("aes_ctr_hmac.rs"),
            include_str!("aes_siv.rs"),
            include_str!("binding.rs"),
        ];
        for source in sources {
            let code = source.split("#[cfg(test)]").next().unwrap_or_default();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code.filter(|line| !line.contains(".len()")) {
                for comparison in
                    ["==", "!=", ".eq(", ".ne(", ".cmp(", "matches!", ".all(", ".any("]
                {
                    assert!(!line.contains(comparison), "{line}");
                }
            }
        }
    }
}
