//! Where a hint falls in a layer, and with which coefficients.

/// The hash of a hint under the seed of its layer.
///
/// A bijection: hints that differ stay different, and the order of hashes is the
/// order of places. Two rounds of multiply and fold; the seed is secret, so nobody chooses hints
/// that fall together.
#[inline]
pub(super) const fn hash(head: u64, seed: u64) -> u64 {
    let mut x = head ^ seed;
    x = (x ^ x >> 32).wrapping_mul(FIRST);
    x = (x ^ x >> 32).wrapping_mul(SECOND);
    x ^ x >> 32
}

/// The head that hashes to `hash` under `seed`.
pub(super) const fn unhash(hash: u64, seed: u64) -> u64 {
    // Folding by half a word undoes itself.
    let mut x = hash ^ hash >> 32;
    x = x.wrapping_mul(inverse(SECOND));
    x = (x ^ x >> 32).wrapping_mul(inverse(FIRST));
    x ^ x >> 32 ^ seed
}

const FIRST: u64 = 0xe9ff_867d_85a2_6f5b;
const SECOND: u64 = 0xd6e8_feb8_6659_fd93;

/// The inverse of an odd number modulo 2⁶⁴, by Newton's iteration: each step
/// doubles the bits that are right, and an odd number is its own inverse
/// modulo 8.
const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut right_bits = 3;
    while right_bits < u64::BITS {
        x = x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x)));
        right_bits *= 2;
    }
    x
}

/// The first of the 64 rows a hash combines, out of `starts` places.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "less than `starts`")]
pub(super) const fn start(hash: u64, starts: u32) -> u32 {
    ((hash as u128 * starts as u128) >> 64) as u32
}

/// Which of the 64 rows: always the first, the others by chance.
#[inline]
pub(super) const fn coefficients(hash: u64) -> u64 {
    // Hashes of one place share their upper bits; the product spreads the
    // lower ones over the word.
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// The seed of a layer of a shard, at the given attempt.
pub(super) fn layer_seed(file_seed: u64, shard: usize, layer: usize, attempt: u32) -> u64 {
    let seed = hash(shard as u64, file_seed);
    hash((layer as u64) << 32 | u64::from(attempt), seed)
}
