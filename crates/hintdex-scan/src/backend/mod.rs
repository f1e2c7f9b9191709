//! What tries keys: one module for each kind of register, and one for each way
//! through a cipher, which is compiled for all of them.

mod backwards;
mod batch;
mod forwards;
mod lanes;
mod portable;
mod prefetch;
mod speck;

#[cfg(target_arch = "x86_64")]
mod aesni;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use std::fmt;

use hintdex_wire::{Hint, HintScheme, Nonce};

use backwards::{Convert, DecryptBatch, SieveBackwards};
pub(crate) use batch::{Batch, PAIRS_PER_GROUP, Window};
use forwards::{DecideForwards, SieveEncrypted, SieveForwards};
use lanes::{AesWork, WordWork};
pub(crate) use prefetch::prefetch;

/// A stored key, or a block of the cipher.
pub(crate) type Block = [u8; 16];

/// Zeroizes blocks, many bytes at a time: `Zeroize` for arrays of bytes goes byte
/// by byte, which would take longer than a search.
pub(crate) fn wipe(blocks: &mut [Block]) {
    blocks.fill([0; 16]);
    zeroize::optimization_barrier(blocks);
}

/// How keys are tried. The best one this processor has is chosen by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Any processor: the `aes` crate, and SPECK64 in plain Rust.
    Portable,
    /// AES-NI, a key a register. Not for SPECK64.
    AesNi,
    /// AVX2, with VAES for AES: two keys a register, eight of SPECK64.
    Avx2,
    /// AVX-512, with VAES for AES: four keys a register, sixteen of SPECK64.
    Avx512,
}

impl Backend {
    /// Every back end there is, the slowest first.
    pub const ALL: &'static [Self] = &[Self::Portable, Self::AesNi, Self::Avx2, Self::Avx512];

    /// The best one this processor has for hints of `scheme`.
    pub fn best(scheme: HintScheme) -> Self {
        Kernel::best(scheme).backend()
    }

    /// Its name in results and messages.
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

/// A processor that has rounds of AES.
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

    /// Names, of every key and trial, those whose result ends as it should.
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

/// What does SPECK64.
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

/// A back end, made ready for a scheme.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kernel {
    /// AES by the `aes` crate; keys are stored as they are.
    Crate(HintScheme),
    /// AES that can be decrypted; last round keys are stored.
    Backwards(AesPath, HintScheme),
    /// Truncated AES; keys are stored as they are.
    Forwards(AesPath, HintScheme),
    /// SPECK64; the state at the end of its schedule is stored.
    Speck(WordPath),
}

impl Kernel {
    /// The kernel of `backend`, if this processor has it.
    pub fn new(scheme: HintScheme, backend: Backend) -> Option<Self> {
        if scheme == HintScheme::Speck64 {
            return WordPath::detect(backend).map(Self::Speck);
        }
        if backend == Backend::Portable {
            return Some(Self::Crate(scheme));
        }
        let path = AesPath::detect(backend)?;
        Some(if scheme.is_reversible() {
            Self::Backwards(path, scheme)
        } else {
            Self::Forwards(path, scheme)
        })
    }

    /// The kernel of the best back end.
    pub fn best(scheme: HintScheme) -> Self {
        let kernels = Backend::ALL.iter().rev().filter_map(|backend| Self::new(scheme, *backend));
        // There always is a portable one.
        kernels.into_iter().next().unwrap_or(Self::Crate(scheme))
    }

    pub const fn backend(&self) -> Backend {
        match self {
            Self::Crate(_) => Backend::Portable,
            Self::Backwards(path, _) | Self::Forwards(path, _) => path.backend(),
            Self::Speck(path) => path.backend(),
        }
    }

    /// Turns keys into what is stored of them.
    pub fn store(&self, blocks: &mut [Block]) {
        match self {
            Self::Crate(_) | Self::Forwards(..) => {}
            Self::Backwards(path, _) => path.run(Convert { blocks, to_keys: false }),
            Self::Speck(_) => blocks.iter_mut().for_each(speck::store),
        }
    }

    /// Turns what is stored back into keys.
    pub fn restore(&self, blocks: &mut [Block]) {
        match self {
            Self::Crate(_) | Self::Forwards(..) => {}
            Self::Backwards(path, _) => path.run(Convert { blocks, to_keys: true }),
            Self::Speck(_) => blocks.iter_mut().for_each(speck::restore),
        }
    }

    /// Calls `maybe` with the index of every key and every hint that may be a
    /// match, once for each; returns how many of the keys, from the first, were
    /// tried at all: up to 31 at the end may be left.
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
            Self::Speck(path) => path.run(speck::Sieve { keys, hints, maybe }),
        }
    }

    /// Calls `found` with the index and the nonce of every pair that is a match,
    /// in ascending order of pairs. `room` is as long as the batch is.
    #[inline]
    pub fn decide(
        &self,
        batch: Batch<'_>,
        room: &mut [Nonce],
        mut found: impl FnMut(usize, Nonce),
    ) {
        match *self {
            Self::Crate(scheme) => portable::decide(scheme, batch, &mut found),
            Self::Forwards(path, scheme) => {
                let mut mask = [0; 16];
                mask.iter_mut().take(scheme.len_bytes()).for_each(|byte| *byte = 0xff);
                path.run(DecideForwards { batch, mask, found: &mut found });
            }
            Self::Backwards(path, _) => path.run(DecryptBatch { batch, nonces: room }),
            Self::Speck(path) => path.run(speck::DecryptBatch { batch, nonces: room }),
        }
        let last = match *self {
            Self::Crate(_) | Self::Forwards(..) => return,
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
