//! AES-128 forwards, for hints that cannot be reversed. The table stores the keys
//! themselves. The schedule of a group is expanded once, and every expected nonce is
//! encrypted under it and compared.

use hintdex_wire::{Hint, Nonce};

use super::backwards::{RCON, step_forwards};
use super::lanes::{AesLanes, AesWork, Four, Schedule};
use super::{Batch, Block, PAIRS_PER_GROUP, Window, wipe};

/// The number of rounds of AES-128, which is the index of the last round key.
const ROUNDS: usize = 10;

/// The shuffle tables that move word r of a transposed register to word 3 of a block,
/// in big-endian order. The other words become zero.
const PLACES: [Block; 4] = [place(0), place(1), place(2), place(3)];

#[expect(clippy::cast_possible_truncation, reason = "below 16")]
const fn place(word: usize) -> Block {
    let first = 4 * word as u8;
    let no = 0x80;
    [no, no, no, no, no, no, no, no, no, no, no, no, first + 3, first + 2, first + 1, first]
}

/// Stores the schedule of a group of keys.
#[inline(always)]
pub(super) fn expand<L: AesLanes>(lanes: L, keys: &[Block], schedule: &mut Schedule) {
    let rows = lanes.load4(keys);
    schedule.put4(lanes, 0, rows);
    let mut words = lanes.transpose(rows);
    for (rcon, round) in RCON.into_iter().rev().zip(1..) {
        words = step_forwards(lanes, words, rcon);
        schedule.put4(lanes, round, lanes.transpose(words));
    }
}

/// The hints of `nonces`: a transposed register with one nonce for each key of a group.
#[inline(always)]
fn encrypt<L: AesLanes>(lanes: L, schedule: &Schedule, nonces: L::V) -> Four<L> {
    let [p0, p1, p2, p3] = PLACES;
    let plain = [
        lanes.shuffle_bytes(nonces, lanes.splat(&p0)),
        lanes.shuffle_bytes(nonces, lanes.splat(&p1)),
        lanes.shuffle_bytes(nonces, lanes.splat(&p2)),
        lanes.shuffle_bytes(nonces, lanes.splat(&p3)),
    ];
    encrypt_blocks(lanes, schedule, plain)
}

/// Encrypts a block under each key of a group.
#[inline(always)]
pub(super) fn encrypt_blocks<L: AesLanes>(
    lanes: L,
    schedule: &Schedule,
    plain: Four<L>,
) -> Four<L> {
    let mut state = lanes.xor4(plain, schedule.get4(lanes, 0));
    for round in 1..ROUNDS {
        state = lanes.enc4(state, schedule.get4(lanes, round));
    }
    let ([a, b, c, d], [e, f, g, h]) = (state, schedule.get4(lanes, ROUNDS));
    [lanes.enc_last(a, e), lanes.enc_last(b, f), lanes.enc_last(c, g), lanes.enc_last(d, h)]
}

/// The first nonces of a group's windows as a transposed register, and the length of
/// the longest window.
#[inline(always)]
fn first_nonces<L: AesLanes>(lanes: L, windows: &[Window]) -> (L::V, u32) {
    let mut words = [[0; 4]; PAIRS_PER_GROUP / 4];
    for (lane, word) in words.iter_mut().zip(0..) {
        for (place, r) in lane.iter_mut().zip(0..) {
            *place = windows.get(r * L::COUNT + word).map_or(0, |window| window.first);
        }
    }
    let blocks = words.map(|[a, b, c, d]| {
        let words = [a, b, c, d].map(u128::from);
        words.into_iter().rev().fold(0, |all, word| all << 32 | word).to_le_bytes()
    });
    (lanes.load(&blocks), windows.iter().map(|window| window.count).max().unwrap_or(0))
}

/// Word 0 of a hint in the byte order of a register.
fn first_word(hint: &Hint) -> u32 {
    let [a, b, c, d, ..] = *hint.as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Sieves truncated hints by their first four bytes: see
/// [`Kernel::sieve`](super::Kernel::sieve).
pub(super) struct SieveForwards<'a> {
    pub keys: &'a [Block],
    pub windows: &'a [Window],
    pub hints: &'a [Hint],
    pub maybe: &'a mut dyn FnMut(usize, usize),
}

impl AesWork for SieveForwards<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<L: AesLanes>(self, lanes: L) -> usize {
        let groups = self.keys.chunks_exact(lanes.group_len());
        let tried = self.keys.len() - groups.remainder().len();
        let (every, one) = (lanes.splat_word(u32::MAX), lanes.splat_word(1));
        let mut schedule = Schedule::new();
        // A key may match a hint with several nonces, and is reported once.
        let mut named: Vec<(usize, usize)> = Vec::new();
        for ((group, windows), number) in
            groups.zip(self.windows.chunks_exact(lanes.group_len())).zip(0..)
        {
            expand(lanes, group, &mut schedule);
            named.clear();
            let (mut nonces, longest) = first_nonces(lanes, windows);
            for _ in 0..longest {
                let [made, ..] = lanes.transpose(encrypt(lanes, &schedule, nonces));
                nonces = lanes.add(nonces, one);
                for (hint, which) in self.hints.iter().zip(0..) {
                    let differences = lanes.xor(made, lanes.splat_word(first_word(hint)));
                    let bits = lanes.zero_words(differences, every);
                    lanes.each_place(bits, |place| {
                        if !named.contains(&(place, which)) {
                            named.push((place, which));
                            (self.maybe)(number * lanes.group_len() + place, which);
                        }
                    });
                }
            }
        }
        tried
    }
}

/// Decides pairs of a key and a truncated hint: see
/// [`Kernel::decide`](super::Kernel::decide).
pub(super) struct DecideForwards<'a> {
    pub batch: Batch<'a>,
    /// 0xff at each byte of a hint, 0 at the padding.
    pub mask: Block,
    pub found: &'a mut dyn FnMut(usize, Nonce),
}

impl AesWork for DecideForwards<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: AesLanes>(self, lanes: L) {
        let group_len = lanes.group_len();
        let (mask, one) = (lanes.splat(&self.mask), lanes.splat_word(1));
        let mut schedule = Schedule::new();
        let mut matches: Vec<(usize, Nonce)> = Vec::new();
        for first in (0..self.batch.len).step_by(group_len) {
            let pairs = first..first + group_len;
            let keys = self.batch.keys.get(pairs.clone()).unwrap_or_default();
            let hints = lanes.load4(self.batch.hints.get(pairs.clone()).unwrap_or_default());
            // The entries beyond the last pair belong to earlier pairs.
            let pairs = first..self.batch.len.min(pairs.end);
            let windows = self.batch.windows.get(pairs).unwrap_or_default();
            expand(lanes, keys, &mut schedule);
            let (mut nonces, longest) = first_nonces(lanes, windows);
            for step in 0..longest {
                let differences = lanes.xor4(encrypt(lanes, &schedule, nonces), hints);
                nonces = lanes.add(nonces, one);
                for place in equal_blocks(lanes, differences, mask) {
                    let window = windows.get(place).filter(|window| step < window.count);
                    if let Some(window) = window {
                        matches
                            .push((first + place, Nonce::from(window.first) + Nonce::from(step)));
                    }
                }
            }
        }
        matches.sort_unstable();
        matches.into_iter().for_each(|(pair, nonce)| (self.found)(pair, nonce));
    }
}

/// The places in a group of the blocks that are zero in the bits of `mask`.
#[inline(always)]
fn equal_blocks<L: AesLanes>(
    lanes: L,
    differences: Four<L>,
    mask: L::V,
) -> impl Iterator<Item = usize> {
    let [a, b, c, d] = differences;
    let zero = [
        lanes.zero_words(a, mask),
        lanes.zero_words(b, mask),
        lanes.zero_words(c, mask),
        lanes.zero_words(d, mask),
    ];
    // Four bits a lane; bit r of a lane's four says that register r's block is zero.
    let all = |bits: u32| bits & bits >> 1 & bits >> 2 & bits >> 3 & 0x1111;
    let [a, b, c, d] = zero.map(all);
    let mut bits = a | b << 1 | c << 2 | d << 3;
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros())?;
        bits &= bits - 1;
        Some(lanes.place(bit))
    })
}

/// Encrypts the same nonces under every key and compares the last word of each result
/// with the expected word.
pub(super) struct SieveEncrypted<'a> {
    pub keys: &'a [Block],
    /// The nonces to encrypt, each with the expected last word of the result.
    pub trials: &'a [(u32, u32)],
    /// The compared bits of the last word, in the byte order of a register.
    pub mask: u32,
    pub found: &'a mut dyn FnMut(usize, usize),
}

impl AesWork for SieveEncrypted<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: AesLanes>(self, lanes: L) {
        let group_len = lanes.group_len();
        let mask = lanes.splat_word(self.mask);
        let mut schedule = Schedule::new();
        for (group, number) in self.keys.chunks(group_len).zip(0..) {
            if group.len() == group_len {
                expand(lanes, group, &mut schedule);
            } else {
                let mut room = [[0; 16]; PAIRS_PER_GROUP];
                room.iter_mut().zip(group).for_each(|(to, from)| *to = *from);
                expand(lanes, &room, &mut schedule);
                wipe(&mut room);
            }
            for ((plain, word), which) in self.trials.iter().zip(0..) {
                let made = encrypt(lanes, &schedule, lanes.splat_word(*plain));
                let [.., made] = lanes.transpose(made);
                let bits = lanes.zero_words(lanes.xor(made, lanes.splat_word(*word)), mask);
                lanes.each_place(bits, |place| {
                    if place < group.len() {
                        (self.found)(number * group_len + place, which);
                    }
                });
            }
        }
    }
}
