//! Hints: what stands at the head of a packet instead of a name.

use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128Dec, Aes128Enc};
use core::fmt;
use core::ops::Range;

use crate::speck::{self, Speck64};
use crate::{HintKey, HintScheme, Nonce, TruncatedLen};

/// The longest hint of any scheme, in bytes.
pub const MAX_HINT_LEN_BYTES: usize = 16;

/// Blocks that are handed to the cipher together: as many as it has in flight.
const BLOCKS_AT_ONCE: usize = 8;

/// Blocks of AES that are encrypted together. The `aes` crate copies its round
/// keys into wide registers at every call, so calls are few.
const AES_BLOCKS_AT_ONCE: usize = 64;

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
    /// bits are as good as a hash. Hints shorter than eight bytes end in zeros.
    pub const fn head(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The hint that is this block of SPECK64.
    fn from_speck((x, y): speck::Block) -> Self {
        let wide = u128::from(x) << 96 | u128::from(y) << 64;
        Self(wide.to_be_bytes())
    }

    /// This hint as a block of SPECK64.
    const fn to_speck(self) -> speck::Block {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
    }

    /// What truncation leaves of a block of AES.
    fn truncated(block: [u8; MAX_HINT_LEN_BYTES], len: TruncatedLen) -> Self {
        let dropped_bits = (MAX_HINT_LEN_BYTES - len.bytes()) * 8;
        let kept = u128::from_be_bytes(block) >> dropped_bits << dropped_bits;
        Self(kept.to_be_bytes())
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
/// one block (about 5 ns) a hint. Schemes that cannot be reversed confirm by
/// computing the hints of the nonces that are expected
/// ([`HintCipher::nonces_within`]).
pub struct HintCipher {
    cipher: Cipher,
    max_nonce: Nonce,
}

/// The permutation behind a [`HintCipher`]: one arm for each that a scheme uses.
enum Cipher {
    /// Both halves of the schedule cost as much as a dozen hints, and who makes
    /// hints seldom reads one: the backward half is made when it is asked for.
    Aes128(Aes128Enc, HintKey),
    Speck64(Speck64),
    /// Forward only: half the schedule.
    Truncated(Aes128Enc, TruncatedLen),
}

impl HintCipher {
    /// Schedules `key` for `scheme`.
    pub fn new(scheme: HintScheme, key: &HintKey) -> Self {
        let cipher = match scheme {
            HintScheme::Aes128 | HintScheme::Aes128Wide => {
                Cipher::Aes128(Aes128Enc::new(key.expose().into()), key.clone())
            }
            HintScheme::Speck64 => Cipher::Speck64(Speck64::new(key.expose())),
            HintScheme::Aes128Truncated(len) => {
                Cipher::Truncated(Aes128Enc::new(key.expose().into()), len)
            }
        };
        Self { cipher, max_nonce: scheme.max_nonce() }
    }

    /// The hint of `nonce`, or `None` past the scheme's last nonce.
    pub fn hint(&self, nonce: Nonce) -> Option<Hint> {
        if nonce > self.max_nonce {
            return None;
        }
        let mut block = Array(u128::from(nonce).to_be_bytes());
        Some(match &self.cipher {
            Cipher::Aes128(aes, _) => {
                aes.encrypt_block(&mut block);
                Hint(block.0)
            }
            Cipher::Speck64(speck) => {
                let mut blocks = [(0, u32::try_from(nonce).ok()?)];
                speck.encrypt(&mut blocks);
                let [block] = blocks;
                Hint::from_speck(block)
            }
            Cipher::Truncated(aes, len) => {
                aes.encrypt_block(&mut block);
                Hint::truncated(block.0, *len)
            }
        })
    }

    /// Calls `made` with the hint of every nonce in `nonces`, in order, up to the
    /// scheme's last one.
    ///
    /// Blocks are encrypted many at a time, which hides their latency: 1 to 2 ns
    /// a hint with AES, 5 to 10 ns with SPECK64.
    pub fn each_hint(&self, nonces: Range<Nonce>, mut made: impl FnMut(Hint)) {
        let nonces = nonces.start..nonces.end.min(self.max_nonce.saturating_add(1));
        match &self.cipher {
            Cipher::Aes128(aes, _) => each_block(aes, nonces, |block| made(Hint(block))),
            Cipher::Speck64(speck) => {
                for first in nonces.clone().step_by(BLOCKS_AT_ONCE) {
                    let mut blocks = [(0, 0); BLOCKS_AT_ONCE];
                    for ((_, y), nonce) in blocks.iter_mut().zip(first..) {
                        *y = u32::try_from(nonce).unwrap_or(u32::MAX);
                    }
                    speck.encrypt(&mut blocks);
                    let used = (first..nonces.end).zip(blocks);
                    used.for_each(|(_, block)| made(Hint::from_speck(block)));
                }
            }
            Cipher::Truncated(aes, len) => {
                each_block(aes, nonces, |block| made(Hint::truncated(block, *len)));
            }
        }
    }

    /// The nonce `hint` was made from, if it was made with this key.
    ///
    /// `None` says that it was not, or that the scheme cannot be reversed
    /// ([`HintScheme::is_reversible`]): then ask [`nonces_within`](Self::nonces_within).
    /// `Some` is wrong once in 2^[`check_bits`](HintScheme::check_bits). Either way
    /// only a tag accepts a packet.
    pub fn nonce(&self, hint: &Hint) -> Option<Nonce> {
        match &self.cipher {
            Cipher::Aes128(_, key) => {
                let mut block = Array(hint.0);
                Aes128Dec::new(key.expose().into()).decrypt_block(&mut block);
                self.nonce_in(u128::from_be_bytes(block.0))
            }
            Cipher::Speck64(speck) => {
                let mut blocks = [hint.to_speck()];
                speck.decrypt(&mut blocks);
                let [(x, y)] = blocks;
                self.nonce_in(u128::from(x) << 32 | u128::from(y))
            }
            Cipher::Truncated(..) => None,
        }
    }

    /// Calls `found` with every nonce `hint` may have been made from, in order.
    ///
    /// A reversible hint is decrypted: it has at most one nonce, and `expected`
    /// is not looked at. Of a truncated one the hints of all `expected` nonces
    /// are computed and compared, at 1 to 2 ns each; nonces outside are not
    /// found, and by chance several may fit.
    pub fn nonces_within(&self, hint: &Hint, expected: Range<Nonce>, mut found: impl FnMut(Nonce)) {
        match &self.cipher {
            Cipher::Aes128(..) | Cipher::Speck64(_) => {
                if let Some(nonce) = self.nonce(hint) {
                    found(nonce);
                }
            }
            Cipher::Truncated(..) => {
                let mut nonce = expected.start;
                self.each_hint(expected, |made| {
                    if made == *hint {
                        found(nonce);
                    }
                    nonce += 1;
                });
            }
        }
    }

    /// Calls `found` with the index and the nonce of every hint in `hints` that
    /// was made with this key, in order. Of hints that cannot be reversed it
    /// finds none, like [`nonce`](Self::nonce).
    ///
    /// Blocks of AES are decrypted eight at a time: 2 to 3 ns a hint.
    pub fn each_nonce(&self, hints: &[Hint], mut found: impl FnMut(usize, Nonce)) {
        let Cipher::Aes128(_, key) = &self.cipher else {
            for (index, hint) in hints.iter().enumerate() {
                if let Some(nonce) = self.nonce(hint) {
                    found(index, nonce);
                }
            }
            return;
        };
        let aes = Aes128Dec::new(key.expose().into());
        let mut blocks = [Array([0; 16]); BLOCKS_AT_ONCE];
        for (run, first) in hints.chunks(BLOCKS_AT_ONCE).zip((0..).step_by(BLOCKS_AT_ONCE)) {
            let blocks = blocks.get_mut(..run.len()).unwrap_or_default();
            blocks.iter_mut().zip(run).for_each(|(block, hint)| block.0 = hint.0);
            aes.decrypt_blocks(blocks);
            for (block, index) in blocks.iter().zip(first..) {
                if let Some(nonce) = self.nonce_in(u128::from_be_bytes(block.0)) {
                    found(index, nonce);
                }
            }
        }
    }

    /// The nonce a decrypted hint holds, if it holds one.
    fn nonce_in(&self, plain: u128) -> Option<Nonce> {
        let nonce = Nonce::try_from(plain).ok()?;
        (nonce <= self.max_nonce).then_some(nonce)
    }
}

/// Calls `made` with the block of every nonce, encrypted eight at a time.
fn each_block(
    aes: &impl BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
    nonces: Range<Nonce>,
    mut made: impl FnMut([u8; 16]),
) {
    let mut blocks = [Array([0; 16]); AES_BLOCKS_AT_ONCE];
    for first in nonces.clone().step_by(blocks.len()) {
        let mut used = 0;
        for (block, nonce) in blocks.iter_mut().zip(first..nonces.end) {
            block.0 = u128::from(nonce).to_be_bytes();
            used += 1;
        }
        let run = blocks.get_mut(..used).unwrap_or_default();
        aes.encrypt_blocks(run);
        run.iter().for_each(|block| made(block.0));
    }
}

impl fmt::Debug for HintCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HintCipher([redacted])")
    }
}
