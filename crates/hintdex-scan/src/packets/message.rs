//! Messages of SHA-256 as blocks of words.

use hintdex_wire::{KeyDerivation, PacketKey, SHA256_INITIAL};
use sha2::block_api::compress256;
use zeroize::Zeroizing;

pub(super) type Block = [u8; 64];

/// The length of the padding behind a message: a bit, and the length in bits.
const PADDING_LEN_BYTES: usize = 9;

/// The blocks of a message of so many bytes, with its padding.
pub(super) const fn count_blocks(len_bytes: usize) -> usize {
    (len_bytes + PADDING_LEN_BYTES).div_ceil(64)
}

/// Block `at` of the message `head ‖ text`, which follows the block of an HMAC key.
pub(super) fn block_of(head: &[u8], text: &[u8], at: usize) -> Block {
    let (mut block, begin) = ([0; 64], 64 * at);
    let len_bytes = head.len() + text.len();
    let mut put = |bytes: &[u8], begins: usize| {
        // What of these bytes is in the block.
        let skipped = begin.saturating_sub(begins);
        let place = begins.saturating_sub(begin);
        let rest = bytes.get(skipped..).unwrap_or_default();
        let to = block.get_mut(place..).unwrap_or_default();
        let len = rest.len().min(to.len());
        to.split_at_mut(len).0.copy_from_slice(rest.split_at(len).0);
    };
    put(head, 0);
    put(text, head.len());
    put(&[0x80], len_bytes);
    if at + 1 == count_blocks(len_bytes) {
        let len_bits = 8 * (64 + len_bytes as u64);
        if let Some(end) = block.last_chunk_mut() {
            *end = len_bits.to_be_bytes();
        }
    }
    block
}

/// The big-endian words of a block.
pub(super) fn words_of(block: &Block) -> [u32; 16] {
    let (chunks, _) = block.as_chunks::<4>();
    let mut words = [0; 16];
    words.iter_mut().zip(chunks).for_each(|(word, bytes)| *word = u32::from_be_bytes(*bytes));
    words
}

fn block_of_words(words: &[u32; 16]) -> Block {
    let mut block = [0; 64];
    let (chunks, _) = block.as_chunks_mut::<4>();
    chunks.iter_mut().zip(words).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
    block
}

/// The block of the outer hash: the digest of the inner one, padded.
pub(super) const fn outer_block(inner: &[u32; 8]) -> [u32; 16] {
    let [a, b, c, d, e, f, g, h] = *inner;
    [a, b, c, d, e, f, g, h, 0x8000_0000, 0, 0, 0, 0, 0, 0, 8 * (64 + 32)]
}

/// The outer hash of an HMAC.
fn finish(inner: &[u32; 8], mut outer: [u32; 8]) -> [u32; 8] {
    compress256(&mut outer, &[block_of_words(&outer_block(inner))]);
    outer
}

/// The words of a derived key.
pub(super) fn derive_words(KeyDerivation { state, message }: &KeyDerivation<'_>) -> [u32; 8] {
    let mut inner = *state.inner();
    compress256(&mut inner, &[block_of_words(message)]);
    finish(&inner, *state.outer())
}

/// A derived key.
pub(super) fn derive(derivation: &KeyDerivation<'_>) -> PacketKey {
    let words = Zeroizing::new(derive_words(derivation));
    let mut bytes = Zeroizing::new([0; 32]);
    let (chunks, _) = bytes.as_chunks_mut::<4>();
    chunks.iter_mut().zip(&*words).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
    PacketKey::copy_of(&bytes)
}

/// The HMAC of `head ‖ text` under the second half of a packet key.
pub(super) fn tag_of(key: &[u32; 8], head: &[u8], text: &[u8]) -> [u32; 8] {
    let [_, _, _, _, second @ ..] = key;
    let state_of = |pad: u32| {
        let mut words = [pad; 16];
        words.iter_mut().zip(second).for_each(|(word, key)| *word ^= key);
        let mut state = SHA256_INITIAL;
        compress256(&mut state, &[block_of_words(&words)]);
        state
    };
    let mut inner = state_of(0x3636_3636);
    for at in 0..count_blocks(head.len() + text.len()) {
        compress256(&mut inner, &[block_of(head, text, at)]);
    }
    finish(&inner, state_of(0x5c5c_5c5c))
}
