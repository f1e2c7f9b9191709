//! Where a hint falls in a layer, and with which coefficients.

/// The hash of a hint under the multiplier of its layer, which is odd.
///
/// A bijection: hints that differ stay different, and the order of hashes is the
/// order of places. Hints come from a cipher, so that any bijection spreads
/// them; the multiplier is secret, so nobody chooses hints that fall together:
/// two share their upper *k* bits with a probability of at most 2 in 2^*k*
/// (Dietzfelbinger, Hagerup, Katajainen, Penttonen, "A reliable randomized
/// algorithm for the closest-pair problem", 1997).
#[inline(always)]
pub(super) const fn hash(head: u64, multiplier: u64) -> u64 {
    head.wrapping_mul(multiplier)
}

/// The inverse of an odd number modulo 2⁶⁴, so that a hash times the inverse of
/// its multiplier is the head. By Newton's iteration: each step doubles the bits
/// that are right, and an odd number is its own inverse modulo 8.
pub(super) const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut right_bits = 3;
    while right_bits < u64::BITS {
        x = x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x)));
        right_bits *= 2;
    }
    x
}

/// The first of the eight units of rows a hash combines, out of `starts` places.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "less than `starts`")]
pub(super) const fn start(hash: u64, starts: u32) -> u32 {
    ((hash as u128 * starts as u128) >> 64) as u32
}

/// Which of the 64 rows: always the first, the others by chance.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves of the product")]
pub(super) const fn coefficients(hash: u64) -> u64 {
    // Hashes of one place share their upper bits, and those of short hints end
    // in zeros: the halves of the product, one onto the other, have both.
    let product = hash as u128 * 0x9e37_79b9_7f4a_7c15;
    (product as u64 ^ (product >> 64) as u64) | 1
}

/// The multiplier of a layer of a shard, at the given attempt.
pub(super) const fn multiplier(file_seed: u64, shard: usize, layer: usize, attempt: u32) -> u64 {
    let seed = mix(shard as u64 ^ file_seed);
    mix(((layer as u64) << 32 | attempt as u64) ^ seed) | 1
}

/// Two rounds of fold and multiply.
const fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 32).wrapping_mul(0xe9ff_867d_85a2_6f5b);
    let x = (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ x >> 32
}
