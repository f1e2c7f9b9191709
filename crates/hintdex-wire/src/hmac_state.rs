//! HMAC-SHA256 in parts, for code that computes many at a time.

use core::fmt;

use sha2::block_api::compress256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The initial state of SHA-256 (FIPS 180-4, section 5.3.3).
pub const SHA256_INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The length of a block of SHA-256, in bytes.
const BLOCK_LEN_BYTES: usize = 64;
/// The longest message of one block behind the key: a block less its padding.
const MAX_MESSAGE_LEN_BYTES: usize = BLOCK_LEN_BYTES - 9;

/// An HMAC-SHA256 that has absorbed its key: the states of the inner and of the outer hash after their first
/// blocks (FIPS 198-1). As secret as the key. Zeroized on drop, and redacted in `Debug`.
///
/// See the example of [`KeyDerivation`].
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct HmacState {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl HmacState {
    /// The state under a key of at most a block; what is longer is cut off.
    pub(crate) fn of(key: &[u8]) -> Self {
        let state = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK_LEN_BYTES]);
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let mut state = SHA256_INITIAL;
            compress256(&mut state, &[*block]);
            state
        };
        Self { inner: state(0x36), outer: state(0x5c) }
    }

    /// The state of the inner hash.
    pub const fn inner(&self) -> &[u32; 8] {
        &self.inner
    }

    /// The state of the outer hash.
    pub const fn outer(&self) -> &[u32; 8] {
        &self.outer
    }
}

impl fmt::Debug for HmacState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacState([redacted])")
    }
}

/// How a packet key follows from a master key: the key is the HMAC-SHA256 of `message` under `state`.
///
/// A station that opens many packets computes many such keys at a time.
///
/// ```
/// use hintdex_wire::{DeviceId, KeyDerivation, KeyId, KeySource, MasterKey};
///
/// let master = MasterKey::new(&[7; 32]);
/// let key = KeyId::first(DeviceId(42));
/// let KeyDerivation { state, message } = master.packet_key_derivation(key).unwrap();
/// // "dev_key:", the device, the padding, and the length in bits with the block of the key.
/// assert_eq!((message[0], message[2], message[15]), (u32::from_be_bytes(*b"dev_"), 42, 76 * 8));
/// assert_eq!(format!("{state:?}"), "HmacState([redacted])");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KeyDerivation<'a> {
    /// The HMAC with the master key, or with what HKDF extracts from it.
    pub state: &'a HmacState,
    /// The message: one block of SHA-256, padded, as big-endian words.
    pub message: [u32; 16],
}

/// A message of one block behind the key, padded; `None` if it is longer.
pub(crate) fn one_block(parts: &[&[u8]]) -> Option<[u32; 16]> {
    let len_bytes: usize = parts.iter().map(|part| part.len()).sum();
    if len_bytes > MAX_MESSAGE_LEN_BYTES {
        return None;
    }
    let mut block = [0; BLOCK_LEN_BYTES];
    let bytes = parts.iter().copied().flatten().chain(&[0x80]);
    block.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let len_bits = u64::try_from(8 * (BLOCK_LEN_BYTES + len_bytes)).ok()?;
    *block.last_chunk_mut()? = len_bits.to_be_bytes();
    let (words, _) = block.as_chunks::<4>();
    let mut message = [0; 16];
    message.iter_mut().zip(words).for_each(|(to, word)| *to = u32::from_be_bytes(*word));
    Some(message)
}
