//! The byte behind a `carry24` head: the upper bits of the nonce, masked.

use subtle::ConstantTimeEq;

use crate::mac::Derived;
use crate::{Nonce, PacketKey, mac};

/// The length of the head and of the byte that follows, in bytes.
const HEAD_LEN_BYTES: usize = 3;

/// `(nonce >> 24) ^ HMAC(second half of key, "carry:" ‖ head)[0]`.
pub(crate) fn rest(key: &PacketKey, head: &[u8], nonce: Nonce) -> u8 {
    let mut full = Derived::default();
    mac::finish_into(mac::keyed(key.second_half()), &[b"carry:", head], &mut full);
    let [mask, ..] = *full;
    let [_, _, _, _, upper, ..] = nonce.to_be_bytes();
    mask ^ upper
}

/// Whether the byte behind the head carries the upper bits of `nonce`. Without this, a packet
/// would open under every nonce with the same lower bits. Takes the same time for every byte.
pub(crate) fn is_right(key: &PacketKey, as_sent: &[u8], nonce: Nonce) -> bool {
    let (head, sent) = as_sent.split_at(as_sent.len().min(HEAD_LEN_BYTES));
    [rest(key, head, nonce)].ct_eq(sent).into()
}
