//! What tries keys: one module for each kind of processor.

mod batch;
mod portable;

use std::fmt;

use hintdex_wire::{Hint, HintScheme, Nonce};

pub(crate) use batch::{Batch, PAIRS_PER_BATCH, Window};

/// A stored key, or a block of the cipher.
pub(crate) type Block = [u8; 16];

/// How keys are tried. The best one this processor has is chosen by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Any processor: the `aes` crate, and SPECK64 in plain Rust.
    Portable,
}

impl Backend {
    /// Every back end there is, the slowest first.
    pub const ALL: &'static [Self] = &[Self::Portable];

    /// The best one this processor has for hints of `scheme`.
    pub fn best(scheme: HintScheme) -> Self {
        Kernel::best(scheme).backend()
    }

    /// Its name in results and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A back end, made ready for a scheme.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    scheme: HintScheme,
    backend: Backend,
}

impl Kernel {
    /// The kernel of `backend`, if this processor has it.
    pub fn new(scheme: HintScheme, backend: Backend) -> Option<Self> {
        Some(Self { scheme, backend })
    }

    pub fn best(scheme: HintScheme) -> Self {
        Self { scheme, backend: Backend::Portable }
    }

    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Turns keys into what is stored of them.
    pub fn store(&self, _: &mut [Block]) {}

    /// Turns what is stored back into keys.
    pub fn restore(&self, _: &mut [Block]) {}

    /// Calls `maybe` with the index of every key and every hint that may be a
    /// match, once for each; returns how many of the keys, from the first, were tried at all.
    ///
    /// Hints that cannot be reversed are tried with the nonces of the key's window.
    pub fn sieve(
        &self,
        keys: &[Block],
        windows: &[Window],
        hints: &[Hint],
        maybe: &mut dyn FnMut(usize, usize),
    ) -> usize {
        portable::sieve(self.scheme, keys, windows, hints, maybe);
        keys.len()
    }

    /// Calls `found` with the index and the nonce of every pair that is a match,
    /// in ascending order of pairs.
    pub fn decide(&self, batch: &Batch, found: &mut dyn FnMut(usize, Nonce)) {
        portable::decide(self.scheme, batch, found);
    }
}
