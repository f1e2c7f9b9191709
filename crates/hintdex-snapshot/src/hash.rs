//! The start of a hint's ribbon in a layer, and its coefficients.

/// The hash of a hint under the multiplier of its layer, which is odd.
///
/// A bijection: different hints have different hashes, and the order of hashes is the order of
/// starts. Hints come from a cipher, so any bijection spreads them. The multiplier is secret,
/// so an attacker cannot choose hints with the same start: two hashes share their upper *k*
/// bits with a probability of at most 2 in 2^*k* (Dietzfelbinger, Hagerup, Katajainen,
/// Penttonen, "A reliable randomized algorithm for the closest-pair problem", 1997).
#[inline(always)]
pub(crate) const fn hash(head: u64, multiplier: u64) -> u64 {
    head.wrapping_mul(multiplier)
}

/// The inverse of an odd number modulo 2⁶⁴: a hash times the inverse of its multiplier is the
/// head. By Newton's iteration: each step doubles the number of correct bits, and an odd
/// number is its own inverse modulo 8.
pub(crate) const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut right_bits = 3;
    while right_bits < u64::BITS {
        x = x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x)));
        right_bits *= 2;
    }
    x
}

/// The start of a hash's ribbon: the first of its eight units, less than `starts`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "less than `starts`")]
pub(crate) const fn start(hash: u64, starts: u32) -> u32 {
    ((hash as u128 * starts as u128) >> 64) as u32
}

/// The coefficients of the 64 rows: 1 for the first row, pseudo-random for the others.
#[inline(always)]
pub(crate) const fn coefficients(hash: u64) -> u64 {
    mixed(hash) | 1
}

/// A hash whose bits all depend on all bits of `hash`.
///
/// Hashes of one place share their upper bits, and those of short hints end in zeros:
/// the halves of the product, one onto the other, have both.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves of the product")]
pub(crate) const fn mixed(hash: u64) -> u64 {
    let product = hash as u128 * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

/// The multiplier of a layer of a shard in the given attempt.
pub(crate) const fn multiplier(file_seed: u64, shard: usize, layer: usize, attempt: u32) -> u64 {
    let seed = mix(shard as u64 ^ file_seed);
    mix(((layer as u64) << 32 | attempt as u64) ^ seed) | 1
}

/// Mixes 64 bits: two rounds of fold and multiply.
pub(crate) const fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 32).wrapping_mul(0xe9ff_867d_85a2_6f5b);
    let x = (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ x >> 32
}
