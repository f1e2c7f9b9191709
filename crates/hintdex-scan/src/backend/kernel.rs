//! The choice of a back end: by the processor, by the scheme of the hints, and by the
//! direction of the cipher.

use std::fmt;

use hintdex_wire::{Hint, HintScheme, Nonce, Slot};

use super::backwards::{Convert, DecryptBatch, SieveBackwards};
use super::batch::{Batch, Window};
use super::block::Block;
use super::carried::SieveCarried;
use super::encrypt::{self, EncryptPairs, EncryptPoints, EncryptRun};
use super::forwards::{DecideForwards, SieveEncrypted, SieveForwards};
use super::lanes::{AesWork, WordWork};
#[cfg(target_arch = "x86_64")]
use super::{aesni, avx2, avx512};
use super::{portable, speck};

/// The instructions that try keys. Tables choose the best back end of the processor.
///
/// ```
/// use hintdex_scan::{Backend, BackendError, KeyTable};
/// use hintdex_wire::HintScheme;
///
/// let table = KeyTable::new(HintScheme::Aes128);
/// assert_eq!(table.backend(), Backend::best(HintScheme::Aes128));
///
/// // To compare back ends, name one. Not every processor has it.
/// match KeyTable::with_backend(HintScheme::Aes128, Backend::Avx512) {
///     Ok(table) => assert_eq!(table.backend().name(), "avx512"),
///     Err(BackendError { backend, .. }) => assert_eq!(backend, Backend::Avx512),
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Every processor: the `aes` crate, and SPECK64 in plain Rust.
    Portable,
    /// AES-NI: one key a register. Does not support SPECK64.
    AesNi,
    /// AVX2, and VAES for AES: two keys a register, eight keys of SPECK64.
    Avx2,
    /// AVX-512, and VAES for AES: four keys a register, sixteen keys of SPECK64.
    Avx512,
}

impl Backend {
    /// Every back end, the slowest first.
    pub const ALL: &'static [Self] = &[Self::Portable, Self::AesNi, Self::Avx2, Self::Avx512];

    /// The best back end of this processor for hints of `scheme`.
    pub fn best(scheme: HintScheme) -> Self {
        Kernel::best(scheme).backend()
    }

    /// The name of the back end in results and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::AesNi => "aes-ni",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A back end with AES instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AesPath {
    #[cfg(target_arch = "x86_64")]
    AesNi(aesni::AesNi),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2<true>),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512<true>),
}

impl AesPath {
    #[cfg(target_arch = "x86_64")]
    pub fn detect(backend: Backend) -> Option<Self> {
        match backend {
            Backend::Portable => None,
            Backend::AesNi => aesni::AesNi::detect().map(Self::AesNi),
            Backend::Avx2 => avx2::Avx2::<true>::detect().map(Self::Avx2),
            Backend::Avx512 => avx512::Avx512::<true>::detect().map(Self::Avx512),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub fn detect(_: Backend) -> Option<Self> {
        None
    }

    const fn backend(self) -> Backend {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::AesNi(_) => Backend::AesNi,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Backend::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Backend::Avx512,
        }
    }

    fn run<W: AesWork>(self, work: W) -> W::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::AesNi(path) => path.run(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(path) => path.run(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(path) => path.run(work),
        }
    }

    /// Encrypts each block under the AES-128 key beside it, in place. There are a multiple of
    /// [`PAIRS_PER_GROUP`](super::PAIRS_PER_GROUP) of both.
    pub fn encrypt(self, keys: &[Block], blocks: &mut [Block]) {
        self.run(EncryptPairs { keys, blocks });
    }

    /// Calls `found` with the indices of every key and trial whose result ends in the
    /// trial's word.
    pub fn sieve_encrypted(
        self,
        keys: &[Block],
        trials: &[(u32, u32)],
        mask: u32,
        found: &mut dyn FnMut(usize, usize),
    ) {
        self.run(SieveEncrypted { keys, trials, mask, found });
    }
}

/// A back end for SPECK64.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WordPath {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2<false>),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512<false>),
}

impl WordPath {
    #[cfg(target_arch = "x86_64")]
    fn detect(backend: Backend) -> Option<Self> {
        match backend {
            Backend::Portable => Some(Self::Portable),
            Backend::AesNi => None,
            Backend::Avx2 => avx2::Avx2::<false>::detect().map(Self::Avx2),
            Backend::Avx512 => avx512::Avx512::<false>::detect().map(Self::Avx512),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect(backend: Backend) -> Option<Self> {
        (backend == Backend::Portable).then_some(Self::Portable)
    }

    const fn backend(self) -> Backend {
        match self {
            Self::Portable => Backend::Portable,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Backend::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Backend::Avx512,
        }
    }

    fn run<W: WordWork>(self, work: W) -> W::Output {
        match self {
            Self::Portable => work.run(portable::Words),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(path) => path.run(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(path) => path.run(work),
        }
    }
}

/// A back end for a scheme.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kernel {
    /// AES by the `aes` crate, and FF1 over it; the table stores the keys themselves.
    Crate(HintScheme),
    /// Reversible AES hints; the table stores last round keys.
    Backwards(AesPath, HintScheme),
    /// Truncated AES hints; the table stores the keys themselves.
    Forwards(AesPath, HintScheme),
    /// `carry24` hints: FF1; the table stores the keys themselves. Hints are computed by the `aes`
    /// crate.
    Carried(AesPath),
    /// SPECK64; the table stores the state at the end of the schedule.
    Speck(WordPath),
}

impl Kernel {
    /// The kernel of `backend`; `None` if the processor does not have it.
    pub fn new(scheme: HintScheme, backend: Backend) -> Option<Self> {
        if scheme == HintScheme::Speck64 {
            return WordPath::detect(backend).map(Self::Speck);
        }
        if backend == Backend::Portable {
            return Some(Self::Crate(scheme));
        }
        let path = AesPath::detect(backend)?;
        Some(match scheme {
            HintScheme::Carry24 => Self::Carried(path),
            _ if scheme.is_reversible() => Self::Backwards(path, scheme),
            _ => Self::Forwards(path, scheme),
        })
    }

    /// The kernel of the best back end.
    pub fn best(scheme: HintScheme) -> Self {
        let kernels = Backend::ALL.iter().rev().filter_map(|backend| Self::new(scheme, *backend));
        // The portable kernel always exists.
        kernels.into_iter().next().unwrap_or(Self::Crate(scheme))
    }

    pub const fn backend(&self) -> Backend {
        match self {
            Self::Crate(_) => Backend::Portable,
            Self::Backwards(path, _) | Self::Forwards(path, _) | Self::Carried(path) => {
                path.backend()
            }
            Self::Speck(path) => path.backend(),
        }
    }

    /// Converts keys to their stored form, in place.
    pub fn store(&self, blocks: &mut [Block]) {
        match self {
            Self::Crate(_) | Self::Forwards(..) | Self::Carried(_) => {}
            Self::Backwards(path, _) => path.run(Convert { blocks, to_keys: false }),
            Self::Speck(_) => blocks.iter_mut().for_each(speck::store),
        }
    }

    /// Converts stored forms back to keys, in place.
    pub fn restore(&self, blocks: &mut [Block]) {
        match self {
            Self::Crate(_) | Self::Forwards(..) | Self::Carried(_) => {}
            Self::Backwards(path, _) => path.run(Convert { blocks, to_keys: true }),
            Self::Speck(_) => blocks.iter_mut().for_each(speck::restore),
        }
    }

    /// Calls `maybe` once for each pair of key and hint that may match, with their
    /// indices. Returns the number of keys, from the first, that were tried: up to 31
    /// keys at the end may remain.
    ///
    /// Hints that cannot be reversed are tried with the nonces of the key's window.
    pub fn sieve(
        &self,
        keys: &[Block],
        windows: &[Window],
        hints: &[Hint],
        maybe: &mut dyn FnMut(usize, usize),
    ) -> usize {
        match *self {
            Self::Crate(scheme) => {
                portable::sieve(scheme, keys, windows, hints, maybe);
                keys.len()
            }
            Self::Backwards(path, scheme) => {
                path.run(SieveBackwards { keys, hints, max_nonce: scheme.max_nonce(), maybe })
            }
            Self::Forwards(path, _) => path.run(SieveForwards { keys, windows, hints, maybe }),
            Self::Carried(path) => path.run(SieveCarried { keys, windows, hints, maybe }),
            Self::Speck(path) => path.run(speck::Sieve { keys, hints, maybe }),
        }
    }

    /// Writes the hint of each of `points` to its place in `hints`, which are as many. `keys` are
    /// the stored keys of all slots.
    ///
    /// Costs a key schedule and a block for each hint, for a register of keys at a time; the
    /// cipher crates take about 80 ns a hint longer.
    #[inline]
    pub fn encrypt(&self, keys: &[Block], points: &[(Slot, Nonce)], hints: &mut [Hint]) {
        match *self {
            Self::Crate(scheme) => encrypt::by_crate(scheme, keys, points, hints),
            Self::Carried(_) => encrypt::by_crate(HintScheme::Carry24, keys, points, hints),
            Self::Backwards(path, scheme) | Self::Forwards(path, scheme) => {
                let are_last = matches!(self, Self::Backwards(..));
                path.run(EncryptPoints { keys, points, hints, are_last, scheme });
            }
            Self::Speck(path) => path.run(speck::EncryptPoints { keys, points, hints }),
        }
    }

    /// Writes the hints of the nonces from `first` on, computed under one stored key, to `hints`.
    ///
    /// With AES, costs one key schedule for all of them.
    pub fn encrypt_run(&self, key: &Block, first: Nonce, hints: &mut [Hint]) {
        match *self {
            Self::Crate(scheme) => encrypt::run_by_crate(scheme, key, first, hints),
            Self::Carried(_) => encrypt::run_by_crate(HintScheme::Carry24, key, first, hints),
            Self::Backwards(path, scheme) | Self::Forwards(path, scheme) => {
                let are_last = matches!(self, Self::Backwards(..));
                path.run(EncryptRun { key, first, hints, are_last, scheme });
            }
            Self::Speck(path) => {
                let points: Vec<_> =
                    (first..).map(|nonce| (Slot(0), nonce)).take(hints.len()).collect();
                let keys = std::slice::from_ref(key);
                path.run(speck::EncryptPoints { keys, points: &points, hints });
            }
        }
    }

    /// Calls `found` with the index and the nonce of every pair that matches, in
    /// ascending order of pairs. `room` has the length of the batch.
    #[inline]
    pub fn decide(
        &self,
        batch: Batch<'_>,
        room: &mut [Nonce],
        mut found: impl FnMut(usize, Nonce),
    ) {
        match *self {
            Self::Crate(scheme) => portable::decide(scheme, batch, &mut found),
            Self::Carried(_) => portable::decide(HintScheme::Carry24, batch, &mut found),
            Self::Forwards(path, scheme) => {
                let mut mask = [0; 16];
                mask.iter_mut().take(scheme.len_bytes()).for_each(|byte| *byte = 0xff);
                path.run(DecideForwards { batch, mask, found: &mut found });
            }
            Self::Backwards(path, _) => path.run(DecryptBatch { batch, nonces: room }),
            Self::Speck(path) => path.run(speck::DecryptBatch { batch, nonces: room }),
        }
        let last = match *self {
            Self::Crate(_) | Self::Forwards(..) | Self::Carried(_) => return,
            Self::Backwards(_, scheme) => scheme.max_nonce(),
            Self::Speck(_) => HintScheme::Speck64.max_nonce(),
        };
        for (nonce, pair) in room.iter().take(batch.len).zip(0..) {
            if *nonce <= last {
                found(pair, *nonce);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test stops at the first surprise")]
mod tests {
    use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, TruncatedLen};

    use super::{Backend, Block, Kernel, Window};

    /// A block of an arithmetic progression that mixes all bits: no two are alike.
    fn block(seed: u128) -> Block {
        let odd = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128;
        let mixed = (seed + 1).wrapping_mul(odd);
        (mixed ^ mixed >> 61).wrapping_mul(odd).to_le_bytes()
    }

    /// A sieve that lets too much pass is slow and never wrong: the exact decision
    /// that follows hides it from every search. So its work is bounded here. 65,536
    /// pairs of unrelated keys and hints leave one pair if 16 bits are compared, and
    /// nearly always none if 24 or 32 bits are.
    #[test]
    fn sieves_pass_few_pairs_that_do_not_match() {
        let truncated = HintScheme::Aes128Truncated(TruncatedLen::MIN);
        let keys: Vec<_> = (0..4096).map(block).collect();
        let windows = vec![Window::new(0..1, u32::MAX.into()); keys.len()];
        let cases = [
            (HintScheme::Aes128, 1),
            (HintScheme::Aes128Wide, 9),
            (HintScheme::Speck64, 1),
            (truncated, 1),
        ];
        for (scheme, most) in cases {
            let hints = (0..16).map(|seed| Hint::read(scheme, &block(1 << 64 | seed)));
            let hints: Vec<_> = hints.flatten().collect();
            assert_eq!(hints.len(), 16);
            for kernel in Backend::ALL.iter().filter_map(|backend| Kernel::new(scheme, *backend)) {
                for hints in [hints.as_slice(), &hints[..1]] {
                    let mut passed = 0;
                    let tried = kernel.sieve(&keys, &windows, hints, &mut |_, _| passed += 1);
                    assert_eq!(tried, keys.len(), "{scheme} {kernel:?}");
                    assert!(passed <= most, "{scheme} {kernel:?}: {passed}");
                }
            }
        }
    }

    /// With odd and even numbers of hints, which some back ends take in pairs.
    #[test]
    fn sieves_name_each_pair_of_a_key_and_a_given_hint_at_most_once() {
        let truncated = HintScheme::Aes128Truncated(TruncatedLen::MIN);
        let windows = vec![Window::new(0..3, u32::MAX.into()); 64];
        for scheme in [HintScheme::Aes128, HintScheme::Speck64, truncated] {
            for kernel in Backend::ALL.iter().filter_map(|backend| Kernel::new(scheme, *backend)) {
                let mut keys: Vec<_> = (0..64).map(block).collect();
                let makers = [5, 17, 40, 41, 63];
                let hint = |key| HintCipher::new(scheme, &HintKey::copy_of(&keys[key])).hint(2);
                let hints: Vec<_> = makers.into_iter().filter_map(hint).collect();
                kernel.store(&mut keys);
                for count in 1..=makers.len() {
                    let mut named = Vec::new();
                    kernel.sieve(&keys, &windows, &hints[..count], &mut |key, hint| {
                        named.push((key, hint));
                    });
                    named.sort_unstable();
                    let expected: Vec<_> = makers.into_iter().zip(0..count).collect();
                    assert_eq!(named, expected, "{scheme} {kernel:?} {count}");
                }
            }
        }
    }
}
