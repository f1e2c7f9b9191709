//! SPECK64/128 backwards, under a different key for every block (Beaulieu et
//! al., IACR ePrint 2013/404).
//!
//! The table stores the state at the end of a key's schedule: the last round key and
//! the three words behind it. The schedule runs back from there while the block is
//! decrypted. Transposed, a register holds one word of four keys a lane. Two groups run
//! side by side, because the steps of one group depend on each other.

use hintdex_wire::{Hint, HintScheme, Nonce, Slot};

use super::encrypt::{key_of, write};
use super::lanes::{Four, Lanes, Schedule, WordLanes, WordWork};
use super::{Batch, Block, PAIRS_PER_GROUP, wipe};

/// The highest round number in a schedule.
const LAST_STEP: u32 = 25;

const ROUNDS: usize = 27;

/// Four big-endian words of a key, as the paper orders them: l₂ l₁ l₀ k₀.
fn key_words(key: &Block) -> [u32; 4] {
    let all = u128::from_be_bytes(*key);
    [96, 64, 32, 0].map(|shift| low_word(all >> shift))
}

#[expect(clippy::cast_possible_truncation, reason = "the lower 32 bits are what is asked for")]
const fn low_word(all: u128) -> u32 {
    all as u32
}

/// Four words in the byte order of a register.
fn block([a, b, c, d]: [u32; 4]) -> Block {
    let words = [d, c, b, a].map(u128::from);
    words.into_iter().fold(0, |all, word| all << 32 | word).to_le_bytes()
}

/// Converts a key to the end of its schedule: k₂₆, l₂₆, l₂₇, l₂₈.
pub(super) fn store(place: &mut Block) {
    let [mut l2, mut l1, mut l0, mut k] = key_words(place);
    for i in 0..=LAST_STEP {
        let l3 = l0.rotate_right(8).wrapping_add(k) ^ i;
        k = k.rotate_left(3) ^ l3;
        (l0, l1, l2) = (l1, l2, l3);
    }
    *place = block([k, l0, l1, l2]);
}

/// Converts the end of a schedule back to its key.
pub(super) fn restore(place: &mut Block) {
    let all = u128::from_le_bytes(*place);
    let [mut k, mut l0, mut l1, mut l2] = [0, 32, 64, 96].map(|shift| low_word(all >> shift));
    for i in (0..=LAST_STEP).rev() {
        k = (k ^ l2).rotate_right(3);
        let l = (l2 ^ i).wrapping_sub(k).rotate_left(8);
        (l0, l1, l2) = (l, l0, l1);
    }
    let words = [l2, l1, l0, k].map(u128::from);
    *place = words.into_iter().fold(0, |all, word| all << 32 | word).to_be_bytes();
}

/// The words x and y of a hint.
fn hint_words(hint: &Block) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h, ..] = *hint;
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

/// The schedules of a group, running from the last round key to the first.
#[derive(Clone, Copy)]
struct Backwards<L: Lanes> {
    lanes: L,
    k: L::V,
    /// The three words behind `k`, the newest last.
    l: [L::V; 3],
}

impl<L: WordLanes> Backwards<L> {
    #[inline(always)]
    fn new(lanes: L, stored: Four<L>) -> Self {
        let [k, l0, l1, l2] = lanes.transpose(stored);
        Self { lanes, k, l: [l0, l1, l2] }
    }

    /// Steps back to the round key of round `i`.
    #[inline(always)]
    fn step(&mut self, i: u32) -> L::V {
        let (lanes, [l0, l1, l2]) = (self.lanes, self.l);
        self.k = lanes.rotate_right_3(lanes.xor(self.k, l2));
        let l = lanes.sub(lanes.xor(l2, lanes.splat_word(i)), self.k);
        self.l = [lanes.rotate_left_8(l), l0, l1];
        self.k
    }
}

/// Blocks during decryption: words x and y.
#[derive(Clone, Copy)]
struct State<L: Lanes> {
    lanes: L,
    x: L::V,
    y: L::V,
}

impl<L: WordLanes> State<L> {
    #[inline(always)]
    fn splat(lanes: L, hint: &Hint) -> Self {
        let (x, y) = hint_words(hint.as_bytes());
        Self { lanes, x: lanes.splat_word(x), y: lanes.splat_word(y) }
    }

    /// Undoes a round.
    #[inline(always)]
    fn round(&mut self, k: L::V) {
        let lanes = self.lanes;
        self.y = lanes.rotate_right_3(lanes.xor(self.x, self.y));
        self.x = lanes.rotate_left_8(lanes.sub(lanes.xor(self.x, k), self.y));
    }

    /// Does a round.
    #[inline(always)]
    fn round_forwards(&mut self, k: L::V) {
        let lanes = self.lanes;
        self.x = lanes.xor(lanes.add(lanes.rotate_right_8(self.x), self.y), k);
        self.y = lanes.xor(lanes.rotate_left_3(self.y), self.x);
    }

    /// A bit for every block whose x is zero: 32 bits are compared.
    #[inline(always)]
    fn passing(&self) -> u32 {
        self.lanes.zero_words(self.x, self.lanes.splat_word(u32::MAX))
    }
}

/// Unrolls a statement for every step back: the words behind a key change places with
/// each step, and a loop would move them.
macro_rules! each_step_back {
    ($i:ident => $step:block) => {
        each_step_back!(
            $i => $step
            25 24 23 22 21 20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0
        )
    };
    ($i:ident => $step:block $($number:literal)+) => {$({
        const $i: u32 = $number;
        $step
    })+};
}

/// Decrypts the blocks of a group while its schedule runs back.
#[inline(always)]
fn decrypt<L: WordLanes>(mut key: Backwards<L>, mut state: State<L>) -> State<L> {
    state.round(key.k);
    each_step_back!(I => { state.round(key.step(I)); });
    state
}

/// Decrypts one hint under two groups side by side.
#[inline(always)]
fn decrypt_two<L: WordLanes>(
    (mut key, mut other_key): (Backwards<L>, Backwards<L>),
    hint: State<L>,
) -> (State<L>, State<L>) {
    let (mut state, mut other) = (hint, hint);
    state.round(key.k);
    other.round(other_key.k);
    each_step_back!(I => {
        state.round(key.step(I));
        other.round(other_key.step(I));
    });
    (state, other)
}

/// Sieves hints: see [`Kernel::sieve`](super::Kernel::sieve).
pub(super) struct Sieve<'a> {
    pub keys: &'a [Block],
    pub hints: &'a [Hint],
    pub maybe: &'a mut dyn FnMut(usize, usize),
}

impl WordWork for Sieve<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<L: WordLanes>(self, lanes: L) -> usize {
        let group_len = lanes.group_len();
        let groups = self.keys.chunks_exact(2 * group_len);
        let tried = self.keys.len() - groups.remainder().len();
        let mut schedule = (self.hints.len() > 1).then(Schedule::new);
        for (pair, number) in groups.zip(0..) {
            let first = number * 2 * group_len;
            let (one, other) = pair.split_at(group_len);
            let one = Backwards::new(lanes, lanes.load4(one));
            let other = Backwards::new(lanes, lanes.load4(other));
            if let [hint] = self.hints {
                let (one, other) = decrypt_two((one, other), State::splat(lanes, hint));
                lanes.each_place(one.passing(), |place| (self.maybe)(first + place, 0));
                let first = first + group_len;
                lanes.each_place(other.passing(), |place| (self.maybe)(first + place, 0));
            } else if let Some(schedule) = &mut schedule {
                expand(lanes, one, schedule);
                sieve_expanded(lanes, schedule, self.hints, first, self.maybe);
                expand(lanes, other, schedule);
                sieve_expanded(lanes, schedule, self.hints, first + group_len, self.maybe);
            }
        }
        tried
    }
}

/// Stores the schedule of a group, the last round key first.
#[inline(always)]
fn expand<L: WordLanes>(lanes: L, mut key: Backwards<L>, schedule: &mut Schedule) {
    schedule.put(lanes, 0, key.k);
    each_step_back!(I => { schedule.put(lanes, (LAST_STEP + 1 - I) as usize, key.step(I)); });
}

/// Sieves all hints, two side by side, under a group of keys whose schedule is stored
/// and whose first key has the index `first`.
#[inline(always)]
fn sieve_expanded<L: WordLanes>(
    lanes: L,
    schedule: &Schedule,
    hints: &[Hint],
    first: usize,
    maybe: &mut dyn FnMut(usize, usize),
) {
    for (pair, which) in hints.chunks(2).zip((0..).step_by(2)) {
        let ([one, other] | [one @ other]) = pair else { continue };
        let (mut state, mut other) = (State::splat(lanes, one), State::splat(lanes, other));
        for at in 0..ROUNDS {
            let key = schedule.get(lanes, at);
            state.round(key);
            other.round(key);
        }
        lanes.each_place(state.passing(), |place| maybe(first + place, which));
        if pair.len() > 1 {
            lanes.each_place(other.passing(), |place| maybe(first + place, which + 1));
        }
    }
}

/// Decrypts each hint of a batch under the key beside it and writes the plain blocks
/// as numbers to `nonces`, which has the length of the batch.
pub(super) struct DecryptBatch<'a> {
    pub batch: Batch<'a>,
    pub nonces: &'a mut [Nonce],
}

impl WordWork for DecryptBatch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: WordLanes>(self, lanes: L) {
        let group_len = lanes.group_len();
        let groups = self.batch.keys.chunks_exact(group_len);
        let groups = groups.zip(self.batch.hints.chunks_exact(group_len));
        let groups = groups.zip(self.nonces.chunks_exact_mut(group_len));
        for ((keys, hints), nonces) in groups.take(self.batch.len.div_ceil(group_len)) {
            let mut words = [[0; 16]; PAIRS_PER_GROUP];
            for (place, hint) in words.iter_mut().zip(hints) {
                let (x, y) = hint_words(hint);
                *place = block([x, y, 0, 0]);
            }
            let [x, y, zero, _] = lanes.transpose(lanes.load4(&words));
            let key = Backwards::new(lanes, lanes.load4(keys));
            let state = decrypt(key, State { lanes, x, y });
            lanes.store4(lanes.transpose([state.y, state.x, zero, zero]), &mut words);
            for (nonce, plain) in nonces.iter_mut().zip(words) {
                *nonce = Nonce::try_from(u128::from_le_bytes(plain)).unwrap_or(Nonce::MAX);
            }
        }
    }
}

/// Writes the hint of each of `points` to its place in `hints`.
pub(super) struct EncryptPoints<'a> {
    /// The stored keys of all slots.
    pub keys: &'a [Block],
    pub points: &'a [(Slot, Nonce)],
    pub hints: &'a mut [Hint],
}

impl WordWork for EncryptPoints<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: WordLanes>(self, lanes: L) {
        let group_len = lanes.group_len();
        let mut schedule = Schedule::new();
        let (mut keys, mut words) = ([[0; 16]; PAIRS_PER_GROUP], [[0; 16]; PAIRS_PER_GROUP]);
        let groups = self.points.chunks(group_len).zip(self.hints.chunks_mut(group_len));
        for (points, hints) in groups {
            for ((key, word), (slot, nonce)) in keys.iter_mut().zip(&mut words).zip(points) {
                *key = *key_of(self.keys, *slot);
                *word = block([0, u32::try_from(*nonce).unwrap_or(u32::MAX), 0, 0]);
            }
            expand(lanes, Backwards::new(lanes, lanes.load4(&keys)), &mut schedule);
            let [x, y, zero, _] = lanes.transpose(lanes.load4(&words));
            let mut state = State { lanes, x, y };
            for at in (0..ROUNDS).rev() {
                state.round_forwards(schedule.get(lanes, at));
            }
            let mut made = [[0; 16]; PAIRS_PER_GROUP];
            lanes.store4(lanes.transpose([state.x, state.y, zero, zero]), &mut made);
            for block in &mut made {
                let (x, y) = register_words(block);
                *block = (u128::from(x) << 96 | u128::from(y) << 64).to_be_bytes();
            }
            write(HintScheme::Speck64, &made, hints);
        }
        wipe(&mut keys);
    }
}

/// The first two words of a block in the byte order of a register.
const fn register_words(block: &Block) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h, ..] = *block;
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}
