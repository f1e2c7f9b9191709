//! Hints: the pseudo-random values that stand at the head of packets in place of ids.

use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128Dec, Aes128Enc};
use core::fmt;
use core::ops::Range;

use crate::ff1::{Domain, Ff1};
use crate::speck::{self, Speck64};
use crate::{HintKey, HintScheme, Nonce, TruncatedLen};

/// The longest hint of any scheme, in bytes.
pub const MAX_HINT_LEN_BYTES: usize = 16;

/// Blocks per call of a cipher: as many as a processor keeps in flight.
const BLOCKS_AT_ONCE: usize = 8;

/// Blocks of AES per encrypting call. Each call of the `aes` crate copies the round
/// keys into wide registers, so calls are few and long.
const AES_BLOCKS_AT_ONCE: usize = 64;

/// A hint, zero-padded on the right to [`MAX_HINT_LEN_BYTES`].
///
/// See the example of [`HintScheme`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hint([u8; MAX_HINT_LEN_BYTES]);

impl Hint {
    /// Reads the hint at the head of `bytes`; `None` if `bytes` is too short.
    pub fn read(scheme: HintScheme, bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..scheme.len_bytes())?;
        let mut hint = [0; MAX_HINT_LEN_BYTES];
        hint.get_mut(..head.len())?.copy_from_slice(head);
        Some(Self(hint))
    }

    /// Sixteen zeros: a place for a hint to be written to.
    pub const ZERO: Self = Self([0; MAX_HINT_LEN_BYTES]);

    /// The bytes of the hint, padding included.
    pub const fn as_bytes(&self) -> &[u8; MAX_HINT_LEN_BYTES] {
        &self.0
    }

    /// The first eight bytes as a big-endian number: the sort key of a radix index.
    ///
    /// Ordering by `head` is ordering by bytes. A hint is uniform, so its upper bits
    /// serve as a hash. Hints shorter than eight bytes end in zeros.
    pub const fn head(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The hint of `scheme` that a block of its cipher begins with; bytes of the block
    /// behind the hint do not count.
    #[inline]
    pub const fn of_block(scheme: HintScheme, block: &[u8; MAX_HINT_LEN_BYTES]) -> Self {
        let dropped_bits = (MAX_HINT_LEN_BYTES - scheme.len_bytes()) * 8;
        let kept = u128::MAX << dropped_bits;
        Self((u128::from_be_bytes(*block) & kept).to_be_bytes())
    }

    /// The hint with the bytes of a block of SPECK64.
    fn from_speck((x, y): speck::Block) -> Self {
        let wide = u128::from(x) << 96 | u128::from(y) << 64;
        Self(wide.to_be_bytes())
    }

    /// This hint as a block of SPECK64.
    const fn to_speck(self) -> speck::Block {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
    }

    /// The hint of two halves of 12 bits.
    fn of_24_bits([high, low]: [u64; 2]) -> Self {
        Self((u128::from(high << 12 | low) << 104).to_be_bytes())
    }

    /// This hint as two halves of 12 bits.
    const fn to_24_bits(self) -> [u64; 2] {
        let [a, b, c, ..] = self.0;
        [(a as u64) << 4 | (b >> 4) as u64, ((b & 0xf) as u64) << 8 | c as u64]
    }

    /// The first `len` bytes of a block of AES.
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

/// Computes and reverses the hints of one key.
///
/// [`HintCipher::new`] costs a key schedule (about 50 ns), each hint one block
/// (about 5 ns). Schemes that cannot be reversed confirm a key by computing the
/// hints of the expected nonces ([`HintCipher::nonces_within`]).
///
/// See the [example of the crate](crate).
pub struct HintCipher {
    cipher: Cipher,
    max_nonce: Nonce,
}

/// The permutation behind a [`HintCipher`].
enum Cipher {
    /// Both halves of the schedule cost as much as a dozen hints, and code that
    /// computes hints seldom reverses one. The key stays here so that the backward
    /// half can be scheduled on demand.
    Aes128(Aes128Enc, HintKey),
    Speck64(Speck64),
    /// The forward half of the schedule only.
    Truncated(Aes128Enc, TruncatedLen),
    Carry24(Ff1),
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
            HintScheme::Carry24 => Cipher::Carry24(Ff1::new(key, Domain::BITS_24)),
        };
        Self { cipher, max_nonce: scheme.max_nonce() }
    }

    /// The hint of `nonce`; `None` past the scheme's last nonce.
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
            Cipher::Carry24(ff1) => {
                let mut strings = [low_24(nonce)];
                ff1.encrypt(&mut strings);
                let [string] = strings;
                Hint::of_24_bits(string)
            }
        })
    }

    /// Calls `made` with the hint of every nonce in `nonces`, in order, up to the
    /// scheme's last nonce.
    ///
    /// Encrypting many blocks at a time hides their latency: 1 to 2 ns a hint with
    /// AES, 5 to 10 ns with SPECK64.
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
            Cipher::Carry24(ff1) => {
                for first in nonces.clone().step_by(BLOCKS_AT_ONCE) {
                    let mut strings = [[0; 2]; BLOCKS_AT_ONCE];
                    let run = strings.iter_mut().zip(first..nonces.end);
                    let used = run.map(|(string, nonce)| *string = low_24(nonce)).count();
                    let run = strings.get_mut(..used).unwrap_or_default();
                    ff1.encrypt(run);
                    run.iter().for_each(|string| made(Hint::of_24_bits(*string)));
                }
            }
        }
    }

    /// The nonce from which this key computes `hint`.
    ///
    /// `None` if the hint belongs to another key, or if the scheme cannot be reversed
    /// ([`HintScheme::is_reversible`]); then use [`nonces_within`](Self::nonces_within).
    /// A wrong key yields `Some` once in 2^[`check_bits`](HintScheme::check_bits).
    /// Only a verified tag accepts a packet.
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
            Cipher::Truncated(..) | Cipher::Carry24(_) => None,
        }
    }

    /// Calls `found` with every nonce from which this key computes `hint`, in order.
    ///
    /// A reversible hint is decrypted: it has at most one nonce, and `expected` is
    /// ignored. For a truncated hint, the hints of all `expected` nonces are computed
    /// and compared, at 1 to 2 ns each. A head of [`HintScheme::Carry24`] is decrypted once and
    /// compared with the low 24 bits of the `expected` nonces. Nonces outside `expected` are not found, and
    /// several inside may fit by chance.
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
            Cipher::Carry24(ff1) => {
                let mut strings = [hint.to_24_bits()];
                ff1.decrypt(&mut strings);
                let [[high, low]] = strings;
                let end = expected.end.min(self.max_nonce.saturating_add(1));
                // The first nonce from the start on with these low bits.
                let behind = (high << 12 | low).wrapping_sub(expected.start) & 0xff_ffff;
                let first = expected.start.saturating_add(behind);
                (first..end).step_by(1 << 24).for_each(found);
            }
        }
    }

    /// Calls `found` with the index and the nonce of every hint in `hints` that
    /// belongs to this key, in order. Like [`nonce`](Self::nonce), it finds no hint
    /// that cannot be reversed.
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

    /// The nonce in a decrypted hint; `None` unless its check bits are zero.
    fn nonce_in(&self, plain: u128) -> Option<Nonce> {
        let nonce = Nonce::try_from(plain).ok()?;
        (nonce <= self.max_nonce).then_some(nonce)
    }
}

/// The low 24 bits of a nonce, as two halves of 12.
const fn low_24(nonce: Nonce) -> [u64; 2] {
    [nonce >> 12 & 0xfff, nonce & 0xfff]
}

/// Calls `made` with the encrypted block of every nonce, in order.
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
