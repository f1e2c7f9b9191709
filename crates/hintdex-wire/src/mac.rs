//! HMAC-SHA256 (FIPS 198-1): the one place that absorbs keys into a hash.
//!
//! Keys enter by reference and results leave in memory that is wiped on drop.
//! The hash states are wiped on drop by their own crates.

use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The length of a SHA-256 block in bytes.
const BLOCK_LEN_BYTES: usize = 64;

/// HMAC-SHA256 after `key` has been absorbed: two compressions.
///
/// `key` has at most [`BLOCK_LEN_BYTES`] bytes.
pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // A key that is shorter than the hash's block is padded with zeros to the
    // length of a block (FIPS 198-1, section 4).
    let mut block = Zeroizing::new([0; BLOCK_LEN_BYTES]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::new((&*block).into())
}

/// Absorbs `parts` and returns the result: two compressions and one for each 64
/// bytes of `parts`.
pub(crate) fn finish(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    parts.iter().for_each(|part| mac.update(part));
    let mut result = Zeroizing::new([0; 32]);
    mac.finalize_into((&mut *result).into());
    result
}
