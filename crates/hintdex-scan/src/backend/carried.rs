//! FF1 (NIST SP 800-38G) for the hints of `carry24`. Every key decrypts a hint once, ten blocks of
//! AES one after the other, and a group of keys does so side by side.
//!
//! The table stores the keys themselves.

use hintdex_wire::Hint;

use super::forwards::{encrypt_blocks, expand};
use super::lanes::{AesLanes, AesWork, Four, REGISTERS, Schedule};
use super::{Block, PAIRS_PER_GROUP, Window};

/// The first block of every round: *P* of the standard for strings of 24 bits without a tweak.
const FIRST: Block = [1, 2, 1, 0, 0, 2, ROUNDS, HALF_BITS, 0, 0, 0, 2 * HALF_BITS, 0, 0, 0, 0];
const ROUNDS: u8 = 10;
const HALF_BITS: u8 = 12;
const HALF_MASK: u16 = (1 << HALF_BITS) - 1;
const NONCE_MASK: u32 = (1 << (2 * HALF_BITS)) - 1;

/// One half of a string for each key of a group.
type Halves = [u16; PAIRS_PER_GROUP];

/// Decrypts hints under every key and compares the results with the windows: see
/// [`Kernel::sieve`](super::Kernel::sieve). Exact.
pub(super) struct SieveCarried<'a> {
    pub keys: &'a [Block],
    pub windows: &'a [Window],
    pub hints: &'a [Hint],
    pub maybe: &'a mut dyn FnMut(usize, usize),
}

impl AesWork for SieveCarried<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<L: AesLanes>(self, lanes: L) -> usize {
        let group_len = lanes.group_len();
        let groups = self.keys.chunks_exact(group_len);
        let tried = self.keys.len() - groups.remainder().len();
        let mut schedule = Schedule::new();
        let windows = self.windows.chunks_exact(group_len);
        for ((group, windows), number) in groups.zip(windows).zip(0..) {
            expand(lanes, group, &mut schedule);
            let first = encrypt_blocks(lanes, &schedule, [lanes.splat(&FIRST); REGISTERS]);
            for (hint, which) in self.hints.iter().zip(0..) {
                let [upper, lower] = decrypt(lanes, &schedule, first, hint);
                let low = upper
                    .iter()
                    .zip(&lower)
                    .map(|(upper, lower)| u32::from(*upper) << HALF_BITS | u32::from(*lower));
                for ((window, low), place) in windows.iter().zip(low).zip(0..) {
                    // How far the first nonce with these low bits is from the window's first.
                    let behind = low.wrapping_sub(window.first) & NONCE_MASK;
                    if behind < window.count {
                        (self.maybe)(number * group_len + place, which);
                    }
                }
            }
        }
        tried
    }
}

/// The halves of the nonce to which each key of a group decrypts `hint`.
#[inline(always)]
fn decrypt<L: AesLanes>(lanes: L, schedule: &Schedule, first: Four<L>, hint: &Hint) -> [Halves; 2] {
    let [x, y, z, ..] = hint.as_bytes().map(u16::from);
    let mut a = [x << 4 | y >> 4; PAIRS_PER_GROUP];
    let mut b = [(y & 0xf) << 8 | z; PAIRS_PER_GROUP];
    let mut blocks = [[0; 16]; PAIRS_PER_GROUP];
    for round in (0..ROUNDS).rev() {
        // The input of the standard: zeros, the round, and the half in two bytes.
        let half = |at: usize| a.get(at).copied().map_or(0, u64::from);
        let inputs = lanes.numbers4(|at| u64::from(round) << 16 | half(at));
        let made = encrypt_blocks(lanes, schedule, lanes.xor4(first, inputs));
        lanes.store4(made, &mut blocks);
        // The sum of the standard is the number in the first eight bytes, modulo 2^12.
        let halves = a.iter_mut().zip(&mut b).take(lanes.group_len());
        for ((a, b), block) in halves.zip(&blocks) {
            (*a, *b) = (b.wrapping_sub(low_half(block)) & HALF_MASK, *a);
        }
    }
    [a, b]
}

/// The low half of the number in the first eight bytes of a block.
#[inline(always)]
fn low_half([_, _, _, _, _, _, upper, lower, ..]: &Block) -> u16 {
    u16::from_be_bytes([*upper, *lower])
}
