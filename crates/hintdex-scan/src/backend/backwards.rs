//! AES-128 backwards, under a different key for every block (FIPS 197), for hints
//! that can be decrypted.
//!
//! What is stored of a key is its last round key, and the schedule runs from there to the first while the block
//! is decrypted. Three things make it cheap:
//!
//! - Word 3 of the round keys obeys `a[i + 4] = a[i] ^ f(a[i + 1])`, counted from
//!   the last round key, where f is the one step that is not linear:
//!   `SubWord(RotWord(a)) ^ rcon`. Transposed, a register holds that word of four
//!   keys a lane, and one AES instruction does f for all of them. The other words
//!   follow by xors: word 2 is `a[i] ^ a[i + 1]`, word 1 `a[i] ^ a[i + 2]`, word 0
//!   `a[i] ^ a[i + 1] ^ a[i + 2] ^ a[i + 3]`.
//! - The instruction that decrypts a round wants `InvMixColumns` of the round
//!   key. That is linear like all of the schedule but f, so rows of it move on by
//!   themselves: each word is xored with the one before it, and word 0 with
//!   `InvMixColumns(f)`, which again is made for four keys a lane at once.
//! - AES does not change when all columns of block and keys are rotated. Register
//!   r is kept rotated by r words, so that its word 0 lies where the transposed
//!   register has the word of the same key: no shuffle brings it there.
//!
//! The last round is not decrypted to sieve. `SubBytes` and `ShiftRows` of the
//! plain block xored with the first round key must equal the state before it, and
//! of each column three bytes do not depend on a nonce of 32 bits, two not on one
//! of 64. Column 0 of four registers fits in one, so 24 or 16 bits are compared: one
//! key in 2²⁴ or 2¹⁶ passes that should not, and is decided exactly.

use hintdex_wire::{Hint, Nonce};

use super::lanes::{AesLanes, AesWork, Four, Schedule};
use super::{Batch, Block, PAIRS_PER_GROUP};

/// The round constants, those of the last round first.
pub(super) const RCON: [u8; ROUNDS] = [0x36, 0x1b, 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01];

const ROUNDS: usize = 10;

/// Rounds whose key goes through `InvMixColumns`: all but the first and the last.
const INNER_ROUNDS: usize = 9;

/// Undoes `ShiftRows`: makes `enc_last` a plain `SubBytes`.
const UNSHIFT: Block = shuffle(0);

/// The same after `RotWord`.
const ROTATE_UNSHIFT: Block = shuffle(1);

/// The bytes of column 0 that do not depend on a nonce up to `max`: `ShiftRows`
/// brings its row 3 from the block's last word and its row 2 from the one before.
const fn sieved_bytes(max: Nonce) -> u32 {
    if max <= u32::MAX as Nonce { 0x00ff_ffff } else { 0x0000_ffff }
}

/// The table of `InvShiftRows` after each word was rotated by `rotated` bytes.
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

/// `InvMixColumns(v)`: the two middle steps undo one another.
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
    /// Word 3 of this round key and of the three before it.
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

    /// Moves `words` on by one round; returns f of the new word 3.
    #[inline(always)]
    fn step_words(&mut self, rcon: u8) -> L::V {
        let [a0, a1, a2, a3] = self.words;
        let mixed = mix_word(self.lanes, a1, rcon);
        self.words = [a1, a2, a3, self.lanes.xor(a0, mixed)];
        mixed
    }

    /// `InvMixColumns` of the round key before this one.
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

    /// The words of the round key that `words` stands at.
    #[inline(always)]
    fn all_words(&self) -> Four<L> {
        let (lanes, [a0, a1, a2, a3]) = (self.lanes, self.words);
        let w2 = lanes.xor(a0, a1);
        [lanes.xor(w2, lanes.xor(a2, a3)), lanes.xor(a0, a2), w2, a0]
    }

    /// After the inner rounds: the bytes on the diagonal of the first round key,
    /// those that `ShiftRows` brings into column 0, ready for `SubBytes`.
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

/// A bit for every key of a group that passes, where `state` is what the inner
/// rounds left and `first` is from [`Backwards::first_column`].
#[inline(always)]
fn passing<L: AesLanes>(lanes: L, state: Four<L>, first: L::V, sieved: u32) -> u32 {
    let rest = lanes.enc_last(first, lanes.diagonal(state));
    lanes.zero_words(rest, lanes.splat_word(sieved))
}

/// Sieves reversible hints: see [`Kernel::sieve`](super::Kernel::sieve).
pub(super) struct SieveBackwards<'a> {
    pub keys: &'a [Block],
    pub hints: &'a [Hint],
    /// The last nonce there is.
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

/// One hint under a group of keys, the schedule made on the way.
#[inline(always)]
fn sieve_one<L: AesLanes>(lanes: L, last: Four<L>, hint: Four<L>, sieved: u32) -> u32 {
    let mut schedule = Backwards::new(lanes, last);
    let mut state = lanes.xor4(hint, lanes.rotate4(last));
    for rcon in RCON.into_iter().take(INNER_ROUNDS) {
        state = lanes.dec4(state, schedule.step(rcon));
    }
    passing(lanes, state, schedule.first_column(), sieved)
}

/// Writes the schedule of a group down; returns its [`Backwards::first_column`].
#[inline(always)]
fn expand_backwards<L: AesLanes>(lanes: L, last: Four<L>, schedule: &mut Schedule) -> L::V {
    let mut backwards = Backwards::new(lanes, last);
    schedule.put4(lanes, 0, lanes.rotate4(last));
    for (rcon, round) in RCON.into_iter().take(INNER_ROUNDS).zip(1..) {
        schedule.put4(lanes, round, backwards.step(rcon));
    }
    backwards.first_column()
}

/// One hint under a group of keys whose schedule is written down.
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

/// Decrypts each hint of a batch under the key beside it. `nonces` is as long as
/// the batch is, and gets what the plain blocks are as numbers.
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

/// Makes the last round keys of keys, or the other way round, in place.
pub(super) struct Convert<'a> {
    pub blocks: &'a mut [Block],
    pub to_keys: bool,
}

impl AesWork for Convert<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: AesLanes>(self, lanes: L) {
        // A whole group, which may be longer than what is left of the blocks.
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

/// The words of the round key after the one with these.
#[inline(always)]
pub(super) fn step_forwards<L: AesLanes>(lanes: L, words: Four<L>, rcon: u8) -> Four<L> {
    let [w0, w1, w2, w3] = words;
    let w0 = lanes.xor(w0, mix_word(lanes, w3, rcon));
    let w1 = lanes.xor(w1, w0);
    let w2 = lanes.xor(w2, w1);
    [w0, w1, w2, lanes.xor(w3, w2)]
}
