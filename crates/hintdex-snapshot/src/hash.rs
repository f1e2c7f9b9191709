//! Hashes of hints, for every function that a snapshot stores.

/// The hash of a head under a multiplier, which is odd.
///
/// A bijection: different heads have different hashes. Hints come from a cipher, so any
/// bijection spreads them. The multiplier is secret, so an attacker cannot choose hints whose
/// hashes crowd together: two hashes share their upper *k* bits with a probability of at most
/// 2 in 2^*k* (Dietzfelbinger, Hagerup, Katajainen, Penttonen, "A reliable randomized algorithm
/// for the closest-pair problem", 1997).
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

/// A hash scaled to a number below `count`, in the order of hashes.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "less than `count`")]
pub(crate) const fn scaled(hash: u64, count: u32) -> u32 {
    ((hash as u128 * count as u128) >> 64) as u32
}

/// 64 bits that each depend on all bits of `hash`.
///
/// Neighbouring hashes share their upper bits, and hashes of short hints end in zeros. The
/// exclusive or of the halves of the product depends on all bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves of the product")]
pub(crate) const fn mixed(hash: u64) -> u64 {
    let product = hash as u128 * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

/// Mixes 64 bits: two rounds of fold and multiply.
pub(crate) const fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 32).wrapping_mul(0xe9ff_867d_85a2_6f5b);
    let x = (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ x >> 32
}
