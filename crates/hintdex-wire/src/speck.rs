//! SPECK64/128: the block cipher of short reversible hints.
//!
//! Beaulieu, Shors, Smith, Treatman-Clark, Weeks, Wingers, "The SIMON and SPECK
//! Families of Lightweight Block Ciphers", IACR ePrint 2013/404, section 4. The
//! cipher uses additions, rotations and xors only: no table and no branch depends on
//! the key.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// The number of rounds of SPECK64/128.
const ROUNDS: usize = 27;

/// A block: the two words that the paper calls x and y.
pub type Block = (u32, u32);

/// The schedule of a key. Zeroized on drop, and never copied: each round borrows its key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Speck64 {
    round_keys: [u32; ROUNDS],
}

impl Speck64 {
    /// Schedules `key`: the big-endian words l₂ l₁ l₀ k₀ in the paper's order.
    pub fn new(key: &[u8; 16]) -> Self {
        let [mut l2, mut l1, mut l0, mut k] = words(key);
        let mut round_keys = [0; ROUNDS];
        for (round_key, i) in round_keys.iter_mut().zip(0u32..) {
            *round_key = k;
            let l3 = l0.rotate_right(8).wrapping_add(k) ^ i;
            k = k.rotate_left(3) ^ l3;
            (l0, l1, l2) = (l1, l2, l3);
        }
        Self { round_keys }
    }

    /// Encrypts `N` blocks side by side, which hides the latency of each block.
    pub fn encrypt<const N: usize>(&self, blocks: &mut [Block; N]) {
        for k in &self.round_keys {
            for (x, y) in blocks.iter_mut() {
                *x = x.rotate_right(8).wrapping_add(*y) ^ k;
                *y = y.rotate_left(3) ^ *x;
            }
        }
    }

    /// Decrypts `N` blocks side by side.
    pub fn decrypt<const N: usize>(&self, blocks: &mut [Block; N]) {
        for k in self.round_keys.iter().rev() {
            for (x, y) in blocks.iter_mut() {
                *y = (*y ^ *x).rotate_right(3);
                *x = (*x ^ k).wrapping_sub(*y).rotate_left(8);
            }
        }
    }
}

/// Sixteen bytes as four big-endian words.
const fn words(bytes: &[u8; 16]) -> [u32; 4] {
    let all = u128::from_be_bytes(*bytes);
    [word(all, 96), word(all, 64), word(all, 32), word(all, 0)]
}

#[expect(clippy::cast_possible_truncation, reason = "the lower 32 bits are what is asked for")]
const fn word(all: u128, shift: u32) -> u32 {
    (all >> shift) as u32
}

#[cfg(test)]
mod tests {
    use super::Speck64;

    /// Appendix C of the paper.
    #[test]
    fn the_designers_vector() {
        let key = 0x1b1a1918_13121110_0b0a0908_03020100_u128.to_be_bytes();
        let speck = Speck64::new(&key);
        let mut blocks = [(0x3b726574, 0x7475432d), (0, 1)];
        speck.encrypt(&mut blocks);
        assert_eq!(blocks[0], (0x8c6fa548, 0x454e028b));
        speck.decrypt(&mut blocks);
        assert_eq!(blocks, [(0x3b726574, 0x7475432d), (0, 1)]);
    }
}
