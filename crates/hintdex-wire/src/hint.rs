//! Hints: what stands at the head of a packet instead of a name.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use core::fmt;
use core::ops::Range;

use crate::{HintKey, Nonce};

/// The longest hint of any scheme, in bytes.
pub const MAX_HINT_LEN_BYTES: usize = 16;

/// Blocks that are handed to the cipher together: as many as it has in flight.
const BLOCKS_AT_ONCE: usize = 8;

/// How hints are computed from (hint key, nonce).
///
/// Its number and its name are part of file formats and of the command line:
/// they never change meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HintScheme {
    /// `AES-128(hint_key, 0x00 × 12 ‖ nonce_be4)`: 16 bytes, reversible. A wrong
    /// key passes for the right one once in 2⁹⁶.
    Aes128,
}

impl HintScheme {
    /// Every scheme there is.
    pub const ALL: &'static [Self] = &[Self::Aes128];

    /// The number that stands for this scheme in files.
    pub const fn number(self) -> u8 {
        match self {
            Self::Aes128 => 1,
        }
    }

    /// The scheme a file means by `number`, if this version knows it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.number() == number)
    }

    /// The scheme's name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128 => "aes128",
        }
    }

    /// The scheme called `name` on the command line.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.name() == name)
    }

    /// How many bytes of a packet are its hint.
    pub const fn len_bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
        }
    }

    /// The last nonce that has a hint.
    pub const fn max_nonce(self) -> Nonce {
        match self {
            Self::Aes128 => u32::MAX as Nonce,
        }
    }
}

impl fmt::Display for HintScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A hint, zero-padded on the right to [`MAX_HINT_LEN_BYTES`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hint([u8; MAX_HINT_LEN_BYTES]);

impl Hint {
    /// Reads the hint at the head of `bytes`; `None` if they are too few.
    pub fn read(scheme: HintScheme, bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..scheme.len_bytes())?;
        let mut hint = [0; MAX_HINT_LEN_BYTES];
        hint.get_mut(..head.len())?.copy_from_slice(head);
        Some(Self(hint))
    }

    /// The hint's bytes, padding included.
    pub const fn as_bytes(&self) -> &[u8; MAX_HINT_LEN_BYTES] {
        &self.0
    }

    /// The first eight bytes as a big-endian number: what a radix index sorts by.
    ///
    /// Ordering by `head` is ordering by bytes; a hint is uniform, so its upper
    /// bits are as good as a hash.
    pub const fn head(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Debug for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hint(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// Makes and reads the hints of one key.
///
/// Making one costs a key schedule (about 50 ns) in [`HintCipher::new`] and then
/// one block (about 5 ns) a hint; schemes that cannot be reversed will confirm by
/// computing the hints of a window instead.
pub struct HintCipher {
    cipher: Cipher,
    max_nonce: Nonce,
}

/// The permutation behind a [`HintCipher`]: one arm for each that a scheme uses.
enum Cipher {
    Aes128(Aes128),
}

impl HintCipher {
    /// Schedules `key` for `scheme`.
    pub fn new(scheme: HintScheme, key: &HintKey) -> Self {
        let cipher = match scheme {
            HintScheme::Aes128 => Cipher::Aes128(Aes128::new(&Array(*key.expose()))),
        };
        Self { cipher, max_nonce: scheme.max_nonce() }
    }

    /// The hint of `nonce`, or `None` past the scheme's last nonce.
    pub fn hint(&self, nonce: Nonce) -> Option<Hint> {
        if nonce > self.max_nonce {
            return None;
        }
        match &self.cipher {
            Cipher::Aes128(aes) => {
                let mut block = Array(u128::from(nonce).to_be_bytes());
                aes.encrypt_block(&mut block);
                Some(Hint(block.0))
            }
        }
    }

    /// Calls `made` with the hint of every nonce in `nonces`, in order, up to the
    /// scheme's last one.
    ///
    /// Blocks are encrypted eight at a time, which hides their latency: 1 to 2 ns a hint.
    pub fn each_hint(&self, nonces: Range<Nonce>, mut made: impl FnMut(Hint)) {
        let end = nonces.end.min(self.max_nonce.saturating_add(1));
        match &self.cipher {
            Cipher::Aes128(aes) => {
                let mut blocks = [Array([0; 16]); BLOCKS_AT_ONCE];
                for first in (nonces.start..end).step_by(blocks.len()) {
                    let mut used = 0;
                    for (block, nonce) in blocks.iter_mut().zip(first..end) {
                        block.0 = u128::from(nonce).to_be_bytes();
                        used += 1;
                    }
                    let run = blocks.get_mut(..used).unwrap_or_default();
                    aes.encrypt_blocks(run);
                    run.iter().for_each(|block| made(Hint(block.0)));
                }
            }
        }
    }

    /// The nonce `hint` was made from, if it was made with this key.
    ///
    /// `None` says that it was not; `Some` is wrong once in 2⁹⁶ for
    /// [`HintScheme::Aes128`]. Either way only a tag accepts a packet.
    pub fn nonce(&self, hint: &Hint) -> Option<Nonce> {
        match &self.cipher {
            Cipher::Aes128(aes) => {
                let mut block = Array(hint.0);
                aes.decrypt_block(&mut block);
                self.nonce_in(block.0)
            }
        }
    }

    /// Calls `found` with the index and the nonce of every hint in `hints` that
    /// was made with this key, in order.
    ///
    /// Blocks are decrypted eight at a time: 2 to 3 ns a hint.
    pub fn each_nonce(&self, hints: &[Hint], mut found: impl FnMut(usize, Nonce)) {
        match &self.cipher {
            Cipher::Aes128(aes) => {
                let mut blocks = [Array([0; 16]); BLOCKS_AT_ONCE];
                for (run, first) in hints.chunks(BLOCKS_AT_ONCE).zip((0..).step_by(BLOCKS_AT_ONCE))
                {
                    let blocks = blocks.get_mut(..run.len()).unwrap_or_default();
                    blocks.iter_mut().zip(run).for_each(|(block, hint)| block.0 = hint.0);
                    aes.decrypt_blocks(blocks);
                    for (block, index) in blocks.iter().zip(first..) {
                        if let Some(nonce) = self.nonce_in(block.0) {
                            found(index, nonce);
                        }
                    }
                }
            }
        }
    }

    /// The nonce a decrypted hint holds, if it holds one.
    fn nonce_in(&self, plain: [u8; MAX_HINT_LEN_BYTES]) -> Option<Nonce> {
        let nonce = Nonce::try_from(u128::from_be_bytes(plain)).ok()?;
        (nonce <= self.max_nonce).then_some(nonce)
    }
}

impl fmt::Debug for HintCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HintCipher([redacted])")
    }
}
