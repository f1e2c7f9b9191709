//! Hints of pairs of key and nonce: every key encrypts one block.

use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Nonce};

use super::backwards::{RCON, encrypt_by_last, step_forwards};
use super::lanes::{AesLanes, AesWork, Four};
use super::{Block, PAIRS_PER_GROUP};

/// Encrypts each block under the AES-128 key beside it, in place: whole groups of them, until
/// `len` are encrypted. There are a multiple of [`PAIRS_PER_GROUP`] of both.
pub(super) struct EncryptBatch<'a> {
    pub keys: &'a [Block],
    pub blocks: &'a mut [Block],
    /// Whether the table stores last round keys, not the keys themselves.
    pub are_last: bool,
    pub len: usize,
}

impl AesWork for EncryptBatch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: AesLanes>(self, lanes: L) {
        let group_len = lanes.group_len();
        let groups = self.keys.chunks_exact(group_len);
        let groups = groups.zip(self.blocks.chunks_exact_mut(group_len));
        for (keys, blocks) in groups.take(self.len.div_ceil(group_len)) {
            let (keys, plain) = (lanes.load4(keys), lanes.load4(blocks));
            let made = if self.are_last {
                encrypt_by_last(lanes, keys, plain)
            } else {
                encrypt(lanes, lanes.transpose(keys), plain)
            };
            lanes.store4(made, blocks);
        }
    }
}

/// Encrypts four registers of blocks while the schedule of their keys runs on from the
/// first round key, whose transposed words are `words`.
#[inline(always)]
fn encrypt<L: AesLanes>(lanes: L, mut words: Four<L>, plain: Four<L>) -> Four<L> {
    let mut state = lanes.xor4(plain, lanes.transpose(words));
    let [last, inner @ ..] = RCON;
    for rcon in inner.into_iter().rev() {
        words = step_forwards(lanes, words, rcon);
        state = lanes.enc4(state, lanes.transpose(words));
    }
    let [a, b, c, d] = state;
    let [e, f, g, h] = lanes.transpose(step_forwards(lanes, words, last));
    [lanes.enc_last(a, e), lanes.enc_last(b, f), lanes.enc_last(c, g), lanes.enc_last(d, h)]
}

/// Writes the hint of each pair of key and nonce, by the cipher crates.
pub(super) fn by_crate(scheme: HintScheme, keys: &[Block], nonces: &[Nonce], hints: &mut [Hint]) {
    for ((key, nonce), hint) in keys.iter().zip(nonces).zip(hints) {
        let cipher = HintCipher::new(scheme, &HintKey::copy_of(key));
        *hint = cipher.hint(*nonce).unwrap_or(Hint::ZERO);
    }
}

/// The plain blocks of nonces; zero past the last nonce.
pub(super) fn plain_blocks(nonces: &[Nonce]) -> [Block; PAIRS_PER_GROUP] {
    let mut blocks = [[0; 16]; PAIRS_PER_GROUP];
    for (block, nonce) in blocks.iter_mut().zip(nonces) {
        *block = u128::from(*nonce).to_be_bytes();
    }
    blocks
}
