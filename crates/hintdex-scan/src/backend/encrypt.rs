//! Hints of points, pairs of slot and nonce: every key encrypts one block.

use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, MAX_HINT_LEN_BYTES, Nonce, Slot};

use super::backwards::{RCON, encrypt_by_last, round_keys, round_keys_by_last, step_forwards};
use super::lanes::{AesLanes, AesWork, Four, REGISTERS};
use super::{Block, PAIRS_PER_GROUP};

/// The stored key of a slot past the end of the table.
const NO_KEY: Block = [0; 16];

/// The stored key of a slot; a key of zeros past the end of the table.
#[inline(always)]
pub(crate) fn key_of(keys: &[Block], slot: Slot) -> &Block {
    keys.get(slot.index()).unwrap_or(&NO_KEY)
}

/// Writes the hint of each of `points` to its place in `hints`, a group of keys at a time. Keys
/// go from the table to registers, without a copy in memory.
pub(super) struct EncryptPoints<'a> {
    /// The stored keys of all slots.
    pub keys: &'a [Block],
    pub points: &'a [(Slot, Nonce)],
    pub hints: &'a mut [Hint],
    /// Whether the table stores last round keys, not the keys themselves.
    pub are_last: bool,
    pub scheme: HintScheme,
}

impl AesWork for EncryptPoints<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: AesLanes>(self, lanes: L) {
        let group_len = lanes.group_len();
        let groups = self.points.chunks(group_len).zip(self.hints.chunks_mut(group_len));
        for (points, hints) in groups {
            // The last group may be shorter; what is computed beyond its end is dropped.
            let point = |at| points.get(at).copied().unwrap_or((Slot(0), 0));
            let keys = lanes.load_each4(|at| key_of(self.keys, point(at).0));
            let plain = lanes.numbers4(|at| point(at).1);
            let made = if self.are_last {
                encrypt_by_last(lanes, keys, plain)
            } else {
                encrypt(lanes, lanes.transpose(keys), plain)
            };
            let mut blocks = [[0; 16]; PAIRS_PER_GROUP];
            lanes.store4(made, &mut blocks);
            write(self.scheme, &blocks, hints);
        }
    }
}

/// Writes the hints of the nonces from `first` on, all under one key: one key schedule.
pub(super) struct EncryptRun<'a> {
    /// The stored key.
    pub key: &'a Block,
    pub first: Nonce,
    pub hints: &'a mut [Hint],
    /// Whether `key` is the last round key, not the key itself.
    pub are_last: bool,
    pub scheme: HintScheme,
}

impl AesWork for EncryptRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: AesLanes>(self, lanes: L) {
        let key = lanes.splat(self.key);
        let keys =
            if self.are_last { round_keys_by_last(lanes, key) } else { round_keys(lanes, key) };
        let [whitening, inner @ .., last] = keys;
        let group_len = lanes.group_len();
        let mut first = self.first;
        for hints in self.hints.chunks_mut(group_len) {
            let plain = lanes.numbers4(|at| first.wrapping_add(at as u64));
            let mut state = lanes.xor4(plain, [whitening; REGISTERS]);
            for key in inner {
                state = lanes.enc4(state, [key; REGISTERS]);
            }
            let [a, b, c, d] = state;
            let made = [
                lanes.enc_last(a, last),
                lanes.enc_last(b, last),
                lanes.enc_last(c, last),
                lanes.enc_last(d, last),
            ];
            let mut blocks = [[0; 16]; PAIRS_PER_GROUP];
            lanes.store4(made, &mut blocks);
            write(self.scheme, &blocks, hints);
            first = first.wrapping_add(group_len as u64);
        }
    }
}

/// Encrypts each block under the AES-128 key beside it, in place. There are a multiple of
/// [`PAIRS_PER_GROUP`] of both.
pub(super) struct EncryptPairs<'a> {
    pub keys: &'a [Block],
    pub blocks: &'a mut [Block],
}

impl AesWork for EncryptPairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: AesLanes>(self, lanes: L) {
        let group_len = lanes.group_len();
        let groups = self.keys.chunks_exact(group_len);
        for (keys, blocks) in groups.zip(self.blocks.chunks_exact_mut(group_len)) {
            let (keys, plain) = (lanes.load4(keys), lanes.load4(blocks));
            lanes.store4(encrypt(lanes, lanes.transpose(keys), plain), blocks);
        }
    }
}

/// Writes the hint that each block begins with.
#[inline(always)]
pub(super) fn write(scheme: HintScheme, blocks: &[Block], hints: &mut [Hint]) {
    let places = hints.iter_mut().zip(blocks);
    if scheme.len_bytes() == MAX_HINT_LEN_BYTES {
        // Of any scheme with whole blocks: with a constant, this is a copy.
        places.for_each(|(hint, block)| *hint = Hint::of_block(HintScheme::Aes128, block));
    } else {
        places.for_each(|(hint, block)| *hint = Hint::of_block(scheme, block));
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

/// Writes the hints of `points` by the cipher crates.
pub(super) fn by_crate(
    scheme: HintScheme,
    keys: &[Block],
    points: &[(Slot, Nonce)],
    hints: &mut [Hint],
) {
    for ((slot, nonce), hint) in points.iter().zip(hints) {
        let cipher = HintCipher::new(scheme, &HintKey::copy_of(key_of(keys, *slot)));
        *hint = cipher.hint(*nonce).unwrap_or(Hint::ZERO);
    }
}

/// Writes the hints of the nonces from `first` on under one key, by the cipher crates; zeros past
/// the last nonce of the scheme.
pub(super) fn run_by_crate(scheme: HintScheme, key: &Block, first: Nonce, hints: &mut [Hint]) {
    let cipher = HintCipher::new(scheme, &HintKey::copy_of(key));
    hints.fill(Hint::ZERO);
    let nonces = first..first.saturating_add(hints.len() as u64);
    let mut places = hints.iter_mut();
    cipher.each_hint(nonces, |made| places.next().into_iter().for_each(|place| *place = made));
}
