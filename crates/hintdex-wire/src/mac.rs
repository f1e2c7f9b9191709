//! HMAC-SHA256 (FIPS 198-1): the one place that absorbs keys into a hash.
//!
//! Keys enter by reference, and results are written to memory that is wiped on drop.
//! The hash states are wiped on drop by their own crates.

use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The length of a SHA-256 block in bytes.
const BLOCK_LEN_BYTES: usize = 64;

/// Room for a result: wiped on drop.
pub(crate) type Derived = Zeroizing<[u8; 32]>;

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

/// Absorbs `parts` and writes the result to `out`: two compressions and one for
/// each 64 bytes of `parts`.
///
/// The caller owns the memory of the result: a result that is returned can be
/// copied on its way, and nobody wipes that copy.
pub(crate) fn finish_into(mut mac: Hmac<Sha256>, parts: &[&[u8]], out: &mut Derived) {
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize_into((&mut **out).into());
}
