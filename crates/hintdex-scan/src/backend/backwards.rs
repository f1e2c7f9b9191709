//! AES-128 backwards, under a different key for every block (FIPS 197), for hints
//! that can be decrypted.
//!
//! The table stores the last round key of each key. The schedule runs back from there
//! to the first round key while the block is decrypted. Three properties make this
//! cheap:
//!
//! - Word 3 of the round keys obeys `a[i + 4] = a[i] ^ f(a[i + 1])`, counted from
//!   the last round key, where f is the one step that is not linear:
//!   `SubWord(RotWord(a)) ^ rcon`. Transposed, a register holds that word of four
//!   keys a lane, and one AES instruction does f for all of them. The other words
//!   follow by xors: word 2 is `a[i] ^ a[i + 1]`, word 1 `a[i] ^ a[i + 2]`, word 0
//!   `a[i] ^ a[i + 1] ^ a[i + 2] ^ a[i + 3]`.
//! - The instruction that decrypts a round needs `InvMixColumns` of the round key.
//!   `InvMixColumns` is linear, like all of the schedule but f, so its rows follow
//!   directly: each word is xored with the word before it, and word 0 with
//!   `InvMixColumns(f)`, which again is computed for four keys a lane at once.
//! - AES does not change if all columns of block and keys are rotated. Register r is
//!   kept rotated by r words, so that its word 0 lies at the place of the same key's
//!   word in the transposed register. No shuffle is needed.
//!
//! The sieve does not decrypt the last round. `SubBytes` and `ShiftRows` of the plain
//! block xored with the first round key must equal the state before that round. Of each
//! column, three bytes do not depend on a nonce of 32 bits, and two do not depend on a
//! nonce of 64 bits. Column 0 of four registers fits in one register, so 24 or 16 bits
//! are compared: one wrong key in 2²⁴ or 2¹⁶ passes, and is then decided exactly.

use hintdex_wire::{Hint, Nonce};

use super::lanes::{AesLanes, AesWork, Four, REGISTERS, Schedule};
use super::{Batch, Block, PAIRS_PER_GROUP};

/// The round constants, that of the last round first.
pub(super) const RCON: [u8; ROUNDS] = [0x36, 0x1b, 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01];

const ROUNDS: usize = 10;

/// The number of rounds whose key goes through `InvMixColumns`: all but the first and
/// the last.
const INNER_ROUNDS: usize = 9;

/// Undoes `ShiftRows`, so that `enc_last` is a plain `SubBytes`.
const UNSHIFT: Block = shuffle(0);

/// Undoes `ShiftRows` after `RotWord`.
const ROTATE_UNSHIFT: Block = shuffle(1);

/// The bytes of column 0 that do not depend on a nonce up to `max`: `ShiftRows` takes
/// row 3 from the block's last word and row 2 from the word before.
const fn sieved_bytes(max: Nonce) -> u32 {
    if max <= u32::MAX as Nonce { 0x00ff_ffff } else { 0x0000_ffff }
}

/// The shuffle table of `InvShiftRows` after a rotation of each word by `rotated` bytes.
const fn shuffle(rotated: usize) -> Block {
    let mut table = [0; 16];
    let mut at = 0;
    while at < 16 {
        let (column, row) = (at / 4, at % 4);
        #[expect(clippy::cast_possible_truncation, reason = "below 16")]
        #[expect(clippy::indexing_slicing, reason = "below 16, and at compile time")]
        {
            table[4 * ((column + row) % 4) + row] = (4 * column + (row + rotated) % 4) as u8;
        }
        at += 1;
    }
    table
}

/// `SubWord(RotWord(w)) ^ rcon` of every word.
#[inline(always)]
fn mix_word<L: AesLanes>(lanes: L, words: L::V, rcon: u8) -> L::V {
    let shuffled = lanes.shuffle_bytes(words, lanes.splat(&ROTATE_UNSHIFT));
    lanes.enc_last(shuffled, lanes.splat_word(rcon.into()))
}

/// `InvMixColumns(v)`: the `SubBytes` and `ShiftRows` of the two instructions cancel.
#[inline(always)]
fn inv_mix_columns<L: AesLanes>(lanes: L, v: L::V) -> L::V {
    let zero = lanes.splat_word(0);
    lanes.dec(lanes.enc_last(v, zero), zero)
}

#[inline(always)]
fn inv_mix_columns4<L: AesLanes>(lanes: L, rows: Four<L>) -> Four<L> {
    let [a, b, c, d] = rows;
    [
        inv_mix_columns(lanes, a),
        inv_mix_columns(lanes, b),
        inv_mix_columns(lanes, c),
        inv_mix_columns(lanes, d),
    ]
}

/// The schedules of a group, running from the last round key to the first.
struct Backwards<L: AesLanes> {
    lanes: L,
    /// `InvMixColumns` of the round key, register r rotated by r words.
    rows: Four<L>,
    /// Word 3 of this round key and of the three round keys before it.
    words: Four<L>,
}

impl<L: AesLanes> Backwards<L> {
    #[inline(always)]
    fn new(lanes: L, last: Four<L>) -> Self {
        let rows = lanes.rotate4(inv_mix_columns4(lanes, last));
        let [w0, w1, w2, w3] = lanes.transpose(last);
        let w32 = lanes.xor(w3, w2);
        let w31 = lanes.xor(w3, w1);
        let all = lanes.xor(w32, lanes.xor(w1, w0));
        Self { lanes, rows, words: [w3, w32, w31, all] }
    }

    /// Steps `words` back by one round; returns f of the new word 3.
    #[inline(always)]
    fn step_words(&mut self, rcon: u8) -> L::V {
        let [a0, a1, a2, a3] = self.words;
        let mixed = mix_word(self.lanes, a1, rcon);
        self.words = [a1, a2, a3, self.lanes.xor(a0, mixed)];
        mixed
    }

    /// Steps back by one round; returns `InvMixColumns` of that round key.
    #[inline(always)]
    fn step(&mut self, rcon: u8) -> Four<L> {
        let mixed = self.step_words(rcon);
        let word = inv_mix_columns(self.lanes, mixed);
        let [a, b, c, d] = self.rows;
        let shifted = [
            self.lanes.rotate_in(a, word, 0),
            self.lanes.rotate_in(b, word, 1),
            self.lanes.rotate_in(c, word, 2),
            self.lanes.rotate_in(d, word, 3),
        ];
        self.rows = self.lanes.xor4(self.rows, shifted);
        self.rows
    }

    /// All words of the round key whose word 3 is the first of `words`.
    #[inline(always)]
    fn all_words(&self) -> Four<L> {
        all_words(self.lanes, self.words)
    }

    /// After the inner rounds: the bytes on the diagonal of the first round key, which
    /// `ShiftRows` moves into column 0, in the order that `SubBytes` needs.
    #[inline(always)]
    fn first_column(mut self) -> L::V {
        let lanes = self.lanes;
        self.step_words(RCON[INNER_ROUNDS]);
        let [w0, w1, w2, _] = self.all_words();
        let column = lanes.select(
            lanes.splat_word(0xff),
            w0,
            lanes.select(lanes.splat_word(0xff00), w1, w2),
        );
        lanes.shuffle_bytes(column, lanes.splat(&UNSHIFT))
    }
}

/// All words of a round key, from its word 3 and that of the three round keys before it.
#[inline(always)]
fn all_words<L: AesLanes>(lanes: L, [a0, a1, a2, a3]: Four<L>) -> Four<L> {
    let w2 = lanes.xor(a0, a1);
    [lanes.xor(w2, lanes.xor(a2, a3)), lanes.xor(a0, a2), w2, a0]
}

/// A bit for every key of a group that passes. `state` is the result of the inner
/// rounds, and `first` that of [`Backwards::first_column`].
#[inline(always)]
fn passing<L: AesLanes>(lanes: L, state: Four<L>, first: L::V, sieved: u32) -> u32 {
    let rest = lanes.enc_last(first, lanes.diagonal(state));
    lanes.zero_words(rest, lanes.splat_word(sieved))
}

/// Sieves reversible hints: see [`Kernel::sieve`](super::Kernel::sieve).
pub(super) struct SieveBackwards<'a> {
    pub keys: &'a [Block],
    pub hints: &'a [Hint],
    /// The highest nonce of the scheme.
    pub max_nonce: Nonce,
    pub maybe: &'a mut dyn FnMut(usize, usize),
}

impl AesWork for SieveBackwards<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<L: AesLanes>(self, lanes: L) -> usize {
        let sieved = sieved_bytes(self.max_nonce);
        let groups = self.keys.chunks_exact(lanes.group_len());
        let tried = self.keys.len() - groups.remainder().len();
        if let [hint] = self.hints {
            let hint = lanes.splat(hint.as_bytes());
            let hint = lanes.rotate4([hint; 4]);
            for (group, number) in groups.zip(0..) {
                let bits = sieve_one(lanes, lanes.load4(group), hint, sieved);
                let first = number * lanes.group_len();
                lanes.each_place(bits, |place| (self.maybe)(first + place, 0));
            }
        } else {
            let mut schedule = Schedule::new();
            for (group, number) in groups.zip(0..) {
                let column = expand_backwards(lanes, lanes.load4(group), &mut schedule);
                let first = number * lanes.group_len();
                for (hint, which) in self.hints.iter().zip(0..) {
                    let bits = sieve_expanded(lanes, &schedule, column, hint, sieved);
                    lanes.each_place(bits, |place| (self.maybe)(first + place, which));
                }
            }
        }
        tried
    }
}

/// Sieves one hint under a group of keys while the schedule runs back.
#[inline(always)]
fn sieve_one<L: AesLanes>(lanes: L, last: Four<L>, hint: Four<L>, sieved: u32) -> u32 {
    let mut schedule = Backwards::new(lanes, last);
    let mut state = lanes.xor4(hint, lanes.rotate4(last));
    for rcon in RCON.into_iter().take(INNER_ROUNDS) {
        state = lanes.dec4(state, schedule.step(rcon));
    }
    passing(lanes, state, schedule.first_column(), sieved)
}

/// Stores the schedule of a group; returns its [`Backwards::first_column`].
#[inline(always)]
fn expand_backwards<L: AesLanes>(lanes: L, last: Four<L>, schedule: &mut Schedule) -> L::V {
    let mut backwards = Backwards::new(lanes, last);
    schedule.put4(lanes, 0, lanes.rotate4(last));
    for (rcon, round) in RCON.into_iter().take(INNER_ROUNDS).zip(1..) {
        schedule.put4(lanes, round, backwards.step(rcon));
    }
    backwards.first_column()
}

/// Sieves one hint under a group of keys whose schedule is stored.
#[inline(always)]
fn sieve_expanded<L: AesLanes>(
    lanes: L,
    schedule: &Schedule,
    column: L::V,
    hint: &Hint,
    sieved: u32,
) -> u32 {
    let hint = lanes.splat(hint.as_bytes());
    let mut state = lanes.xor4(lanes.rotate4([hint; 4]), schedule.get4(lanes, 0));
    for round in 1..=INNER_ROUNDS {
        state = lanes.dec4(state, schedule.get4(lanes, round));
    }
    passing(lanes, state, column, sieved)
}

/// Decrypts each hint of a batch under the key beside it and writes the plain blocks
/// as numbers to `nonces`, which has the length of the batch.
pub(super) struct DecryptBatch<'a> {
    pub batch: Batch<'a>,
    pub nonces: &'a mut [Nonce],
}

impl AesWork for DecryptBatch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: AesLanes>(self, lanes: L) {
        let group_len = lanes.group_len();
        let groups = self.batch.keys.chunks_exact(group_len);
        let groups = groups.zip(self.batch.hints.chunks_exact(group_len));
        let groups = groups.zip(self.nonces.chunks_exact_mut(group_len));
        for ((keys, hints), nonces) in groups.take(self.batch.len.div_ceil(group_len)) {
            let mut plains = [[0; 16]; PAIRS_PER_GROUP];
            decrypt(lanes, lanes.load4(keys), lanes.load4(hints), &mut plains);
            for (nonce, plain) in nonces.iter_mut().zip(plains) {
                *nonce = Nonce::try_from(u128::from_be_bytes(plain)).unwrap_or(Nonce::MAX);
            }
        }
    }
}

/// Decrypts each block under the key beside it.
#[inline(always)]
fn decrypt<L: AesLanes>(lanes: L, last: Four<L>, blocks: Four<L>, plains: &mut [Block]) {
    let mut schedule = Backwards::new(lanes, last);
    let mut state = lanes.rotate4(lanes.xor4(blocks, last));
    for rcon in RCON.into_iter().take(INNER_ROUNDS) {
        state = lanes.dec4(state, schedule.step(rcon));
    }
    schedule.step_words(RCON[INNER_ROUNDS]);
    let [k0, k1, k2, k3] = lanes.transpose(schedule.all_words());
    let [s0, s1, s2, s3] = state;
    let rows = [
        lanes.dec_last(s0, k0),
        lanes.dec_last(lanes.rotate(s1, 3), k1),
        lanes.dec_last(lanes.rotate(s2, 2), k2),
        lanes.dec_last(lanes.rotate(s3, 1), k3),
    ];
    lanes.store4(rows, plains);
}

/// Converts keys to their last round keys, or back, in place.
pub(super) struct Convert<'a> {
    pub blocks: &'a mut [Block],
    pub to_keys: bool,
}

impl AesWork for Convert<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: AesLanes>(self, lanes: L) {
        // Room for a whole group: the last group of blocks may be shorter.
        let mut room = Schedule::new();
        for group in self.blocks.chunks_mut(lanes.group_len()) {
            room.blocks_mut().iter_mut().zip(&*group).for_each(|(to, from)| *to = *from);
            let rows = room.get4(lanes, 0);
            let rows = if self.to_keys {
                first_round_keys(lanes, rows)
            } else {
                last_round_keys(lanes, rows)
            };
            room.put4(lanes, 0, rows);
            group.iter_mut().zip(room.blocks_mut()).for_each(|(to, from)| *to = *from);
        }
    }
}

#[inline(always)]
fn last_round_keys<L: AesLanes>(lanes: L, keys: Four<L>) -> Four<L> {
    let mut words = lanes.transpose(keys);
    for rcon in RCON.into_iter().rev() {
        words = step_forwards(lanes, words, rcon);
    }
    lanes.transpose(words)
}

#[inline(always)]
fn first_round_keys<L: AesLanes>(lanes: L, last: Four<L>) -> Four<L> {
    let mut schedule = Backwards::new(lanes, last);
    for rcon in RCON {
        schedule.step_words(rcon);
    }
    lanes.transpose(schedule.all_words())
}

/// Encrypts each block under the key whose last round key is given.
///
/// The schedule runs back first, and only word 3 of the round keys is computed by f. A step
/// needs the word of three steps before, so three steps overlap; forwards, each step waits
/// for the one before. The other words follow by xors.
#[inline(always)]
pub(super) fn encrypt_by_last<L: AesLanes>(lanes: L, last: Four<L>, plain: Four<L>) -> Four<L> {
    let mut schedule = Backwards::new(lanes, last);
    let mut words = [schedule.words; ROUNDS + 1];
    for (place, rcon) in words.iter_mut().skip(1).zip(RCON) {
        schedule.step_words(rcon);
        *place = schedule.words;
    }
    let [_, inner @ .., first] = words;
    let mut state = lanes.xor4(plain, lanes.transpose(all_words(lanes, first)));
    for words in inner.into_iter().rev() {
        state = lanes.enc4(state, lanes.transpose(all_words(lanes, words)));
    }
    let ([a, b, c, d], [e, f, g, h]) = (state, last);
    [lanes.enc_last(a, e), lanes.enc_last(b, f), lanes.enc_last(c, g), lanes.enc_last(d, h)]
}

/// All round keys of the key whose last round key is in every lane of `last`.
#[inline(always)]
pub(super) fn round_keys_by_last<L: AesLanes>(lanes: L, last: L::V) -> [L::V; ROUNDS + 1] {
    let mut keys = [last; ROUNDS + 1];
    let mut schedule = Backwards::new(lanes, [last; REGISTERS]);
    for (key, rcon) in keys.iter_mut().rev().skip(1).zip(RCON) {
        schedule.step_words(rcon);
        [*key, ..] = lanes.transpose(schedule.all_words());
    }
    keys
}

/// All round keys of the key in every lane of `first`.
#[inline(always)]
pub(super) fn round_keys<L: AesLanes>(lanes: L, first: L::V) -> [L::V; ROUNDS + 1] {
    let mut keys = [first; ROUNDS + 1];
    let mut words = lanes.transpose([first; REGISTERS]);
    for (key, rcon) in keys.iter_mut().skip(1).zip(RCON.into_iter().rev()) {
        words = step_forwards(lanes, words, rcon);
        [*key, ..] = lanes.transpose(words);
    }
    keys
}

/// The words of the round key that follows the round key with `words`.
#[inline(always)]
pub(super) fn step_forwards<L: AesLanes>(lanes: L, words: Four<L>, rcon: u8) -> Four<L> {
    let [w0, w1, w2, w3] = words;
    let w0 = lanes.xor(w0, mix_word(lanes, w3, rcon));
    let w1 = lanes.xor(w1, w0);
    let w2 = lanes.xor(w2, w1);
    [w0, w1, w2, lanes.xor(w3, w2)]
}
