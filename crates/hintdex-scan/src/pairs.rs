//! Pairs of key and block: every key encrypts one block.

use std::fmt;

use aes::Aes128Enc;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use hintdex_wire::HintScheme;

use crate::backend::{AesPath, Block, PAIRS_PER_GROUP, prefetch_line, wipe};
use crate::{Backend, BackendError};

/// Encrypts blocks, each under an AES-128 key of its own.
///
/// The key schedules of several pairs run side by side in the registers of the processor: 6 to
/// 12 ns a pair, where the cipher crates take about 90 ns.
///
/// ```
/// use hintdex_scan::PairCipher;
/// use hintdex_wire::{HintCipher, HintKey, HintScheme};
///
/// let (keys, mut blocks) = ([[1; 16], [2; 16]], [7_u128, 8].map(u128::to_be_bytes));
/// PairCipher::new().encrypt(&keys, &mut blocks);
/// // The hint of a nonce is the encryption of the nonce as a block.
/// let cipher = HintCipher::new(HintScheme::Aes128, &HintKey::from_bytes(keys[1]));
/// assert_eq!(blocks[1], *cipher.hint(8).unwrap().as_bytes());
/// ```
#[derive(Clone, Copy)]
pub struct PairCipher {
    /// `None` selects the `aes` crate.
    path: Option<AesPath>,
}

impl PairCipher {
    /// The number of pairs that every back end encrypts at a time.
    pub const PAIRS_PER_GROUP: usize = PAIRS_PER_GROUP;

    /// The cipher with the best back end of this processor.
    pub fn new() -> Self {
        Self { path: Backend::ALL.iter().rev().find_map(|backend| AesPath::detect(*backend)) }
    }

    /// The cipher with `backend`: for tests and benches.
    ///
    /// # Errors
    /// [`BackendError`] when the processor does not have `backend`.
    pub fn with_backend(backend: Backend) -> Result<Self, BackendError> {
        let path = AesPath::detect(backend);
        if path.is_none() && backend != Backend::Portable {
            return Err(BackendError { backend, scheme: HintScheme::Aes128 });
        }
        Ok(Self { path })
    }

    /// Starts loading `key`, for a call of [`encrypt`](Self::encrypt) that follows.
    #[inline]
    pub fn prefetch(key: &Block) {
        prefetch_line(key);
    }

    /// Encrypts each of `blocks` under the key beside it, in place. Blocks without a key stay as
    /// they are.
    ///
    /// Pairs past the last whole group of [`PAIRS_PER_GROUP`](Self::PAIRS_PER_GROUP) cost a whole
    /// group and a copy, which is zeroized.
    pub fn encrypt(&self, keys: &[Block], blocks: &mut [Block]) {
        let len = keys.len().min(blocks.len());
        let (keys, blocks) = (keys.split_at(len).0, blocks.split_at_mut(len).0);
        let Some(path) = self.path else { return by_crate(keys, blocks) };
        let whole = len - len % PAIRS_PER_GROUP;
        let (whole_keys, rest_keys) = keys.split_at(whole);
        let (whole_blocks, rest_blocks) = blocks.split_at_mut(whole);
        path.encrypt(whole_keys, whole_blocks);
        if rest_keys.is_empty() {
            return;
        }
        let mut keys = [[0; 16]; PAIRS_PER_GROUP];
        let mut blocks = [[0; 16]; PAIRS_PER_GROUP];
        keys.iter_mut().zip(rest_keys).for_each(|(to, from)| *to = *from);
        blocks.iter_mut().zip(&*rest_blocks).for_each(|(to, from)| *to = *from);
        path.encrypt(&keys, &mut blocks);
        rest_blocks
            .iter_mut()
            .zip(&blocks)
            .take(rest_keys.len())
            .for_each(|(to, from)| *to = *from);
        wipe(&mut keys);
        wipe(&mut blocks);
    }
}

/// Encrypts by the `aes` crate.
fn by_crate(keys: &[Block], blocks: &mut [Block]) {
    for (key, block) in keys.iter().zip(blocks) {
        Aes128Enc::new(key.into()).encrypt_block(block.into());
    }
}

impl Default for PairCipher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for PairCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PairCipher({:?})", self.path)
    }
}
